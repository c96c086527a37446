"""
How this server says no.

* FhirError
  x Invalid           400 invalid         the request cannot be understood
  x Unauthenticated   401 login           we do not know who is asking
  x Forbidden         403 forbidden       we know, and the answer is no
  x NotFound          404 not-found       unknown, or hidden: the two look the same
  x MethodNotAllowed  405 not-supported   this address does not do that
  x NotAcceptable     406 not-supported   no format in common
  x TooSlow           408 timeout         the body did not arrive in time
  x Gone              410 deleted
  x VersionConflict   412 conflict        If-Match named a version that is not current
  x Ambiguous         412 multiple-matches  criteria fit several resources where one is meant
  x TooLarge          413 too-long        a limit on size
  x WrongMediaType    415 not-supported   the body is in a format we do not read
    x WrongContentCoding                  ... or packed in a way that we do not unpack
  x Unprocessable     422 processing      well formed, but breaks a FHIR or profile rule
  x TooCostly         403 too-costly      a limit on work
  x TooMany           429 throttled       slow down; `retry_after_seconds` says how long
  x Unsupported       501 not-supported
  x Unavailable       503 transient       the database is away, or who knows a token's key; nothing was
                                          done, or it is not known

Raise the most specific one. `diagnostics` is shown to the client, so it names elements and
identifiers, never patient data. Anything private belongs in the cause:
`raise Invalid(...) from error`.

https://hl7.org/fhir/R4/http.html#status-codes, https://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue; `expression` is FHIRPath, such as `Patient.name[0].given`."""

    severity: str
    code: str
    diagnostics: str
    expression: tuple[str, ...] = ()


class FhirError(Exception):
    """A refusal: raised where it is known, rendered in one place."""

    status: ClassVar[int]
    code: ClassVar[str]

    def __init__(self, diagnostics: str, *expression: str, issues: Sequence[Issue] = ()) -> None:
        super().__init__(diagnostics)
        self.recorded = False
        self.issues: tuple[Issue, ...] = tuple(issues) or (
            Issue("error", self.code, diagnostics, expression),
        )


class Invalid(FhirError):
    """The request cannot be understood."""

    status, code = 400, "invalid"


class Unauthenticated(FhirError):
    """No token, or one that does not hold."""

    status, code = 401, "login"


class Forbidden(FhirError):
    """The caller is known and has no right to this."""

    status, code = 403, "forbidden"


class TooCostly(FhirError):
    """The answer would take more work than a limit allows."""

    status, code = 403, "too-costly"


class NotFound(FhirError):
    """Unknown, or not for this caller; nothing in the answer tells which."""

    status, code = 404, "not-found"


class MethodNotAllowed(FhirError):
    """The address is known, the method is not for it; `allowed` are those that it has, where known."""

    status, code = 405, "not-supported"

    def __init__(
        self, diagnostics: str, *expression: str, issues: Sequence[Issue] = (), allowed: Sequence[str] = ()
    ) -> None:
        super().__init__(diagnostics, *expression, issues=issues)
        self.allowed = tuple(allowed)


class NotAcceptable(FhirError):
    """The client accepts no format that we write."""

    status, code = 406, "not-supported"


class TooSlow(FhirError):
    """The body of the request did not arrive in time."""

    status, code = 408, "timeout"


class Gone(FhirError):
    """The resource was deleted."""

    status, code = 410, "deleted"


class VersionConflict(FhirError):
    """If-Match named a version that is not the current one."""

    status, code = 412, "conflict"


class Ambiguous(FhirError):
    """The criteria of a conditional interaction fit several resources, or a reference none or several."""

    status, code = 412, "multiple-matches"


class TooLarge(FhirError):
    """A limit on size, named with its unit."""

    status, code = 413, "too-long"


class WrongMediaType(FhirError):
    """The body is in a format that we do not read."""

    status, code = 415, "not-supported"


class WrongContentCoding(WrongMediaType):
    """The body is packed in a way that we do not unpack."""


class Unprocessable(FhirError):
    """Well-formed, but it breaks a rule; `issues` has each one with its expression."""

    status, code = 422, "processing"


class TooMany(FhirError):
    """More than is taken at a time, of one caller or of all; `retry_after_seconds` says when to return."""

    status, code = 429, "throttled"

    def __init__(
        self, diagnostics: str, *expression: str, issues: Sequence[Issue] = (), retry_after_seconds: int = 1
    ) -> None:
        super().__init__(diagnostics, *expression, issues=issues)
        self.retry_after_seconds = retry_after_seconds


class Unsupported(FhirError):
    """Known to FHIR, not to this server."""

    status, code = 501, "not-supported"


class Unavailable(FhirError):
    """What is needed is away. Nothing was done, or it is not known; the same request may be sent again."""

    status, code = 503, "transient"
    retry_after_seconds: int = 1
