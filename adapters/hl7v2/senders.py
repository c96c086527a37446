"""
What is agreed with each sender: which identifier decides, in which zone its clocks run, and what
its local names mean. Written in TOML by whoever connects it::

    [[sender]]
    application = "ADTApp"            # MSH-3; leave out for any
    facility = "GHHSFacility"         # MSH-4; leave out for any
    deciding = ["MR", "PI"]           # which type of PID-3 says who it is; then the first
    time_zone = "Europe/Berlin"       # of times that state no zone, when MSH-7 states none either

    [sender.systems]                  # assigning authority (namespace or universal id) -> identifier system
    "AccMgr" = "https://hospital.example/sid/visit"

    [sender.code_systems]             # name of a coding system -> its URI
    "99LAB" = "https://hospital.example/codes/lab"

The first that fits is used; a sender without an entry gets the defaults.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapters.hl7v2.header import Header

US_SSN: Final = "http://hl7.org/fhir/sid/us-ssn"


class SendersError(ValueError):
    """The configuration cannot be used; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Sender:
    """
    One agreement. `application` and `facility` are MSH-3.1 and MSH-4.1; empty fits any.

    Raises SendersError when there is no such time zone.
    """

    application: str = ""
    facility: str = ""
    deciding: tuple[str, ...] = ("MR", "PI")
    time_zone: str = "UTC"
    ssn_system: str = US_SSN
    systems: Mapping[str, str] = field(default_factory=dict)
    code_systems: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            _ = self.zone
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SendersError(f"`{self.time_zone}` is not a time zone, such as Europe/Berlin") from error

    @property
    def zone(self) -> tzinfo:
        return UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone)

    def fits(self, header: Header) -> bool:
        return self.application in ("", header.application) and self.facility in ("", header.facility)


@dataclass(frozen=True, slots=True)
class Senders:
    """
    All agreements. `base` is what identifier systems of our own begin with: it must not change
    once messages have come in, or nobody is recognised any more.
    """

    base: str
    agreed: Sequence[Sender] = ()
    default: Sender = field(default_factory=Sender)

    def of(self, header: Header) -> Sender:
        return next((sender for sender in self.agreed if sender.fits(header)), self.default)


def senders_from(toml: str, base: str, default: Sender) -> Senders:
    """Raises SendersError, naming the entry."""
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise SendersError(f"The senders are not TOML: {error}") from error
    unknown = document.keys() - {"sender"}
    if unknown:
        raise SendersError(f"Only [[sender]] is known, not `{min(unknown)}`")
    listed = document.get("sender", [])
    if not isinstance(listed, list):
        raise SendersError("Senders are written [[sender]], with two brackets")
    agreed = [_sender(number, entry, default) for number, entry in enumerate(listed, start=1)]
    return Senders(base.rstrip("/"), agreed, default)


def _sender(number: int, entry: Mapping[str, Any], default: Sender) -> Sender:
    known = {
        "application": str,
        "facility": str,
        "deciding": list,
        "time_zone": str,
        "ssn_system": str,
        "systems": dict,
        "code_systems": dict,
    }
    for name, value in entry.items():
        if name not in known or not isinstance(value, known[name]):
            raise SendersError(f"[[sender]] number {number}: `{name}` is not known, or not of its kind")
        texts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if not all(isinstance(text, str) for text in texts):
            raise SendersError(f"[[sender]] number {number}: `{name}` holds something that is not text")
    return Sender(
        application=entry.get("application", ""),
        facility=entry.get("facility", ""),
        deciding=tuple(entry.get("deciding", default.deciding)),
        time_zone=entry.get("time_zone", default.time_zone),
        ssn_system=entry.get("ssn_system", default.ssn_system),
        systems={**default.systems, **entry.get("systems", {})},
        code_systems={**default.code_systems, **entry.get("code_systems", {})},
    )
