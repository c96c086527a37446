"""What is a UCUM code: as ucumvert reads it, within limits, whoever wrote it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
import ucumvert
from hypothesis import given, settings
from hypothesis import strategies as st
from lark.exceptions import LarkError
from pint.errors import DimensionalityError

from fhir_server.r4.ucum import codes, unit

pieces = st.sampled_from(
    [
        *(
            "m",
            "g",
            "mg",
            "L",
            "mol",
            "U",
            "Cel",
            "[pH]",
            "dB",
            "[iU]",
            "10*",
            "10^",
            "%",
            "m[Hg]",
            "[lb_av]",
        ),
        *("da", "d", "ar", "k", "Y", "'", "''", "[in_i'H2O]", "B[10.nV]", "rad", "1", "0", "12", "-3", "+2"),
        *(".", "/", "(", ")", "{", "}", "{a b}", "{score}", "[", "]", "^", "*", " ", "é", "\\", "|", "\0"),
    ]
)
texts = st.one_of(st.text(max_size=150), st.lists(pieces, max_size=60).map("".join))


def examples() -> list[str]:
    """UCUM's own table of codes for electronic messaging."""
    path = Path(ucumvert.__file__).parent / "vendor" / "ucum_examples.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        return [row[1] for row in list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]]


def test_each_of_ucums_examples_is_read_except_one_that_its_table_lacks() -> None:
    listed = examples()
    assert len(listed) > 800
    assert [code for code in listed if unit(code) is None] == ["Torr"]


def test_ucumvert_reads_the_examples_as_we_do() -> None:
    registry = ucumvert.PintUcumRegistry()
    compared = 0
    for code, name, ours in _linear_examples():
        try:
            theirs = registry.from_ucum(code).to(registry.from_ucum(name).units).magnitude
            theirs /= registry.from_ucum(name).magnitude
        except (DimensionalityError, AttributeError, LarkError):
            # Pint's mole is no number, and its arbitrary units are; a unit of nothing is a plain number.
            continue
        # Of water at another temperature pint has other figures: [in_i'H2O].
        assert math.isclose(theirs, ours, rel_tol=2e-3), code
        compared += 1
    assert compared > 100


def _linear_examples() -> Iterator[tuple[str, str, float]]:
    for code in examples()[::4]:
        found = unit(code)
        if found is not None and not found.shift and found.name not in ("1", "Cel"):
            yield code, found.name, float(found.converted(Decimal(1)))


@given(texts)
@settings(max_examples=300, deadline=None)
def test_whatever_is_written_as_a_code_is_a_unit_or_none(text: str) -> None:
    found = unit(text)
    if found is not None:
        assert found.converted(Decimal("5.4")).is_finite()
        again = unit(found.name)
        if again is not None:  # m99.m99 is in m198, which is beyond the limits
            assert again.name == found.name
            assert again.converted(Decimal("5.4")) == Decimal("5.4")


@given(texts)
@settings(max_examples=150, deadline=None)
def test_what_ucumvert_cannot_read_is_only_an_annotation_more_or_less(text: str) -> None:
    parser = _parser()
    if unit(text) is None or "{" in text:
        return
    parser.parse(text)


@cache
def _parser() -> ucumvert.parser.Lark:
    return ucumvert.get_ucum_parser()


@pytest.mark.parametrize(
    "code",
    [
        "",
        "mgg",
        "KG",
        "Mgg",
        "m0",
        "m-0",
        "m123",
        "/0mg",
        "0",
        "m..g",
        "m/",
        ".m",
        "m g",
        "(m",
        "m)",
        "(m)2",
        "m{a",
        "m}a{",
        "m{é}",
        "k[lb_av]",
        "kmin",
        "Cel.m",
        "Cel2",
        "m/Cel",
        "dB/m",
        "Ym99",
        "10*99.10*99.10*99.10*99.10*99.10*99.10*99",
        "(" * 9 + "m" + ")" * 9,
        "m" + ".m" * codes.COMPONENTS_MAX,
        "{" + "a" * codes.CODE_CHARACTERS_MAX + "}",
        "(" * 5_000,
        "\ud800",
    ],
)
def test_what_is_no_code_or_beyond_the_limits_has_no_unit(code: str) -> None:
    assert unit(code) is None


@pytest.mark.parametrize(
    "code",
    [
        "(" * 8 + "m" + ")" * 8,
        "m" + ".m" * (codes.COMPONENTS_MAX - 1),
        "{" + "a" * (codes.CODE_CHARACTERS_MAX - 2) + "}",
        "10*99",
        "9999999999",
    ],
)
def test_what_is_within_the_limits_has_one(code: str) -> None:
    assert unit(code) is not None
