"""MongoDB agrees with `search/predicates/matching.py` about each predicate and each entry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from pymongo import AsyncMongoClient

from fhir_server.r4.interaction import Search as SearchRequest
from fhir_server.r4.resource import Key
from fhir_server.search.asking.query import SearchLimits, parse
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Entry, Point, Range
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import (
    And,
    AnyToken,
    AnyWord,
    Everything,
    InRange,
    Near,
    Not,
    Nothing,
    OfPatients,
    OnlyOfPatients,
    Or,
    Predicate,
    RangePrefix,
    TokenBetween,
    TokenContaining,
    TokenPrefix,
    Updated,
    WithId,
    WithKey,
    WordPrefix,
    all_of,
    of_types,
)
from fhir_server.search.predicates.version import Version
from fhir_server.store.database import Collection
from fhir_server.store.documents import Document, document, superseded, version
from fhir_server.store.filters import (
    NOTHING,
    starting_with,
    to_filter,
    to_history_filter,
    to_superseded_filter,
)
from tests.store.versions import MORNING

# Values that would mean something to MongoDB if they were ever read as more than values.
WORDS = [
    "a",
    "ab",
    "b",
    "$a",
    "$where",
    "a.b",
    ".*",
    "",
    "~deleted",
    "@p",
    "a\0b",
    "é",
    "\U0010ffff",
    "\ud7ff",
    "a\\\\|b",
    "a\\|b",
    "\\\\",
]
TYPES = ["Observation", "Patient", "Group"]
IDS = ["1", "2", "p", "$_id"]
NUMBERS = [-(2**63), -1, 0, 1, 5, 2**53 + 1, 2**63 - 1]

words = st.sampled_from(WORDS)
ids = st.sampled_from(IDS)
numbers = st.sampled_from(NUMBERS)
bounds = st.none() | st.sampled_from([*NUMBERS, 2**70, -(2**70)])
points = st.builds(Point, st.sampled_from([-90.0, -0.0, 45.5, 90.0]), st.sampled_from([-180.0, 8.25, 180.0]))
moments = st.integers(-2500, 2500).map(lambda n: MORNING + timedelta(microseconds=n))


@st.composite
def versions(draw: st.DrawFn) -> Version:
    type = draw(st.sampled_from(TYPES))
    low, high = sorted([draw(numbers), draw(numbers)])
    several = type == "Group"
    entry = Entry(
        tokens=(type, *(f"{type}|{word}" for word in draw(st.lists(words, max_size=3, unique=True)))),
        ranges=(Range("r", low, high), Range("$s", draw(numbers.filter(lambda n: n <= 5)), 5))[
            : draw(st.integers(0, 2))
        ],
        patients=tuple(draw(st.lists(ids, max_size=3 if several else 1, unique=True))),
        clinical_date=draw(st.none() | numbers),
        point=draw(st.none() | points),
        words=tuple(f"{type}|_text|{word}" for word in draw(st.lists(words, max_size=3, unique=True))),
    )
    body = draw(st.sampled_from([b"{}", None]))
    updated = MORNING + timedelta(milliseconds=draw(st.integers(-2, 2)))
    return Version(Key(type, draw(ids)), draw(st.integers(1, 9)), updated, body, entry, "s")


some_ids = st.frozensets(ids, max_size=2)
some_keys = st.frozensets(st.builds("{}/{}".format, st.sampled_from([*TYPES, "\ud800"]), ids), max_size=3)
leaves: st.SearchStrategy[Predicate] = st.one_of(
    st.just(Everything()),
    st.just(Nothing()),
    st.builds(AnyToken, st.frozensets(st.builds("{}|{}".format, st.sampled_from(TYPES), words), max_size=3)),
    st.builds(AnyToken, st.frozensets(st.sampled_from([*TYPES, "\ud800"]), max_size=2)),
    st.builds(TokenPrefix, st.builds("{}|{}".format, st.sampled_from(TYPES), words) | st.just("\udc00")),
    st.builds(TokenBetween, words, words | st.just("\udc00")),
    st.builds(TokenContaining, st.sampled_from([f"{type}|" for type in TYPES]), words.filter(bool)),
    st.builds(
        TokenContaining, st.sampled_from(["Patient|$", "\ud800"]), st.sampled_from(["w", "\\|b", "\udc00"])
    ),
    st.builds(
        AnyWord, st.frozensets(st.builds("{}|_text|{}".format, st.sampled_from(TYPES), words), max_size=3)
    ),
    st.builds(
        WordPrefix,
        st.frozensets(
            st.builds("{}|_text|{}".format, st.sampled_from(TYPES), words | st.just("\udc00")), max_size=2
        ),
    ),
    st.builds(InRange, st.sampled_from(["r", "$s"]), bounds, bounds, bounds, bounds),
    st.builds(InRange, st.sampled_from(["r", "", "\ud800"]), bounds, bounds, is_prefix=st.just(True)),
    st.builds(RangePrefix, st.sampled_from(["r", "$", "x", "", "\ud800"])),
    st.builds(OfPatients, some_ids),
    st.builds(OnlyOfPatients, some_ids),
    st.builds(WithId, some_ids),
    st.builds(WithKey, some_keys),
    st.builds(Updated, st.none() | moments, st.none() | moments),
    st.builds(Near, points, st.sampled_from([1.0, 5_000_000.0, 19_000_000.0])),
)
predicates = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=6,
)

differential = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest_asyncio.fixture(loop_scope="session")
async def collection(mongodb_url: str, new_database_name: str) -> AsyncIterator[Collection]:
    async with AsyncMongoClient[Document](mongodb_url) as client:
        yield client[new_database_name]["resources"]


async def found(collection: Collection, documents: Sequence[Document], where: Document) -> list[Version]:
    await collection.delete_many({})
    await collection.insert_many([dict(fields) for fields in documents])
    return [version(fields) for fields in await collection.find(where, sort=[("_id", 1)]).to_list()]


@differential
@given(stored=st.lists(versions(), min_size=1, max_size=8, unique_by=lambda v: str(v.key)), asked=predicates)
async def test_a_filter_finds_the_living_versions_that_match(
    collection: Collection, stored: list[Version], asked: Predicate
) -> None:
    types = frozenset(TYPES)
    wanted = all_of(of_types(types), asked)
    where = to_filter(wanted, types=types)
    expected = [v for v in stored if not v.deleted and matches(asked, v)]
    assert await found(collection, [document(v) for v in stored], where) == in_order(expected)


@differential
@given(stored=st.lists(versions(), min_size=1, max_size=8, unique_by=lambda v: str(v.key)), asked=predicates)
async def test_where_each_type_has_one_patient_a_filter_asks_for_the_scalar_alone(
    collection: Collection, stored: list[Version], asked: Predicate
) -> None:
    types = frozenset({"Observation", "Patient"})
    where = to_filter(all_of(of_types(types), asked), types=types)
    expected = [v for v in stored if not v.deleted and v.key.type in types and matches(asked, v)]
    assert "@" not in str(to_filter(OfPatients(frozenset({"1"})), types=types))
    assert await found(collection, [document(v) for v in stored], where) == in_order(expected)


@differential
@given(stored=st.lists(versions(), min_size=1, max_size=8, unique_by=lambda v: str(v.key)), asked=predicates)
async def test_the_filter_of_a_history_judges_a_tombstone_by_what_it_deleted(
    collection: Collection, stored: list[Version], asked: Predicate
) -> None:
    expected = in_order([v for v in stored if matches(asked, v)])
    current = [document(v) for v in stored]
    assert await found(collection, current, to_history_filter(asked)) == expected
    old = [superseded(fields, MORNING) for fields in current]
    assert await found(collection, old, to_history_filter(asked)) == expected


@differential
@given(stored=st.lists(versions(), min_size=1, max_size=8, unique_by=lambda v: str(v.key)), asked=predicates)
async def test_a_filter_of_superseded_versions_finds_those_that_were_alive(
    collection: Collection, stored: list[Version], asked: Predicate
) -> None:
    types = frozenset(TYPES)
    where = to_superseded_filter(all_of(of_types(types), asked), types=types)
    old = [superseded(document(v), MORNING) for v in stored]
    expected = [v for v in stored if not v.deleted and matches(asked, v)]
    assert await found(collection, old, where) == in_order(expected)


UCUM = "http://unitsofmeasure.org"

amounts = st.sampled_from(
    ["5", "0.005", "5000", "5.4", "0", "-1", "37", "98.6", "310.15", "1" * 36, "1e-300"]
)
unit_codes = st.sampled_from(
    ["mg", "g", "kg", "[lb_av]", "Cel", "[degF]", "K", "kPa", "mm[Hg]", "m.g", "mgg"]
)


@st.composite
def observations(draw: st.DrawFn) -> Version:
    """With quantities, alone and beside a code."""
    quantity = st.fixed_dictionaries(
        {"value": amounts.map(lambda digits: Raw(digits.encode()))},
        optional={
            "comparator": st.sampled_from(["<", ">="]),
            "unit": st.sampled_from(["mg", "Gramm"]),
            "system": st.sampled_from([UCUM, UCUM, UCUM, "urn:other"]),
            "code": unit_codes,
        },
    )
    component = st.fixed_dictionaries(
        {"code": st.just({"coding": [{"system": "l", "code": "c"}]}), "valueQuantity": quantity}
    )
    resource = {
        "resourceType": "Observation",
        "valueQuantity": draw(quantity),
        "component": draw(st.lists(component, max_size=2)),
    }
    key = Key("Observation", draw(ids))
    return Version(key, 1, MORNING, b"{}", extract(resource, key), "s")


questions = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "l|c$", "c$"]),
    st.sampled_from(["", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]),
    amounts,
    st.just("") | st.builds("|{}|{}".format, st.sampled_from([UCUM, UCUM, "", "urn:other"]), unit_codes),
)


@differential
@given(
    stored=st.lists(observations(), min_size=1, max_size=8, unique_by=lambda v: str(v.key)), text=questions
)
async def test_a_filter_finds_the_quantities_that_match_in_each_unit(
    collection: Collection, stored: list[Version], text: str
) -> None:
    name = "component-code-value-quantity" if "$" in text else "value-quantity"
    asked = parse(SearchRequest("Observation", ((name, text),), "strict"), limits=SearchLimits(), base_url="")
    where = to_filter(asked.predicate, types=frozenset({"Observation"}))
    expected = [v for v in stored if matches(asked.predicate, v)]
    assert await found(collection, [document(v) for v in stored], where) == in_order(expected)


def in_order(found: Sequence[Version]) -> list[Version]:
    return sorted(found, key=lambda v: str(v.key))


@given(versions())
def test_a_version_survives_its_document(stored: Version) -> None:
    assert version(document(stored)) == stored
    assert version(superseded(document(stored), MORNING)) == stored


@given(st.text(max_size=3), st.text(max_size=5))
def test_a_prefix_bounds_exactly_what_starts_with_it(prefix: str, text: str) -> None:
    where = starting_with("tok", prefix)
    if where is NOTHING:
        return
    bounds = where["tok"]["$elemMatch"]
    within = text >= bounds["$gte"] and text < bounds.get("$lt", "\U0010ffff" * 9)
    assert within == text.startswith(prefix)
