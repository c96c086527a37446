"""Searches of every type, with names, modifiers and values that nobody should send."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from hypothesis import strategies as st

from fhir_server.r4.definitions import definitions
from fhir_server.search.asking.results import RESULT_PARAMETERS

OPERATORS: Final = """
    $where $ne $gt $regex $expr $function $accumulator $or $nor $not $exists $type $jsonSchema $text $lookup
    $out $merge $literal $$ROOT $$NOW a.b tok.0 tok.$[] resources.tok _id.x __proto__ constructor
""".split()
"""Names that would mean something to MongoDB, or to who builds a query of them."""

BOMBS: Final = [
    "(a+)+$",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "a" * 60 + "!",
    ".*" * 30,
    "[" * 60,
    "\\\\" * 40,
    '{"$ne":null}',
    "{$where:'sleep(9999)'}",
    "';sleep(9999);'",
    "$$ROOT",
    "$tok",
    "1e999999999",
    "-1e-999999999",
    "9" * 300,
    "0." + "0" * 300 + "1",
    "1e400|http://unitsofmeasure.org|" + "m" * 60,
    "5||10*99999999",
    "ge9999-12-31T23:59:59.999999999Z",
    "ap0001",
    "90|180|40000",
    "-90|-180|1e300|m",
    "(" * 60,
    "NOT " * 60 + "a",
    "a* " * 60,
    '"' * 61,
    "a$" * 60,
    "Patient/" * 30,
    "http://" + "a." * 60,
    ",".join("ab" * 40),
    "not(" * 60 + "name eq a" + ")" * 60,
    " or ".join(["name co a"] * 60),
    "subject." * 30 + "name eq a",
    "subject[" * 30 + "name eq a" + "].name eq a" * 30,
    "name eq $where and tok.0 ne null",
    "\0",
    "\ud7ff\U0010ffff",
    "İıſK" * 20,
    "\u0301" * 60,
    "ﷺ" * 60,
]
"""Values that are costly, or code, to somebody who takes them for more than values."""

TYPES: Final = sorted(definitions().resource_types)
MODIFIERS: Final = """
    missing exact contains text not above below in not-in of-type identifier Patient iterate
    $where regex . .. x
""".split()

_plausible = st.sampled_from(
    """
    true false a 1 1|2 |x x| a|b|c http://loinc.org|8867-4 Patient/1 2024 ge2024-02 lt5 ap1e3 5|http://x|mg
    8480-6$gt140 a$b -date name,-birthdate Observation:subject Patient:link *:* * count accurate text 0 1 50
    """.split()
)
values = st.one_of(
    st.sampled_from(BOMBS),
    st.sampled_from(OPERATORS),
    _plausible,
    st.text(max_size=12),
    st.text("|,\\$:.()*\"'{}[]^+?ab1 ", max_size=20),
)


@st.composite
def names(draw: st.DrawFn, type: str) -> str:
    """A parameter's name: one of the type, a chain, a `_has`, or none at all; with or without a modifier."""
    own = st.sampled_from(sorted(definitions().search_parameters[type]))
    any_of_another = st.sampled_from(TYPES).flatmap(
        lambda other: st.sampled_from(sorted(definitions().search_parameters[other]))
    )
    hostile = st.sampled_from(OPERATORS) | st.text(max_size=6)
    named = st.one_of(own, own, any_of_another, st.sampled_from(sorted(RESULT_PARAMETERS)), hostile)
    name = draw(named)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2, 7]))):
        other = draw(st.sampled_from(TYPES))
        said = draw(st.sampled_from(["", f":{other}", ":Patient", ":$where"]))
        name = draw(
            st.sampled_from([f"{draw(own)}{said}.{name}", f"_has:{other}:{draw(any_of_another)}:{name}"])
        )
    return name + draw(st.sampled_from([""] * 4 + [f":{modifier}" for modifier in MODIFIERS]))


@st.composite
def searches(draw: st.DrawFn) -> tuple[str, str]:
    """Where is searched, and the query."""
    type = draw(st.sampled_from(TYPES))
    at = draw(
        st.sampled_from([f"/{type}", f"/{type}", "/", f"/Patient/a/{type}", "/Patient/a/*", "/Device/$ne/*"])
    )
    criteria = draw(st.lists(st.tuples(names(type), values), min_size=1, max_size=4))
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in criteria)
    return at, query
