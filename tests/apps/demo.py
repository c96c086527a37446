"""A real `serve --demo`, and what its operator reads in the terminal."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.databases import a_database
from tests.server.served import Served, served_on

PATIENCE_SECONDS: Final = 60.0
_LOGIN: Final = re.compile(r"^  (patient|practitioner) +(\S+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Demo:
    """The server, and the passwords by name."""

    server: Served
    passwords: dict[str, str]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def base(self) -> str:
        return f"{self.origin}/fhir"

    async def registers(self, name: str, redirect_uri: str, scope: str, *more: str) -> str:
        """The client_id of an app that the operator has registered."""
        told = ("--name", name, "--redirect-uri", redirect_uri, "--scope", scope)
        return await self.server.operated("client", "register", *told, *more)


@asynccontextmanager
async def demonstrating(mongodb_url: str, folder: Path) -> AsyncIterator[Demo]:
    """From an empty database to the last line of the terminal."""
    async with a_database(mongodb_url) as database, started(mongodb_url, database, folder) as demo:
        yield demo


@asynccontextmanager
async def started(mongodb_url: str, database: str, folder: Path) -> AsyncIterator[Demo]:
    """The same on a database that may have been a demo's before."""
    async with served_on(mongodb_url, database, folder, {"DEMO": "true"}) as server:
        yield Demo(server, dict(_LOGIN.findall(await _shown(server))))


async def _shown(server: Served) -> str:
    for _ in range(int(PATIENCE_SECONDS * 10)):
        if "Ctrl-C stops all of it." in (text := server.log.read_text()):
            return text
        await asyncio.sleep(0.1)
    raise AssertionError(server.log.read_text()[-2000:])
