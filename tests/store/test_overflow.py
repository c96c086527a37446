"""An entry that is spread over several documents is found, judged and counted as if it were in one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cmp_to_key, partial
from random import Random

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient

from fhir_server.r4.errors import TooCostly, TooLarge
from fhir_server.r4.resource import Key
from fhir_server.search.asking.ordering import compare
from fhir_server.search.asking.results import End, SortKey
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import (
    And,
    AnyToken,
    AnyWord,
    Everything,
    Not,
    OfPatients,
    OnlyOfPatients,
    Or,
    Predicate,
    TokenBetween,
    TokenContaining,
    TokenPrefix,
    WordPrefix,
    of_types,
    token,
)
from fhir_server.search.predicates.version import Version
from fhir_server.store.documents import Document
from fhir_server.store.limits import StoreLimits
from fhir_server.store.overflow import OVERFLOWING_TYPES
from fhir_server.store.store import Store
from tests.store.conftest import DATABASE, OpenStore
from tests.store.versions import Clock, a_change, deleted, stored

TYPES = frozenset({"Group", "List", "Patient"})
SMALL = StoreLimits(
    entry_tokens_inline_max=3,
    name_tokens_inline_max=2,
    overflow_part_tokens_max=2,
    entry_words_inline_max=2,
)

SMALLEST = StoreLimits(entry_tokens_inline_max=1, name_tokens_inline_max=1, entry_words_inline_max=0)

types = st.sampled_from(["Group", "Group", "List", "Patient"])
patients = st.frozensets(st.sampled_from("pqrst"), min_size=2, max_size=5)
names = st.sampled_from(["member", "identifier"])
values = st.sampled_from(["Patient/p", "Patient/q", "Patient/r", "s|1", "s|2", "t|1", "1", "2", ""])
tokens = st.builds("{}|{}|{}".format, types, names, values)
said = st.sampled_from(["liver", "live", "bone", "bones"])
words = st.builds("{}|{}|{}".format, types, st.sampled_from(["_text", "_content"]), said)
leaves: st.SearchStrategy[Predicate] = st.one_of(
    st.just(Everything()),
    st.builds(AnyToken, st.frozensets(tokens, min_size=1, max_size=3)),
    st.builds(TokenPrefix, tokens | st.builds("{}|{}|s|".format, types, names)),
    st.builds(TokenPrefix, st.builds("{}|{}|".format, types, names)),
    st.builds(TokenBetween, tokens, tokens),
    st.builds(TokenContaining, st.builds("{}|{}|".format, types, names), st.sampled_from(["a", "1", "s|"])),
    st.builds(AnyWord, st.frozensets(words, min_size=1, max_size=3)),
    st.builds(WordPrefix, st.frozensets(words, min_size=1, max_size=2)),
    st.builds(OfPatients, patients),
    st.builds(OnlyOfPatients, patients),
)
predicates = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=5,
)


@st.composite
def entries(draw: st.DrawFn, type: str) -> Entry:
    held = draw(st.lists(st.tuples(names, values), min_size=3, max_size=12, unique=True))
    whom = draw(patients) if type != "Patient" else frozenset("p")
    tokens = (type, *(f"{type}|{name}|{value}" for name, value in held))
    spoken = draw(st.lists(said, max_size=4, unique=True))
    return Entry(tokens, (), tuple(sorted(whom)), words=tuple(f"{type}|_text|{word}" for word in spoken))


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[Key, Entry | None]]:
    """What is written, one after the other; None deletes."""
    told: list[tuple[Key, Entry | None]] = []
    for _ in range(draw(st.integers(1, 8))):
        type = draw(types)
        key = Key(type, draw(st.sampled_from("12")))
        alive = [entry for known, entry in told if known == key][-1:] not in ([], [None])
        told.append((key, None if alive and draw(st.integers(0, 4)) == 0 else draw(entries(type))))
    return told


@pytest_asyncio.fixture(loop_scope="session", params=[SMALL, SMALLEST], ids=["small", "smallest"])
async def narrow(request: pytest.FixtureRequest, open_store: OpenStore) -> Store:
    return await open_store(request.param)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories(), asked=predicates)
async def test_searches_counts_and_histories_agree_with_plain_python(
    narrow: Store,
    client: AsyncMongoClient[Document],
    clock: Clock,
    story: Sequence[tuple[Key, Entry | None]],
    asked: Predicate,
) -> None:
    store = narrow
    for collection in ("resources", "history", "bodies"):
        await client[DATABASE][collection].delete_many({})
    written: list[Version] = []
    for key, entry in story:
        clock.advance(milliseconds=1)
        change = await _deleted(store, key) if entry is None else await _stored(store, key, entry)
        written.append(change)
    newest = {version.key: version for version in written}
    alive = [version for version in newest.values() if not version.deleted and matches(asked, version)]
    for order in (
        (SortKey("sequence"),),
        (SortKey("updated", descending=True),),
        (SortKey("parameter", "member"), SortKey("sequence")),
        (SortKey("parameter", "identifier", descending=True), SortKey("sequence")),
    ):
        expected = sorted(alive, key=cmp_to_key(partial(_compared, order)))
        assert _told(await _all(store, asked, order)) == _told(expected)
    assert await store.count(asked, types=TYPES) == len(alive)
    history = await store.history(asked, type=None, id=None, since=None, at=None, after=None, count=99)
    assert _told(history.versions) == _told([v for v in reversed(written) if matches(asked, v)])
    for version in written:
        again = await store.version(version.key, version.number)
        assert again is not None
        assert _told([again]) == _told([version])
    for key, version in newest.items():
        bare, _ = await store.current(key, tokens=False)
        assert bare is not None
        assert set(bare.entry.patients) == set(version.entry.patients)
        assert (await store.currents([key], text=False))[key].deleted == version.deleted
    await _nothing_is_orphaned(client)


def _compared(order: Sequence[SortKey], left: Version, right: Version) -> int:
    return compare(left, right, order)


async def _stored(store: Store, key: Key, entry: Entry) -> Version:
    return await stored(store, key, a_change(entry=entry))


async def _deleted(store: Store, key: Key) -> Version:
    return await deleted(store, key)


async def _all(store: Store, asked: Predicate, order: Sequence[SortKey]) -> list[Version]:
    found: list[Version] = []
    after = None
    while True:
        page = await store.page(asked, types=TYPES, order=order, after=after, count=2, tokens=True)
        found += page.versions
        after = page.next
        if after is None:
            return found


def _told(versions: Sequence[Version]) -> list[tuple[Key, int, bytes | None, tuple[frozenset[str], ...]]]:
    """All that matters of versions: an entry's tokens have no order."""
    return [
        (v.key, v.number, v.body, tuple(map(frozenset, (v.entry.tokens, v.entry.patients, v.entry.words))))
        for v in versions
    ]


async def _nothing_is_orphaned(client: AsyncMongoClient[Document]) -> None:
    """Whatever was set aside is that of a version that says so, or of the tombstone behind it."""
    database = client[DATABASE]
    versions = {
        f"{'/'.join(fields['_id'].split('/')[:2])}/{fields['n']:010d}": fields
        for name in ("resources", "history")
        async for fields in database[name].find({"ty": {"$exists": True}})
    }
    aside = {"/".join(part["_id"].split("/")[:3]) for part in await database["bodies"].find().to_list()}
    assert aside == {id for id, fields in versions.items() if "more" in fields and "of" not in fields}
    assert aside >= {f"{id[:-10]}{fields['of']:010d}" for id, fields in versions.items() if "of" in fields}


async def test_a_large_group_is_small_where_it_is_searched_and_whole_where_it_is_read(
    store: Store, client: AsyncMongoClient[Document]
) -> None:
    members = [f"p{n}" for n in range(20_000)]
    entry = Entry(("Group", *(f"Group|member|Patient/{id}" for id in members)), (), tuple(members))
    await stored(store, Key("Group", "1"), a_change(entry=entry))
    fields = await client[DATABASE]["resources"].find_one({"_id": "Group/1"})
    assert fields is not None
    assert len(fields["tok"]) < 1_200
    group = frozenset({"Group"})
    for asked, matching in (
        (token("Group|member|Patient/p17777"), 1),
        (token("Group|member|Patient/p20000"), 0),
        (Not(token("Group|member|Patient/p17777")), 0),
        (OfPatients(frozenset({"p19999"})), 1),
        (OnlyOfPatients(frozenset(members)), 1),
        (OnlyOfPatients(frozenset(members[:-1])), 0),
    ):
        assert await store.count(asked, types=group) == matching, asked
    read, _ = await store.current(Key("Group", "1"), tokens=False)
    assert read is not None
    assert set(read.entry.patients) == set(members)


async def test_a_unit_that_is_refused_leaves_nothing_aside(
    open_store: OpenStore, client: AsyncMongoClient[Document]
) -> None:
    store = await open_store(StoreLimits(overflow_tokens_max=5_000))
    tokens = [f"Group|member|Patient/{n}" for n in range(5_001)]
    with pytest.raises(TooLarge, match="5002 searchable values, the limit is 5000"):
        await stored(store, Key("Group", "1"), a_change(entry=Entry(("Group", *tokens))))
    assert await client[DATABASE]["bodies"].count_documents({}) == 0


async def test_other_types_are_refused_beyond_what_a_document_holds(store: Store) -> None:
    tokens = [f"Patient|identifier|{n}" for n in range(20_001)]
    with pytest.raises(TooLarge, match="the limit is 20000"):
        await stored(store, Key("Patient", "1"), a_change(entry=Entry(("Patient", *tokens))))
    assert "Patient" not in OVERFLOWING_TYPES


async def test_a_question_about_too_many_large_resources_is_refused(open_store: OpenStore) -> None:
    limits = StoreLimits(entry_tokens_inline_max=3, name_tokens_inline_max=2, overflow_matches_max=2)
    store = await open_store(limits)
    random = Random(3)
    for n in range(3):
        tokens = [f"Group|member|{value}" for value in random.sample(range(9), 6)] + ["Group|member|x"]
        await stored(store, Key("Group", str(n)), a_change(entry=Entry(("Group", *tokens))))
    with pytest.raises(TooCostly, match="too many large resources"):
        await store.count(token("Group|member|x"), types=frozenset({"Group"}))
    assert await store.count(of_types(frozenset({"Group"})), types=frozenset({"Group"})) == 3


async def test_what_may_not_be_looked_at_is_not_sorted_by(open_store: OpenStore) -> None:
    store = await open_store(SMALL)
    hidden = Entry(("Group", "Group|identifier|1", "Group|identifier|2"), (), ("p", "q", "r"))
    shown = Entry(("Group", "Group|identifier|3"), (), ("p",))
    await stored(store, Key("Group", "hidden"), a_change(entry=hidden))
    await stored(store, Key("Group", "shown"), a_change(entry=shown))
    for id in ("hidden", "shown"):
        entry = Entry(("Observation", f"Observation|subject|Group/{id}"))
        await stored(store, Key("Observation", id), a_change(entry=entry))
    end = End(
        frozenset({"Observation|subject"}),
        frozenset({"Group"}),
        SortKey("parameter", "identifier"),
        of=Not(OfPatients(frozenset("r"))),
    )
    page = await store.page(
        of_types(frozenset({"Observation"})),
        types=frozenset({"Observation"}),
        order=(SortKey("chained", "subject", end=end),),
        after=None,
        count=10,
        tokens=False,
    )
    assert [version.key.id for version in page.versions] == ["shown", "hidden"]


async def test_many_words_do_not_keep_it_from_being_sorted_by_what_it_refers_to(
    open_store: OpenStore,
) -> None:
    store = await open_store(SMALL)
    words = tuple(f"Observation|_text|{word}" for word in ("one", "two", "three"))
    for id, family in (("a", "young"), ("b", "abel")):
        name = f"Patient|family|{family}|{family}"
        await stored(store, Key("Patient", id), a_change(entry=Entry(("Patient", name), (), (id,))))
        tokens = ("Observation", f"Observation|subject|Patient/{id}")
        await stored(store, Key("Observation", id), a_change(entry=Entry(tokens, words=words)))
    end = End(frozenset({"Observation|subject"}), frozenset({"Patient"}), SortKey("parameter", "family"))
    page = await store.page(
        of_types(frozenset({"Observation"})),
        types=frozenset({"Observation"}),
        order=(SortKey("chained", "subject", end=end),),
        after=None,
        count=10,
        tokens=False,
    )
    assert [version.key.id for version in page.versions] == ["b", "a"]
