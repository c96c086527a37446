"""
docs/settings.md, made from settings.py: `python -m fhir_server.commands.settings_page > docs/settings.md`.

A test holds the two equal.
"""

from __future__ import annotations

import json
import sys
from typing import Final

from pydantic.fields import FieldInfo

from fhir_server.settings import Settings

_HEAD: Final = """# Settings

Made from `fhir_server/settings.py` by `python -m fhir_server.commands.settings_page`; do not edit.

Each setting is an environment variable; those that `fhir-server serve --help` lists are options too,
and an option overrides the environment. Lists are JSON. Every limit is named with its unit, and what
goes beyond one is refused, never cut in silence. No setting turns a stage of the pipeline off.

| variable | default | what it is |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    told = json.dumps(field.default) if isinstance(field.default, tuple) else field.default
    default = "" if field.default in (None, "", (), {}) else f"`{told}`"
    return f"| `FHIR_SERVER_{name.upper()}` | {default} | {field.description} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
