"""
What a walk through a resource carries with it: where it is, what it found, what is contained.

A path is a chain of links, made only when an element is entered and written out only when
there is something to say about it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.r4.errors import Issue
from fhir_server.r4.fhirpath import Node

ISSUES_MAX: Final = 200

Path = tuple["Path | None", str, int | None]
"""The element around it, its name, and its place if it repeats."""


def expression(path: Path) -> str:
    """The path as FHIRPath: `Patient.contact[0].telecom[1].system`."""
    around, name, index = path
    own = name if index is None else f"{name}[{index}]"
    return own if around is None else f"{expression(around)}.{own}"


@dataclass(slots=True)
class Findings:
    """
    The issues of one walk, in the order in which they were met.

    At most ISSUES_MAX of each severity are kept, then one that says that there are more.
    """

    asks_for_best_practice: bool = False
    issues: list[Issue] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)

    def report(self, severity: str, code: str, path: Path, text: str) -> None:
        """One broken rule; `text` follows the path: "`Patient.gender` must be ..."."""
        self._counts[severity] += 1
        if self._counts[severity] <= ISSUES_MAX:
            where = expression(path)
            self.issues.append(Issue(severity, code, f"`{where}` {text}", (where,)))
        elif self._counts[severity] == ISSUES_MAX + 1:
            text = f"More than {ISSUES_MAX} rules are broken: the others are not listed"
            self.issues.append(Issue(severity, "processing", text))


@dataclass(slots=True)
class Scope:
    """
    One resource that can contain others, and what was seen of it so far.

    `root` is that resource, `resource` the one that the walk is in: itself or a contained one.
    `contained` has the type of each contained resource by its id. `local` are the ids that
    something refers to as `#id`; `to_container` is set when something refers to `#`. `anchors`
    are the contained resources that were met: path, id, and whether it refers to the container.
    """

    findings: Findings
    root: Node
    resource: Node
    type: str = ""
    contained: Mapping[str, str] = field(default_factory=dict)
    local: set[str] = field(default_factory=set)
    to_container: bool = False
    anchors: list[tuple[Path, str | None, bool]] = field(default_factory=list)

    def report(self, code: str, path: Path, text: str) -> None:
        """One broken rule, an error; `text` follows the path: "`Patient.gender` must be ..."."""
        self.findings.report("error", code, path, text)


Hook = Callable[[Mapping[str, Any], Path, Scope], None]
"""A rule about a whole element, asked after its parts were judged."""

LinkHook = Callable[[str, Path, Scope], None]
"""A rule about a canonical, uri or url that starts with `#`."""

_SHOWABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def is_showable(name: str) -> bool:
    """Could this be the name of an element or a type? Anything else may be somebody's data."""
    return _SHOWABLE.fullmatch(name) is not None


def report_unknown(path: Path, name: str, text: str, scope: Scope) -> None:
    """A property that is no element; a name that could not be one is not repeated."""
    if is_showable(name):
        scope.report("structure", (path, name, None), text)
    else:
        scope.report("structure", path, "has a property whose name no element has")
