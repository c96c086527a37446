"""
R4's invariants, compiled: for each type and element, the rules that FHIRPath states.

A rule holds when its expression is true. Those that are cheap to judge in the walk are left to
it. R4 4.0.1 published some expressions that do not say what the rule says: `CORRECTED` has what
they mean and why. HL7's own validator corrects most of them likewise, a later FHIR the others.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from fhir_server.r4.definitions import ElementFacts, Invariant, TypeFacts, definitions
from fhir_server.r4.fhirpath import Environment, Evaluate, EvaluationError, Node, compiled, truth
from fhir_server.r4.fhirpath.nodes import child
from fhir_server.r4.validation.scope import Path, Scope

IN_THE_WALK: Final = frozenset(
    ("dom-2", "dom-3", "dom-4", "dom-5", "ele-1", "ext-1", "ref-1", "sqty-1", "txt-1", "txt-2")
)


class Correction(NamedTuple):
    """What an expression means, and why it does not say so."""

    expression: str
    reason: str


_NO_NAME: Final = "what is asked about need not be there; the expression is then neither true nor false"
_OPEN: Final = "of dates in different precision, 2024-03 and 2024-03-15, it may be open which is the greater"
_ENTERED_IN_ERROR: Final = (
    "clinicalStatus.exists() or verificationStatus.coding.where("
    "system='http://terminology.hl7.org/CodeSystem/condition-ver-status' and code = 'entered-in-error')"
    ".exists() or "
)

CORRECTED: Final[Mapping[str, Correction]] = {
    # adf-0, vsd-0 and so on: one for each definitional type.
    "name.matches('[A-Z]([A-Za-z0-9_]){0,254}')": Correction(
        "name.empty() or name.matches('[A-Z]([A-Za-z0-9_]){0,254}')", _NO_NAME
    ),
    # bdl-8
    "fullUrl.contains('/_history/').not()": Correction(
        "fullUrl.empty() or fullUrl.contains('/_history/').not()", _NO_NAME
    ),
    # md-1
    "max='*' or (max.toInteger() > 0)": Correction(
        "max.empty() or max='*' or (max.toInteger() > 0)", _NO_NAME
    ),
    # ras-2
    "probability is decimal implies (probability as decimal) <= 100": Correction(
        "probability.empty() or (probability is decimal implies (probability as decimal) <= 100)", _NO_NAME
    ),
    # per-1
    "start.hasValue().not() or end.hasValue().not() or (start <= end)": Correction(
        "iif(start > end, false, true)", _OPEN
    ),
    # inv-1 of Task
    "lastModified.exists().not() or authoredOn.exists().not() or lastModified >= authoredOn": Correction(
        "iif(lastModified < authoredOn, false, true)", _OPEN
    ),
    # mdd-1
    "whenHandedOver.empty() or whenPrepared.empty() or whenHandedOver >= whenPrepared": Correction(
        "iif(whenHandedOver < whenPrepared, false, true)", _OPEN
    ),
    # rng-2
    "low.empty() or high.empty() or (low <= high)": Correction(
        "iif(low > high, false, true)", "quantities in different units have no order"
    ),
    # con-3
    _ENTERED_IN_ERROR + "category.select($this='problem-list-item').empty()": Correction(
        _ENTERED_IN_ERROR + "category.coding.where("
        "system='http://terminology.hl7.org/CodeSystem/condition-category' and code='problem-list-item')"
        ".empty()",
        "it asks whether a CodeableConcept is a string, and `no` is an answer: any category breaks it",
    ),
    # que-12
    "enableWhen.count() > 2 implies enableBehavior.exists()": Correction(
        "enableWhen.count() > 1 implies enableBehavior.exists()", "the rule itself says: more than one"
    ),
    # tim-9
    "offset.empty() or (when.exists() and ((when in ('C' | 'CM' | 'CD' | 'CV')).not()))": Correction(
        "offset.empty() or (when.exists() and when.where($this in ('C' | 'CM' | 'CD' | 'CV')).empty())",
        "`when` repeats, and only one item can be asked whether it is in a list",
    ),
    # dom-6
    "text.`div`.exists()": Correction(
        "text.`div`.exists() or %resource != %rootResource",
        "what is contained has its narrative in the resource that contains it",
    ),
}
"""By R4's expression."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    An invariant where it is judged.

    `element` is the element that it is asked of, each one on its own; None for the object itself.
    """

    invariant: Invariant
    evaluate: Evaluate
    element: ElementFacts | None = None

    def holds(self, focus: Node, around: Environment) -> bool:
        """Is it true? What cannot be asked has a broken structure, which is reported as such."""
        try:
            return truth(self.evaluate([focus], around)) is True
        except EvaluationError:
            return True


def meaning(expression: str) -> str:
    """The expression that says what the invariant with this expression says."""
    corrected = CORRECTED.get(expression)
    return expression if corrected is None else corrected.expression


def rules_of_type(facts: TypeFacts) -> tuple[Rule, ...]:
    """What each object of the type must keep; the rules of its elements too, but of structures."""
    found = list(_rules(facts.invariants, facts.name))
    for element in facts.elements.values():
        if element.structure is None:
            found += [replace(rule, element=element) for rule in rules_of_element(element)]
    return tuple(found)


def rules_of_element(element: ElementFacts) -> tuple[Rule, ...]:
    """What is declared of the element: `Patient.contact`."""
    return tuple(_rules(element.invariants, element.path))


def _rules(keys: Iterable[str], path: str) -> Iterator[Rule]:
    for key in keys:
        if key not in IN_THE_WALK:
            # R4 uses `inv-1` for three rules.
            meanings = definitions().invariants[key]
            declared = next((one for one in meanings if path in one.paths), meanings[0])
            yield Rule(declared, compiled(meaning(declared.expression)))


def judge(rules: Iterable[Rule], focus: Node, path: Path, scope: Scope) -> None:
    """Report each rule that the object breaks."""
    around = Environment(scope.resource, scope.root, focus)
    for rule in rules:
        if rule.element is None:
            if not rule.holds(focus, around):
                _report(rule, path, scope)
        else:
            _judge_each(rule, rule.element, focus, path, scope)


def _judge_each(rule: Rule, element: ElementFacts, focus: Node, path: Path, scope: Scope) -> None:
    for place, item in enumerate(child(element.name)([focus])):
        if not rule.holds(item, Environment(scope.resource, scope.root, item)):
            _report(rule, (path, element.name, None if element.max == 1 else place), scope)


def _report(rule: Rule, path: Path, scope: Scope) -> None:
    invariant = rule.invariant
    text = f"must satisfy {invariant.expression} ({invariant.key})"
    scope.findings.report(invariant.severity, "invariant", path, text)
