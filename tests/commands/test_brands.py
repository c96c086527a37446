"""`fhir-server brands check` and the start of a server with brands [P2]."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path("docs/brands.example.json")
PRIMARY = "urn:ietf:rfc:3986|https://goodhealth.example.org"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from fhir_server.cli import main; main()", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_what_may_be_published_is_said_to_be_right() -> None:
    base_url = "https://fhir.goodhealth.example.org/fhir"
    told = run("brands", "check", str(EXAMPLE), "--identifier", PRIMARY, "--base-url", base_url)
    assert (told.returncode, told.stderr) == (0, "")


def test_each_problem_is_a_line_with_its_element(tmp_path: Path) -> None:
    """[P2]"""
    bundle = json.loads(EXAMPLE.read_bytes())
    del bundle["timestamp"]
    bundle["entry"][0]["resource"].pop("name")
    file = tmp_path / "brands.json"
    file.write_text(json.dumps(bundle))
    told = run("brands", "check", str(file), "--identifier", "nobody")
    assert told.returncode == 1
    for place in (
        "Bundle.timestamp: ",
        "Bundle.entry[0].resource.name: ",
        "Bundle.entry.resource.identifier: ",
    ):
        assert place in told.stderr


def test_what_is_no_json_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "brands.json"
    file.write_text("[")
    told = run("brands", "check", str(file))
    assert told.returncode == 1
    assert "no JSON object" in told.stderr


def test_a_server_does_not_start_with_brands_that_are_wrong(tmp_path: Path) -> None:
    """[P2]: the reason is told, and nothing is served."""
    told = run(
        "serve",
        "--data-dir",
        str(tmp_path / "data"),
        FHIR_SERVER_BRANDS_FILE=str(EXAMPLE.absolute()),
        FHIR_SERVER_BRAND_IDENTIFIER=PRIMARY,
    )
    assert told.returncode == 1
    assert "Bundle.entry[0].resource.endpoint: The primary brand has no Endpoint" in told.stderr
    assert not (tmp_path / "data").exists()
