"""
Nobody is sent to an address that no app has registered: what is thrown at `client_id` and `redirect_uri`.

The ids in brackets are those of requirements and attacks.
https://www.rfc-editor.org/rfc/rfc9700#section-4.11, https://www.rfc-editor.org/rfc/rfc6749#section-3.1.2
"""

from __future__ import annotations

import httpx
import pytest

from tests.server.attacking import HERE, OTHER, PUBLIC, Watched, a_page_says_no, changed
from tests.server.launching import AUTHORIZE
from tests.smart.browsing import BASE, ORIGIN, Person, forms, told_to_app

ASTRAY = {
    "none": None,
    "empty": "",
    "another host": "https://evil.example/callback",
    "another app's": OTHER.redirect_uri,
    "prefix of the path": "https://app.example/",
    "less by a letter": HERE[:-1],
    "more by a letter": f"{HERE}x",
    "below": f"{HERE}/evil",
    "a slash more": f"{HERE}/",
    "a query": f"{HERE}?next=https://evil.example",
    "an empty query": f"{HERE}?",
    "a fragment": f"{HERE}#x",
    "an empty fragment": f"{HERE}#",
    "user info": "https://app.example@evil.example/callback",
    "user info of ours": "https://evil@app.example/callback",
    "user info with a port": "https://app.example:80@evil.example/callback",
    "host as a prefix": "https://app.example.evil.example/callback",
    "host as a suffix": "https://evilapp.example/callback",
    "below the host": "https://x.app.example/callback",
    "host in capitals": "https://APP.example/callback",
    "path in capitals": "https://app.example/Callback",
    "scheme in capitals": "HTTPS://app.example/callback",
    "a dot after the host": "https://app.example./callback",
    "usual port": "https://app.example:443/callback",
    "another port": "https://app.example:8443/callback",
    "no TLS": "http://app.example/callback",
    "no scheme": "//app.example/callback",
    "no host": "/callback",
    "a backslash": "https://evil.example\\@app.example/callback",
    "a backslash in the path": "https://app.example\\callback",
    "a backslash encoded": "https://app.example/%5c..%5cevil",
    "an encoded slash": "https://app.example%2fcallback",
    "an encoded letter": "https://app.example/%63allback",
    "encoded twice": "https%3A%2F%2Fapp.example%2Fcallback",
    "dots": "https://app.example/x/../callback",
    "dots to leave": f"{HERE}/../evil",
    "encoded dots": f"{HERE}/%2e%2e/evil",
    "a parameter of the path": f"{HERE};x",
    "a space before": f" {HERE}",
    "a space after": f"{HERE} ",
    "a tab inside": "https://app.exa\tmple/callback",
    "a line after": f"{HERE}\r\nSet-Cookie: session=x",
    "a NUL after": f"{HERE}\0",
    "a NUL inside": "https://app.example\0.evil.example/callback",
    "look-alike letters": "https://\u0430pp.example/callback",
    "full-width letters": "https://app.example\uff0fcallback",
    "punycode": "https://xn--pp-7kc.example/callback",
    "a zero-width space": f"{HERE}\u200b",
    "script": "javascript:alert(document.cookie)",
    "script at the place": "javascript://app.example/callback%0aalert(1)",
    "data": "data:text/html,<script>alert(1)</script>",
    "a file": "file:///etc/passwd",
    "a page of ours": f"{ORIGIN}/auth/login",
    "out of band": "urn:ietf:wg:oauth:2.0:oob",
    "this machine": "http://localhost/callback",
    "ten kilobytes": f"{HERE}?{'x' * 10_000}",
    "a pattern": "https://app.example/.*",
    "what asks the database": '{"$ne": null}',
}


@pytest.mark.parametrize("name", ASTRAY)
async def test_an_address_that_is_not_registered_is_not_gone_to(server: Watched, name: str) -> None:
    """[A3, A10, R18, R24, X13]"""
    await a_page_says_no(server, changed(redirect_uri=ASTRAY[name]), PUBLIC.id)


@pytest.mark.parametrize(
    "others",
    [{"response_type": "token"}, {"scope": ""}, {"aud": "https://evil.example"}, {"prompt": "none"}],
    ids=["response_type", "scope", "aud", "prompt"],
)
async def test_nor_when_something_else_is_wrong_too(server: Watched, others: dict[str, str]) -> None:
    """[A3, X13]"""
    await a_page_says_no(server, changed(redirect_uri="https://evil.example/", **others), PUBLIC.id)


TWICE = {
    "twice": (HERE, HERE),
    "the other second": (HERE, "https://evil.example"),
    "the other first": ("https://evil.example", HERE),
}


@pytest.mark.parametrize("name", TWICE)
async def test_an_address_is_told_once(server: Watched, name: str) -> None:
    """[A3, X13]"""
    told = [*changed("redirect_uri"), *(("redirect_uri", uri) for uri in TWICE[name])]
    await a_page_says_no(server, told, PUBLIC.id)


CLIENTS = {
    "none": [],
    "empty": [("client_id", "")],
    "unknown": [("client_id", "unknown")],
    "another case": [("client_id", "Public")],
    "a space after": [("client_id", "public ")],
    "a NUL after": [("client_id", "public\0")],
    "twice": [("client_id", "public"), ("client_id", "public")],
    "two": [("client_id", "public"), ("client_id", "other")],
    "ten kilobytes": [("client_id", "x" * 10_000)],
    "an operator": [("client_id[$ne]", "")],
    "an operator in JSON": [("client_id", '{"$gt": ""}')],
    "a pattern": [("client_id", ".*")],
    "another document of the database": [("client_id", "../settings/served")],
    "unicode": [("client_id", "\U0001f600")],
}


@pytest.mark.parametrize("name", CLIENTS)
async def test_an_app_that_nobody_knows_is_answered_on_a_page(server: Watched, name: str) -> None:
    """[A3, X13, X21]"""
    await a_page_says_no(server, [*changed("client_id"), *CLIENTS[name]], None)


async def test_another_apps_address_does_not_do(server: Watched) -> None:
    """[A3, X13]"""
    await a_page_says_no(server, changed(client_id=OTHER.id), OTHER.id)


@pytest.mark.parametrize("name", ["next", "return_to", "redirect_uri", "url", "continue", "target", "goto"])
@pytest.mark.parametrize("page", ["login", "apps", "second-factor", "consent", "patient"])
async def test_no_page_leads_where_its_address_says(
    server: Watched, ann: Person, page: str, name: str
) -> None:
    """[A3, X13]"""
    for person in (ann, Person(server.bearing(None))):
        answer = await person.opens(f"{ORIGIN}/auth/{page}", params={name: "https://evil.example/"})
        assert "location" not in answer.headers
        assert "evil.example" not in answer.text


async def test_logging_in_leads_where_the_request_says_and_not_the_form(server: Watched) -> None:
    """[A3, X13]"""
    person = Person(server.bearing(None))
    page = await person.opens(f"{ORIGIN}/auth/login?next=https://evil.example")
    answer = await person.posts(
        forms(page)[0],
        name="ann",
        password="correct staple horse 7",
        next="https://evil.example",
        redirect_uri="https://evil.example",
    )
    assert answer.status_code == httpx.codes.OK
    assert person.where == f"{ORIGIN}/auth/apps"


async def test_a_host_of_somebody_else_changes_nothing(server: Watched) -> None:
    """[X28] Neither the addresses of pages nor who answers is taken from headers."""
    async with server.bearing(None) as http:
        evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"}
        answer = await http.get(AUTHORIZE, params=changed(), headers=evil)
        assert answer.headers["location"].startswith("/auth/login?")
        told = await http.get(AUTHORIZE, params=changed(aud="http://evil.example/fhir"), headers=evil)
        assert (told_to_app(told)["error"], told_to_app(told)["iss"]) == ("invalid_request", BASE)


async def test_no_secret_stands_in_a_log_or_record(server: Watched) -> None:
    """[X25, X26] Of all that the tests of this file sent and got."""
    assert len(server.secrets) > 10
    assert await server.told_in_secret() == []
