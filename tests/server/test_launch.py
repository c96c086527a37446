"""People log in, choose and decide, and apps get their tokens: https://hl7.org/fhir/smart-app-launch/"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.server.launching import given, launching
from tests.server.running import Server
from tests.smart.browsing import App

PUBLIC = App("public")
CONFIDENTIAL = App("confidential", secret="s3cret-of-confidential")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with launching(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.mark.parametrize("app", [PUBLIC, CONFIDENTIAL], ids=["public", "confidential"])
async def test_a_patient_gives_an_app_their_record(server: Server, app: App) -> None:
    told = await given(server, app, "ann", "launch/patient patient/*.rs")
    assert told["patient"] == "ann"
    assert told["token_type"] == "Bearer"
    assert told["expires_in"] == 3600
    assert told["scope"] == "launch/patient patient/*.rs"
    async with server.bearing(told["access_token"]) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.OK
        assert (await http.get("/Patient/bob")).status_code == httpx.codes.NOT_FOUND
