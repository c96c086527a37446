"""`fhir-server keys rotate`: a server that runs goes on with the new key."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from fhir_server.smart.keys import LOOKED_SECONDS, Keyring, load_or_create, rotate
from fhir_server.smart.secret import wrapping_secret
from fhir_server.smart.tokens import Grant, Tokens
from tests.server.running import BASE, serving

PATIENTS = frozenset({"Patient"})


async def test_a_running_server_takes_tokens_of_the_new_key_at_once(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with serving(mongodb_url, database_name, tmp_path) as server:
        before = server.token()
        services = server.services
        environment = {
            "FHIR_SERVER_MONGODB_URL": mongodb_url,
            "FHIR_SERVER_MONGODB_DATABASE": database_name,
            "FHIR_SERVER_DATA_DIR": str(tmp_path),
        }
        command = [sys.executable, "-c", "from fhir_server.cli import main; main()", "keys", "rotate"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: ASYNC221 - ours, and nothing else goes on
        assert (done.returncode, done.stderr) == (0, "")
        secret = wrapping_secret(tmp_path, None)
        keys = await load_or_create(services.store.state, secret, services.clock())
        assert keys.current_id == done.stdout.strip()
        # It may have looked for keys a moment ago.
        await asyncio.sleep(LOOKED_SECONDS)
        # As a process does that knows of the rotation already.
        now = int(services.clock().timestamp())
        after = Tokens(keys, BASE, PATIENTS).issue(
            Grant("other", "system/Patient.rs", 60), now=now, token_id="new"
        )
        for token in (before, after):
            async with server.bearing(token) as client:
                assert (await client.get("/Patient")).status_code == 200
        assert services.keyring.keys.current_id == keys.current_id


async def test_pages_that_were_linked_before_are_still_turned(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with serving(mongodb_url, database_name, tmp_path) as server, server.as_() as client:
        for number in range(3):
            await client.put(f"/Patient/{number}", json={"resourceType": "Patient", "id": str(number)})
        page = (await client.get("/Patient?_count=2")).json()
        [onward] = [link["url"] for link in page["link"] if link["relation"] == "next"]
        services = server.services
        secret = wrapping_secret(tmp_path, None)
        await rotate(services.store.state, secret, services.clock(), kept=timedelta(days=30))
        newer = await load_or_create(services.store.state, secret, services.clock())
        keyring: Keyring = services.keyring
        assert keyring.keys.renew(newer)
        assert len((await client.get(onward)).json()["entry"]) == 1
