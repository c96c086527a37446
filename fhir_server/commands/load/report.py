"""
What the person who loads gets to see: how far it is, and in the end what was loaded and what not.

On a terminal a bar moves; elsewhere (a log, a pipe) a line is written now and then. Both go to
standard error, the closing report to standard output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

from fhir_server.commands.load.answers import Failure
from fhir_server.commands.load.sender import Receipt

FAILURES_SHOWN_MAX: Final = 200
PLAIN_LINE_SECONDS: Final = 10.0


@dataclass(slots=True)
class Tally:
    """What has been done so far; `clock` counts seconds from any moment."""

    clock: Callable[[], float]
    files: int
    bytes: int
    started: float = field(init=False)
    files_done: int = 0
    files_known: int = 0
    bytes_read: int = 0
    resources: int = 0
    failed: int = 0
    failures: list[tuple[str, Failure]] = field(default_factory=list)
    failures_not_kept: int = 0

    def __post_init__(self) -> None:
        self.started = self.clock()

    def add(self, file: str, receipt: Receipt) -> None:
        self.resources += receipt.loaded
        self.failed += receipt.failed
        room = FAILURES_SHOWN_MAX - len(self.failures)
        self.failures += [(file, failure) for failure in receipt.failures[:room]]
        self.failures_not_kept += len(receipt.failures[room:])

    @property
    def seconds(self) -> float:
        return self.clock() - self.started

    @property
    def rate(self) -> str:
        return f"{self.resources / self.seconds if self.seconds else 0:,.0f} resources/s"


class Display(Protocol):
    """Shows a tally while it grows."""

    def show(self, tally: Tally) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


class Bar:
    """For a terminal."""

    def __init__(self, console: Console, tally: Tally) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(_state(tally), total=tally.bytes or None)
        self._progress.start()

    def show(self, tally: Tally) -> None:
        self._progress.update(self._task, completed=tally.bytes_read, description=_state(tally))

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()


class Lines:
    """For everything that is not a terminal."""

    def __init__(self, console: Console, tally: Tally) -> None:
        self._console = console
        self._shown = tally.seconds

    def show(self, tally: Tally) -> None:
        if tally.seconds - self._shown >= PLAIN_LINE_SECONDS:
            self._shown = tally.seconds
            self.note(_state(tally))

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Nothing to take away."""


def display(console: Console, tally: Tally) -> Display:
    return Bar(console, tally) if console.is_terminal else Lines(console, tally)


def report(tally: Tally) -> Iterator[str]:
    """The closing lines: each failure, then the sum."""
    if tally.failures:
        yield "Not loaded:"
    for file, failure in tally.failures:
        where = f"{file} {failure.place}".rstrip()
        expression = f" ({failure.expression})" if failure.expression else ""
        yield f"  {where}: {failure.code}: {failure.diagnostics}{expression}"
    if tally.failures_not_kept:
        yield f"  and {tally.failures_not_kept:,} more"
    known = f" ({tally.files_known:,} of them loaded before)" if tally.files_known else ""
    yield (
        f"{tally.files_done:,} files{known}, {tally.resources:,} resources, {tally.failed:,} failed "
        f"in {tally.seconds:.1f} s ({tally.rate})"
    )


def _state(tally: Tally) -> str:
    failed = f", {tally.failed:,} failed" if tally.failed else ""
    return (
        f"{tally.files_done:,} of {tally.files:,} files, {tally.resources:,} resources{failed}, {tally.rate}"
    )
