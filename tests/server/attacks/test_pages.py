"""
What is thrown at the pages themselves: forms that were made elsewhere, cookies that somebody knew, markup,
and what is no request of a browser.

The ids in brackets are those of requirements and attacks.
https://owasp.org/www-community/attacks/csrf, https://www.rfc-editor.org/rfc/rfc9700#section-4.16
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from tests.databases import a_database
from tests.server.attacking import (
    FORM,
    PUBLIC,
    RECORD,
    Watched,
    logged_in,
    secret_of,
    waiting,
)
from tests.server.launching import AUTHORIZE, PASSWORD, a_person, add_app, add_user
from tests.server.running import a_patient, serving
from tests.smart.browsing import ORIGIN, App, Form, Person, forms, told_to_app

EVIL = '"><script>alert(1)</script>{{7*7}}<b>'


# What each page comes with.

PLACES = {
    "login": "/auth/login",
    "login for nothing": "/auth/login?request=unknown",
    "second factor": "/auth/second-factor",
    "patient": "/auth/patient",
    "consent": "/auth/consent?request=unknown",
    "apps": "/auth/apps",
    "logout by GET": "/auth/logout",
    "authorize with nothing": "/auth/authorize",
    "too long": f"/auth/authorize?scope={'x' * 20_000}",
    "no text": "/auth/login?request=%ff",
    "a token in the address": "/auth/login?access_token=x",
}


@pytest.mark.parametrize("name", PLACES)
async def test_no_page_can_be_framed_scripted_or_kept(server: Watched, ann: Person, name: str) -> None:
    """[A10, X25, X26]"""
    for person in (a_person(server), ann):
        answer = await person.opens(f"{ORIGIN}{PLACES[name]}")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "form-action 'self'" in policy
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "access-control-allow-origin" not in answer.headers


async def test_pages_are_not_for_scripts_of_elsewhere(server: Watched, ann: Person) -> None:
    """[X24]"""
    for origin in ("null", "https://evil.example", "https://app.example"):
        answer = await ann.http.get(f"{ORIGIN}/auth/apps", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    ("base_url", "name", "secure"),
    [
        ("https://fhir.example/fhir", "__Host-form", True),
        ("http://fhir.example/fhir", "form", False),
    ],
    ids=["https", "http"],
)
async def test_no_script_and_no_other_site_has_the_cookies(
    mongodb_url: str, tmp_path: Path, base_url: str, name: str, *, secure: bool
) -> None:
    """[A10]"""
    async with (
        a_database(mongodb_url) as database,
        serving(mongodb_url, database, tmp_path, base_url=base_url) as served,
    ):
        await add_user(served, "ann", None)
        https = base_url.removesuffix("/fhir")
        async with served.bearing(None) as http:
            page = await http.get(f"{https}/auth/login")
            require_kept_to_itself(page.headers["set-cookie"], name, secure=secure)
            form = forms(page)[0].filled(name="ann", password=PASSWORD)
            answer = await http.post(f"{https}/auth/login", content=urlencode(form), headers=FORM)
        session, cleared = answer.headers.get_list("set-cookie")
        require_kept_to_itself(session, name.replace("form", "session"), secure=secure)
        assert cleared.startswith(f"{name}=; Max-Age=0; Path=/")


def require_kept_to_itself(cookie: str, name: str, *, secure: bool) -> None:
    pair, *attributes = cookie.split("; ")
    assert pair.startswith(f"{name}=")
    assert len(pair) > len(name) + 30
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Lax", *(["Secure"] if secure else [])}


# Forms that were made elsewhere.

POSTS = ("login", "second-factor", "patient", "consent", "apps", "logout")


async def _another_browsers(server: Watched, _ann: Person) -> str:
    return dict(forms(await a_person(server).opens(f"{ORIGIN}/auth/login"))[0].fields)["csrf"]


async def _another_sessions(server: Watched, _ann: Person) -> str:
    other = await logged_in(server, "bob")
    return dict(forms(await other.opens(f"{ORIGIN}/auth/apps"))[0].fields)["csrf"]


async def _nothing(_server: Watched, _ann: Person) -> str:
    return ""


async def _no_ascii(_server: Watched, _ann: Person) -> str:
    return "\u00fc" * 64


async def _made_up(_server: Watched, _ann: Person) -> str:
    return "0" * 64


TOKENS = {
    "none": _nothing,
    "of another browser": _another_browsers,
    "of another session": _another_sessions,
    "made up": _made_up,
    "not ASCII": _no_ascii,
}


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("page", POSTS)
async def test_a_form_that_was_made_elsewhere_does_nothing(
    server: Watched, ann: Person, page: str, name: str
) -> None:
    """[A10]"""
    await waiting(ann)
    form = Form(f"{ORIGIN}/auth/{page}", "post", [("request", secret_of(ann))])
    csrf = await TOKENS[name](server, ann)
    told = {"csrf": csrf} if csrf else {}
    answer = await ann.posts(
        form, **told, decision="allow", name="ann", password=PASSWORD, **{"choice-0": "all"}
    )
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert "set-cookie" not in answer.headers
    assert "out of date" in answer.text
    page_again = await ann.opens(f"{ORIGIN}/auth/apps")
    assert page_again.status_code == httpx.codes.OK, "nobody was logged out"
    assert ann.where.endswith("/auth/apps")


async def test_a_form_of_before_the_login_is_worth_nothing_after_it(server: Watched) -> None:
    """[A10]"""
    person = a_person(server)
    page = await person.opens(f"{ORIGIN}/auth/login")
    before = dict(forms(page)[0].fields)["csrf"]
    await person.logs_in(page, "ann", PASSWORD)
    answer = await person.posts(Form(f"{ORIGIN}/auth/logout", "post", [("csrf", before)]))
    assert answer.status_code == httpx.codes.BAD_REQUEST
    await person.opens(f"{ORIGIN}/auth/apps")
    assert person.where.endswith("/auth/apps"), "still logged in"


async def test_a_cookie_that_somebody_knew_before_the_login_is_worth_nothing_after_it(
    server: Watched,
) -> None:
    """[A10] Session fixation."""
    person = a_person(server)
    known = "a" * 43
    person.http.cookies.set("session", known, domain="fhir.example")
    person.http.cookies.set("form", known, domain="fhir.example")
    page = await person.opens(f"{ORIGIN}/auth/login")
    await person.logs_in(page, "ann", PASSWORD)
    assert person.where.endswith("/auth/apps")
    assert known not in [cookie.value for cookie in person.http.cookies.jar if cookie.name == "session"][-1:]
    attacker = a_person(server)
    attacker.http.cookies.set("session", known, domain="fhir.example")
    await attacker.opens(f"{ORIGIN}/auth/apps")
    assert attacker.where.endswith("/auth/login")


async def test_who_logs_in_again_has_a_new_session_and_the_old_one_is_over(server: Watched) -> None:
    """[A10]"""
    person = await logged_in(server, "ann")
    before = person.http.cookies["session"]
    page = await person.opens(AUTHORIZE, params=PUBLIC.asks(RECORD, prompt="login"))
    assert person.where.startswith(f"{ORIGIN}/auth/login")
    await person.logs_in(page, "ann", PASSWORD)
    assert person.where.startswith(f"{ORIGIN}/auth/consent")
    assert person.http.cookies["session"] != before
    other = a_person(server)
    other.http.cookies.set("session", before, domain="fhir.example")
    await other.opens(f"{ORIGIN}/auth/apps")
    assert other.where.endswith("/auth/login")


COOKIES = {
    "empty": "",
    "short": "x",
    "a path": "../",
    "an operator": '{"$ne":""}',
    "unknown": "a" * 43,
    "100 kB": "a" * 100_000,
    "not ASCII": "\u00fc",
}


@pytest.mark.parametrize("name", COOKIES)
async def test_a_cookie_that_nobody_made_logs_nobody_in(server: Watched, name: str) -> None:
    """[A10, X21]"""
    cookie = COOKIES[name]
    async with server.bearing(None) as http:
        header = f"session={cookie}; form={cookie}".encode()
        answer = await http.get(f"{ORIGIN}/auth/apps", headers=[(b"Cookie", header)])
        assert answer.headers["location"] == "/auth/login"
        posted = await http.post(f"{ORIGIN}/auth/apps", headers=[(b"Cookie", header)], data={"grant": "x"})
        assert posted.status_code == httpx.codes.BAD_REQUEST


async def test_a_hundred_cookies_are_looked_through(server: Watched) -> None:
    """[A10]"""
    many = "; ".join(f"c{chr(97 + number % 26)}{'x' * number}={'y' * 100}" for number in range(100))
    async with server.bearing(None) as http:
        answer = await http.get(f"{ORIGIN}/auth/login", headers={"Cookie": many})
    assert answer.status_code == httpx.codes.OK


# What is shown.


async def test_names_are_text_whatever_they_are(server: Watched) -> None:
    """[X23]"""
    app = App("marked-up", PUBLIC.redirect_uri)
    async with server.as_() as http:
        told = a_patient(id="evil", name=[{"family": EVIL, "given": [EVIL]}], identifier=[{"value": EVIL}])
        (await http.put("/Patient/evil", json=told)).raise_for_status()
    await add_user(server, EVIL, "Patient/evil")
    await add_app(server, app, name=EVIL)
    person = a_person(server)
    login = await person.opens(AUTHORIZE, params=app.asks(RECORD))
    wrong = await person.posts(forms(login)[0], name=EVIL, password="wrong")
    consent = await person.logs_in(wrong, EVIL, PASSWORD)
    assert person.where.startswith(f"{ORIGIN}/auth/consent")
    assert told_to_app(await person.allows(consent))["code"]
    apps = await person.opens(f"{ORIGIN}/auth/apps")
    dora = await logged_in(server, "dora")
    patients = await waiting(dora, app=app)
    found = await dora.posts(next(form for form in forms(patients) if form.method == "post"),
                             decision="search", query='"><script>')  # fmt: skip
    for page in (login, wrong, consent, apps, patients, found):
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        for markup in ("<script", "{{", "<b>", "49<"):
            assert markup not in page.text.replace("{{7*7}}", ""), markup


async def test_a_request_id_of_somebody_is_no_markup(server: Watched) -> None:
    """[X23, X30]"""
    async with server.bearing(None) as http:
        answer = await http.get(AUTHORIZE, headers={"X-Request-Id": "<script>alert(1)</script>"})
    assert "<script>" not in answer.text
    assert "script" not in answer.headers["x-request-id"]


# What is no request of a browser.


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("page", POSTS)
async def test_other_methods_find_nothing(server: Watched, page: str, method: str) -> None:
    """[X30]"""
    async with server.bearing(None) as http:
        answer = await http.request(method, f"{ORIGIN}/auth/{page}")
    assert answer.status_code == httpx.codes.METHOD_NOT_ALLOWED
    assert method not in answer.headers["allow"]


async def test_to_ask_for_the_head_of_a_page_decides_nothing(server: Watched, ann: Person) -> None:
    """[X30]"""
    page = await waiting(ann)
    head = await ann.http.head(ann.where)
    assert (head.status_code, head.content) == (httpx.codes.OK, b"")
    assert "code" in told_to_app(await ann.allows(page))


@pytest.mark.parametrize("page", POSTS)
async def test_a_form_of_a_megabyte_is_not_read(server: Watched, page: str) -> None:
    """[X29]"""
    async with server.bearing(None) as http:
        answer = await http.post(f"{ORIGIN}/auth/{page}", content=b"a=" + b"x" * 1_000_000, headers=FORM)
    assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE


BODIES = {
    "JSON": (b'{"csrf": {"$ne": ""}}', "application/json"),
    "parts": (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
    "no text": (b"name=%ff%fe", FORM["Content-Type"]),
    "bytes": (b"\xff\xfe\x00", FORM["Content-Type"]),
    "many fields": (b"&".join(b"a%d=1" % number for number in range(1_000)), FORM["Content-Type"]),
    "operators": (b"csrf[$ne]=&name[$gt]=&password[$regex]=.*", FORM["Content-Type"]),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("page", POSTS)
async def test_what_is_no_form_of_ours_is_refused(server: Watched, page: str, name: str) -> None:
    """[X21, X29]"""
    body, kind = BODIES[name]
    async with server.bearing(None) as http:
        answer = await http.post(f"{ORIGIN}/auth/{page}", content=body, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "set-cookie" not in answer.headers


async def test_no_secret_stands_in_a_log_or_record(server: Watched) -> None:
    """[X25, X26] Of all that the tests of this file sent and got."""
    assert len(server.secrets) > 50
    assert await server.told_in_secret() == []
