"""
conformance/smart.md, what SMART App Launch asks of a server, held against the tests.

https://hl7.org/fhir/smart-app-launch/STU2.2/
"""

from __future__ import annotations

import inspect
from itertools import chain
from typing import Final

from conformance.smart import HELD, PAGE, held_by, ids_of, written
from tests.conformance.listing import Row, expected_to_fail, function, rows

POINTS: Final = {"D": 9, "G": 2, "A": 10, "T": 8, "O": 2, "S": 10, "F": 6, "B": 7, "P": 2}
"""How many there are of each letter."""
SHALL: Final = """
    14 15 16 17 18 24 30 31 48 49 53 54 56 57 59 73 74 75 77 78 84 85 86 87 88 89 94 95 96 100 101
    103 104 109 110 111 112 113 114 115 119 123 130 136 139 140 142 144 149 164 168 169 170 171 172
    173 174 175 176 177 178 188 190 194 197 198 200 205 207 209 210 228 231 240 241 247 249 250 251
    253 254 255 256 258 259 261 265 266 271 272 273 274 275 276 277 278 279 282 283 285 286 287 288
    289 296 297 305 310 316 335 336 337 338 339 340 341 342 344 348 349 350 351 352 353 354 355 356
    357 358 359 360 361 362 363 364 365 366 367 368 369 370 371 372 373 374 377 378 380 381 382 383
    384 385 393 394 396 398 400 402 403 405 409 410 412 417 418 419 421 423 430 431 432 436
""".split()
"""The numbers of all requirements that say SHALL or SHALL NOT to a server."""
ASIDE: Final = frozenset(("B7", "S7", "R231"))
OVER_HTTP: Final = ("apps/", "conformance/", "processes/", "server/")
"""Where tests speak to a server."""


def the_rows() -> dict[str, Row]:
    return {row.said[0]: row for row in rows(PAGE.name)}


def test_each_requirement_has_its_row_and_one() -> None:
    ids = ids_of(PAGE.read_text())
    assert len(ids) == len(set(ids))
    points = {f"{letter}{number}" for letter, most in POINTS.items() for number in range(1, most + 1)}
    assert points | {f"R{number}" for number in SHALL} <= set(ids)
    assert the_rows().keys() == set(ids)


def test_each_row_is_held_by_a_test_over_http_that_names_it() -> None:
    tests = held_by(frozenset(the_rows()))
    for id, row in the_rows().items():
        for test in row.tests:
            function(test)
            assert test in tests[id], f"{test} does not say that it holds {id}"
            assert not expected_to_fail(test), test
        if id in ASIDE:
            assert row.result.startswith("aside: "), id
        else:
            assert row.result == HELD, id
            assert any(test.startswith(OVER_HTTP) for test in row.tests), id


def test_each_id_in_a_docstring_has_its_row() -> None:
    ids = frozenset(the_rows())
    tests = held_by(ids)
    assert tests.keys() <= ids, {id: tests[id] for id in tests.keys() - ids}
    for test in set(chain.from_iterable(tests.values())):
        assert (inspect.getdoc(function(test)) or "").startswith("["), test


def test_the_page_has_a_row_for_each_test_that_it_could_name() -> None:
    """Written anew it has no row less, and what was held stays so."""
    anew = written(PAGE.read_text())
    assert ids_of(anew) == ids_of(PAGE.read_text())
    assert anew.count(f"| {HELD} |") == PAGE.read_text().count(f"| {HELD} |")
