"""What the tests of commands share: a server of somebody else's, and a way to run a command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fhir_server.cli import app
from tests.commands.other_server import OtherServer, serving

Run = Callable[..., Result]
RunBeside = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run() -> Run:
    """Run `fhir-server` with these arguments, in this process."""

    def invoke(*arguments: str | Path, **environment: str) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)

    return invoke


@pytest.fixture(scope="session")
def running_server() -> Iterator[OtherServer]:
    with serving() as other:
        yield other


@pytest.fixture
def server(running_server: OtherServer) -> OtherServer:
    """An OtherServer that has seen nothing yet."""
    fresh = OtherServer()
    for field in fields(OtherServer):
        if field.name != "url":
            setattr(running_server, field.name, getattr(fresh, field.name))
    return running_server


@pytest.fixture
def load(run: Run, server: OtherServer) -> Run:
    """Load these paths into the other server."""

    def invoke(*arguments: str | Path, **environment: str) -> Result:
        return run("load", "--url", server.url, "--token", "secret-token", *arguments, **environment)

    return invoke


@pytest.fixture
def run_beside(mongodb_url: str, database_name: str, tmp_path: Path) -> RunBeside:
    """Run `fhir-server` with these arguments as an operator does, beside a server on that database."""
    environment = {
        "FHIR_SERVER_MONGODB_URL": mongodb_url,
        "FHIR_SERVER_MONGODB_DATABASE": database_name,
        "FHIR_SERVER_DATA_DIR": str(tmp_path),
    }

    def invoke(*arguments: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from fhir_server.cli import main; main()", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) is fails, done.stderr
        return done

    return invoke
