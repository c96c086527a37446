"""What the client makes of the answers of a FHIR server, good and bad."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fhir_client import Conflict, FhirClient, Refused, Unreachable
from adapters.fhir_json import Number, parse, render

BASE = "http://fhir.example/r4"


async def a_token() -> str:
    return "t"


def client(answer: object, **limits: int) -> FhirClient:
    assert callable(answer)
    return FhirClient(BASE, a_token, httpx.MockTransport(answer), **limits)


def page(number: int, following: str | None) -> httpx.Response:
    links = [{"relation": "next", "url": following}] if following else []
    entry = [
        {"resource": {"resourceType": "Patient", "id": str(number)}, "search": {"mode": "match"}},
        {"resource": {"resourceType": "Organization", "id": "o"}, "search": {"mode": "include"}},
    ]
    return httpx.Response(200, json={"resourceType": "Bundle", "link": links, "entry": entry})


async def test_a_search_follows_the_pages_and_keeps_the_matches() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        last = len(asked) == 3
        return page(len(asked), None if last else f"{BASE}/Patient?_cursor={len(asked)}")

    found = await client(answer).search("Patient", {"identifier": "a|b"}, request_id="r")
    assert [one["id"] for one in found] == ["1", "2", "3"]
    assert asked == [
        f"{BASE}/Patient?identifier=a%7Cb",
        f"{BASE}/Patient?_cursor=1",
        f"{BASE}/Patient?_cursor=2",
    ]


async def test_a_search_without_end_is_given_up() -> None:
    with pytest.raises(Refused) as refused:
        await client(lambda _: page(1, f"{BASE}/Patient?x"), pages_max=3).search(
            "Patient", {}, request_id="r"
        )
    assert refused.value.issues[0].code == "too-costly"


@pytest.mark.parametrize("link", ["https://elsewhere.example/r4/Patient?_cursor=1", "/r4/Patient?_cursor=1"])
async def test_the_token_goes_to_nobody_else(link: str) -> None:
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(str(request.url))
        return page(1, link if len(hosts) == 1 else None)

    await client(answer).search("Patient", {}, request_id="r")
    assert hosts[1] == f"{BASE}/Patient?_cursor=1"


@pytest.mark.parametrize("status", [404, 410])
async def test_what_is_not_there_is_none(status: int) -> None:
    assert await client(lambda _: httpx.Response(status)).read("Patient", "1", request_id="r") is None


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Refused),
        (403, Refused),
        (409, Conflict),
        (412, Conflict),
        (422, Refused),
        (401, Unreachable),
        (429, Unreachable),
        (500, Unreachable),
        (503, Unreachable),
        (302, Unreachable),
    ],
)
async def test_each_status_means_one_thing(status: int, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        await client(lambda _: httpx.Response(status)).submit({}, request_id="r")
    assert type(raised.value) is error


async def test_a_refusal_has_the_issues_of_the_outcome() -> None:
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "value", "expression": ["A.b"]}],
    }
    with pytest.raises(Refused) as refused:
        await client(lambda _: httpx.Response(422, json=outcome)).submit({}, request_id="r")
    (issue,) = refused.value.issues
    assert (refused.value.status, issue.code, issue.expression) == (422, "value", ("A.b",))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"issue": [1]}', b'{"issue": 1}'])
async def test_a_refusal_without_an_outcome_is_a_refusal(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        await client(lambda _: httpx.Response(400, content=body)).submit({}, request_id="r")
    assert refused.value.issues == ()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff"])
async def test_an_answer_that_is_no_resource_is_no_answer(body: bytes) -> None:
    with pytest.raises(Unreachable):
        await client(lambda _: httpx.Response(200, content=body)).read("Patient", "1", request_id="r")


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
async def test_a_failure_on_the_way_is_no_answer(failure: type[httpx.TransportError]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise failure("no", request=request)

    with pytest.raises(Unreachable, match=failure.__name__):
        await client(answer).read("Patient", "1", request_id="r")


async def test_what_the_server_asks_for_is_told() -> None:
    with pytest.raises(Unreachable) as away:
        await client(lambda _: httpx.Response(503, headers={"Retry-After": "7"})).submit({}, request_id="r")
    assert away.value.retry_after_seconds == 7.0


async def test_a_submission_asks_for_a_short_answer_as_its_sender() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    async with client(answer) as fhir:
        await fhir.submit({"value": Number("1.50")}, request_id="m-1")
    (request,) = seen
    assert (str(request.url), request.content) == (BASE, b'{"value":1.50}')
    assert request.headers["Authorization"] == "Bearer t"
    assert request.headers["X-Request-Id"] == "m-1"
    assert request.headers["Prefer"] == "return=minimal"
    assert request.headers["Content-Type"] == "application/fhir+json"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.from_regex(r"-?(0|[1-9][0-9]{0,5})\.[0-9]{1,5}([eE][+-]?[0-9]{1,2})?", fullmatch=True).map(Number),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


@given(json_values.map(lambda value: {"v": value}))
def test_json_comes_back_as_it_was_sent(value: dict[str, object]) -> None:
    assert parse(render(value)) == value


@pytest.mark.parametrize(
    "text", [b"1.50", b"0.1e-7", b"1E5", b"-0", b"123456789012345678901234567890", b"[]", b"{}"]
)
def test_a_number_stays_as_it_was_written(text: bytes) -> None:
    assert render(parse(text)) == text


@pytest.mark.parametrize("text", ["", "1.", ".5", "+1", "01", "1e", "NaN", "1 "])
def test_what_is_no_json_number_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="Not a JSON number"):
        Number(text)
