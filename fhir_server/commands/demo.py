"""
What `serve --demo` does once the server is up: patients, an app, people who log in, and lines to paste.

Patients come in through the front door, with a token like anybody else's. The people who log in are made with
the patients, at the first start; their passwords are shown then, and kept nowhere but as hashes.
"""

from __future__ import annotations

import secrets
import ssl
import sys
import uuid
from dataclasses import replace
from typing import Final, NamedTuple

import httpx

from fhir_server.commands.client import registered
from fhir_server.commands.deployment import opened, utc_now
from fhir_server.commands.recording import record_command
from fhir_server.commands.token import issue
from fhir_server.pipeline.authorizing.addresses import beside
from fhir_server.population.demo import demo_people, demo_population
from fhir_server.r4.definitions import definitions
from fhir_server.r4.resource import to_text
from fhir_server.settings import Settings
from fhir_server.smart.clients import Client, accepted
from fhir_server.smart.passwords import Passwords
from fhir_server.smart.tokens import Grant
from fhir_server.smart.users import User, new_name, new_password
from fhir_server.store.store import Store
from fhir_server.supervisor.plan import Serving

TOKEN_SECONDS: Final = 12 * 3600
ANSWER_SECONDS_MAX: Final = 120.0
PASSWORD_BYTES: Final = 15
"""20 characters, 120 bits."""

CLIENT_ID: Final = "demo-app"
SCOPE: Final = (
    "launch launch/patient launch/encounter openid fhirUser profile offline_access online_access "
    "patient/*.rs user/*.rs"
)


class Login(NamedTuple):
    """Somebody who was made now; `who` is their reference."""

    name: str
    password: str
    who: str


class Demo:
    """Called when all workers serve."""

    def __init__(self, told: Settings) -> None:
        self._settings = told

    async def __call__(self, serving: Serving) -> None:
        base_url = self._settings.served_at(serving.port)
        told = self._settings.model_copy(update={"mongodb_url": serving.mongodb_url, "base_url": base_url})
        local = self._settings.local_address(serving.port)
        patients, is_new = await self._loaded(told, local)
        logins: list[Login] = []
        if told.has_demo_app:
            async with opened(told, "demo") as store:
                await _register(store, base_url)
                logins = await _people(store) if is_new else []
        token = await issue(told, _grant("demo", TOKEN_SECONDS), base_url)
        _show(_lines(self._settings, base_url, local, token, patients, serving.mllp_port, logins))

    async def _loaded(self, told: Settings, local: str) -> tuple[int, bool]:
        """How many patients there are, and whether they came now."""
        token = await issue(told, _grant("demo-loader", 600), told.base_url)
        async with httpx.AsyncClient(
            base_url=local, timeout=ANSWER_SECONDS_MAX, trust_env=False, verify=_trusting(told)
        ) as client:
            client.headers["Authorization"] = f"Bearer {token}"
            if patients := await _count(client):
                return patients, False
            await _load(client)
            return await _count(client), True


def _trusting(told: Settings) -> ssl.SSLContext | bool:
    """Our own certificate, whatever name it is for: we call ourselves by an address."""
    if told.tls_cert is None:
        return True
    context = ssl.create_default_context(cafile=told.tls_cert)
    context.check_hostname = False
    return context


async def _count(client: httpx.AsyncClient) -> int:
    answer = await client.get("/Patient", params={"_summary": "count"})
    answer.raise_for_status()
    return int(answer.json()["total"])


async def _load(client: httpx.AsyncClient) -> None:
    for bundle in demo_population():
        headers = {"Content-Type": "application/fhir+json"}
        answer = await client.post("/", content=to_text(bundle), headers=headers)
        answer.raise_for_status()


async def _register(store: Store, base_url: str) -> None:
    """The app, at the address that is served now: another port is another address."""
    client = Client(
        CLIENT_ID,
        "Demo app",
        SCOPE,
        None,
        None,
        utc_now(),
        (beside(base_url, "/demo/callback"),),
        (beside(base_url, "/demo/launch"),),
    )
    accepted(client, definitions().resource_types)
    if await registered(store, client):
        return
    known = await store.clients.get(CLIENT_ID)
    if known is not None and known.redirect_uris != client.redirect_uris:
        moved = replace(known, redirect_uris=client.redirect_uris, launch_uris=client.launch_uris)
        if await store.clients.replace(known, moved):
            await record_command(store, "client register", CLIENT_ID)


async def _people(store: Store) -> list[Login]:
    """A patient and a practitioner, those who were not there before."""
    people, made, passwords = demo_people(), [], Passwords()
    try:
        for name, who in (
            ("patient", f"Patient/{people.patient}"),
            ("practitioner", f"Practitioner/{people.practitioner}"),
        ):
            password = new_password(secrets.token_urlsafe(PASSWORD_BYTES), new_name(name))
            id, now, hashed = str(uuid.uuid4()), utc_now(), await passwords.hashed(password)
            if await store.users.add(User(id, new_name(name), hashed, who, now, now)):
                await record_command(store, "user add", id, fhir_user=who)
                made.append(Login(name, password, who))
    finally:
        passwords.close()
    return made


def _lines(
    told: Settings,
    base_url: str,
    local: str,
    token: str,
    patients: int,
    mllp_port: int | None,
    logins: list[Login],
) -> list[str]:
    lines = [f"FHIR R4 at {local} with {patients} patients."]
    if mllp_port is not None:
        lines.append(f"HL7 v2 over MLLP at 127.0.0.1:{mllp_port}.")
    if told.has_demo_app:
        lines += ["", *_about_the_app(told, base_url, logins), ""]
    return [
        *lines,
        "Try it (the token holds for 12 hours):",
        "",
        f"  curl -H 'Authorization: Bearer {token}' '{local}/Patient?_count=2'",
        "",
        "Ctrl-C stops all of it.",
    ]


def _about_the_app(told: Settings, base_url: str, logins: list[Login]) -> list[str]:
    people = demo_people()
    lines = [f"A SMART app to launch: {beside(base_url, '/demo/')}"]
    if logins:
        lines += ["Log in with one of these. The passwords are shown this once:", ""]
        lines += [f"  {login.name:14}{login.password}   {login.who}" for login in logins]
        lines += ["", "Another password: fhir-server user password NAME"]
    else:
        lines.append("Passwords were shown at the first start. Another one: fhir-server user password NAME")
    where = f" --data-dir {told.data_dir}" if told.mongodb_url is None else ""
    return [
        *lines,
        f"As an EHR launches it: fhir-server launch{where} --client {CLIENT_ID} --patient {people.patient}",
    ]


def _show(lines: list[str]) -> None:
    sys.stdout.write("\n".join(["", *lines, ""]))
    sys.stdout.flush()


def _grant(client: str, seconds: int) -> Grant:
    return Grant(client=client, scope="system/*.cruds", lifetime_seconds=seconds)
