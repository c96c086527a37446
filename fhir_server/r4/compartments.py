"""
Compartments: which resources are whose.

`compartment_parameters` is R4's own definition, word for word. `patient_parameters` is the
Patient compartment as this server confines callers to it, which differs on purpose:

* `Patient.link` leads to another patient, so it puts nothing into a compartment;
* who performed something (`performer`) or said it (`source`) is not whom it is about: these
  two parameters alone put nothing into a compartment;
* Device, Task, Contract and GuidanceResponse, which R4 leaves out, follow their patient;
* a Group is in the compartment of each member, as far as that member;
* Provenance also follows its target, Binary its securityContext: what those are is not in
  the resource itself, so both are resolved where it is written;
* Bundle and Parameters belong to everybody whom the resources in them belong to, so that each
  one's consents are asked; a confined caller sees none of them;
* definitional and directory types describe no patient: they are in no compartment, and open
  to whoever has a scope that names them.

A *search* in a compartment (`Patient/1/Observation`) asks for what R4's own definition puts there,
within what the caller may see; `compartments_with` and `types_in` say which there are.

docs/compartments.md has the rule of each type. `python -m fhir_server.r4.compartments` writes
it; a test holds that it is what the code does.

https://hl7.org/fhir/R4/compartmentdefinition.html, https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping
from typing import Final

from fhir_server.r4.definitions import SearchParameter, definitions

SPECIAL_TYPES: Final[Mapping[str, str]] = {
    "Binary": "as its `securityContext`: in the compartments of what that refers to",
    "Bundle": "as the resources in it, for consent alone: hidden from a confined caller",
    "Group": "by `member`, and only as far as that member: the others are not shown",
    "Parameters": "as the resources in it, for consent alone: hidden from a confined caller",
    "Patient": "itself, by its id; never by `link`",
    "Provenance": "by `patient`, and in the compartments of each `target`",
}
"""Types whose rule is more than a list of parameters."""

CONTAINERS: Final = frozenset(("Bundle", "Parameters"))
"""Types that hold whole resources, of one patient or of several."""

DEFINITIONAL_TYPES: Final = frozenset(
    (
        # Directory: who and where care is given.
        "Endpoint",
        "HealthcareService",
        "InsurancePlan",
        "Location",
        "Organization",
        "OrganizationAffiliation",
        "Practitioner",
        "PractitionerRole",
        # Products and what can be ordered: kinds, not what somebody got.
        "CatalogEntry",
        "ChargeItemDefinition",
        "DeviceDefinition",
        "Medication",
        "MedicationKnowledge",
        "MedicinalProduct",
        "MedicinalProductAuthorization",
        "MedicinalProductContraindication",
        "MedicinalProductIndication",
        "MedicinalProductIngredient",
        "MedicinalProductInteraction",
        "MedicinalProductManufactured",
        "MedicinalProductPackaged",
        "MedicinalProductPharmaceutical",
        "MedicinalProductUndesirableEffect",
        "ObservationDefinition",
        "SpecimenDefinition",
        "Substance",
        "SubstanceNucleicAcid",
        "SubstancePolymer",
        "SubstanceProtein",
        "SubstanceReferenceInformation",
        "SubstanceSourceMaterial",
        "SubstanceSpecification",
        # Knowledge and forms.
        "ActivityDefinition",
        "EffectEvidenceSynthesis",
        "EventDefinition",
        "Evidence",
        "EvidenceVariable",
        "Library",
        "Measure",
        "PlanDefinition",
        "Questionnaire",
        "ResearchDefinition",
        "ResearchElementDefinition",
        "RiskEvidenceSynthesis",
        # Conformance and terminology.
        "CapabilityStatement",
        "CodeSystem",
        "CompartmentDefinition",
        "ConceptMap",
        "ExampleScenario",
        "GraphDefinition",
        "ImplementationGuide",
        "MessageDefinition",
        "NamingSystem",
        "OperationDefinition",
        "SearchParameter",
        "StructureDefinition",
        "StructureMap",
        "TerminologyCapabilities",
        "TestScript",
        "ValueSet",
    )
)
"""
Types that say what kinds of things there are and who gives care.

Operational types stay out even when they name no patient: what they carry or point to may
be somebody's (Bundle, DeviceMetric, Linkage, MessageHeader, Parameters,
PaymentNotice, Slot, Subscription, TestReport, VerificationResult ...).
"""

COMPARTMENTS: Final[Mapping[str, str]] = {
    "Device": "http://hl7.org/fhir/CompartmentDefinition/device",
    "Encounter": "http://hl7.org/fhir/CompartmentDefinition/encounter",
    "Patient": "http://hl7.org/fhir/CompartmentDefinition/patient",
    "Practitioner": "http://hl7.org/fhir/CompartmentDefinition/practitioner",
    "RelatedPerson": "http://hl7.org/fhir/CompartmentDefinition/relatedPerson",
}
"""The types that have compartments, and where R4 defines these."""

_EXCEPT: Final = frozenset(("link", "performer", "source"))
_BESIDES: Final[Mapping[str, tuple[str, ...]]] = {
    "Contract": ("patient",),
    "Device": ("patient",),
    "GuidanceResponse": ("patient",),
    "Task": ("patient", "subject"),
}
_ITSELF: Final = "{def}"


@functools.cache
def compartment_parameters(compartment: str, type: str) -> tuple[str, ...]:
    """
    The search parameters that put a `type` into a `compartment`, by R4's own definition.

    A resource is in the compartment of which it is the focus too: that is by its id, not by
    a parameter, so `RelatedPerson` in the RelatedPerson compartment has none.
    """
    named = definitions().compartments[compartment].get(type, ())
    return tuple(code for code in named if code != _ITSELF)


@functools.cache
def types_in(compartment: str) -> frozenset[str]:
    """The types of which there can be resources in a `compartment`, its own among them."""
    return frozenset((compartment, *definitions().compartments[compartment]))


@functools.cache
def compartments_with(type: str) -> tuple[str, ...]:
    """The compartments in which there can be resources of the type."""
    return tuple(compartment for compartment in COMPARTMENTS if type in types_in(compartment))


def why_not_searched(compartment: str, type: str | None) -> str | None:
    """Why R4 has no such compartment, or no `type` (None: any) in it; None when it has."""
    if compartment not in COMPARTMENTS:
        return f"{compartment} has no compartment; {', '.join(COMPARTMENTS)} have"
    if type is not None and type not in types_in(compartment):
        return f"R4 puts no {type} into a compartment of {compartment}"
    return None


@functools.cache
def patient_parameters(type: str) -> tuple[str, ...]:
    """The search parameters whose Patients' compartments a `type` belongs to, on this server."""
    defined = compartment_parameters("Patient", type)
    return tuple(code for code in defined if code not in _EXCEPT) + _BESIDES.get(type, ())


@functools.cache
def single_patient_types() -> frozenset[str]:
    """The types of the Patient compartment that belong to one patient at most."""
    return frozenset(
        type
        for type in definitions().resource_types
        if type == "Patient"
        or (type not in SPECIAL_TYPES and patient_parameters(type) and _has_one_place(type))
    )


def rule(type: str) -> str:
    """In words: when a resource of this type is in a Patient compartment."""
    parameters = patient_parameters(type)
    if type in SPECIAL_TYPES:
        return SPECIAL_TYPES[type]
    if type in DEFINITIONAL_TYPES:
        return "definitional: in none, open to a scope that names it"
    if not parameters:
        return "in none: hidden from a confined caller"
    return "by " + ", ".join(f"`{code}`" for code in parameters)


def _has_one_place(type: str) -> bool:
    paths = {_path(definitions().search_parameters[type][code]) for code in patient_parameters(type)}
    return len(paths) == 1 and all(_occurs_once(path) for path in paths)


_WHERE: Final = re.compile(r"\.where\(resolve\(\) is Patient\)")


def _path(parameter: SearchParameter) -> str:
    return _WHERE.sub("", parameter.expression or "")


def _occurs_once(path: str) -> bool:
    """Is `path` a chain of elements, each with a maximum of one? Anything else is not known to be."""
    structure, *names = path.split(".")
    for name in names:
        facts = definitions().types[structure].elements.get(name)
        if facts is None or facts.max != 1:
            return False
        structure = facts.structure or facts.types[0].code
    return True


def _document() -> str:
    """docs/compartments.md."""
    lines = [
        "# Patient compartments",
        "",
        "When is a resource part of a patient's record? This table is what a caller who is confined to",
        "one patient (a `patient/` scope, a patient as user) can reach; the reasons are at the top of",
        "`fhir_server/r4/compartments.py`. *One patient* says that a resource of this type belongs to at",
        "most one. Written by `python -m fhir_server.r4.compartments`.",
        "",
        "A search *in* a compartment (`Patient/1/Observation`, docs/search.md) asks for R4's own definition,",
        "the third column, within what the caller may see.",
        "",
        "| type | in a patient's compartment | R4's own definition | one patient |",
        "|---|---|---|---|",
    ]
    for type in sorted(definitions().resource_types):
        defined = ", ".join(f"`{code}`" for code in compartment_parameters("Patient", type))
        single = "yes" if type in single_patient_types() else ""
        lines.append(f"| {type} | {rule(type)} | {defined} | {single} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(_document())
