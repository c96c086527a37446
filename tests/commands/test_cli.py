"""`fhir-server` as a whole: help, version, and how it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fhir_server.commands.load.report import FAILURES_SHOWN_MAX
from fhir_server.commands.load.sender import ATTEMPTS_MAX
from fhir_server.commands.load.shipments import GROUP_BYTES_MAX, GROUP_ENTRIES_MAX
from fhir_server.commands.load.sources import DOCUMENT_BYTES_MAX, LINE_BYTES_MAX
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


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_page_about_commands_explains_every_option(run: Run, command: tuple[str, ...]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    section = page.partition(f"\n## {' '.join(command)}\n")[2].partition("\n## ")[0]
    options = set(re.findall(r"│[ *]+(--[a-z-]+)", run(*command, "--help", COLUMNS="200").stdout))
    assert {option for option in options - {"--help"} if f"`{option}`" not in section} == set()


def test_the_page_about_commands_names_the_limits_that_hold() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "commands.md").read_text().split())
    mebibyte = 1024 * 1024
    assert f"at most {GROUP_ENTRIES_MAX} resources and {GROUP_BYTES_MAX // mebibyte} MiB" in page
    assert (
        f"at most {DOCUMENT_BYTES_MAX // mebibyte} MiB, a line of NDJSON {LINE_BYTES_MAX // mebibyte} MiB"
        in page
    )
    assert f"the first {FAILURES_SHOWN_MAX} of them" in page
    assert ATTEMPTS_MAX == 8, "eight times at most, says docs/commands.md"
