"""What the meaning of a search takes from the installation rather than from FHIR."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import NamedTuple


class Site(NamedTuple):
    """
    `base_url` is ours, without a slash at the end: references under it are relative ones.

    `zone` is where a date is that does not say.
    """

    base_url: str = ""
    zone: tzinfo = UTC
