"""
What the driver raises, in our own words: PyMongo's exceptions do not leave this folder.

A call that was cut off has either done nothing or its outcome is not known; both are
Unavailable (503) and may be sent again. A question that ran out of time on the server is
TooCostly where the question is the caller's own (searches, histories).

https://www.mongodb.com/docs/manual/reference/error-codes/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from fhir_server.r4.errors import FhirError, TooCostly, TooLarge, Unavailable


@contextmanager
def translated() -> Iterator[None]:
    """Raises a FhirError for what the driver raises."""
    try:
        yield
    except PyMongoError as error:
        raise refusal(error) from error


@contextmanager
def costly() -> Iterator[None]:
    """The same around the caller's own question: when its time is over, it was too much."""
    try:
        yield
    except PyMongoError as error:
        if isinstance(error, OperationFailure) and error.code in _OUT_OF_BOUNDS:
            raise TooCostly("The search took longer than this server allows; narrow it") from error
        raise refusal(error) from error


def refusal(error: PyMongoError) -> FhirError:
    """`error` as what the client is told."""
    if isinstance(error, DocumentTooLarge) or getattr(error, "code", None) in _TOO_LARGE:
        return TooLarge("The resource and its index are larger than a document of the database can be")
    return Unavailable("The database did not answer in time, or is away; send the request again")


def is_duplicate(error: PyMongoError) -> bool:
    """Was a document refused because its `_id` is taken?"""
    return isinstance(error, DuplicateKeyError) or any(
        fault.get("code") == _DUPLICATE_KEY for fault in _write_errors(error)
    )


def inserted_before(error: PyMongoError) -> int:
    """How many documents of an ordered insert were written before the one that failed."""
    details = error.details if isinstance(error, BulkWriteError) else None
    return int(details.get("nInserted", 0)) if details else 0


def is_passing(error: PyMongoError) -> bool:
    """May the same transaction succeed when it is run again?"""
    return error.has_error_label("TransientTransactionError") or is_duplicate(error)


def is_commit_unknown(error: PyMongoError) -> bool:
    """Was the answer to a commit lost, so that only another commit can tell?"""
    return error.has_error_label("UnknownTransactionCommitResult")


def _write_errors(error: PyMongoError) -> list[Mapping[str, Any]]:
    details = error.details if isinstance(error, BulkWriteError) else None
    faults: list[Mapping[str, Any]] = details.get("writeErrors", []) if details else []
    return faults


_DUPLICATE_KEY: Final = 11000
# MaxTimeMSExpired, ExceededTimeLimit, and a sort or group beyond its memory.
_OUT_OF_BOUNDS: Final = frozenset({50, 262, 292})
# BSONObjectTooLarge, and what an update says of one.
_TOO_LARGE: Final = frozenset({10334, 17280, 17419})
