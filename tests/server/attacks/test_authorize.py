"""
What is thrown at /auth/authorize: whatever is wrong is told to the app, with its state, and nothing is
granted that was not asked for.

The ids in brackets are those of requirements and attacks.
https://www.rfc-editor.org/rfc/rfc9700, https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from tests.server.attacking import (
    PUBLIC,
    Watched,
    allowed,
    asks,
    changed,
    redeemed,
    the_app_is_told,
)
from tests.server.launching import AUTHORIZE, ask
from tests.smart.browsing import BASE, ORIGIN, Person, told_to_app

WRONG: dict[str, tuple[dict[str, str | None], str]] = {
    "no response_type": ({"response_type": None}, "unsupported_response_type"),
    "response_type token": ({"response_type": "token"}, "unsupported_response_type"),
    "response_type code id_token": ({"response_type": "code id_token"}, "unsupported_response_type"),
    "response_type none": ({"response_type": "none"}, "unsupported_response_type"),
    "response_type CODE": ({"response_type": "CODE"}, "unsupported_response_type"),
    "response_mode fragment": ({"response_mode": "fragment"}, "invalid_request"),
    "response_mode form_post": ({"response_mode": "form_post"}, "invalid_request"),
    "request": ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
    "request_uri": ({"request_uri": "http://169.254.169.254/"}, "request_uri_not_supported"),
    "no challenge": ({"code_challenge": None}, "invalid_request"),
    "empty challenge": ({"code_challenge": ""}, "invalid_request"),
    "challenge too short": ({"code_challenge": "x" * 42}, "invalid_request"),
    "challenge too long": ({"code_challenge": "x" * 44}, "invalid_request"),
    "challenge padded": ({"code_challenge": "x" * 43 + "="}, "invalid_request"),
    "challenge in plain base64": ({"code_challenge": "+" * 43}, "invalid_request"),
    "challenge with a line": ({"code_challenge": "x" * 43 + "\n"}, "invalid_request"),
    "challenge in other digits": ({"code_challenge": "\u0661" * 43}, "invalid_request"),
    "no method": ({"code_challenge_method": None}, "invalid_request"),
    "method plain": ({"code_challenge_method": "plain"}, "invalid_request"),
    "method s256": ({"code_challenge_method": "s256"}, "invalid_request"),
    "neither challenge nor method": (
        {"code_challenge": None, "code_challenge_method": None},
        "invalid_request",
    ),
    "no aud": ({"aud": None}, "invalid_request"),
    "empty aud": ({"aud": ""}, "invalid_request"),
    "another server": ({"aud": "https://evil.example/fhir"}, "invalid_request"),
    "aud with more letters": ({"aud": f"{BASE}X"}, "invalid_request"),
    "aud with another domain": ({"aud": f"{BASE}.evil.example"}, "invalid_request"),
    "aud with another host": ({"aud": "http://fhir.example.evil.example/fhir"}, "invalid_request"),
    "aud below": ({"aud": f"{BASE}/Patient"}, "invalid_request"),
    "aud above": ({"aud": ORIGIN}, "invalid_request"),
    "aud with two slashes": ({"aud": f"{BASE}//"}, "invalid_request"),
    "aud with user info": ({"aud": "http://fhir.example@evil.example/fhir"}, "invalid_request"),
    "aud with user info of ours": ({"aud": "http://evil@fhir.example/fhir"}, "invalid_request"),
    "aud with another port": ({"aud": "http://fhir.example:8080/fhir"}, "invalid_request"),
    "aud with a port that is none": ({"aud": "http://fhir.example:99999/fhir"}, "invalid_request"),
    "aud by TLS": ({"aud": "https://fhir.example/fhir"}, "invalid_request"),
    "aud with a path in capitals": ({"aud": "http://fhir.example/FHIR"}, "invalid_request"),
    "aud with a dot": ({"aud": "http://fhir.example./fhir"}, "invalid_request"),
    "aud with a fragment": ({"aud": f"{BASE}#x"}, "invalid_request"),
    "aud with a query": ({"aud": f"{BASE}?x"}, "invalid_request"),
    "aud with a space": ({"aud": f"{BASE} "}, "invalid_request"),
    "aud with a backslash": ({"aud": "http://fhir.example\\fhir"}, "invalid_request"),
    "two in aud": ({"aud": f"{BASE} https://evil.example"}, "invalid_request"),
    "aud that is no address": ({"aud": "fhir"}, "invalid_request"),
    "another resource": ({"resource": "https://evil.example/fhir"}, "invalid_request"),
    "another aud than resource": ({"resource": BASE, "aud": "https://evil.example"}, "invalid_request"),
    "resource of another alone": ({"resource": f"{BASE}X", "aud": None}, "invalid_request"),
    "state too long": ({"state": "x" * 2_001}, "invalid_request"),
    "no state": ({"state": None}, "invalid_request"),
    "empty state": ({"state": ""}, "invalid_request"),
    "prompt none": ({"prompt": "none"}, "login_required"),
    "prompt none and login": ({"prompt": "none login"}, "invalid_request"),
    "prompt unknown": ({"prompt": "evil"}, "invalid_request"),
    "max_age below nothing": ({"max_age": "-1"}, "invalid_request"),
    "max_age in words": ({"max_age": "never"}, "invalid_request"),
    "max_age in other digits": ({"max_age": "\u0661"}, "invalid_request"),
    "max_age far": ({"max_age": "9" * 400}, "invalid_request"),
    "nonce too long": ({"nonce": "x" * 501}, "invalid_request"),
    "no scope": ({"scope": None}, "invalid_scope"),
    "empty scope": ({"scope": ""}, "invalid_scope"),
    "scope of nothing": ({"scope": "   "}, "invalid_scope"),
    "scope unknown": ({"scope": "evil"}, "invalid_scope"),
    "scope of systems": ({"scope": "system/*.rs"}, "invalid_scope"),
    "scope of an EHR": ({"scope": "__launch __introspect"}, "invalid_scope"),
    "scope of a type that is none": ({"scope": "patient/Patientx.rs"}, "invalid_scope"),
    "a pattern": ({"scope": "patient/.*.rs"}, "invalid_scope"),
    "launch without its scope": ({"launch": "x" * 43}, "invalid_request"),
    "scope launch without one": ({"scope": "launch patient/*.rs"}, "invalid_request"),
    "launch unknown": ({"scope": "launch patient/*.rs", "launch": "x" * 43}, "invalid_request"),
    "launch too long": ({"scope": "launch patient/*.rs", "launch": "x" * 201}, "invalid_request"),
    "launch that asks the database": (
        {"scope": "launch patient/*.rs", "launch": '{"$ne": ""}'},
        "invalid_request",
    ),
}
LOST = ("no state", "empty state", "state too long")


@pytest.mark.parametrize("name", WRONG)
async def test_what_else_is_wrong_is_told_to_the_app(server: Watched, name: str) -> None:
    """[A2, A4, A5, A6, A8, R14, R15, R54, R59, R96, X12, X14, X15]"""
    told, error = WRONG[name]
    said = await the_app_is_told(server, changed(**told), error)
    assert ("state" in said) is (name not in LOST)
    assert said.get("state", PUBLIC.state) == PUBLIC.state


@pytest.mark.parametrize("name", sorted(PUBLIC.asks().keys() - {"client_id", "redirect_uri"}))
async def test_each_parameter_is_told_once(server: Watched, name: str) -> None:
    """[A2, X15] RFC 6749, 3.1"""
    twice = [*changed(), (name, PUBLIC.asks()[name])]
    said = await the_app_is_told(server, twice, "invalid_request")
    assert said.get("state") == (None if name == "state" else PUBLIC.state)


@pytest.mark.parametrize(
    "name", ["launch", "nonce", "max_age", "prompt", "response_mode", "resource", "login_hint"]
)
async def test_a_parameter_without_a_value_is_as_good_as_none(server: Watched, name: str) -> None:
    """[A2] RFC 6749, 3.1"""
    answer = await asks(server, [*changed(), (name, "")])
    assert answer.headers["location"].startswith("/auth/login?request=")


STATES = {
    "all that queries are made of": "&=#%+?;/\\\"'<>",
    "spaces": "  a  b  ",
    "encoded already": "%26%3D%2520%00",
    "unicode": "\u00fc\u20ac\U0001f600\u202e\u0000\u2028",
    "another parameter": "x&code=stolen&iss=https://evil.example",
    "headers": "x\r\nLocation: https://evil.example\r\nSet-Cookie: session=x\r\n\r\n<script>",
    "markup": "</title><script>alert(1)</script>",
    "as long as it may be": "\u00e9" * 2_000,
    "not normalized": "e\u0301 \ufb01",
}


@pytest.mark.parametrize("name", STATES)
async def test_the_state_comes_back_as_it_was(server: Watched, ann: Person, name: str) -> None:
    """[A7, R57-59, X15]"""
    state = STATES[name]
    told = await allowed(ann, PUBLIC, "launch/patient patient/*.rs", state=state)
    assert (told["state"], told["iss"]) == (state, BASE)
    assert set(told) == {"code", "state", "iss"}
    answer = await asks(server, changed(response_type="token", state=state))
    pairs = parse_qsl(urlsplit(answer.headers["location"]).query, keep_blank_values=True)
    assert [value for key, value in pairs if key == "state"] == [state]
    assert [key for key, _ in pairs] == ["error", "error_description", "state", "iss"]
    assert "set-cookie" not in answer.headers


async def test_what_is_no_text_is_answered_on_a_page(server: Watched) -> None:
    """[A3, X15] A state that is not UTF-8 cannot be given back as it was."""
    query = f"{urlencode(changed('state'))}&state=%ff%fe"
    async with server.bearing(None) as http:
        answer = await http.get(f"{AUTHORIZE}?{query}")
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert "location" not in answer.headers


SAME: dict[str, dict[str, str | None]] = {
    "as it is": {"aud": BASE},
    "with a slash": {"aud": f"{BASE}/"},
    "host in capitals": {"aud": "http://FHIR.Example/fhir"},
    "scheme in capitals": {"aud": "HTTP://fhir.example/fhir"},
    "usual port": {"aud": "http://fhir.example:80/fhir"},
    "resource alone": {"aud": None, "resource": BASE},
    "both": {"aud": BASE, "resource": f"{BASE}/"},
}


@pytest.mark.parametrize("name", SAME)
async def test_our_own_address_is_known_however_it_is_written(server: Watched, name: str) -> None:
    """[A4, A5, R96]"""
    answer = await asks(server, changed(**SAME[name]))
    assert answer.headers["location"].startswith("/auth/login?request=")


SCOPES = {
    "as it is": ("patient/Observation.rs", "patient/Observation.rs"),
    "v1": ("patient/Observation.read", "patient/Observation.read"),
    "letters out of order": ("patient/Patient.r patient/Observation.sr", "patient/Patient.r"),
    "letters twice": ("patient/Patient.r patient/Observation.rrs", "patient/Patient.r"),
    "dus": ("patient/Patient.r patient/Observation.dus", "patient/Patient.r"),
    "uds": ("patient/Patient.r patient/Observation.uds", "patient/Patient.r patient/Observation.uds"),
    "no letters": ("patient/Patient.r patient/Observation.", "patient/Patient.r"),
    "read-only": ("patient/Patient.r patient/Observation.read-only", "patient/Patient.r"),
    "READ": ("patient/Patient.r patient/Observation.READ", "patient/Patient.r"),
    "a type in small letters": ("patient/Patient.r patient/observation.rs", "patient/Patient.r"),
    "a context in capitals": ("patient/Patient.r Patient/Observation.rs", "patient/Patient.r"),
    "a type that is none": ("patient/Patient.r patient/Evil.rs", "patient/Patient.r"),
    "encoded": ("patient/Patient.r patient%2FObservation.rs", "patient/Patient.r"),
    "of systems": ("patient/Patient.r system/*.cruds", "patient/Patient.r"),
    "full-width letters": ("patient/Patient.r patient/Observation.\uff52\uff53", "patient/Patient.r"),
    "a line instead of a space": (
        "patient/Patient.r patient/Condition.r\npatient/Media.r",
        "patient/Patient.r",
    ),
    "a tab": ("patient/Patient.r patient/Observation.r\tsystem/*.r", "patient/Patient.r"),
    "twice": ("patient/Patient.r patient/Patient.r", "patient/Patient.r"),
    "many spaces": ("  patient/Patient.r   openid ", "openid patient/Patient.r"),
    "not agreed on": ("patient/Patient.r __launch __introspect", "patient/Patient.r"),
    "made up": ("patient/Patient.r admin root *", "patient/Patient.r"),
    "granular": (
        "patient/Observation.rs?category=laboratory",
        "patient/Observation.rs?category=laboratory",
    ),
    "granular and not understood": ("patient/Patient.r patient/Observation.rs?evil=1", "patient/Patient.r"),
    "granular with nothing": ("patient/Patient.r patient/Observation.rs?", "patient/Patient.r"),
    "a pattern that explodes": (
        f"patient/Patient.r patient/{'a' * 5_000}!.rs",
        "patient/Patient.r",
    ),
}


@pytest.mark.parametrize("name", SCOPES)
async def test_what_is_no_scope_is_left_out_and_the_answer_says_so(
    server: Watched, ann: Person, name: str
) -> None:
    """[A9, S1, R113, R115, X12]"""
    asked, given = SCOPES[name]
    told = await redeemed(server, ann, PUBLIC, asked)
    assert told["scope"] == given
    async with server.bearing(told["access_token"]) as http:
        assert (await http.get("/Encounter")).status_code == httpx.codes.FORBIDDEN
        assert (await http.get("/Patient/bob")).status_code in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND)


@pytest.mark.parametrize("count", [201, 5_000], ids=["more than may be", "64 kB"])
async def test_too_many_scopes_are_none(server: Watched, count: int) -> None:
    """[S1, X12]"""
    scope = " ".join(f"patient/A{number}.r" for number in range(count))
    async with server.bearing(None) as http:
        answer = await http.post(AUTHORIZE, data=dict(changed(scope=scope)))
    assert "/auth/login" not in answer.headers.get("location", "")
    assert answer.status_code in (httpx.codes.SEE_OTHER, httpx.codes.REQUEST_ENTITY_TOO_LARGE)


async def test_a_form_is_as_good_as_an_address(server: Watched) -> None:
    """[A1, R48, R49]"""
    async with server.bearing(None) as http:
        answer = await http.post(AUTHORIZE, data=dict(changed()))
        assert answer.headers["location"].startswith("/auth/login?request=")
        wrong = await http.post(AUTHORIZE, data=dict(changed(aud="https://evil.example")))
        assert told_to_app(wrong)["error"] == "invalid_request"
        astray = await http.post(AUTHORIZE, data=dict(changed(redirect_uri="https://evil.example")))
        assert (astray.status_code, "location" in astray.headers) == (httpx.codes.BAD_REQUEST, False)


async def test_of_a_form_with_an_address_the_form_counts_alone(server: Watched) -> None:
    """[A1, A3, X13] What is missing in the form is not taken from the address."""
    async with server.bearing(None) as http:
        url = f"{AUTHORIZE}?{urlencode(changed())}"
        answer = await http.post(url, data=dict(changed("redirect_uri")))
    assert answer.status_code == httpx.codes.BAD_REQUEST


async def test_a_form_is_a_form(server: Watched) -> None:
    """[A1, X21]"""
    async with server.bearing(None) as http:
        answer = await http.post(AUTHORIZE, json=dict(changed()))
    assert answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNSUPPORTED_MEDIA_TYPE)
    assert "location" not in answer.headers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_other_methods_do_nothing(server: Watched, method: str) -> None:
    """[A1]"""
    async with server.bearing(None) as http:
        answer = await http.request(method, AUTHORIZE, params=changed())
    assert answer.status_code == httpx.codes.METHOD_NOT_ALLOWED
    assert answer.headers["allow"] == "GET, POST"


async def test_a_code_of_a_page_is_worth_nothing_without_the_rest(server: Watched, ann: Person) -> None:
    """[A7, X15]"""
    told = await allowed(ann, PUBLIC, "launch/patient patient/*.rs")
    assert len(told["code"]) > 60, "nobody guesses it"
    answer = await ask(server, data={"grant_type": "authorization_code", "code": told["code"]})
    assert answer.json()["error"] == "invalid_client"


async def test_no_secret_stands_in_a_log_or_record(server: Watched) -> None:
    """[X25, X26] Of all that the tests of this file sent and got."""
    assert len(server.secrets) > 100
    assert await server.told_in_secret() == []
