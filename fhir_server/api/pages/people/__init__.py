"""
The pages that people see while an app is authorized, and those on which they take it back.

A page is made of a view and nothing else: who asks, what is stored and what is posted is decided by who
renders it. What a page posts is said with its view. All values are escaped; no page has a script, and
people.css is its only style.

https://hl7.org/fhir/smart-app-launch/app-launch.html, https://www.w3.org/TR/WCAG22/
"""

from fhir_server.api.pages.people.choices import chosen
from fhir_server.api.pages.people.policy import policy, target_of
from fhir_server.api.pages.people.rendering import (
    apps_page,
    code_page,
    consent_page,
    error_page,
    login_page,
    message_page,
    patients_page,
)
from fhir_server.api.pages.people.views import (
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
)

__all__ = [
    "AppLine",
    "AppView",
    "AppsView",
    "CodeView",
    "ConsentView",
    "ErrorView",
    "LoginView",
    "MessageView",
    "PatientLine",
    "PatientsView",
    "apps_page",
    "chosen",
    "code_page",
    "consent_page",
    "error_page",
    "login_page",
    "message_page",
    "patients_page",
    "policy",
    "target_of",
]
