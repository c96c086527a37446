"""
The embedded database: a real mongod, in the data folder, for as long as it is needed.

    async with running(data_dir) as mongod:     # a server: mongod.url
    async with joined(data_dir) as url:         # a command, with the server running or stopped

docs/processes.md describes what is promised.
"""

from fhir_server.store.embedded.errors import CannotStart, FolderInUse, MongodMissing
from fhir_server.store.embedded.running import (
    EmbeddedMongod,
    MongodOptions,
    joined,
    refuse_while_served,
    running,
)

__all__ = [
    "CannotStart",
    "EmbeddedMongod",
    "FolderInUse",
    "MongodMissing",
    "MongodOptions",
    "joined",
    "refuse_while_served",
    "running",
]
