"""The pages a newcomer reads say what is so: commands exist, paths exist, links lead somewhere."""

from __future__ import annotations

import re

import pytest

from tests.architecture.sources import ROOT, code, code_of_tests, lines, text

PAGES = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/glossary.md", "docker/README.md"]
README_LINES_MAX = 60
ARCHITECTURE_LINES_MAX = 220


def test_the_readme_is_one_screen() -> None:
    assert len(text("README.md").splitlines()) <= README_LINES_MAX, "move what is not for the first minute"


def test_the_architecture_is_two_pages() -> None:
    assert len(text("ARCHITECTURE.md").splitlines()) <= ARCHITECTURE_LINES_MAX, (
        "say it in the module's docstring, or in a decision record"
    )


@pytest.mark.parametrize("page", PAGES)
def test_each_make_command_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    asked = set(
        re.findall(r"(?:^|`| )make (?:[A-Z_]+=\S+ )*([a-z-]+)(?=`|$|[ ,;)])", _code(page), re.MULTILINE)
    )
    assert asked <= targets, f"{page} names targets that the Makefile has not"


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_to_a_file(page: str) -> None:
    folder = (ROOT / page).parent
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text(page))
    assert [link for link in links if not (folder / link).exists()] == [], (
        f"{page} links to what is not there"
    )


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md"])
def test_each_path_named_exists(page: str) -> None:
    named = re.findall(r"`([\w.-]+/[\w./-]*\w\.(?:py|md|toml|yaml|sh)|[\w-]+(?:/[\w-]+)*/)`", text(page))
    places = (ROOT, ROOT / "adapters/hl7v2")
    missing = [path for path in named if not any((place / path).exists() for place in places)]
    assert missing == [], f"{page} names files that are not there: it is read to find the way"


def test_each_page_that_the_code_names_exists() -> None:
    missing = [
        f"{path} names {page}, which is not there: write it, or say it where it is"
        for path in code() + code_of_tests()
        for page in sorted(set(re.findall(r"\bdocs/[\w/-]+\.md", text(path))))
        if not (ROOT / page).exists()
    ]
    assert not missing, lines(missing)


def _code(page: str) -> str:
    """What stands in backticks or is indented as code: prose may say `make sure`."""
    lines = text(page).splitlines()
    blocks = [line for line in lines if line.startswith("    ")]
    return "\n".join(re.findall(r"`[^`\n]+`", text(page)) + blocks)
