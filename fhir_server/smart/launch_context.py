"""
What an EHR says of a launch, checked member by member; unknown members are refused.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#launch-context-arrives-with-your-access_token
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Invalid

TEXT_CHARACTERS_MAX: Final = 2_000
CONTEXTS_MAX: Final = 50

_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_REFERENCE: Final = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}")
_USER: Final = re.compile(r"(Practitioner|PractitionerRole|Patient|RelatedPerson|Person)/[A-Za-z0-9.-]{1,64}")
_CONTEXT_MEMBERS: Final = frozenset(("reference", "canonical", "identifier", "type", "role"))
_IDENTIFIER_MEMBERS: Final = frozenset(("use", "type", "system", "value", "period", "assigner"))
_BY_ROLE_ALONE: Final = frozenset(("Patient", "Encounter"))
"""Types that have members of their own: in `fhirContext` they stand for something else."""
_LAUNCH_ROLE: Final = "launch"


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """
    For which app, of whom, and how it was launched; names are those of the token's answer.

    `client` is the client_id, `user` whom the EHR launches it for (a reference), `launch_uri` where. All but
    the app may be None.
    """

    client: str
    launch_uri: str | None
    user: str | None
    patient: str | None
    encounter: str | None
    fhirContext: tuple[Mapping[str, Any], ...] | None  # noqa: N815 - its name in the specification
    need_patient_banner: bool | None
    intent: str | None
    smart_style_url: str | None
    tenant: str | None

    def kept(self) -> dict[str, Any]:
        """What is kept until the app comes with the launch."""
        told = asdict(self)
        if self.fhirContext is not None:
            told["fhirContext"] = list(self.fhirContext)
        del told["launch_uri"]
        return told


def launch_context(told: Mapping[str, Any]) -> LaunchContext:
    """What the body of a request for a launch says. Raises Invalid."""
    unknown = told.keys() - _MEMBERS.keys()
    if unknown:
        raise Invalid(f"`{min(unknown)[:64]}` is not a member of a launch")
    for name, (holds, meaning) in _MEMBERS.items():
        if name in told and not holds(told[name]):
            raise Invalid(f"`{name}` is {meaning}")
    if "client_id" not in told:
        raise Invalid("`client_id` is that of a registered app")
    if "encounter" in told and "patient" not in told:
        raise Invalid("`encounter` is one of the patient, who is named, too")
    return LaunchContext(
        told["client_id"],
        told.get("launch_uri"),
        told.get("user"),
        told.get("patient"),
        told.get("encounter"),
        tuple(told["fhirContext"]) if "fhirContext" in told else None,
        told.get("need_patient_banner"),
        told.get("intent"),
        told.get("smart_style_url"),
        told.get("tenant"),
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_CHARACTERS_MAX and value.isprintable()


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_user(value: object) -> bool:
    return isinstance(value, str) and _USER.fullmatch(value) is not None


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


def _is_url(value: object) -> bool:
    return _is_text(value) and str(value).startswith(("https://", "http://"))


def _is_contexts(value: object) -> bool:
    return isinstance(value, list) and len(value) <= CONTEXTS_MAX and all(map(_is_context, value))


def _is_context(value: object) -> bool:
    """https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#fhircontext-exp"""
    if not isinstance(value, dict) or not _CONTEXT_MEMBERS.issuperset(value):
        return False
    role = value.get("role", _LAUNCH_ROLE)
    if role != _LAUNCH_ROLE and not _is_absolute(role):
        return False
    if "type" in value and value["type"] not in definitions().resource_types:
        return False
    if "reference" in value:
        match = _REFERENCE.fullmatch(value["reference"]) if isinstance(value["reference"], str) else None
        if match is None or match[1] not in definitions().resource_types:
            return False
        if match[1] in _BY_ROLE_ALONE and role == _LAUNCH_ROLE:
            return False
    if "canonical" in value and not _is_absolute(value["canonical"]):
        return False
    if "identifier" in value and not _is_identifier(value["identifier"]):
        return False
    return not {"reference", "canonical", "identifier"}.isdisjoint(value)


def _is_identifier(value: object) -> bool:
    """https://hl7.org/fhir/R4/datatypes.html#Identifier; of its elements none is a number."""
    if not isinstance(value, dict) or not _IDENTIFIER_MEMBERS.issuperset(value):
        return False
    return _is_text(value.get("value")) and _is_of_texts(value)


def _is_of_texts(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_of_texts, value.values()))
    if isinstance(value, list):
        return all(map(_is_of_texts, value))
    return isinstance(value, bool) or _is_text(value)


def _is_absolute(value: object) -> bool:
    try:
        return _is_text(value) and bool(urlsplit(str(value)).scheme)
    except ValueError:
        return False


_MEMBERS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "client_id": (_is_text, "the client_id of the app"),
    "launch_uri": (_is_text, "one that the app has registered"),
    "user": (_is_user, "a reference such as Practitioner/7"),
    "patient": (_is_id, "the id of a Patient"),
    "encounter": (_is_id, "the id of an Encounter"),
    "fhirContext": (_is_contexts, "a list of contexts, as the specification has them"),
    "need_patient_banner": (_is_boolean, "true or false"),
    "intent": (_is_text, f"a text of up to {TEXT_CHARACTERS_MAX} characters"),
    "smart_style_url": (_is_url, "the URL of a document"),
    "tenant": (_is_text, f"a text of up to {TEXT_CHARACTERS_MAX} characters"),
}
