"""
A small SMART app, and an EHR to launch it from, for `serve --demo`: to see a launch, and how one is written.

The app asks this server alone. It keeps tokens in the memory of its page, and what it waits for in
sessionStorage; its pages run no script but its own files.

https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Final

from fhir_server.api.pages import NOTHING_ELSE, Page, filled, page
from fhir_server.population.demo import demo_people

POLICY: Final = f"{NOTHING_ELSE}; connect-src 'self'; img-src 'self'; script-src 'self'; style-src 'self'"

_PAGES: Final[Mapping[str, str]] = {
    "": "index.html",
    "launch": "launch.html",
    "callback": "callback.html",
    "ehr": "ehr.html",
}
"""By the last part of their address."""

_FILES: Final[Mapping[str, str]] = {
    "demo.css": "text/css",
    "smart.js": "text/javascript",
    "index.js": "text/javascript",
    "launch.js": "text/javascript",
    "callback.js": "text/javascript",
    "ehr.js": "text/javascript",
}


def demo_files(base_url: str) -> Mapping[str, Page]:
    """What is served below /demo/, by name."""
    people = demo_people()
    told = {
        "base_url": base_url,
        "patient": people.patient,
        "somebody_else": people.somebody_else,
        "encounter": people.encounter,
    }
    pages = {name: page(filled(__name__, file, told), "text/html", POLICY) for name, file in _PAGES.items()}
    files = {name: page(_read(name), media_type) for name, media_type in _FILES.items()}
    return {**pages, **files}


def _read(name: str) -> bytes:
    return resources.files(__name__).joinpath(name).read_bytes()
