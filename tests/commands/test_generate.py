"""`fhir-server generate`: what it writes, and that `load` takes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.commands.conftest import Run
from tests.commands.other_server import OtherServer

COMMAND = [sys.executable, "-c", "from fhir_server.cli import main; main()", "generate"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*json")}


def test_the_same_seed_writes_the_same_files(run: Run, tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        assert run("generate", "--patients", 3, "--seed", seed, "--out", tmp_path / name).exit_code == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")
    assert sorted(contents(tmp_path / "a")) == [
        "directory.json",
        "patients-0000001/patient-0000001.json",
        "patients-0000001/patient-0000002.json",
        "patients-0000001/patient-0000003.json",
    ]


def test_ndjson_has_a_file_for_each_type(run: Run, tmp_path: Path) -> None:
    run("generate", "--patients", 5, "--format", "ndjson", "--out", tmp_path / "out")
    for name, text in contents(tmp_path / "out").items():
        types = {json.loads(line)["resourceType"] for line in text.splitlines()}
        assert {f"{type}.ndjson" for type in types} == {name}


def test_a_population_is_not_written_on_top_of_another(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = run("generate", "--patients", 1, "--out", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not empty" in result.stderr


def test_a_day_that_is_none_is_refused_in_one_line(run: Run) -> None:
    result = run("generate", "--patients", 1, "--out", "-", "--as-of", "2025-02-30")
    assert result.exit_code == 1
    assert result.stderr == "error: `2025-02-30` is not a day, such as 2026-01-01\n"


def test_a_generated_population_is_loaded_through_a_pipe(server: OtherServer) -> None:
    lines = subprocess.run(
        [*COMMAND, "--patients", "2", "--out", "-"], capture_output=True, check=True
    ).stdout
    resources = sum(len(json.loads(line)["entry"]) for line in lines.splitlines())
    load = [*COMMAND[:-1], "load", "--url", server.url, "--update", "-"]
    for _ in range(2):
        result = subprocess.run(load, input=lines, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr
        assert f"{resources:,} resources, 0 failed".encode() in result.stdout
        assert len(server.stored) == resources


def test_a_reader_that_has_enough_ends_it_quietly() -> None:
    """`fhir-server generate ... --out - | head -1`."""
    process = subprocess.Popen(
        [*COMMAND, "--patients", "5000", "--out", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=30)
    assert errors == b""
