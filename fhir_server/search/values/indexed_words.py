"""What can be asked of words: which of them are kept of each type, so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from fhir_server.r4.errors import Unsupported
from fhir_server.search.declared.parameters import parameters_of
from fhir_server.search.values.words import LEVELS, FullText

NEEDS: Final[Mapping[str, FullText]] = {"_text": "narrative", "_content": "content"}
"""What each of the two parameters needs to be kept."""


class Indexed(NamedTuple):
    """
    What is kept of words: `setting` as something is written, `stored` of everything that there is, and
    `reindexed` of all resources of a type since then.
    """

    setting: FullText = "off"
    stored: FullText = "off"
    reindexed: Mapping[str, FullText] = MappingProxyType({})

    def why_not(self, types: Collection[str], code: str) -> Unsupported | None:
        """Why `code` gets no answer for these types; None when all of them have their words."""
        # AuditEvents are searched on their own: among all types they are not meant.
        if all(type == "AuditEvent" for type in types):
            return Unsupported(f"`{code}` is not there for AuditEvents: the ledger keeps no words")
        needed = NEEDS[code]
        if LEVELS.index(self.setting) < LEVELS.index(needed):
            return Unsupported(
                f"`{code}` is not answered here: it needs the setting `full_text` to be `{needed}`"
            )
        for type in types:
            stored = self.reindexed.get(type, self.stored)
            if code in parameters_of(type) and LEVELS.index(stored) < LEVELS.index(needed):
                told = f"`{code}` is not answered yet for {type}: some was written while the setting"
                return Unsupported(f"{told} `full_text` was `{stored}`; `$reindex` makes up for it")
        return None


NO_WORDS: Final = Indexed()
