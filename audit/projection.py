"""
AuditEvents as a projection of the ledger: rendered when somebody asks, never stored.

A record is one AuditEvent for each patient concerned, one when there is none. The same link
gives the same bytes every time; its place in the ledger is the id: `<shard>.<position>.<n>`, n
counting the patients from 0. An event can therefore not be changed without breaking the chain.

Events of successful interactions conform to the IHE BALP profiles that `meta.profile` names; a
refused or failed one has the same shape and names none (BALP describes successes).

https://hl7.org/fhir/R4/auditevent.html, https://profiles.ihe.net/ITI/BALP/
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from audit.chain import Link, record_of
from audit.patterns import (
    OUTCOMES,
    PATIENT_ROLE,
    PERSON,
    QUERY_ROLE,
    REQUEST_ID,
    RESOURCE_ROLE,
    SYSTEM_OBJECT,
    Code,
    Pattern,
    data_type,
    is_reference,
    kind_of,
    pattern_of,
    person_of,
    policy_of,
    profiles_of,
    targets_shown,
)
from audit.record import Record, Target
from fhir_server.search.predicates.version import instant

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Server:
    """Who wrote the events: the server, by the base URL that its clients know."""

    base_url: str


@dataclass(frozen=True, slots=True)
class Place:
    """What the id of an AuditEvent says: the link, and which of its events."""

    shard: str
    position: int
    n: int

    def __str__(self) -> str:
        return f"{self.shard}.{self.position}.{self.n}"


def place_of(id: str) -> Place | None:
    """The place that an AuditEvent's id names; None when no event has such an id."""
    match = _PLACE.fullmatch(id)
    return Place(match[1], int(match[2]), int(match[3])) if match else None


def event_count(record: Record) -> int:
    """How many AuditEvents the record is."""
    return len(record.patients) or 1


def events_of(link: Link, server: Server) -> tuple[bytes, ...]:
    """The AuditEvents of a link, as JSON, in the order of their ids."""
    record = record_of(link.payload)
    return tuple(
        event(record, Place(link.shard, link.position, n), server) for n in range(event_count(record))
    )


def of_each_event(server: Server) -> Json:
    """What is the same in all events of the server, as an AuditEvent that says no more."""
    return {
        "resourceType": "AuditEvent",
        "agent": [_itself(server.base_url)],
        "source": _source(server.base_url),
    }


def event(record: Record, place: Place, server: Server) -> bytes:
    """
    One AuditEvent of the record at `place`, as JSON.

    Raises IndexError when the record has no such event.
    """
    if not 0 <= place.n < event_count(record):
        raise IndexError(f"The record has {event_count(record)} events")
    patient = record.patients[place.n] if record.patients else None
    pattern = pattern_of(kind_of(record))
    return _encode(
        {
            "resourceType": "AuditEvent",
            "id": str(place),
            "meta": _meta(record),
            "type": _coding(pattern.type),
            "subtype": [_coding(code) for code in pattern.subtypes],
            "action": pattern.action,
            "recorded": instant(record.time),
            "outcome": OUTCOMES[record.outcome],
            **_outcome_description(record),
            **_purpose(record, "purposeOfEvent"),
            "agent": [*_agents(record, pattern, server)],
            "source": _source(server.base_url),
            "entity": [*_entities(record, patient)],
        }
    )


def _meta(record: Record) -> Json:
    meta: Json = {"versionId": "1", "lastUpdated": instant(record.time)}
    if profiles := profiles_of(record):
        meta["profile"] = [*profiles]
    return meta


def _outcome_description(record: Record) -> Json:
    if record.outcome == "success":
        return {}
    text = f"HTTP {record.status}" + (f": {record.reason}" if record.reason else "")
    if record.count > 1:
        text += f" ({record.count} calls counted together)"
    return {"outcomeDesc": _text(text)}


def _purpose(record: Record, element: str) -> Json:
    if not record.purpose:
        return {}
    return {element: [{"coding": [{"system": _PURPOSE_OF_USE, "code": _text(record.purpose)}]}]}


def _agents(record: Record, pattern: Pattern, server: Server) -> Iterator[Json]:
    person = person_of(record)
    policy = {"policy": [policy_of(record.token_id)]} if record.token_id else {}
    client: Json = {"type": {"coding": [_coding(pattern.client)]}}
    if record.client:
        client["who"] = {"type": "Device", "identifier": {"value": _text(record.client)}}
        client["altId"] = _text(record.client)
    client["requestor"] = person is None
    if person is None:
        client.update(policy)
    if record.address:
        client["network"] = {"address": _text(record.address), "type": _network_type(record.address)}
    yield client
    yield {"type": {"coding": [_coding(pattern.server)]}, **_itself(server.base_url)}
    if person is not None:
        yield _user(record, pattern, person, policy)


def _user(record: Record, pattern: Pattern, person: str, policy: Json) -> Json:
    types = [_coding(pattern.user)]
    if policy:
        types.append(_coding(_OAUTH_USER))
    user: Json = {
        "type": {"coding": types},
        "who": {"reference": person} if is_reference(person) else {"identifier": {"value": _text(person)}},
    }
    if record.subject and record.subject != record.client:
        user["altId"] = _text(record.subject)
    return {**user, "requestor": True, **policy, **_purpose(record, "purposeOfUse")}


def _itself(base_url: str) -> Json:
    """The server as an agent, whatever its part is."""
    return {
        "who": {"type": "Device", "identifier": {"value": base_url}},
        "requestor": False,
        "network": {"address": base_url, "type": _URI},
    }


@lru_cache(maxsize=16)
def _source(base_url: str) -> Json:
    return {
        "site": urlsplit(base_url).netloc or base_url,
        "observer": {"type": "Device", "identifier": {"value": base_url}},
        "type": [_coding(_APPLICATION_SERVER)],
    }


def _entities(record: Record, patient: str | None) -> Iterator[Json]:
    if patient is not None:
        yield {
            "what": {"reference": f"Patient/{patient}"},
            "type": _coding(PERSON),
            "role": _coding(PATIENT_ROLE),
        }
    for target in targets_shown(record):
        yield {
            "what": {"reference": _versioned(target)},
            "type": _coding(data_type(record, target)),
            "role": _coding(RESOURCE_ROLE),
        }
    if record.query:
        yield {
            "type": _coding(SYSTEM_OBJECT),
            "role": _coding(QUERY_ROLE),
            "query": b64encode(record.query.encode("utf-8", "replace")).decode(),
        }
    yield {
        "what": {"identifier": {"value": _text(record.request_id)}},
        "type": _coding(REQUEST_ID),
    }


def _versioned(target: Target) -> str:
    return target.reference if target.version is None else f"{target.reference}/_history/{target.version}"


@lru_cache(maxsize=256)
def _coding(code: Code) -> Json:
    """Shared between events: what is rendered is never changed."""
    members = {"system": code.system, "code": code.code, "display": code.display}
    return {name: value for name, value in members.items() if value}


@lru_cache(maxsize=4096)
def _network_type(address: str) -> str:
    try:
        ip_address(address)
    except ValueError:
        return _MACHINE_NAME
    return _IP_ADDRESS


def _text(value: str) -> str:
    """As a FHIR string may be: no control characters, whatever a caller's headers held."""
    return value if value.isprintable() else _CONTROL.sub(" ", value)


# https://hl7.org/fhir/R4/valueset-network-type.html
_MACHINE_NAME: Final = "1"
_IP_ADDRESS: Final = "2"
_URI: Final = "5"

_PURPOSE_OF_USE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_OAUTH_USER: Final = Code("https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes", "UserOauthAgent")
_APPLICATION_SERVER: Final = Code(
    "http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server"
)

_PLACE: Final = re.compile(r"([A-Za-z0-9-]{1,36})\.([1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,7})")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_encode = msgspec.json.Encoder().encode
