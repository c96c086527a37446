"""`--update-golden` writes what the translators say now; then review the difference."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", default=False, help="Write the golden files of HL7 v2 anew."
    )
