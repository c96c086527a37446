"""The pages of people as somebody would meet them, and a small server that shows them over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from fhir_server.api.pages.people import (
    AppLine,
    AppsView,
    AppView,
    CodeView,
    ConsentView,
    ErrorView,
    LoginView,
    MessageView,
    PatientLine,
    PatientsView,
    apps_page,
    code_page,
    consent_page,
    error_page,
    login_page,
    message_page,
    patients_page,
    policy,
)
from fhir_server.r4.definitions import definitions
from fhir_server.smart.words import in_words, offers

APP: Final = AppView("Growth Chart", "https://growth.example")
PATIENT: Final = PatientLine("p1", "Amy V. Shaw", "1987-02-20", "female", "MRN 10 042")
SCOPES: Final = (
    "launch/patient",
    "openid",
    "fhirUser",
    "offline_access",
    "patient/Patient.rs",
    "patient/Observation.rs",
    "patient/Condition.cruds",
    "patient/Observation.rs?category=http://example.org/a-rather-long-address/of-a-code-system|code",
)

LOGIN: Final = LoginView("/auth/login", "a-csrf-value", "a-request", APP)
CODE: Final = CodeView("/auth/code", "a-csrf-value", "a-request")
PATIENTS: Final = PatientsView(
    "/auth/patient",
    "a-csrf-value",
    "a-request",
    APP,
    "shaw",
    (PATIENT, PatientLine("p2", "Ben Shaw", "2011-09-03", "male"), PatientLine("p3", "")),
    more=True,
)
CONSENT: Final = ConsentView(
    "/auth/consent",
    "a-csrf-value",
    "a-request",
    APP,
    "amy.shaw",
    PATIENT,
    offers(SCOPES, definitions().resource_types),
)
ALL: Final = replace(
    CONSENT, offers=offers(("openid", "patient/*.cruds", "user/*.rs"), definitions().resource_types)
)
GROWTH: Final = AppLine(
    "g1", "Growth Chart", "3 November 2026", "yesterday", "Amy V. Shaw", tuple(map(in_words, SCOPES[:6]))
)
APPS: Final = AppsView(
    "/auth/apps",
    "a-csrf-value",
    "amy.shaw",
    (GROWTH, AppLine("g2", "Blood Sugar Diary", "1 October 2026", words=(in_words("patient/*.rs"),))),
    "/auth/logout",
)

PAGES: Final[Mapping[str, bytes]] = {
    "login": login_page(LOGIN),
    "login-again": login_page(replace(LOGIN, name="amy", problem="The user name or the password is wrong.")),
    "login-apps": login_page(LoginView("/auth/login", "a-csrf-value")),
    "code": code_page(CODE),
    "code-again": code_page(replace(CODE, problem="That code is not right, or not any more.")),
    "patients": patients_page(PATIENTS),
    "patients-none": patients_page(replace(PATIENTS, patients=(), more=False, query="nobody")),
    "patients-first": patients_page(replace(PATIENTS, patients=(), more=False, query="")),
    "consent": consent_page(CONSENT),
    "consent-all": consent_page(ALL),
    "consent-again": consent_page(replace(CONSENT, problem="Choose at least one thing, or do not allow.")),
    "apps": apps_page(APPS),
    "apps-done": apps_page(replace(APPS, apps=APPS.apps[1:], done="Growth Chart has no access any more.")),
    "apps-none": apps_page(replace(APPS, apps=())),
    "error": error_page(
        ErrorView(
            "This app cannot be trusted",
            "It asked us to send you to an address that it has not registered. Nothing was shared.",
            "0198c2a4-5f0e-7c1b-9d55-2f3f1f0c9a11",
        )
    ),
    "message": message_page(
        MessageView("You are logged out", "Close this window if others use it.", "/login", "Log in again")
    ),
}

HOSTILE: Final = "<b>\"Name\"</b> & 'co' \u202e\u2067 {{ 7 * 7 }} " + "long" * 40
"""A name that would be markup, a template and text from right to left, if it could; and that is one word."""


def hostile_pages() -> dict[str, bytes]:
    """The pages that show what others chose, with the worst of names."""
    app = AppView(HOSTILE, "https://growth.example")
    patient = PatientLine("p1", HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    line = AppLine("g1", HOSTILE, "today", "today", HOSTILE, (HOSTILE,))
    return {
        "hostile-login": login_page(replace(LOGIN, app=app, name=HOSTILE)),
        "hostile-patients": patients_page(replace(PATIENTS, app=app, query=HOSTILE, patients=(patient,) * 3)),
        "hostile-consent": consent_page(replace(CONSENT, app=app, user_name=HOSTILE, patient=patient)),
        "hostile-apps": apps_page(replace(APPS, user_name=HOSTILE, apps=(line,))),
    }


@dataclass(slots=True)
class Shown:
    """Where the pages are shown, and the forms that were sent, in order."""

    origin: str
    sent: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)


@contextmanager
def shown(
    pages: Mapping[str, bytes], form_targets: tuple[str, ...] = (), leads_to: str | None = None
) -> Iterator[Shown]:
    """`/<name>` shows a page under its policy; a form leads to `leads_to`, or to a page that says so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            name = address.path.removeprefix("/")
            if name == "pages/people.css":
                style = resources.files("fhir_server.api.pages.people").joinpath("people.css")
                self._answer(200, "text/css", style.read_bytes())
            elif name in pages:
                self._answer(200, "text/html; charset=utf-8", pages[name])
            elif address.query:
                self._take(address.query)
            else:
                self._answer(200, "text/plain", b"here")

        def do_POST(self) -> None:
            self._take(self.rfile.read(int(self.headers["content-length"])).decode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is told."""

        def _take(self, form: str) -> None:
            found.sent.append((self.path.partition("?")[0], parse_qsl(form, keep_blank_values=True)))
            if leads_to is None:
                self._answer(200, "text/plain", b"sent")
            else:
                self.send_response(303)
                self.send_header("Location", leads_to)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def _answer(self, status: int, media_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", policy(form_targets))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Shown(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
