"""What the meaning of a search takes from the installation rather than from FHIR."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import NamedTuple

from fhir_server.search.values.indexed_words import NO_WORDS, Indexed


class Site(NamedTuple):
    """
    `base_url` is ours, without a slash at the end: references under it are relative ones.

    `zone` is where a date is that does not say. `indexed` is what can be asked of words.
    """

    base_url: str = ""
    zone: tzinfo = UTC
    indexed: Indexed = NO_WORDS
