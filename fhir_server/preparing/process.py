"""
The process that prepares Bundles for one worker: `python -m fhir_server.preparing.process DESCRIPTOR`.

It does one after the other and knows nothing but the Bundle in hand: no database, no token, no key.
It lives as long as the worker, keeps R4's definitions warm, takes no more memory than it was told, and
gives way to whoever serves: a large Bundle takes what time is left over.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import socket
import sys
from collections.abc import Iterable, Iterator
from io import BufferedRWPair
from typing import Final

import structlog

from fhir_server.interactions.submission import Item, Order, Raw, Ready, Refused, Rules, SubmittedBundle
from fhir_server.logs import configure
from fhir_server.preparing.memory import give_back_memory
from fhir_server.preparing.messages import (
    HEAD_BYTES,
    PIECE_BYTES,
    PIECE_ITEMS,
    Answer,
    Broken,
    Entries,
    Forget,
    Items,
    NotRead,
    OutOfMemory,
    Prepare,
    Question,
    Read,
    Start,
    frame,
    length_of,
    question,
)
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import FhirError
from fhir_server.r4.media import Format
from fhir_server.search.declared.catalogue import Catalogue, Fixed, in_force_from
from fhir_server.store.embedded.tether import die_with_parent

log = structlog.get_logger(__name__)

NICENESS: Final = 5
COLLECTED_AFTER_OBJECTS: Final = 100_000
OUT_OF_MEMORY: Final = 1
BUG: Final = 2


def main(descriptor: int) -> int:
    """Prepare what comes over the socket until it is closed; the exit code."""
    with socket.socket(fileno=descriptor) as channel, channel.makefile("rwb") as stream:
        start = _next(stream)
        assert isinstance(start, Start), "a conversation begins with Start"
        _tie_to(start.parent)
        configure(f"preparing-for-{start.parent}")
        _bound(start.memory_bytes_max)
        definitions()
        gc.freeze()
        gc.set_threshold(COLLECTED_AFTER_OBJECTS)
        return _serve(stream, start.rules)


def _serve(stream: BufferedRWPair, rules: Rules) -> int:
    try:
        _converse(stream, rules)
    except (BrokenPipeError, ConnectionResetError):
        # The worker has ended, or does not want this Bundle any more.
        return 0
    except MemoryError:
        _say(stream, OutOfMemory())
        return OUT_OF_MEMORY
    except BaseException as bug:
        log.error("bug", exc_info=bug)
        _say(stream, Broken(type(bug).__name__))
        # Python would write the traceback to the log, and its last line may quote what was sent.
        sys.excepthook = lambda *_: None
        raise
    return 0


def _converse(stream: BufferedRWPair, rules: Rules) -> None:
    bundle: SubmittedBundle | None = None
    orders: list[Order] = []
    known = Fixed(Catalogue())
    in_force_from(known)
    while (asked := _next(stream)) is not None:
        match asked:
            case Read(size=size, format=format):
                bundle = _read(stream, stream.read(size), format, rules)
            case Prepare(orders=some, others=others, last=last, in_force=told):
                assert bundle is not None, "a Bundle is read before it is prepared"
                if told is not None:
                    known.catalogue = Catalogue(indexed=told.indexed, declared=told.declared)
                orders += some
                if last:
                    _answer(stream, bundle.prepared(orders, others))
                    orders = []
            case Forget():
                bundle = None
                gc.collect()
                give_back_memory()
            case Start():
                raise AssertionError("a conversation begins once")


def _read(stream: BufferedRWPair, text: bytes, format: Format, rules: Rules) -> SubmittedBundle | None:
    try:
        bundle = SubmittedBundle(text, rules, format)
    except FhirError as refusal:
        _say(stream, NotRead(Refused.of(refusal, 0)))
        return None
    starts = range(0, len(bundle.asked) or 1, PIECE_ITEMS)
    for start in starts:
        some = bundle.asked[start : start + PIECE_ITEMS]
        _say(stream, Entries(bundle.kind, some, last=start == starts[-1]))
    return bundle


def _answer(stream: BufferedRWPair, items: Iterable[Item]) -> None:
    for some in _pieces(items):
        _say(stream, Items(some, last=False))
    _say(stream, Items([], last=True))


def _pieces(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Some at a time, by what they weigh; none are kept once they are sent."""
    some: list[Item] = []
    weight = 0
    for item in items:
        some.append(item)
        if isinstance(item, Ready):
            entry = item.prepared.entry
            weight += sum(map(len, (*item.prepared.parts, *entry.tokens, *entry.words)))
        elif isinstance(item, Raw):
            weight += len(item.text)
        if weight >= PIECE_BYTES or len(some) >= PIECE_ITEMS:
            yield some
            some, weight = [], 0
    if some:
        yield some


def _next(stream: BufferedRWPair) -> Question | None:
    """What is asked next; None when the worker has closed the socket."""
    head = stream.read(HEAD_BYTES)
    return question(stream.read(length_of(head))) if len(head) == HEAD_BYTES else None


def _say(stream: BufferedRWPair, message: Answer) -> None:
    stream.write(frame(message))
    stream.flush()


def _tie_to(parent: int) -> None:
    """Do not outlive the worker. Elsewhere than on Linux the socket, which it closes, has to do."""
    os.nice(NICENESS)
    if sys.platform == "linux":
        die_with_parent(parent)


def _bound(memory_bytes_max: int) -> None:
    """Data beyond this is refused by the kernel, and so becomes a MemoryError. man 2 setrlimit"""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes_max, memory_bytes_max))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
