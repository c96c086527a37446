"""
No search makes MongoDB do what the request says: what is sent is a value there, and never more.

Everything that the server asks of its database is listened to. Each name of a field and each operator
must be one that the store writes itself, so a name from a request would be noticed whatever it was.
What is too much is refused before it is done, and everything is answered within seconds.

https://owasp.org/www-project-web-security-testing-guide/latest/4-Web_Application_Security_Testing/07-Input_Validation_Testing/05.6-Testing_for_NoSQL_Injection
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from fhir_server.r4.definitions import definitions
from fhir_server.store import database
from tests.databases import a_database
from tests.server.fuzz.searches import BOMBS, OPERATORS, searches
from tests.server.running import Server, a_patient, an_observation, issues_of, serving
from tests.server.test_attacks_fuzz import TIMES
from tests.server.test_search import ids_of

SECONDS_MAX: Final = 20.0
"""For one search, on a machine that does much else."""

SEARCHED: Final = frozenset("resources history bodies ledger".split())
"""The collections that searches ask; what processes tell each other is in others."""

WRITES: Final = frozenset("insert update findAndModify commitTransaction abortTransaction".split())
"""Of the ledger, and of leases: what is searched for stands in them as a value."""

WAITS: Final = frozenset("getMore killCursors endSessions hello".split())

ANY_TEXT: Final = frozenset("string token uri reference".split())
"""Types of parameters of which any text may be a value: a reference may be a canonical."""

NAMES_OF_A: Final = frozenset(("Patient", name) for name in "name family phonetic _content".split())
"""The parameters that find `$where`, which is a name of the Patient `a`."""

TOO_MUCH: Final = frozenset(("too-costly", "too-long"))

READS: Final = {"find": ("filter", "sort", "projection"), "aggregate": ("pipeline",)}

FIELDS: Final = frozenset(
    """
    _id as attr body coordinates d dx e epoch geo hash hi id in lo m n of p payload position pt pts rng rng.p
    rng.lo rng.hi seq shard size t tok ty type u was was.geo was.rng was.tok was.wrd wrd
    """.split()
)
OPERATORS_OF_OURS: Final = frozenset(
    """
    $and $or $nor $not $in $nin $eq $ne $gt $gte $lt $lte $exists $elemMatch $expr $literal $match $group $sum
    $project $limit $sort $geoWithin $centerSphere $unwind $count
    """.split()
)
EXPRESSIONS: Final = frozenset(
    """
    $anyElementTrue $arrayElemAt $eq $gte $lt $and $in $ifNull $indexOfCP $literal $map $replaceAll $split
    $strLenCP $substrCP $filter $mergeObjects as find in input replacement cond
    """.split()
)
PATHS: Final = frozenset("$_id $tok $was.tok $attr $$token $rng $$NOW $until".split())


class Overheard(CommandListener):
    """Every command that the server sends to MongoDB."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, Mapping[str, Any]]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append((event.command_name, event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing is said of answers."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Refusals are answers."""


def strange(command: str, told: Mapping[str, Any]) -> Iterator[str]:
    """What is in a query that the store does not write."""
    if command not in READS and command not in WRITES | WAITS:
        yield command
    for part in READS.get(command, ()) if told.get(command, "resources") in SEARCHED else ():
        yield from _strange_in(told.get(part))


def _strange_in(asked: Any) -> Iterator[str]:
    if isinstance(asked, Mapping):
        for name, value in asked.items():
            if name not in (OPERATORS_OF_OURS if name.startswith("$") else FIELDS):
                yield name
            elif name == "$expr":
                yield from _strange_expression(value)
            elif name not in ("$literal", "$group", "$project"):
                yield from _strange_in(value)
    elif isinstance(asked, list | tuple):
        for value in asked:
            yield from _strange_in(value)


def _strange_expression(asked: Any) -> Iterator[str]:
    """Within `$expr` a string with a dollar is a path, unless it is said to be literal."""
    if isinstance(asked, Mapping):
        for name, value in asked.items():
            if name not in EXPRESSIONS:
                yield name
            elif name != "$literal":
                yield from _strange_expression(value)
    elif isinstance(asked, list | tuple):
        for value in asked:
            yield from _strange_expression(value)
    elif isinstance(asked, str) and asked.startswith("$") and asked not in PATHS:
        yield asked


def reads(overheard: Overheard) -> list[str]:
    """What was asked of resources, now and as they were; processes look at what they share by themselves."""
    asked = [told[command] for command, told in overheard.commands if command in READS]
    return [collection for collection in asked if collection in SEARCHED - {"ledger"}]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def overheard() -> Overheard:
    return Overheard()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def listened(
    mongodb_url: str, tmp_path_factory: pytest.TempPathFactory, overheard: Overheard
) -> AsyncIterator[Server]:
    """One server for all tests of this file, whose client of the database is listened to."""
    folder: Path = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database, "AsyncMongoClient", partial(AsyncMongoClient, event_listeners=[overheard]))
        async with (
            a_database(mongodb_url) as name,
            serving(mongodb_url, name, folder, full_text="content", query_seconds_max=5) as server,
        ):
            async with server.as_() as client:
                for resource in (
                    a_patient(id="a", name=[{"family": "(a+)+$"}, {"family": "$where"}]),
                    a_patient(id="b", name=[{"family": "a" * 60}], link=[_link("a")]),
                    a_patient(id="c", name=[{"family": ".*"}], link=[_link("b"), _link("c")]),
                    an_observation("a", id="o", code={"text": "$ne"}, valueString="{$ne: 1}"),
                ):
                    answer = await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
                    assert answer.status_code == 201, answer.text
            overheard.commands.clear()
            yield server


def _link(id: str) -> dict[str, Any]:
    return {"other": {"reference": f"Patient/{id}"}, "type": "seealso"}


@pytest_asyncio.fixture(loop_scope="session")
async def client(listened: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with listened.as_() as client:
        yield client


@pytest.fixture(autouse=True)
def ours(overheard: Overheard) -> Iterator[None]:
    """After each test: MongoDB was asked nothing but what the store writes."""
    overheard.commands.clear()
    yield
    told = [found for command in overheard.commands for found in strange(*command)]
    assert told == []


def require_right(answer: httpx.Response, seconds: float, query: str) -> None:
    told = f"{query[:300]}: {answer.status_code} {answer.text[:300]}"
    assert seconds < SECONDS_MAX, told
    assert answer.status_code in (200, 501) or 400 <= answer.status_code < 500, told
    kind = answer.json()["resourceType"]
    assert kind == ("Bundle" if answer.status_code == 200 else "OperationOutcome"), told


async def ask(client: httpx.AsyncClient, at: str, query: str, *, post: bool = False) -> httpx.Response:
    """The answer, which is one that a server may give, in time."""
    started = time.monotonic()
    if post:
        by_post = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post(f"{at.rstrip('/')}/_search", content=query, headers=by_post)
    else:
        answer = await client.get(f"{at}?{query}")
    require_right(answer, time.monotonic() - started, f"{at}?{query}")
    return answer


def refused(answer: httpx.Response) -> str:
    assert answer.status_code != 200, answer.text
    code: str = issues_of(answer)[0]["code"]
    return code


@settings(
    max_examples=150 * TIMES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(searches())
async def test_any_search_is_answered_or_refused(client: httpx.AsyncClient, asked: tuple[str, str]) -> None:
    await ask(client, *asked)
    await ask(client, *asked, post=True)


async def test_the_listener_hears_what_it_should(client: httpx.AsyncClient, overheard: Overheard) -> None:
    await ask(client, "/Patient", "name=a&name:contains=b&_id:not=c&_sort=name&_text=x*")
    assert [command for command, _ in overheard.commands if command == "find"]
    assert list(strange("find", {"filter": {"$and": [{"tok": {"$regex": "a"}}]}})) == ["$regex"]
    assert list(strange("find", {"filter": {"name": 1}})) == ["name"]
    assert list(strange("find", {"filter": {"$expr": {"$eq": ["$name", {"$literal": "$x"}]}}})) == ["$name"]


@pytest.mark.parametrize("name", OPERATORS)
async def test_a_name_that_means_something_to_mongodb_is_no_parameter(
    client: httpx.AsyncClient, overheard: Overheard, name: str
) -> None:
    for asked in (name, f"name[{name}]", f"name:{name}", f"name.{name}", f"_has:Observation:patient:{name}"):
        for at in ("/Patient", "/", "/Patient/a/Observation"):
            assert refused(await ask(client, at, f"{quote(asked)}=x")) in ("invalid", "not-supported")
    for rule in ("_sort", "_include", "_revinclude", "_elements", "_type", "_summary", "_total"):
        await ask(client, "/Patient", f"{rule}={quote(name)}")
    assert not [command for command, told in overheard.commands if name in str(told.get("sort"))]


ASKED: Final = {
    "Patient": "name name:contains name:exact family _id identifier link _tag _text".split(),
    "Observation": (
        "code:text value-quantity date code-value-quantity subject:identifier _source _filter".split()
    ),
    "Location": "near name _content _filter _list _cursor _count _lastUpdated".split(),
}
SEVERAL: Final = ",".join("ab" * 40)
STORED: Final = {
    **{("Patient", name, value): ["a"] for name in ASKED["Patient"][:4] for value in ("(a+)+$", "$where")},
    # Punctuation does not matter: `a+` is `a`, and `aaaa!` is `aaaa`.
    **{("Patient", name, SEVERAL): ["a", "b"] for name in ("name", "name:contains", "family", "_id")},
    **{("Patient", name, f"{'a' * 60}!"): ["b"] for name in ("name", "name:contains", "family")},
    ("Patient", "link", SEVERAL): ["b", "c"],
    ("Observation", "code:text", "$ne"): ["o"],
}
"""What is found by a parameter and a value; any other value of these is stored nowhere."""


@pytest.mark.parametrize("value", [*BOMBS, *OPERATORS], ids=lambda value: value[:12].encode("unicode_escape"))
async def test_a_value_is_a_value(client: httpx.AsyncClient, value: str) -> None:
    for type, names in ASKED.items():
        for name in names:
            answer = await ask(client, f"/{type}", f"{name}={quote(value)}")
            if answer.status_code == 200:
                assert ids_of(answer) == STORED.get((type, name, value), []), name
            else:
                assert (type, name, value) not in STORED
                assert refused(answer) in ("invalid", "not-supported", *TOO_MUCH), name


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name:contains=(a%2B)%2B$", ["a"]),
        ("name=(a%2B)%2B$", ["a"]),
        ("name:exact=.*", ["c"]),
        ("name:contains=$where", ["a"]),
        ("name:exact=" + "a" * 60, ["b"]),
        ("name:contains=" + "a" * 59 + "b", []),
        ("name:contains=" + "a%3F" * 30, []),
    ],
)
async def test_no_value_is_an_expression(client: httpx.AsyncClient, query: str, expected: list[str]) -> None:
    assert ids_of(await ask(client, "/Patient", query)) == expected


async def test_json_is_no_search(client: httpx.AsyncClient) -> None:
    bodies: list[Any] = [{"$where": "sleep(9999)"}, {"name": {"$ne": None}}, [{"$match": {}}]]
    for body in bodies:
        answer = await client.post("/Patient/_search", json=body)
        assert refused(answer) == "not-supported"
        assert answer.status_code == 415


async def test_too_many_values_are_refused(client: httpx.AsyncClient, overheard: Overheard) -> None:
    many = ",".join(map(str, range(10_000)))
    for name in ("_id", "name", "identifier", "birthdate", "general-practitioner", "_text", "link.name"):
        assert refused(await ask(client, "/Patient", f"{name}={many}", post=True)) in TOO_MUCH
    each = "&".join(f"name={number}" for number in range(10_000))
    assert refused(await ask(client, "/Patient", each, post=True)) in TOO_MUCH
    assert reads(overheard) == []


async def test_a_hundred_steps_are_not_followed(client: httpx.AsyncClient, overheard: Overheard) -> None:
    chains = [
        ".".join(["link"] * 100) + ".name",
        ".".join(["link"] * 30) + ".name",
        ".".join(["link:Patient"] * 10) + ".name",
        "_has:Patient:link:" * 100 + "name",
        "_has:Patient:link:" * 10 + "name",
    ]
    for chain in chains:
        assert refused(await ask(client, "/Patient", f"{chain}=x", post=True)) in TOO_MUCH
    assert reads(overheard) == []


async def test_a_chain_without_types_does_not_multiply(
    client: httpx.AsyncClient, overheard: Overheard
) -> None:
    """Each step may lead to some sixty types that have the next one."""
    for steps in (3, 4, 5):
        chain = ".".join(["subject"] * steps)
        started = time.monotonic()
        answer = await ask(client, "/Composition", f"{chain}._id=x&{chain}._id:not=y")
        assert ids_of(answer) == []
        assert time.monotonic() - started < SECONDS_MAX / 4
        found = reads(overheard)
        # Each step is asked of all its types together, of either side, for either criterion.
        assert len(found) < 10 * steps
        overheard.commands.clear()
    assert ids_of(await ask(client, "/Composition", "subject:Patient.link:Patient.link:Patient.name=x")) == []


async def test_a_filter_in_brackets_in_brackets_does_not_multiply(client: httpx.AsyncClient) -> None:
    """What stands in brackets is about each type that the name before them may lead to."""
    for steps in (4, 5, 9):
        text = "_id eq x"
        for _ in range(steps):
            text = f"subject[{text}]._id eq x"
        started = time.monotonic()
        answer = await ask(client, "/Composition", f"_filter={quote(text)}", post=True)
        assert time.monotonic() - started < SECONDS_MAX / 4
        if steps < 6:
            assert ids_of(answer) == []
        else:
            assert refused(answer) in TOO_MUCH


async def test_the_most_that_may_be_asked_of_words_is_answered(client: httpx.AsyncClient) -> None:
    for criterion in ("_content=a*", "_content=NOT a*", "_content=" + "a b " * 25):
        starred = "&".join([criterion] * 19)
        assert "total" in (await ask(client, "/", f"{starred}&_total=accurate")).json()
        assert "total" in (await ask(client, "/Patient", f"{starred}&_total=accurate")).json()


async def test_a_count_without_bounds_is_a_page(client: httpx.AsyncClient) -> None:
    assert refused(await ask(client, "/Patient", "_count=1e9")) == "invalid"
    for count in ("1000000000", "9" * 1_000):
        answer = await ask(client, "/Patient", f"_count={count}")
        assert "_count=1000&" in f"{answer.json()['link'][0]['url']}&"


async def test_includes_that_lead_in_circles_end(client: httpx.AsyncClient) -> None:
    every = "&".join(
        f"{way}:iterate=Patient:link{target}"
        for way in ("_include", "_revinclude")
        for target in ("", ":Patient")
    )
    answer = await ask(client, "/Patient", f"_id=c&{every}&_include:iterate=*&_revinclude:iterate=*")
    assert ids_of(answer) == ["c"]
    assert sorted(ids_of(answer, "include")) == ["a", "b", "o"]


async def test_much_of_everything_is_refused(client: httpx.AsyncClient) -> None:
    queries = [
        "_sort=" + ",".join(["name"] * 1_000),
        "&".join(["_include=Patient:link"] * 101),
        "&".join(f"_has:Patient:link:name={n}" for n in range(50)),
        "name=" + "a" * 100_000,
        "name=" + "\\" * 1_999,
        "_text=" + "a* " * 500,
        "_text=" + "(" * 1_500,
        "x" * 5_000 + "=1",
    ]
    for query in queries:
        assert refused(await ask(client, "/Patient", query, post=True)) in (
            "too-costly",
            "too-long",
            "invalid",
        )


async def test_each_type_is_asked_by_each_of_its_names_with_an_operator_for_a_value(
    client: httpx.AsyncClient,
) -> None:
    for type, parameters in sorted(definitions().search_parameters.items()):
        for name, parameter in sorted(parameters.items()):
            if name.startswith("_") and type not in ("Patient", "AuditEvent"):
                # Each type has these, and they are the same of each.
                continue
            answer = await ask(client, f"/{type}", f"{name}=$where")
            if answer.status_code == 200:
                assert parameter.type in ANY_TEXT, f"{type}.{name}"
                assert ids_of(answer) == (["a"] if (type, name) in NAMES_OF_A else []), f"{type}.{name}"
                assert f"{name}=%24where" in answer.json()["link"][0]["url"]
            else:
                assert refused(answer) in ("invalid", "not-supported"), f"{type}.{name}"
                assert parameter.type != "uri", f"{type}.{name}"
