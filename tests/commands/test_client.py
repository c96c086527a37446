"""`fhir-server client`: who may get tokens, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.smart.services import an_ec_key


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [an_ec_key("a").as_dict(private=False)]}))
    return path


def run(mongodb_url: str, database_name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"FHIR_SERVER_MONGODB_URL": mongodb_url, "FHIR_SERVER_MONGODB_DATABASE": database_name}
    command = [sys.executable, "-c", "from fhir_server.cli import main; main()", "client", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


async def test_a_service_is_registered_listed_and_removed(
    mongodb_url: str, database_name: str, keys: Path
) -> None:
    asked = ("register", "--name", "Warehouse", "--scope", "system/*.rs", "--jwks", str(keys))
    made = run(mongodb_url, database_name, *asked)
    assert (made.returncode, made.stderr) == (0, "")
    id = made.stdout.strip()
    assert (
        run(mongodb_url, database_name, "list").stdout == f"{id}  Warehouse  private_key_jwt  system/*.rs\n"
    )
    again = run(mongodb_url, database_name, *asked, "--client-id", id)
    assert again.returncode == 1
    assert "registered already" in again.stderr
    assert run(mongodb_url, database_name, "remove", id).returncode == 0
    assert run(mongodb_url, database_name, "list").stdout == ""
    assert run(mongodb_url, database_name, "remove", id).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scope", "system/*.rs"), "a JWK Set or by its URL"),
        (("--scope", "patient/*.rs", "--jwks-url", "https://keys.example"), "begin with system/"),
        (("--scope", "everything", "--jwks-url", "https://keys.example"), "no scope that this server knows"),
        (("--scope", "system/*.rs", "--jwks-url", "ftp://keys.example"), "begins with https://"),
        (("--scope", "system/*.rs", "--jwks-url", "https://a", "--client-id", "a b"), "client_id"),
        (("--scope", " ".join(["system/*.rs"] * 201), "--jwks-url", "https://a"), "at most 200 scopes"),
    ],
)
def test_what_cannot_be_registered_is_refused_with_the_reason(arguments: tuple[str, ...], said: str) -> None:
    refused = run("mongodb://nobody.invalid", "none", "register", "--name", "x", *arguments)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_private_key_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "private.json"
    path.write_text(json.dumps({"keys": [an_ec_key("a").as_dict(private=True)]}))
    asked = ("register", "--name", "x", "--scope", "system/*.rs", "--jwks", str(path))
    refused = run("mongodb://nobody.invalid", "none", *asked)
    assert refused.returncode == 1
    assert "private" in refused.stderr
