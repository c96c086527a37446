"""
Which words can be asked for: what the setting says, and whether all that is stored was written so.

The setting `full_text` may change between two starts. What was stored before has not the words that
are indexed now, and a search that found but a part would be wrong. So the database keeps, in its
state, the least that any process has ever written with, and of which types each resource was
reindexed with more since; a search for more is refused with the reason. This is right since all
processes that write at one time have the same setting: one with another does not start.

https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhir_server.pipeline.services import Services
from fhir_server.r4.interaction import Parameters
from fhir_server.search.asking.text import asks_for_words
from fhir_server.search.values.indexed_words import Indexed
from fhir_server.search.values.words import LEVELS, FullText
from fhir_server.store.database import Unsuitable
from fhir_server.store.documents import Document
from fhir_server.store.store import Store

STORED: Final = ("full-text", "stored")
"""Where the state keeps it."""


async def begin_to_write(store: Store, setting: FullText) -> None:
    """
    From now on this process writes with `setting`: what it leaves out is missing from now on.

    Raises Unsuitable while another process writes with another one.
    """
    others = await store.others_serve_with("full_text", setting)
    if others:
        raise Unsuitable(
            f"Other processes serve from this database with the setting full_text {others[0]}, this one has "
            f"{setting}: end them first. One that was killed may count as there for a minute and a half."
        )
    # A database that has resources and says nothing of their words is from before there were any.
    first = setting if await store.is_empty() else LEVELS[0]
    known = await store.state.insert(*STORED, _value(first, {}))
    while True:
        reindexed = {type: _least(level, setting) for type, level in known["reindexed"].items()}
        value = _value(_least(known["full_text"], setting), reindexed)
        if value == known or await store.state.replace(*STORED, known, value):
            return
        known = await _known(store)


async def reindexed(store: Store, type: str, setting: FullText) -> None:
    """Each resource of the type has the words that `setting` asks for."""
    while True:
        known = await _known(store)
        value = _value(known["full_text"], {**known["reindexed"], type: setting})
        if await store.state.replace(*STORED, known, value):
            return


async def indexed_words(parameters: Parameters, services: Services) -> Indexed:
    """What a search with these parameters may ask of words; looked up for those that ask."""
    setting = services.settings.full_text
    if not any(asks_for_words(name) for name, _ in parameters):
        return Indexed(setting)
    known = await _known(services.store)
    return Indexed(setting, known["full_text"], known["reindexed"])


async def _known(store: Store) -> Document:
    known = await store.state.get(*STORED)
    assert known is not None, "each process says what it writes with before it serves"
    return known


def _value(full_text: FullText, reindexed: Mapping[str, FullText]) -> Document:
    # MongoDB compares documents member by member, in their order.
    return {"full_text": full_text, "reindexed": dict(sorted(reindexed.items()))}


def _least(*levels: FullText) -> FullText:
    return min(levels, key=LEVELS.index)
