"""Imports point down: the contract in pyproject.toml covers every package and is the one that is drawn."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from tests.architecture.sources import PACKAGES, ROOT, code, lines, pyproject, text

BESIDE_THE_LAYERS = {
    "conformance": "asks any FHIR server over HTTP; a contract of its own keeps it apart",
    "fhir_server.__init__": "empty",
}


def test_the_layers_drawn_are_the_layers_checked() -> None:
    drawn = re.search(r"```layers\n(.*?)```", text("ARCHITECTURE.md"), re.DOTALL)
    assert drawn, "ARCHITECTURE.md has no block marked ```layers"
    assert [_names(line) for line in drawn[1].strip().splitlines()] == [_names(line) for line in _layers()], (
        "ARCHITECTURE.md and pyproject.toml disagree: the layers in pyproject.toml are what is checked"
    )


def test_no_layer_is_optional() -> None:
    optional = [layer for layer in _layers() if "(" in layer]
    assert optional == [], (
        "these exist, or are to be left out: write them in pyproject.toml without parentheses"
    )


def test_each_package_has_its_layer() -> None:
    named = {name for layer in _layers() for name in _names(layer)}
    modules = {
        ".".join(path.removesuffix(".py").split("/")[:2])
        if path.startswith("fhir_server/")
        else path.split("/")[0]
        for path in code()
    }
    loose = [
        f"{module} stands in no layer of pyproject.toml: anything may import it, and it may import anything"
        for module in sorted(modules - named - BESIDE_THE_LAYERS.keys())
    ]
    assert not loose, lines(loose)


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_known_to_every_tool(package: str) -> None:
    tools = pyproject()["tool"]
    assert package in tools["importlinter"]["root_packages"]
    assert package in tools["mypy"]["files"]
    assert f"{package}*" in tools["setuptools"]["packages"]["find"]["include"]
    assert (ROOT / package / "__init__.py").exists()


def test_no_layer_stands_twice() -> None:
    names = sorted(name for layer in _layers() for name in _names(layer))
    assert [first for first, second in pairwise(names) if first == second] == []


def _layers() -> list[str]:
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    return list(next(contract["layers"] for contract in contracts if contract["id"] == "layers"))


def _names(layer: str) -> list[str]:
    """`fhir_server.api | adapters` -> the two names, sorted; how siblings are kept apart is not drawn."""
    return sorted(re.findall(r"[a-z_][\w.]*", layer))
