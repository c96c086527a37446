"""
Nobody can send anything that breaks the server, and no refusal repeats what was sent.

A failure prints the example; Hypothesis finds the smallest.
"""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient

from fhir_server.api.routes import ROUTES
from fhir_server.r4.definitions import definitions
from tests.server.hiding import a_consent, resources_of
from tests.server.running import Server, serving

SECRET = "Xylophone-Quux"
FUZZ = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
VALID = [
    *resources_of("d0"),
    a_consent("d0", "c", {"type": "deny", "period": {"start": "2020", "end": "2021-01-01T00:00:00Z"}}),
    {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:6f2f3c5e-0000-4000-8000-000000000001",
                "resource": {"resourceType": "Patient", "birthDate": "1970-01-01"},
                "request": {"method": "POST", "url": "Patient"},
            },
            {
                "resource": {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"text": "x"},
                    "subject": {"reference": "urn:uuid:6f2f3c5e-0000-4000-8000-000000000001"},
                    "valueQuantity": {"value": 1.5},
                },
                "request": {"method": "POST", "url": "Observation"},
            },
            {"request": {"method": "GET", "url": "Patient?_count=1", "ifNoneMatch": 'W/"1"'}},
        ],
    },
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One for all tests of this file."""
    database = f"test-{uuid4().hex}"
    async with serving(mongodb_url, database, tmp_path_factory.mktemp("data")) as running:
        yield running
    async with AsyncMongoClient[dict[str, Any]](mongodb_url) as client:
        await client.drop_database(database)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.as_() as client:
        yield client


def require_right(answer: httpx.Response) -> None:
    """An answer that a server may give: no failure of ours, and a refusal that says why and no more."""
    told = f"{answer.status_code} {answer.text[:500]}"
    assert answer.status_code < 500 or answer.status_code == 501, told
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        outcome = answer.json()
        assert outcome["resourceType"] == "OperationOutcome", told
        assert all(len(issue["diagnostics"]) < 500 for issue in outcome["issue"]), told
        assert SECRET not in answer.text, told


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _places(child, (*path, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _places(child, (*path, index))


INSTEAD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from([SECRET, f"Patient/{SECRET}", f"urn:uuid:{SECRET}", f"http://x/{SECRET}"]),
    st.sampled_from([f"{SECRET}\n<script>", "", " ", "/", "$where", "#", "_history", "Patient", "x" * 3_000]),
    st.sampled_from(["9999-12-31", "0000", "2016-12-31T23:59:60Z", "0001-01-01T00:00:00+14:00"]),
    st.sampled_from(
        [[], {}, [[]], [{}], [None], {"$gt": ""}, {"resourceType": "Patient"}, {"extension": []}]
    ),
    st.sampled_from([{"reference": SECRET}, {"id": SECRET}, "9999-12-31T23:59:59.999999999-14:00"]),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
)


ADDED = ["extension", "contained", "id", "_id", "text", "x", "resourceType", "meta", "modifierExtension"]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A valid resource in which something was replaced, removed, added or repeated, once to three times."""
    resource: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from([place for place in _places(resource) if place]))
        parent: Any = resource
        for step in path:
            parent = parent[step]
        match draw(st.sampled_from(["replace", "remove", "add", "repeat"])):
            case "replace":
                parent[last] = copy.deepcopy(draw(INSTEAD))
            case "remove":
                del parent[last]
            case "add" if isinstance(parent, dict):
                name = draw(
                    st.sampled_from(
                        ["extension", "contained", "id", "_id", "text", "x", "resourceType", "meta"]
                    )
                )
                parent[name] = copy.deepcopy(draw(INSTEAD))
            case _ if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[last]))
    return resource


@FUZZ
@given(resource=mutated(), update=st.booleans())
async def test_a_resource_that_was_tampered_with_is_taken_or_refused(
    client: httpx.AsyncClient, resource: dict[str, Any], update: bool
) -> None:
    stated = resource.get("resourceType")
    known = isinstance(stated, str) and stated in definitions().resource_types
    path = f"/{stated}" if known else "/Patient"
    if resource.get("type") in ("transaction", "batch"):
        path = "/"
    method = "PUT" if update and path != "/" else "POST"
    answer = await client.request(
        method,
        f"{path}/fuzzed" if method == "PUT" else path,
        content=json.dumps(resource if method == "POST" else {**resource, "id": "fuzzed"}),
        headers={"Content-Type": "application/fhir+json", "Prefer": "return=minimal"},
    )
    require_right(answer)


NAMES = st.one_of(
    st.sampled_from(
        """
        _count _sort _cursor _total _summary _include _id _lastUpdated _type _since _at _format _elements _has
        _list name birthdate identifier code subject patient date value-quantity entity agent url gender:not
        name:exact subject:identifier subject:Patient birthdate:missing url:below url:above subject.name
        """.split()
    ),
    st.text(max_size=10),
)
VALUES = st.one_of(
    st.text(max_size=12),
    st.text("0123456789-:TZ.+gelsaptbn", max_size=30),
    st.text("|,\\$/:#a1", max_size=12),
    st.sampled_from(
        """
        Patient/1 $ne true -_lastUpdated Observation:subject count accurate 1e9 ge2020-01-01 9999 lt0001-01-01
        http://a.example/b|1 WzEsIngiLDFd json
        """.split()
    ),
)
# What is sorted by, included or counted is a name, and named in a refusal; what is searched for is not.
PARAMETERS = st.one_of(
    st.tuples(NAMES, VALUES),
    st.tuples(
        st.sampled_from("name birthdate _id identifier subject date code gender _cursor".split()),
        st.just(SECRET),
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        """
        If-Match If-None-Match If-Modified-Since Prefer Accept X-Request-Id Content-Type If-None-Exist Range
        Content-Encoding Expect Origin Host
        """.split()
    ),
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20).map(str.strip),
        st.sampled_from(['W/"1"', "*", "return=OperationOutcome", "handling=lenient", "text/json", SECRET]),
        st.sampled_from(["Sat, 21 Nov 2026 10:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 +2359"]),
    ),
    max_size=3,
)
STEPS = {
    "{type}": st.sampled_from("Patient Observation AuditEvent Group Binary Foo patient".split()),
    "{id}": st.sampled_from(["d0", "o-d0", "x.1.0", "\0", "$a", "_x"]) | st.text(min_size=1, max_size=6),
    "{vid}": st.sampled_from(["1", "2", "-1", "x"]) | st.text(min_size=1, max_size=4),
}
BODIES = st.sampled_from([b"", b"{}", b'{"resourceType":"Patient"}', b"name=x&_count=1"])


@FUZZ
@given(data=st.data(), parameters=st.lists(PARAMETERS, max_size=4), headers=HEADERS)
async def test_any_query_and_any_header_at_any_address_is_answered(
    client: httpx.AsyncClient,
    data: st.DataObject,
    parameters: list[tuple[str, str]],
    headers: dict[str, str],
) -> None:
    route = data.draw(st.sampled_from(ROUTES))
    steps = [data.draw(STEPS[step]) if step in STEPS else step for step in route.template.split("/")]
    method = data.draw(st.sampled_from([route.method, route.method, "HEAD", "PATCH", "OPTIONS"]))
    path = "/".join(quote(step, safe="") for step in steps)
    stated = {"Content-Type": "application/fhir+json", **headers}
    answer = await client.request(
        method,
        f"/{path}?{urlencode(parameters)}",
        content=data.draw(BODIES) if method in ("POST", "PUT") else None,
        headers=[(name.encode(), value.encode("latin-1")) for name, value in stated.items()],
    )
    require_right(answer)
