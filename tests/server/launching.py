"""A server with people who can log in and apps that are registered, for tests of what they do together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from fhir_server.r4.definitions import definitions
from fhir_server.smart.clients import Client, accepted, hash_of
from fhir_server.smart.users import User, new_name
from tests.server.holding import holding
from tests.server.running import Server, a_patient, an_observation
from tests.smart.browsing import ORIGIN, App, Person, forms, told_to_app

PASSWORD: Final = "correct staple horse 7"
TOKEN: Final = f"{ORIGIN}/auth/token"
AUTHORIZE: Final = f"{ORIGIN}/auth/authorize"
LAUNCH: Final = f"{ORIGIN}/auth/launch"

CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"


def _of(category: str) -> dict[str, Any]:
    return {"category": [{"coding": [{"system": CATEGORY, "code": category}]}]}


WARD: Final = (
    a_patient(id="ann", name=[{"family": "Ahn", "given": ["Ann"]}], birthDate="1980-02-03", gender="female"),
    a_patient(id="bob", name=[{"family": "Bauer", "given": ["Bob"]}]),
    an_observation("ann", id="ann-lab", **_of("laboratory")),
    an_observation("ann", id="ann-vital", **_of("vital-signs")),
    an_observation("bob", id="bob-lab", **_of("laboratory")),
    {
        "resourceType": "Encounter",
        "id": "ann-visit",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": "Patient/ann"},
    },
    {"resourceType": "Practitioner", "id": "dora"},
    {"resourceType": "RelatedPerson", "id": "rita", "active": True, "patient": {"reference": "Patient/ann"}},
)

USERS: Final = {
    "ann": "Patient/ann",
    "bob": "Patient/bob",
    "dora": "Practitioner/dora",
    "rita": "RelatedPerson/rita",
    "nils": None,
}

EVERY: Final = (
    "openid fhirUser profile launch launch/patient launch/encounter offline_access online_access "
    "patient/*.cruds user/*.cruds"
)


UNHURRIED: Final[dict[str, Any]] = {
    "refusals_per_second_max": 10_000,
    "authorize_requests_per_minute_max": 10_000,
}
"""Settings of a server that many tests ask from one address."""


@asynccontextmanager
async def launching(mongodb_url: str, folder: Path, **told: Any) -> AsyncIterator[Server]:
    """The ward, its people, and two apps: `public`, and `confidential` with a secret."""
    async with holding(mongodb_url, folder, WARD, **{**UNHURRIED, **told}) as server:
        for name, fhir_user in USERS.items():
            await add_user(server, name, fhir_user)
        await add_app(server, App("public"))
        await add_app(server, App("confidential", secret="s3cret-of-confidential"))
        yield server


async def add_user(server: Server, name: str, fhir_user: str | None) -> User:
    """Somebody who logs in by PASSWORD."""
    services = server.services
    now = services.clock()
    hashed = await services.passwords.hashed(PASSWORD)
    user = User(f"account-{name}", new_name(name), hashed, fhir_user, now, now)
    assert await services.store.users.add(user)
    return user


async def add_app(
    server: Server, app: App, scope: str = EVERY, *, name: str | None = None, **told: Any
) -> None:
    secret = None if app.secret is None else hash_of(app.secret)
    client = Client(
        app.id,
        name or app.id.title(),
        scope,
        None,
        None,
        server.services.clock(),
        (app.redirect_uri,),
        secret=secret,
        **told,
    )
    assert await server.services.store.clients.register(accepted(client, definitions().resource_types))


def a_person(server: Server) -> Person:
    return Person(server.bearing(None))


async def decided(server: Server, app: App, name: str, scope: str, **asked: str | None) -> httpx.Response:
    """What the app is told after this person has logged in, chosen ann where they choose, and allowed all."""
    person = a_person(server)
    page = await person.opens(AUTHORIZE, params=app.asks(scope, **asked))
    page = await person.logs_in(page, name, PASSWORD)
    if person.where.startswith(f"{ORIGIN}/auth/patient"):
        form = next(one for one in forms(page) if one.method == "post")
        page = await person.posts(form, patient="ann")
    return await person.allows(page)


async def given(server: Server, app: App, name: str, scope: str, **asked: str | None) -> dict[str, Any]:
    """The answer of the token endpoint, after all that."""
    code = told_to_app(await decided(server, app, name, scope, **asked))["code"]
    answer = await ask(server, **app.redeems(code))
    assert answer.status_code == httpx.codes.OK, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def ask(server: Server, **posted: Any) -> httpx.Response:
    async with server.bearing(None) as http:
        return await http.post(TOKEN, **posted)


async def launch(server: Server, app: App, **told: Any) -> httpx.Response:
    """What an EHR is answered that launches the app with this context."""
    async with server.as_("__launch system/*.rs") as http:
        return await http.post(LAUNCH, json={"client_id": app.id, **told})


async def launched(server: Server, app: App, **told: Any) -> str:
    """The launch that the EHR makes."""
    answer = await launch(server, app, **told)
    assert answer.status_code == httpx.codes.OK, answer.text
    made: str = answer.json()["launch"]
    return made
