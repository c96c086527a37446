"""
The shape that an AuditEvent has for each interaction, as one table.

Follows the IHE Basic Audit Log Patterns; what BALP does not describe (history, batch,
transaction, operations, who gets in and who may, floods) follows the nearest pattern that it does.
docs/audit.md shows the table in words. Projection and index both read it, so an event always has
what its index entry says.

https://profiles.ihe.net/ITI/BALP/, https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from audit.record import Outcome, Record, Target

TARGETS_MAX: Final = 64
"""A record with more targets has events without them: its patients and its query say enough."""

UNAUTHENTICATED: Final = 401


@dataclass(frozen=True, slots=True)
class Code:
    """A Coding; `system` is empty for a word of our own."""

    system: str
    code: str
    display: str = ""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What the events of one kind of interaction have in common."""

    type: Code
    subtypes: tuple[Code, ...]
    action: str
    client: Code
    server: Code
    user: Code
    profile: str | None = None


OUTCOMES: Final[dict[Outcome, str]] = {"success": "0", "refused": "4", "failed": "8"}
"""https://hl7.org/fhir/R4/valueset-audit-event-outcome.html: success, minor failure, serious failure."""

PERSON: Final = Code("http://terminology.hl7.org/CodeSystem/audit-entity-type", "1", "Person")
SYSTEM_OBJECT: Final = Code("http://terminology.hl7.org/CodeSystem/audit-entity-type", "2", "System Object")
REQUEST_ID: Final = Code(
    "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType", "XrequestId", ""
)
PATIENT_ROLE: Final = Code("http://terminology.hl7.org/CodeSystem/object-role", "1", "Patient")
RESOURCE_ROLE: Final = Code("http://terminology.hl7.org/CodeSystem/object-role", "4", "Domain Resource")
QUERY_ROLE: Final = Code("http://terminology.hl7.org/CodeSystem/object-role", "24", "Query")


Kind = tuple[str, bool, bool]
"""What decides the pattern: the interaction, whether the caller was not known, whether calls were counted."""


def kind_of(record: Record) -> Kind:
    """The kind of the record's events."""
    return record.interaction, record.status == UNAUTHENTICATED, record.count > 1


def person_of(record: Record) -> str | None:
    """The user behind the client: a reference where one is known, else the token's subject."""
    return record.user or (record.subject if record.subject != record.client else None) or None


@lru_cache(maxsize=4096)
def is_reference(person: str) -> bool:
    """Whether a user is known by a reference that `agent.who` may hold, rather than by a mere name."""
    return _REFERENCE.fullmatch(person) is not None


def data_type(record: Record, target: Target) -> Code:
    """
    The entity type of a target.

    Beside a query it is the resource's type, because BALP keeps `System Object` for the query.
    """
    if record.query:
        return Code("http://hl7.org/fhir/resource-types", target.reference.partition("/")[0])
    return SYSTEM_OBJECT


def profiles_of(record: Record) -> tuple[str, ...]:
    """The BALP profiles that the record's events conform to: what they require must have been recorded."""
    if record.outcome != "success":
        return ()
    profile = pattern_of(kind_of(record)).profile
    found = []
    has_object = bool(record.query) if profile == "Query" else len(targets_shown(record)) == 1
    if profile and record.client and record.address and has_object:
        found.append(f"{_BALP}IHE.BasicAudit.{'Patient' if record.patients else ''}{profile}")
    if record.token_id and person_of(record):
        found.append(f"{_BALP}IHE.BasicAudit.OAUTHaccessTokenUse.Minimal")
    return tuple(found)


def policy_of(token_id: str) -> str:
    """The token that authorized an event, as the URI that stands in `agent.policy`."""
    if token_id.isascii() and token_id.replace("-", "").isalnum():
        return _JTI + token_id
    return _JTI + quote(token_id, safe="-._~:", errors="replace")


@lru_cache(maxsize=256)
def pattern_of(kind: Kind) -> Pattern:
    """The pattern of the events of this kind."""
    interaction, unauthenticated, counted = kind
    pattern = _PATTERNS.get(interaction) or _other(interaction)
    if counted:
        return replace(pattern, type=_SECURITY_ALERT, action="E", profile=None)
    if unauthenticated:
        subtypes = tuple(dict.fromkeys((*pattern.subtypes, _LOGIN)))
        return replace(pattern, type=_USER_AUTHENTICATION, subtypes=subtypes, action="E", profile=None)
    return pattern


def targets_shown(record: Record) -> tuple[Target, ...]:
    """
    The targets that the record's events name.

    None when there are too many, and none when several targets meet several patients: which
    belongs to whom is not recorded, and the event of one patient must not name another's data.
    """
    targets = record.targets
    if len(targets) > TARGETS_MAX or (len(targets) > 1 and len(record.patients) > 1):
        return ()
    return targets


def _other(interaction: str) -> Pattern:
    """An operation (`$everything`), or something that is no RESTful interaction of FHIR's."""
    own = Code("", interaction)
    subtypes = (_interaction("operation"), own) if interaction.startswith("$") else (own,)
    return Pattern(_REST, subtypes, "E", _SOURCE, _DESTINATION, _RECIPIENT)


def _interaction(code: str) -> Code:
    return Code("http://hl7.org/fhir/restful-interaction", code, code)


def _dicom(code: str, display: str) -> Code:
    return Code("http://dicom.nema.org/resources/ontology/DCM", code, display)


def _reading(code: str, profile: str | None = None) -> Pattern:
    """Data flow from the server to the client."""
    return Pattern(_REST, (_interaction(code),), "R", _DESTINATION, _SOURCE, _RECIPIENT, profile)


def _writing(code: str, action: str, profile: str | None = None) -> Pattern:
    """Data flow from the client to the server."""
    return Pattern(_REST, (_interaction(code),), action, _SOURCE, _DESTINATION, _AUTHOR, profile)


def _querying(code: str, profile: str | None = None) -> Pattern:
    """The query flows from the client to the server: DICOM's view, which BALP keeps."""
    return Pattern(_REST, (_interaction(code),), "E", _SOURCE, _DESTINATION, _RECIPIENT, profile)


_REFERENCE = re.compile(
    r"(?:https?://\S+/)?"
    r"(?:Device|Organization|Patient|Practitioner|PractitionerRole|RelatedPerson)/[A-Za-z0-9.\-]{1,64}"
)
_BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/"
_JTI = "urn:ietf:params:oauth:jti:"
_REST = Code("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "Restful Operation")
_SECURITY_ALERT = _dicom("110113", "Security Alert")
_USER_AUTHENTICATION = _dicom("110114", "User Authentication")
_LOGIN = _dicom("110122", "Login")
_LOGOUT = _dicom("110123", "Logout")
_SECURITY_CONFIGURATION = _dicom("110129", "Security Configuration")
_USER_ATTRIBUTES = _dicom("110137", "User Security Attributes Changed")
_APPLICATION = _dicom("110150", "Application")
_DESTINATION = _dicom("110152", "Destination Role ID")
_SOURCE = _dicom("110153", "Source Role ID")
_CUSTODIAN = Code(
    "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian", "Custodian"
)
_AUTHOR = Code("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "AUT", "author (originator)")
_RECIPIENT = Code(
    "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient"
)


def _authenticating(*subtypes: Code) -> Pattern:
    """Somebody gets in, or is out: https://dicom.nema.org/medical/dicom/current/output/html/part15.html#sect_A.5"""
    return Pattern(_USER_AUTHENTICATION, subtypes, "E", _SOURCE, _DESTINATION, _AUTHOR)


def _administering(code: str, subtype: Code, action: str) -> Pattern:
    """An operator changes who may get in; DICOM calls each such change an alert, this one informative."""
    return Pattern(_SECURITY_ALERT, (subtype, Code("", code)), action, _APPLICATION, _DESTINATION, _AUTHOR)


_PATTERNS: Final[dict[str, Pattern]] = {
    "read": _reading("read", "Read"),
    "vread": _reading("vread", "Read"),
    "history-instance": _reading("history-instance"),
    "history-type": _reading("history-type"),
    "history-system": _reading("history-system"),
    "create": _writing("create", "C", "Create"),
    "update": _writing("update", "U", "Update"),
    "patch": _writing("patch", "U", "Update"),
    "delete": Pattern(_REST, (_interaction("delete"),), "D", _APPLICATION, _CUSTODIAN, _AUTHOR, "Delete"),
    "search": _querying("search", "Query"),
    "search-type": _querying("search-type", "Query"),
    "search-system": _querying("search-system", "Query"),
    "capabilities": _reading("capabilities"),
    "batch": _writing("batch", "E"),
    "transaction": _writing("transaction", "E"),
    "login": _authenticating(_LOGIN),
    "logout": _authenticating(_LOGOUT),
    "authorize": _authenticating(_LOGIN, Code("", "authorize")),
    "token": _authenticating(_LOGIN, Code("", "token")),
    "revocation": _authenticating(_LOGOUT, Code("", "revocation")),
    "registration": _administering("registration", _SECURITY_CONFIGURATION, "C"),
    "user-add": _administering("user-add", _USER_ATTRIBUTES, "C"),
    "user-password": _administering("user-password", _USER_ATTRIBUTES, "U"),
    "user-second-factor": _administering("user-second-factor", _USER_ATTRIBUTES, "U"),
    "user-fhir-user": _administering("user-fhir-user", _USER_ATTRIBUTES, "U"),
    "user-disable": _administering("user-disable", _USER_ATTRIBUTES, "U"),
    "user-enable": _administering("user-enable", _USER_ATTRIBUTES, "U"),
    "user-unlock": _administering("user-unlock", _USER_ATTRIBUTES, "U"),
    "user-remove": _administering("user-remove", _USER_ATTRIBUTES, "D"),
    "client-register": _administering("client-register", _SECURITY_CONFIGURATION, "C"),
    "client-remove": _administering("client-remove", _SECURITY_CONFIGURATION, "D"),
    "keys-rotate": _administering("keys-rotate", _SECURITY_CONFIGURATION, "U"),
}
