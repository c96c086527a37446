"""What the driver raises reaches nobody as it is."""

from __future__ import annotations

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from fhir_server.r4.errors import FhirError, TooCostly, TooLarge, Unavailable
from fhir_server.store.faults import costly, inserted_before, is_duplicate, is_passing, refusal, translated


def bulk(*codes: int, inserted: int = 0) -> BulkWriteError:
    return BulkWriteError({"writeErrors": [{"code": code} for code in codes], "nInserted": inserted})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AutoReconnect("secret"), Unavailable),
        (ServerSelectionTimeoutError("secret"), Unavailable),
        (ExecutionTimeout("secret", 50), Unavailable),
        (OperationFailure("secret", 10107), Unavailable),
        (DocumentTooLarge("secret"), TooLarge),
        (OperationFailure("secret", 10334), TooLarge),
        (OperationFailure("secret", 388), TooLarge),
        (bulk(388), TooLarge),
        (bulk(10334), TooLarge),
    ],
)
def test_each_error_becomes_a_refusal_that_repeats_nothing_of_it(
    error: PyMongoError, told: type[FhirError]
) -> None:
    made = refusal(error)
    assert type(made) is told
    assert "secret" not in str(made)
    assert made.__cause__ is error
    with pytest.raises(told), translated():
        raise error


def test_time_that_is_over_is_the_callers_fault_only_where_the_question_is_theirs() -> None:
    with pytest.raises(TooCostly), costly():
        raise ExecutionTimeout("slow", 50)
    with pytest.raises(Unavailable), costly():
        raise AutoReconnect("away")


def test_a_taken_id_is_told_from_other_errors_and_is_worth_another_try() -> None:
    assert is_duplicate(DuplicateKeyError("taken", 11000))
    assert is_duplicate(bulk(11000, inserted=3))
    assert inserted_before(bulk(11000, inserted=3)) == 3
    assert not is_duplicate(bulk(388))
    assert not is_duplicate(AutoReconnect("away"))
    assert is_passing(bulk(11000))
    assert not is_passing(OperationFailure("secret", 388))
    conflict = OperationFailure("conflict", 112, {"errorLabels": ["TransientTransactionError"]})
    assert is_passing(conflict)
