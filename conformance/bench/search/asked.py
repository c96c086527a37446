"""
What is asked: each search with the share of its type that it matches, so that a figure means something.

`{patient}` and `{identifier}` are those of stored patients, drawn by the seed; `{value}` is each of a list
in turn. The shares are those of the synthetic population.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """
    `query` with `{value}` for each of `values` in turn.

    `worst` says what bounds a search that may look at more than EXAMINED_MAX allows: a list of its own.
    """

    what: str
    query: str
    values: tuple[str, ...] = ("",)
    worst: str | None = None


EXAMINED_MAX: Final = 20
"""Keys and documents of all stages, for each resource that is returned, or would fill the page."""

_OBSERVATIONS: Final = f"Observation?_count={PAGE}&"
_COMMON, _MIDDLE, _RARE, _NONE = "8867-4", "4544-3", "3084-1", "0000-0"

ASKED: Final = (
    Asked("patient and code", _OBSERVATIONS + "patient={patient}&code=http://loinc.org|" + _COMMON),
    Asked(
        "patient and category by date", _OBSERVATIONS + "patient={patient}&category=laboratory&_sort=-date"
    ),
    Asked(
        "code within a month",
        _OBSERVATIONS + f"code={_COMMON}&date=ge{{value}}-01&date=le{{value}}-28",
        ("2021-05", "2023-11", "2024-03", "2025-09"),
    ),
    Asked("code within a year", _OBSERVATIONS + f"code={_COMMON}&date={{value}}", ("2022", "2024")),
    Asked("code on a day", _OBSERVATIONS + f"code={_MIDDLE}&date={{value}}", ("2023-03-14", "2024-06-03")),
    Asked("common code (7 %), newest first", _OBSERVATIONS + f"code={_COMMON}&_sort=-date"),
    Asked("code (1 %), newest first", _OBSERVATIONS + f"code={_MIDDLE}&_sort=-date"),
    Asked("rare code (0.03 %), newest first", _OBSERVATIONS + f"code={_RARE}&_sort=-date"),
    Asked("no hit, newest first", _OBSERVATIONS + f"code={_NONE}&_sort=-date"),
    Asked(
        "two common tokens, newest first",
        _OBSERVATIONS + f"category=vital-signs&code={_COMMON}&_sort=-date",
    ),
    Asked("common code, last updated first", _OBSERVATIONS + f"code={_COMMON}&_sort=-_lastUpdated"),
    Asked("rare code, last updated first", _OBSERVATIONS + f"code={_RARE}&_sort=-_lastUpdated"),
    Asked("common code, unsorted", _OBSERVATIONS + f"code={_COMMON}"),
    Asked(
        "chain of two levels, one patient",
        _OBSERVATIONS + f"encounter.patient.identifier={{identifier}}&code={_COMMON}",
    ),
    Asked(
        "chain of two levels, one practitioner",
        f"MedicationRequest?_count={PAGE}&patient.general-practitioner.family={{value}}&_sort=-authoredon",
        ("Fuentes", "Simmons"),
    ),
    Asked("_has, rare code", f"Patient?_count={PAGE}&_has:Observation:patient:code={_RARE}"),
    Asked("name prefix", f"Patient?_count={PAGE}&name={{value}}", ("smi", "per", "will", "ga", "zoe")),
    Asked("family prefix of one letter", f"Patient?_count={PAGE}&family={{value}}", ("s", "m")),
    Asked("identifier", "Patient?identifier={identifier}"),
    Asked("page with _revinclude", "Patient?_count=20&birthdate={value}&_revinclude=Encounter:patient",
          ("1970", "1985", "1990")),
    Asked(
        "two common tokens that exclude each other",
        _OBSERVATIONS + f"category=laboratory&code={_COMMON}",
        worst="all that has the rarer token",
    ),
    Asked(
        "code (1 %), last updated first",
        _OBSERVATIONS + f"code={_MIDDLE}&_sort=-_lastUpdated",
        worst="all with the code, or the page times the type's share of it, whichever is less",
    ),
    Asked(
        "code and value of all patients",
        _OBSERVATIONS + "code-value-quantity=29463-7$gt110",
        worst="all with the code and the value, as keys",
    ),
    Asked(
        "_has, common code",
        f"Patient?_count={PAGE}&_has:Observation:patient:code={_COMMON}",
        worst="what is joined: `join_matches_max` on the smaller side, beyond is refused",
    ),
    Asked(
        "_has within a chain, common code",
        f"Encounter?_count={PAGE}&patient._has:Observation:patient:code={_COMMON}",
        worst="what is joined at each step for the candidates of a page, beyond is refused",
    ),
    Asked(
        "chain from half of the patients",
        _OBSERVATIONS + f"patient.gender=female&code={_MIDDLE}",
        worst="what is joined, as above, then all with the code",
    ),
    Asked("not a status that all have", _OBSERVATIONS + "status:not=final", worst="all of the type"),
    Asked("part of a name", f"Patient?_count={PAGE}&name:contains=xyzzy", worst="all of the type"),
)  # fmt: skip
