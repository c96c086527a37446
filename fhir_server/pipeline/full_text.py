"""
Which words can be asked for: what the setting says, and whether all that is stored was written so.

The setting `full_text` may change between two starts. What was stored before has not the words that
are indexed now, and a search that found but a part would be wrong. So the database keeps, in its
state, the least that any process has ever written with; a search for more is refused with the reason.

https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

from typing import Final

from fhir_server.pipeline.services import Services
from fhir_server.r4.interaction import Parameters
from fhir_server.search.text import Indexed, asks_for_words
from fhir_server.search.words import LEVELS, FullText
from fhir_server.store.store import Store

STORED: Final = ("full-text", "stored")
"""Where the state keeps it."""


async def begin_to_write(store: Store, setting: FullText) -> None:
    """From now on this process writes with `setting`: what it leaves out is missing from now on."""
    # A database that has resources and says nothing of their words is from before there were any.
    first = setting if await store.is_empty() else LEVELS[0]
    known = await store.state.insert(*STORED, {"full_text": first})
    if LEVELS.index(setting) < LEVELS.index(known["full_text"]):
        await store.state.put(*STORED, {"full_text": setting})


async def indexed_words(parameters: Parameters, services: Services) -> Indexed:
    """What a search with these parameters may ask of words; looked up for those that ask."""
    setting = services.settings.full_text
    if not any(asks_for_words(name) for name, _ in parameters):
        return Indexed(setting)
    known = await services.store.state.get(*STORED)
    return Indexed(setting, known["full_text"] if known else LEVELS[0])
