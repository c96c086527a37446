"""
Views become HTML.

Templates escape each value and refuse one that is missing. What people typed or registered may hold
characters that turn the direction of writing: within other text each such value is a box of
its own (`bdi`, and see people.css), and none stands in a title.

https://www.w3.org/TR/html52/textlevel-semantics.html#the-bdi-element
"""

from __future__ import annotations

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from fhir_server.api.pages.people.views import (
    AppsView,
    CodeView,
    ConsentView,
    ErrorView,
    LoginView,
    MessageView,
    PatientsView,
)
from fhir_server.interactions.capabilities import SOFTWARE

View = AppsView | CodeView | ConsentView | ErrorView | LoginView | MessageView | PatientsView


def login_page(view: LoginView) -> bytes:
    return _rendered("login.html", view, view.problem)


def code_page(view: CodeView) -> bytes:
    return _rendered("code.html", view, view.problem)


def patients_page(view: PatientsView) -> bytes:
    return _rendered("patients.html", view, view.problem)


def consent_page(view: ConsentView) -> bytes:
    return _rendered("consent.html", view, view.problem)


def apps_page(view: AppsView) -> bytes:
    return _rendered("apps.html", view, view.problem)


def error_page(view: ErrorView) -> bytes:
    return _rendered("error.html", view)


def message_page(view: MessageView) -> bytes:
    return _rendered("message.html", view)


def _rendered(template: str, view: View, problem: str | None = None) -> bytes:
    text = _TEMPLATES.get_template(template).render(view=view, problem=problem, software=SOFTWARE)
    # A lone surrogate is no character: it is shown as `?` rather than breaking the page.
    return text.encode("utf-8", "replace")


_TEMPLATES: Final = Environment(
    autoescape=True,
    auto_reload=False,
    loader=PackageLoader("fhir_server.api.pages.people", "."),
    lstrip_blocks=True,
    trim_blocks=True,
    undefined=StrictUndefined,
)
