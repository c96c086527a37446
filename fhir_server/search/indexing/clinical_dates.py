"""
The one date that clinicians sort a type by, as the search parameter that stands for it.

When it happened comes before when it was written down: a lab result is sorted by its sample's
time, an encounter by its start. A type that is not here has no such date.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhir_server.search.values.date import FUTURE, PAST

CLINICAL_DATES: Final[Mapping[str, str]] = {
    # What was found.
    "AdverseEvent": "date",
    "AllergyIntolerance": "date",
    "ClinicalImpression": "date",
    "Condition": "onset-date",
    "DetectedIssue": "identified",
    "DiagnosticReport": "date",
    "FamilyMemberHistory": "date",
    "ImagingStudy": "started",
    "Media": "created",
    "Observation": "date",
    "RiskAssessment": "date",
    "Specimen": "collected",
    # What was done, or is to be.
    "CarePlan": "date",
    "CareTeam": "date",
    "Communication": "sent",
    "CommunicationRequest": "authored",
    "DeviceRequest": "authored-on",
    "Encounter": "date",
    "EpisodeOfCare": "date",
    "Flag": "date",
    "Goal": "start-date",
    "Immunization": "date",
    "ImmunizationEvaluation": "date",
    "ImmunizationRecommendation": "date",
    "MedicationAdministration": "effective-time",
    "MedicationDispense": "whenhandedover",
    "MedicationRequest": "authoredon",
    "MedicationStatement": "effective",
    "NutritionOrder": "datetime",
    "Procedure": "date",
    "RequestGroup": "authored",
    "ServiceRequest": "authored",
    "SupplyRequest": "date",
    "Task": "authored-on",
    "VisionPrescription": "datewritten",
    # What was written.
    "Basic": "created",
    "Bundle": "timestamp",
    "Composition": "date",
    "Consent": "date",
    "DocumentManifest": "created",
    "DocumentReference": "date",
    "List": "date",
    "MeasureReport": "date",
    "Provenance": "recorded",
    "QuestionnaireResponse": "authored",
    "TestReport": "issued",
    # When somebody comes.
    "Appointment": "date",
    "Schedule": "date",
    "Slot": "start",
    # What is paid.
    "Account": "period",
    "ChargeItem": "occurrence",
    "Claim": "created",
    "ClaimResponse": "created",
    "Contract": "issued",
    "CoverageEligibilityRequest": "created",
    "CoverageEligibilityResponse": "created",
    "ExplanationOfBenefit": "created",
    "Invoice": "date",
    "PaymentNotice": "created",
    "PaymentReconciliation": "created",
    # Who.
    "Patient": "birthdate",
    "Person": "birthdate",
    "RelatedPerson": "birthdate",
    # Research.
    "ResearchStudy": "date",
    "ResearchSubject": "date",
    # The server's own records.
    "AuditEvent": "date",
}


def earliest(low: int, high: int) -> int | None:
    """The moment a range is sorted by: its beginning, its end where it has no beginning."""
    if low > PAST:
        return low
    return high if high < FUTURE else None
