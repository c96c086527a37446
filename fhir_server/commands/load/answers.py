"""
What a server answered, as far as loading needs to know it: did it work, and if not, what was wrong.

An answer may come from any server, or from something in front of it that knows no FHIR, so nothing
here relies on its shape. Of what it says only OperationOutcomes are shown, never a body.

https://hl7.org/fhir/R4/operationoutcome.html, https://hl7.org/fhir/R4/http.html#transaction-response
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

import httpx
import msgspec

from fhir_server.commands.load.shipments import Entry, Group

ISSUES_SHOWN_MAX: Final = 10
DIAGNOSTICS_CHARACTERS_MAX: Final = 500
ENTRY: Final = re.compile(r"Bundle\.entry\[(\d+)\](?:\.resource\b)?")


@dataclass(frozen=True, slots=True)
class Failure:
    """One issue that the server, or this side, had with what stands at `place`."""

    place: str
    code: str
    diagnostics: str
    expression: str = ""


class Details(msgspec.Struct, frozen=True):
    text: str = ""


class Issue(msgspec.Struct, frozen=True):
    severity: str = "error"
    code: str = ""
    diagnostics: str = ""
    details: Details = Details()
    expression: tuple[str, ...] = ()

    @property
    def refuses(self) -> bool:
        return self.severity in ("error", "fatal")

    def failure(self, place: str) -> Failure:
        return Failure(
            place,
            _shown(self.code),
            _shown(self.diagnostics or self.details.text),
            _shown(", ".join(self.expression)),
        )


class Outcome(msgspec.Struct, frozen=True):
    issue: tuple[Issue, ...] = ()


class EntryResponse(msgspec.Struct, frozen=True):
    status: str = ""
    outcome: Outcome = Outcome()


class ResponseEntry(msgspec.Struct, frozen=True):
    response: EntryResponse = EntryResponse()


class Answer(msgspec.Struct, frozen=True):
    """A resource that a server answers with: CapabilityStatement, OperationOutcome or Bundle."""

    type: str = ""
    entry: tuple[ResponseEntry, ...] = ()
    issue: tuple[Issue, ...] = ()
    resource_type: str = msgspec.field(default="", name="resourceType")


def answer_in(response: httpx.Response) -> Answer:
    """What the body says; an empty answer when that is not a resource of those kinds."""
    try:
        return _ANSWER.decode(response.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Answer()


def failures_in(response: httpx.Response, place: str) -> list[Failure]:
    """Why it was refused; at least one reason."""
    return _failures(answer_in(response).issue, str(response.status_code), place)


def failures_by_entry(response: httpx.Response, group: Group) -> dict[int, list[Failure]]:
    """The reasons that name an entry of the transaction in which `group` was sent, by its index."""
    found: dict[int, list[Failure]] = {}
    for issue in answer_in(response).issue:
        for index in {int(index) for text in issue.expression for index in ENTRY.findall(text)}:
            if issue.refuses and index < group.resources:
                found.setdefault(index, []).append(_in_its_own_words(issue, group.entries[index]))
    return found


def failures_of_batch(answer: Answer, place: str) -> dict[int, list[Failure]]:
    """The entries of a batch-response or transaction-response that did not work, by their index."""
    return {
        index: _failures(
            entry.response.outcome.issue, entry.response.status, f"{place} entry[{index}]".lstrip()
        )
        for index, entry in enumerate(answer.entry)
        if not entry.response.status.startswith("2")
    }


def _failures(issues: tuple[Issue, ...], status: str, place: str) -> list[Failure]:
    failures = [issue.failure(place) for issue in issues if issue.refuses]
    hidden = len(failures) - ISSUES_SHOWN_MAX
    if hidden > 0:
        failures[ISSUES_SHOWN_MAX:] = [Failure(place, "incomplete", f"{hidden} more issues are not shown")]
    return failures or [Failure(place, status[:3], "Refused without an OperationOutcome")]


def _in_its_own_words(issue: Issue, entry: Entry) -> Failure:
    """`Patient.name`, not `Bundle.entry[3]...`: the reader knows the file, not the Bundle made of it."""
    failure = issue.failure(entry.place)
    type = entry.url.partition("/")[0]
    return replace(failure, expression=ENTRY.sub(type, failure.expression))


def _shown(text: str) -> str:
    """One printable line: what a server says may hold anything, even commands to the terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= DIAGNOSTICS_CHARACTERS_MAX else line[:DIAGNOSTICS_CHARACTERS_MAX] + " ..."


_ANSWER: Final = msgspec.json.Decoder(Answer)
