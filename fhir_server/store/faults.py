"""
What the driver raises, in our own words: PyMongo's exceptions do not leave this folder.

A call that was cut off has either done nothing or its outcome is not known; both are
Unavailable (503) and may be sent again. A question that ran out of time on the server is
TooCostly where the question is the caller's own (searches, histories).

https://www.mongodb.com/docs/manual/reference/error-codes/
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from fhir_server.r4.errors import FhirError, TooCostly, TooLarge, Unavailable

DriverError = PyMongoError | BSONError
DRIVER_ERRORS: Final = (PyMongoError, BSONError)


@contextmanager
def translated() -> Iterator[None]:
    """Raises a FhirError for what the driver raises."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise refusal(error) from error


@contextmanager
def costly() -> Iterator[None]:
    """The same around the caller's own question: when its time is over, it was too much."""
    try:
        yield
    except DRIVER_ERRORS as error:
        if isinstance(error, OperationFailure) and error.code in _OUT_OF_BOUNDS:
            raise TooCostly("The search took longer than this server allows; narrow it") from error
        raise refusal(error) from error


def refusal(error: DriverError) -> FhirError:
    """`error` as what the client is told; it is the cause, for the log."""
    told: FhirError
    if isinstance(error, DocumentTooLarge) or any(_has_code(error, code) for code in _TOO_LARGE):
        told = TooLarge("The resource and its index are larger than a document of the database can be")
    elif _has_code(error, _TRANSACTION_TOO_LARGE):
        told = TooLarge("The transaction is larger than the database's cache can hold; split it")
    else:
        told = Unavailable("The database did not answer in time, or is away; send the request again")
    told.__cause__ = error
    return told


def is_duplicate(error: PyMongoError) -> bool:
    """Was a document refused because its `_id` is taken?"""
    return isinstance(error, DuplicateKeyError) or _has_code(error, _DUPLICATE_KEY)


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


def _has_code(error: DriverError, code: int) -> bool:
    """Is it, or is an error of a bulk of writes, of this code?"""
    if not isinstance(error, OperationFailure):
        return False
    faults = (error.details or {}).get("writeErrors", ()) if isinstance(error, BulkWriteError) else ()
    return error.code == code or any(fault.get("code") == code for fault in faults)


_DUPLICATE_KEY: Final = 11000
_TRANSACTION_TOO_LARGE: Final = 388
# MaxTimeMSExpired, ExceededTimeLimit, and a sort or group beyond its memory.
_OUT_OF_BOUNDS: Final = frozenset({50, 262, 292})
# BSONObjectTooLarge, and what an update says of one.
_TOO_LARGE: Final = (10334, 17280, 17419)
