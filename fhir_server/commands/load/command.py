"""
`fhir-server load`: files into a FHIR server, this one or another.

It goes on after a file that is refused, and ends with a list of what was not loaded and why. With
`--update`, and for resources that come one by one with an id, loading twice changes nothing.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer
from rich.console import Console

from fhir_server.commands.failure import fail
from fhir_server.commands.load.journal import Journal, JournalUnusable
from fhir_server.commands.load.report import Display, Tally, display, report
from fhir_server.commands.load.sender import Sender, Stopped
from fhir_server.commands.load.sources import Source, Unreadable, sources
from fhir_server.commands.load.workers import Workers

CONCURRENCY_MAX: Final = 64
CONNECT_SECONDS_MAX: Final = 10.0
ANSWER_SECONDS_MAX: Final = 300.0
FHIR_JSON: Final = "application/fhir+json"

SOMETHING_FAILED: Final = 1
INTERRUPTED: Final = 130


def load(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Files and folders: .json, .ndjson, .jsonl, each also as .gz; - is NDJSON from a pipe"
        ),
    ],
    url: Annotated[str, typer.Option(help="Base URL of the FHIR server")],
    token: Annotated[
        str, typer.Option(envvar="FHIR_TOKEN", show_default=False, help="Access token; never shown")
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option(help="File that holds the access token, in place of --token")
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="PUT what a Bundle POSTs with an id, so that twice is the same as once"
        ),
    ] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, max=CONCURRENCY_MAX, help="Requests on their way at once")
    ] = 4,
    resume: Annotated[
        Path | None, typer.Option(help="Journal of the files that are loaded; those in it are left out")
    ] = None,
) -> None:
    """
    Load resources from files into a FHIR server.

    A file that is refused does not stop the others: what was not loaded is listed at the end, with
    the reason, and the exit code is 1.

    Example: fhir-server load --url http://127.0.0.1:8080/fhir --token "$TOKEN" bundles/
    """
    credentials = _token(token, token_file)
    if not _is_http(url):
        fail(f"`{url}` is not the base URL of a FHIR server, such as http://127.0.0.1:8080/fhir")
    try:
        found = sources(paths)
        with Journal(resume, url) as journal:
            exit_code = asyncio.run(_load(found, journal, url, credentials, concurrency, update=update))
    except (Unreadable, JournalUnusable) as error:
        fail(str(error))
    raise typer.Exit(exit_code)


class _Interruption:
    """Ctrl-C once lets what is on its way arrive; Ctrl-C again does not wait for it."""

    def __init__(self, stopping: asyncio.Event, display: Display) -> None:
        self._stopping = stopping
        self._display = display
        self._task = asyncio.current_task()
        self.is_asked = False

    def __call__(self) -> None:
        if self.is_asked and self._task:
            self._task.cancel()
        self.is_asked = True
        self._stopping.set()
        self._display.note("Interrupted: what is on its way may arrive; Ctrl-C again does not wait for it")


async def _load(
    found: list[Source], journal: Journal, url: str, token: str, concurrency: int, *, update: bool
) -> int:
    """Load what was found, and say what became of it; the exit code."""
    tally = Tally(time.monotonic, files=len(found), bytes=sum(source.bytes for source in found))
    stopping = asyncio.Event()
    shown = display(Console(stderr=True), tally)
    interruption = _Interruption(stopping, shown)
    trouble = ""
    try:
        async with _client(url, token) as client:
            with _signals_to(interruption):
                sender = Sender(client, url, stopping, random.random, shown.note)
                await sender.greet()
                await Workers(sender, journal, tally, shown, stopping, update=update).load(found, concurrency)
    except Stopped as stopped:
        trouble = str(stopped)
    except asyncio.CancelledError:
        trouble = "It is not known whether what was on its way has arrived"
    finally:
        shown.close()
    return _closing(tally, trouble, interrupted=interruption.is_asked)


def _closing(tally: Tally, trouble: str, *, interrupted: bool) -> int:
    for line in report(tally):
        typer.echo(line)
    if interrupted:
        typer.echo(f"Interrupted after {tally.files_done:,} of {tally.files:,} files", err=True)
    if trouble:
        typer.echo(f"error: {trouble}", err=True)
    if interrupted:
        return INTERRUPTED
    return SOMETHING_FAILED if trouble or tally.failed else 0


@contextmanager
def _signals_to(interruption: _Interruption) -> Iterator[None]:
    """Ctrl-C and SIGTERM, where this is the process's own business: its main thread."""
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interruption)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _token(token: str, file: Path | None) -> str:
    """The access token, on one line; from the file when there is one."""
    if file:
        try:
            token = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            fail(f"The token file `{file}` cannot be read")
    token = token.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        fail("The access token is not one word")
    return token


def _client(url: str, token: str) -> httpx.AsyncClient:
    headers = {"Accept": FHIR_JSON, "Content-Type": FHIR_JSON, "Prefer": "return=minimal"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return httpx.AsyncClient(
        headers=headers,
        timeout=httpx.Timeout(ANSWER_SECONDS_MAX, connect=CONNECT_SECONDS_MAX),
        # A proxy from the environment leads out of this machine; to this machine it leads nowhere.
        trust_env=not _is_this_machine(httpx.URL(url).host),
    )


def _is_http(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
