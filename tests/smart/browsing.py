"""A person with a browser, and an app that sends them to us: what both see, over HTTP."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx

BASE: Final = "http://fhir.example/fhir"
ORIGIN: Final = "http://fhir.example"
STEPS_MAX: Final = 10


@dataclass(slots=True)
class Form:
    """A form of a page, filled in as it came: what is ticked or hidden has its value."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def filled(self, **values: str) -> list[tuple[str, str]]:
        """With these in place of what was there."""
        kept = [(name, value) for name, value in self.fields if name not in values]
        return [*kept, *values.items()]


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(told.get("action", ""), told.get("method", "get").lower()))
        elif tag == "a" and "href" in told:
            self.links.append(told["href"])
        elif tag in ("input", "button") and self.found and "name" in told:
            pair = (told["name"], told.get("value", ""))
            if tag == "button":
                self.found[-1].buttons.append(pair)
            elif told.get("type") not in ("checkbox", "radio") or "checked" in told:
                self.found[-1].fields.append(pair)


def forms(page: httpx.Response) -> list[Form]:
    """The forms of a page."""
    parser = _Forms()
    parser.feed(page.text)
    return parser.found


@dataclass(slots=True)
class Person:
    """
    Somebody with a browser that keeps cookies.

    `where` is the address of the page in front of them, `origin` that of our server.
    """

    http: httpx.AsyncClient
    where: str = ORIGIN
    origin: str = ORIGIN

    async def opens(self, url: str, **told: Any) -> httpx.Response:
        """The page at `url`, or what an app is told: redirects are followed as long as they are ours."""
        return await self._followed(await self.http.request("GET", url, **told), url)

    async def posts(self, form: Form, **values: str) -> httpx.Response:
        """What comes of the form, filled in."""
        url = urljoin(self.where, form.action)
        data = urlencode(form.filled(**values))
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._followed(await self.http.post(url, content=data, headers=headers), url)

    async def logs_in(self, page: httpx.Response, name: str, password: str) -> httpx.Response:
        return await self.posts(forms(page)[0], name=name, password=password)

    async def allows(self, page: httpx.Response, **values: str) -> httpx.Response:
        return await self.posts(forms(page)[0], decision="allow", **values)

    async def _followed(self, answer: httpx.Response, url: str) -> httpx.Response:
        for _ in range(STEPS_MAX):
            self.where = url
            if answer.status_code != httpx.codes.SEE_OTHER:
                return answer
            url = urljoin(url, answer.headers["location"])
            if not url.startswith(f"{self.origin}/"):
                return answer
            answer = await self.http.get(url)
        raise AssertionError(f"more than {STEPS_MAX} redirects")


@dataclass(slots=True)
class App:
    """An app as its author writes it; `secret` is that of a confidential one."""

    id: str
    redirect_uri: str = "https://app.example/callback"
    secret: str | None = None
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = "state-&=?#% ü"

    def asks(self, scope: str = "launch/patient patient/*.rs", **others: str | None) -> dict[str, str]:
        """The parameters of /auth/authorize; None leaves one out."""
        told: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": self.redirect_uri,
            "scope": scope,
            "state": self.state,
            "aud": BASE,
            "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
            **others,
        }
        return {name: value for name, value in told.items() if value is not None}

    def redeems(self, code: str, **others: str | None) -> dict[str, Any]:
        """What it posts to the token endpoint with a code."""
        told: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
            **others,
        }
        return self._posted(told)

    def refreshes(self, refresh_token: str, **others: str | None) -> dict[str, Any]:
        """What it posts with a refresh token."""
        return self._posted({"grant_type": "refresh_token", "refresh_token": refresh_token, **others})

    def _posted(self, told: dict[str, str | None]) -> dict[str, Any]:
        if self.secret is None:
            told.setdefault("client_id", self.id)
            return {"data": {name: value for name, value in told.items() if value is not None}}
        data = {name: value for name, value in told.items() if value is not None}
        return {"data": data, "auth": (self.id, self.secret)}


def challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


def told_to_app(answer: httpx.Response) -> dict[str, str]:
    """The parameters at the app's address."""
    assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
    query = urlsplit(answer.headers["location"]).query
    return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
