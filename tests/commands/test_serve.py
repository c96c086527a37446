"""`fhir-server serve` refuses what would send patient data in the clear, before it starts anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhir_server.cli import app


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (["--host", "0.0.0.0"], "--tls-cert"),  # noqa: S104  it is refused
        (["--host", "fhir.example"], "--behind-proxy"),
        (["--mllp-port", "2575", "--mllp-host", "0.0.0.0"], "MLLP"),  # noqa: S104  it is refused
        (["--tls-cert", "cert.pem"], "--tls-key"),
        (["--tls-cert", "no-such.pem", "--tls-key", "no-such.key"], "no-such.pem"),
    ],
)
def test_listening_in_the_clear_beyond_loopback_is_refused(
    tmp_path: Path, told: list[str], named: str
) -> None:
    refused = CliRunner().invoke(app, ["serve", "--data-dir", str(tmp_path / "data"), *told])
    assert refused.exit_code == 1
    assert named in refused.output
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "told",
    [
        ["--scope", "nonsense"],
        ["--scope", "patient/*.rs"],
        ["--scope", "user/*.rs"],
        ["--scope", "system/*.rs", "--lifetime", "soon"],
        ["--scope", "system/*.rs", "--lifetime", "90d"],
        ["--scope", "system/*.rs", "--user", "somebody"],
        ["--scope", "patient/*.rs", "--patient", "not an id"],
        ["--scope", "system/*.rs", "--purpose", "because"],
    ],
)
def test_a_token_that_says_too_little_or_too_much_is_refused(tmp_path: Path, told: list[str]) -> None:
    refused = CliRunner().invoke(app, ["token", "--data-dir", str(tmp_path), *told])
    assert refused.exit_code != 0
    assert "eyJ" not in refused.output


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"TIME_ZONE": "Mars/Base"}, "time_zone: `Mars/Base` is not a time zone"),
        ({"OIDC_ISSUER": "https://login.example.org"}, "`oidc_issuer` needs `oidc_audience`"),
    ],
    ids=["time zone", "provider"],
)
def test_settings_that_are_wrong_are_refused_in_one_line(told: dict[str, str], reason: str) -> None:
    """It quotes nothing else that was set: the secret is among it."""
    environment = {f"FHIR_SERVER_{name}": value for name, value in {**told, "SECRET": "5ecre7"}.items()}
    command = [sys.executable, "-c", "from fhir_server.cli import main; main()", "serve"]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert line.startswith(f"error: {reason}")
    assert "5ecre7" not in line
