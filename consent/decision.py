"""
May this requester have the data of this patient, for this purpose, now?

Deny overrides permit. In order: the patient's own access is never locked out; a rule that denies
the requester decides; then one that permits; then a permit for somebody or something else, which
leaves nothing to the rest; and without any of them the base policy.

A requester whom a rule may mean, but who cannot be told from the actors it names, is denied by a
deny and not permitted by a permit.

https://hl7.org/fhir/R4/consent.html, https://profiles.ihe.net/ITI/PCF/
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from consent import purposes
from consent.period import microseconds
from consent.rule import Rule


@dataclass(frozen=True, slots=True)
class Requester:
    """
    The facts of a caller that a Consent can speak of.

    `user` is a reference, None for a system; `patient` the id of the patient that the user is;
    `purpose` a code of PurposeOfUse.
    """

    user: str | None
    client: str
    patient: str | None
    purpose: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A judgement: whether, why, and the Consents it rests on; none means the base policy."""

    permitted: bool
    reason: str
    basis: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BasePolicy:
    """What holds for a patient without a Consent; `purposes` None permits any purpose."""

    name: str
    purposes: frozenset[str] | None

    def permits(self, purpose: str) -> bool:
        return self.purposes is None or purpose in self.purposes


BASE_POLICIES: Final = {
    policy.name: policy
    for policy in (
        BasePolicy(
            "basic",
            purposes.subsumed(purposes.TREATMENT)
            | purposes.subsumed(purposes.PAYMENT)
            | purposes.subsumed(purposes.OPERATIONS),
        ),
        BasePolicy("all", None),
        BasePolicy("break-glass-only", frozenset({purposes.BREAK_GLASS})),
        BasePolicy("deny", frozenset()),
    )
}
"""
The implicit policies of IHE PCF, by their names in settings.

PCF's `basic-normal` and `all-normal` are `basic` and `all`; here they do not look at labels yet.
"""


def decide(
    patient: str, rules: Iterable[Rule], requester: Requester, now: datetime, base: BasePolicy
) -> Decision:
    """The decision about the data of `patient`, whose Consents gave `rules`."""
    if is_own(patient, requester):
        return OWN
    permits: list[Rule] = []
    remainders: list[Rule] = []
    denials: list[Rule] = []
    moment = microseconds(now)
    for rule in rules:
        if rule.in_force(moment) and _speaks_of(rule, requester.purpose):
            covered = covers(rule, requester)
            if rule.permits:
                (permits if covered == "yes" else remainders).append(rule)
            elif covered != "no":
                denials.append(rule)
    if denials:
        return Decision(permitted=False, reason=_reason_of_denial(denials), basis=_basis(denials))
    if permits:
        return Decision(permitted=True, reason="a consent permits this", basis=_basis(permits))
    if remainders:
        return Decision(permitted=False, reason=_reason_of_remainder(remainders), basis=_basis(remainders))
    return of_base(base, requester.purpose)


def is_own(patient: str, requester: Requester) -> bool:
    """Whether it is the patient who asks."""
    return patient == requester.patient and requester.user == f"Patient/{patient}"


def of_base(base: BasePolicy, purpose: str) -> Decision:
    """What the base policy decides for this purpose."""
    return BASE_PERMITS if base.permits(purpose) else BASE_DENIES


def covers(rule: Rule, requester: Requester) -> Literal["yes", "no", "unknown"]:
    """Whether `rule` means this requester and purpose; unknown when it cannot be told."""
    if rule.flaw is not None:
        return "unknown"
    if rule.purposes and requester.purpose and requester.purpose not in rule.purposes:
        return "no"
    actor = _meant(rule, requester)
    if actor == "yes" and rule.purposes and not requester.purpose:
        return "unknown"
    return actor


def _meant(rule: Rule, requester: Requester) -> Literal["yes", "no", "unknown"]:
    user = requester.user
    if not rule.names_actors or user in rule.actors or requester.client in rule.clients:
        return "yes"
    if rule.unresolved:
        return "unknown"
    # A role or an account elsewhere may be that of a person whom the rule names.
    if user is not None and user.partition("/")[0] not in _TOLD_APART:
        return "unknown"
    return "no"


def _speaks_of(rule: Rule, purpose: str) -> bool:
    return not rule.about or not purpose or purpose in rule.about


def _reason_of_denial(denials: list[Rule]) -> str:
    flaw = _first_flaw(denials)
    return "a consent denies this" if flaw is None else f"a consent cannot be applied: {flaw}"


def _reason_of_remainder(remainders: list[Rule]) -> str:
    flaw = _first_flaw(remainders)
    if flaw is not None:
        return f"a consent cannot be applied: {flaw}"
    return "a consent permits others or other purposes only"


def _first_flaw(rules: list[Rule]) -> str | None:
    """One of them, whatever order the consents came in."""
    return min((rule.flaw for rule in rules if rule.flaw), default=None)


def _basis(rules: list[Rule]) -> tuple[str, ...]:
    return tuple(sorted(rule.consent for rule in rules))


OWN: Final = Decision(permitted=True, reason="the patient's own access")
NO_PATIENT: Final = Decision(permitted=True, reason="no patient is concerned")
BASE_PERMITS: Final = Decision(permitted=True, reason="the base policy permits this purpose")
BASE_DENIES: Final = Decision(permitted=False, reason="the base policy denies this purpose")

_TOLD_APART: Final = frozenset({"Practitioner", "Patient", "RelatedPerson"})
"""Users of these types are one person each: another reference of such a type is somebody else."""
