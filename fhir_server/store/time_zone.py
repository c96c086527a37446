"""
The zone of dates that state none is that of the database, for good.

Index entries are made with it: a database that was written under one zone would answer wrongly under
another. The first process that serves from a database says which one it is.
"""

from __future__ import annotations

from typing import Final

from fhir_server.store.database import Unsuitable
from fhir_server.store.state import State

_KEPT: Final = ("settings", "time-zone")


async def require_time_zone(state: State, name: str) -> None:
    """Keep `name` as the zone of the database. Raises Unsuitable when it has another one."""
    kept = (await state.insert(*_KEPT, {"name": name}))["name"]
    if kept != name:
        raise Unsuitable(
            f"The dates in the database that state no zone are indexed in the time zone {kept}; the setting "
            f"time_zone is {name}. Start with {kept}, or load the resources into a new database."
        )
