"""
The Consents of all patients, compiled and in memory, exact as of an epoch.

Whoever reads the epoch from the database applies what changed since the table's own; then every
answer is that of the Consents on file. A patient without a Consent costs one look-up.

`decide` judges what is about to be touched; `restriction` is the same judgement as a predicate,
for a query. A property test holds that the two agree.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

from consent.decision import NO_PATIENT, OWN, BasePolicy, Decision, Requester, decide, is_own, of_base
from consent.period import microseconds
from consent.rule import Rule, rule_of
from fhir_server.r4.errors import TooCostly
from fhir_server.r4.resource import Resource
from fhir_server.search.predicates.predicate import Everything, OfPatients, OnlyOfPatients, Predicate, none_of

RESTRICTION_PATIENTS_MAX: Final = 10_000
"""Patients that one restriction may name; more would make each query too heavy."""

RESTRICTIONS_KEPT_MAX: Final = 1_024
"""Restrictions that are remembered, one for each requester and time between two changes."""


class ConsentTable:
    """Mutable on purpose: a cache that `apply` moves from one epoch to the next."""

    def __init__(self, base: BasePolicy, *, zone: tzinfo = UTC) -> None:
        """`base` holds for patients without a Consent; `zone` is that of dates without one."""
        self._base = base
        self._zone = zone
        self._epoch = 0
        self._by_patient: dict[str, dict[str, Rule]] = {}
        self._by_consent: dict[str, Rule] = {}
        self._instants: list[int] | None = None
        self._restrictions: dict[tuple[Requester, int], Predicate] = {}
        self._predicates: dict[Predicate, Predicate] = {}

    @property
    def epoch(self) -> int:
        """The epoch of the database up to which all changes are in the table."""
        return self._epoch

    def apply(self, changes: Iterable[tuple[str, Resource | None]], epoch: int) -> None:
        """
        Take over what changed up to `epoch`: the id of each Consent, and its JSON or None.

        A Consent that is named twice is taken as it comes last. The epoch never goes back.
        """
        compiled = [
            (id, None if consent is None else rule_of({**consent, "id": id}, zone=self._zone))
            for id, consent in changes
        ]
        for id, rule in compiled:
            self._replace(id, rule)
        self._epoch = max(self._epoch, epoch)
        if compiled:
            self._instants = None
            self._restrictions.clear()
            self._predicates.clear()

    def decide(self, patients: Sequence[str], requester: Requester, now: datetime) -> Decision:
        """Whether each of `patients` lets the requester through; without patients, yes."""
        if not patients:
            return NO_PATIENT
        if len(patients) == 1:
            return self._decide(patients[0], requester, now)
        decisions = [self._decide(patient, requester, now) for patient in patients]
        refusal = next((decision for decision in decisions if not decision.permitted), None)
        if refusal is not None:
            return refusal
        basis = dict.fromkeys(consent for decision in decisions for consent in decision.basis)
        return Decision(permitted=True, reason=decisions[0].reason, basis=tuple(basis))

    def restriction(self, requester: Requester, now: datetime) -> Predicate:
        """
        The versions that `decide` permits for their patients, as a predicate.

        Raises TooCostly when it would name more patients than RESTRICTION_PATIENTS_MAX.
        """
        moment = microseconds(now)
        # Between two instants at which a rule starts or has ended nothing changes by itself.
        key = (requester, bisect_right(self._changes(), moment))
        known = self._restrictions.get(key)
        if known is None:
            known = self._restrict(requester, now)
            if len(self._restrictions) >= RESTRICTIONS_KEPT_MAX:
                self._restrictions.clear()
                self._predicates.clear()
            # Most requesters are restricted alike: they share one set of patients.
            known = self._restrictions[key] = self._predicates.setdefault(known, known)
        return known

    def _replace(self, id: str, rule: Rule | None) -> None:
        old = self._by_consent.pop(id, None)
        if old is not None:
            rules = self._by_patient[old.patient]
            del rules[id]
            if not rules:
                del self._by_patient[old.patient]
        if rule is not None:
            self._by_consent[id] = rule
            self._by_patient.setdefault(rule.patient, {})[id] = rule

    def _decide(self, patient: str, requester: Requester, now: datetime) -> Decision:
        rules = self._by_patient.get(patient)
        if rules is not None:
            return decide(patient, rules.values(), requester, now, self._base)
        return OWN if is_own(patient, requester) else of_base(self._base, requester.purpose)

    def _changes(self) -> list[int]:
        """Each microsecond at which some rule comes into force or has ceased to be."""
        if self._instants is None:
            starts = {rule.start for rule in self._by_consent.values() if rule.start is not None}
            ends = {rule.end + 1 for rule in self._by_consent.values() if rule.end is not None}
            self._instants = sorted(starts | ends)
        return self._instants

    def _restrict(self, requester: Requester, now: datetime) -> Predicate:
        by_default = self._base.permits(requester.purpose)
        others = [
            patient
            for patient in self._by_patient
            if self._decide(patient, requester, now).permitted is not by_default
        ]
        own = requester.patient
        if not by_default and own is not None and own not in self._by_patient and is_own(own, requester):
            others.append(own)
        if len(others) > RESTRICTION_PATIENTS_MAX:
            raise TooCostly(
                f"Consents of more than {RESTRICTION_PATIENTS_MAX} patients bear on this search: "
                "name the patient"
            )
        if by_default:
            return none_of(OfPatients(frozenset(others))) if others else Everything()
        return OnlyOfPatients(frozenset(others))
