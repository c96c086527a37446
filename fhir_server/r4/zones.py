"""
Time zones by the names of the IANA database.

https://www.iana.org/time-zones
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo


def zone_of(name: str) -> tzinfo:
    """The zone of this name, which the settings have looked up."""
    # Not ZoneInfo("UTC"): what is in UTC need not be converted.
    return UTC if name == "UTC" else ZoneInfo(name)
