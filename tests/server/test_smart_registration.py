"""
Clients that an operator registers, and addresses that are theirs alone.

The ids in brackets are those of requirements: G1, G2, B3, B4 and R18 to R342.

https://hl7.org/fhir/smart-app-launch/app-launch.html#register-app-with-ehr,
https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc.jwk import ECKey, RSAKey
from typer.testing import CliRunner

from fhir_server.commands.client import client
from fhir_server.smart.client_keys import REFETCH_SECONDS
from tests.commands.test_client import run
from tests.server.launching import AUTHORIZE, TOKEN, a_person, ask, decided, given, launch, launching
from tests.server.running import Server
from tests.smart.browsing import App, told_to_app
from tests.smart.services import BackEnd, an_ec_key, an_rsa_key
from tests.smart.test_client_keys import Publisher, published, publisher

__all__ = ["publisher"]

REDIRECT = "https://growth.example/back?from=ehr"
LAUNCH = "https://growth.example/launch.html"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    told: dict[str, Any] = {"jwks_private_hosts": ("127.0.0.1",)}
    async with launching(mongodb_url, tmp_path_factory.mktemp("data"), **told) as running:
        yield running


def register(server: Server, *arguments: str) -> list[str]:
    """What the command prints: the client_id, and the secret where there is one."""
    settings = server.services.settings
    assert settings.mongodb_database is not None
    done = run(str(settings.mongodb_url), settings.mongodb_database, "register", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.fixture(scope="module")
def growth(server: Server) -> App:
    """An app that the operator has registered."""
    return an_app(server)


def an_app(server: Server, *more: str) -> App:
    scope = "launch launch/patient patient/*.rs"
    told = ("--name", "Growth", "--scope", scope, "--redirect-uri", REDIRECT, "--launch-uri", LAUNCH, *more)
    id, *secret = register(server, *told)
    return App(id, REDIRECT, secret[0] if secret else None)


@pytest.mark.parametrize("more", [(), ("--secret",)], ids=["public", "confidential"])
async def test_an_app_that_the_operator_registers_is_known_at_once(
    server: Server, more: tuple[str, ...]
) -> None:
    """[G1, R18, R24, R316]"""
    app = an_app(server, *more)
    answer = await decided(server, app, "ann", "launch/patient patient/*.rs")
    assert answer.headers["location"].startswith(f"{REDIRECT}&code=")
    told = (await ask(server, **app.redeems(told_to_app(answer)["code"]))).json()
    assert told["patient"] == "ann"
    made = (await launch(server, app, patient="ann", launch_uri=LAUNCH)).json()
    assert made["launch_url"].startswith(f"{LAUNCH}?iss=")
    told = await given(server, app, "ann", "launch patient/*.rs", launch=made["launch"])
    assert told["patient"] == "ann"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://growth.example/back",
        "https://growth.example/back?from=ehr&more=1",
        "https://growth.example/back?from=EHR",
        "https://growth.example/back/?from=ehr",
        "https://growth.example:443/back?from=ehr",
        "https://GROWTH.example/back?from=ehr",
        "http://growth.example/back?from=ehr",
        "https://growth.example/%62ack?from=ehr",
        LAUNCH,
    ],
)
async def test_another_address_than_the_registered_one_is_not_led_to(
    server: Server, growth: App, elsewhere: str
) -> None:
    """[G1, A3, R18]"""
    app = App(growth.id, elsewhere)
    page = await a_person(server).opens(AUTHORIZE, params=app.asks())
    assert page.status_code == httpx.codes.BAD_REQUEST
    assert page.headers["content-type"].startswith("text/html")
    assert "location" not in page.headers


async def test_a_launch_leads_to_a_registered_address_alone(server: Server, growth: App) -> None:
    """[G1, R18]"""
    for elsewhere in (REDIRECT, f"{LAUNCH}?x=1", "https://evil.example/"):
        answer = await launch(server, growth, patient="ann", launch_uri=elsewhere)
        assert answer.status_code == httpx.codes.BAD_REQUEST


async def test_a_service_registers_its_keys_as_a_set(server: Server, tmp_path: Path) -> None:
    """[G2, R240, R297, R305, R310, R316, R335]"""
    keys: list[RSAKey | ECKey] = [an_rsa_key("rsa-1"), an_ec_key("ec-1")]
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in keys]}))
    [id] = register(server, "--name", "Warehouse", "--scope", "system/*.rs", "--jwks", str(file))
    # What becomes of the file afterwards is nothing to what was registered.
    file.write_text("{}")
    now = int(server.services.clock().timestamp())
    service = BackEnd(id, TOKEN, keys, now)
    for key in keys:
        answer = await ask(server, data=service.form(service.assertion(key=key)))
        assert answer.json()["scope"] == "system/*.rs"


async def test_a_service_registers_where_its_keys_are(server: Server, publisher: Publisher) -> None:
    """[G2, B3, B4, AUT-SYS-5, R296, R326, R338, R339, R341, R342]"""
    old, new = an_ec_key("old"), an_rsa_key("new")
    publisher.body, publisher.headers = published(old), ("Cache-Control: max-age=600",)
    url = f"http://127.0.0.1:{publisher.port}/keys.json"
    [id] = register(server, "--name", "Lake", "--scope", "system/*.rs", "--jwks-url", url)
    service = BackEnd(id, TOKEN, [old], int(server.services.clock().timestamp()))
    for header in ({}, {"jku": url}):
        form = service.form(service.assertion(header=header))
        assert (await ask(server, data=form)).status_code == httpx.codes.OK
    assert len(publisher.asked) == 1
    assert publisher.asked[0].startswith("GET /keys.json HTTP/1.1")
    assert "accept: application/json" in publisher.asked[0].lower()
    foreign = service.form(service.assertion(header={"jku": url.replace("keys", "other")}))
    assert (await ask(server, data=foreign)).json()["error"] == "invalid_client"
    assert len(publisher.asked) == 1
    publisher.body = published(new)
    rotated = BackEnd(id, TOKEN, [new], service.now)
    assert (await ask(server, data=rotated.form())).json()["error"] == "invalid_client"
    keys = server.services.client_keys
    seconds = keys._seconds
    keys._seconds = lambda: seconds() + REFETCH_SECONDS
    assert (await ask(server, data=rotated.form())).status_code == httpx.codes.OK
    assert (await ask(server, data=service.form())).json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    "spoilt",
    [{"kid": None}, {"kty": None}, {"x": None}, {"crv": None}, {"d": "c2VjcmV0"}],
    ids=["no kid", "no kty", "no x", "no crv", "private"],
)
def test_a_key_is_whole_and_public(tmp_path: Path, spoilt: dict[str, str | None]) -> None:
    """[G2, R305]"""
    key = {**an_ec_key("a").as_dict(private=False), **spoilt}
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [{name: value for name, value in key.items() if value}]}))
    told = ["register", "--name", "x", "--scope", "system/*.rs", "--jwks", str(file)]
    refused = CliRunner().invoke(client, [*told, "--mongodb-url", "mongodb://nobody.invalid"])
    assert refused.exit_code == 1
    assert "key" in refused.output
