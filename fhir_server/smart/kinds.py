"""
What FHIR's resource types and categories are called by people who are no engineers: plural, lower case.

Types that patients and clinicians meet have their names here; those of the others are made of the
type's own.

https://hl7.org/fhir/R4/resourcelist.html,
https://hl7.org/fhir/us/core/STU7/scopes.html#us-core-granular-scopes
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Category:
    """A value of the search parameter `category`, and what people call the resources that have it."""

    system: str
    code: str
    words: str

    @property
    def token(self) -> str:
        return f"{self.system}|{self.code}"


def plural(resource_type: str) -> str:
    """`AllergyIntolerance` is `allergies and intolerances`, `ImagingStudy` is `imaging studies`."""
    if resource_type in _NAMES:
        return _NAMES[resource_type]
    words = re.findall(r"[A-Z][a-z]*", resource_type)
    return " ".join((*words[:-1], _plural_of_word(words[-1]))).lower()


def category_words(resource_type: str, token: str) -> str | None:
    """What resources of this category are called; None for a category that people have no name for here."""
    for category in CATEGORIES.get(resource_type, ()):
        if token in (category.token, category.code):
            return category.words
    return None


def _plural_of_word(word: str) -> str:
    if word.endswith("sis"):
        return word.removesuffix("is") + "es"
    if word.endswith("y"):
        return word.removesuffix("y") + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


_OBSERVATION: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_CONDITION: Final = "http://terminology.hl7.org/CodeSystem/condition-category"
_US_CORE: Final = "http://hl7.org/fhir/us/core/CodeSystem"

CATEGORIES: Final[Mapping[str, tuple[Category, ...]]] = {
    "Condition": (
        Category(_CONDITION, "problem-list-item", "problems on the problem list"),
        Category(_CONDITION, "encounter-diagnosis", "diagnoses made at visits"),
        Category(f"{_US_CORE}/condition-category", "health-concern", "health concerns"),
    ),
    "DocumentReference": (
        Category(f"{_US_CORE}/us-core-documentreference-category", "clinical-note", "clinical notes"),
    ),
    "Observation": (
        Category(_OBSERVATION, "laboratory", "laboratory results"),
        Category(_OBSERVATION, "vital-signs", "vital signs, such as blood pressure and weight"),
        Category(_OBSERVATION, "social-history", "habits and history, such as smoking"),
        Category(_OBSERVATION, "survey", "answers to assessments and surveys"),
        Category(f"{_US_CORE}/us-core-category", "sdoh", "living conditions, such as housing and food"),
    ),
}
"""The categories by which US Core lets a person grant a part of what a type holds."""

USUAL_TYPES: Final = (
    "Patient",
    "AllergyIntolerance",
    "Condition",
    "Observation",
    "DiagnosticReport",
    "MedicationRequest",
    "MedicationStatement",
    "MedicationDispense",
    "Immunization",
    "Procedure",
    "Encounter",
    "Appointment",
    "CarePlan",
    "CareTeam",
    "Goal",
    "DocumentReference",
    "ImagingStudy",
    "ServiceRequest",
    "QuestionnaireResponse",
    "FamilyMemberHistory",
    "Device",
    "Coverage",
    "ExplanationOfBenefit",
    "Provenance",
)
"""What a patient's record usually holds, in the order in which people look for it."""

_NAMES: Final[Mapping[str, str]] = {
    "*": "everything in the record",
    "Account": "accounts for billing",
    "AdverseEvent": "harmful events",
    "AllergyIntolerance": "allergies and intolerances",
    "AuditEvent": "records of who accessed what",
    "Basic": "other entries",
    "Binary": "files",
    "CareTeam": "care teams",
    "ChargeItem": "charges",
    "ClinicalImpression": "clinical assessments",
    "Communication": "messages",
    "CommunicationRequest": "requests for messages",
    "Composition": "clinical documents",
    "Condition": "diagnoses and health problems",
    "Coverage": "insurance coverage",
    "DetectedIssue": "safety warnings, such as of drug interactions",
    "Device": "devices and implants",
    "DeviceRequest": "orders of devices",
    "DeviceUseStatement": "uses of devices",
    "DiagnosticReport": "reports of laboratory tests and examinations",
    "DocumentReference": "documents and clinical notes",
    "Encounter": "visits and hospital stays",
    "EpisodeOfCare": "episodes of care",
    "Evidence": "evidence",
    "ExplanationOfBenefit": "what insurance paid",
    "FamilyMemberHistory": "illnesses in the family",
    "Flag": "warnings about the patient",
    "Goal": "health goals",
    "ImagingStudy": "imaging studies, such as X-rays",
    "Immunization": "vaccinations",
    "ImmunizationEvaluation": "evaluations of vaccinations",
    "ImmunizationRecommendation": "recommended vaccinations",
    "Media": "photos, videos and recordings",
    "Medication": "medicines",
    "MedicationAdministration": "medicines that were given",
    "MedicationDispense": "medicines that were handed out",
    "MedicationKnowledge": "knowledge about medicines",
    "MedicationRequest": "prescriptions",
    "MedicationStatement": "medicines that are taken",
    "MedicinalProductManufactured": "medicinal products as manufactured",
    "MedicinalProductPackaged": "medicinal products as packaged",
    "MedicinalProductPharmaceutical": "medicinal products as given",
    "MessageHeader": "headers of messages",
    "NutritionOrder": "orders of diets",
    "Observation": "laboratory results, vital signs and other observations",
    "Organization": "hospitals, practices and other organizations",
    "Parameters": "parameters",
    "Patient": "patient details, such as name, birth date and address",
    "Person": "people and how to reach them",
    "Practitioner": "doctors, nurses and other staff",
    "PractitionerRole": "where staff works, and as what",
    "Procedure": "operations and other procedures",
    "Provenance": "where entries come from",
    "Questionnaire": "questionnaires",
    "QuestionnaireResponse": "answers to questionnaires",
    "RelatedPerson": "relatives and other contacts",
    "RiskAssessment": "assessments of risks",
    "ServiceRequest": "orders and referrals",
    "Slot": "free times for appointments",
    "Specimen": "samples, such as of blood",
    "SubstanceReferenceInformation": "reference information on substances",
    "TerminologyCapabilities": "terminology capabilities",
    "VisionPrescription": "prescriptions of glasses and lenses",
}
