"""`fhir-server` as a whole: help, version, and how it refuses."""

from __future__ import annotations

import pytest

from tests.commands.conftest import Run

COMMANDS = [("serve",), ("token",), ("load",), ("generate",), ("hl7v2", "send")]


def test_help_names_every_command(run: Run) -> None:
    output = run("--help").stdout
    assert all(command[0] in output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_each_command_has_an_example(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert " ".join(("fhir-server", *command)) in " ".join(result.stdout.split())


def test_the_version_is_said(run: Run) -> None:
    assert run("--version").stdout.startswith("fhir-server ")


@pytest.mark.parametrize("arguments", [["nonsense"], ["load"], ["load", "--nonsense"], ["hl7v2", "send"]])
def test_what_is_asked_wrongly_is_refused_without_a_traceback(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr
    assert "Traceback" not in result.output
