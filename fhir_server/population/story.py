"""
One patient from beginning to end: who they are, what they had, and each visit in its turn.
"""

from __future__ import annotations

from datetime import date

from fhir_server.population.care import add_care
from fhir_server.population.chart import Chart, Refer
from fhir_server.population.dice import Dice
from fhir_server.population.directory import Directory
from fhir_server.population.encounter import add_encounter
from fhir_server.population.laboratory import Laboratory
from fhir_server.population.note import add_note
from fhir_server.population.patient import add_consent, add_coverage, add_patient
from fhir_server.population.person import person
from fhir_server.population.prevention import Prevention, add_allergies
from fhir_server.population.treatment import Treatment
from fhir_server.population.visit import visits
from fhir_server.population.vital_signs import measure
from fhir_server.population.vocabulary import Element

CONSENT_SHARE = 0.1


def story(
    seed: int, number: int, directory: Directory, as_of: date, refer: Refer, *, consents: bool
) -> list[Element]:
    """The resources of patient `number`, the Patient first; the same whatever other patients there are."""
    dice = Dice(f"{seed}/{number}")
    somebody = person(number, dice, directory, as_of)
    chart = Chart(dice, refer)
    add_patient(chart, somebody, dice)
    add_coverage(chart, somebody, directory, dice)
    add_allergies(chart, somebody, dice)
    prevention = Prevention(chart, somebody, dice)
    treatment = Treatment(chart, somebody, dice)
    laboratory = Laboratory(chart, somebody, directory.laboratory, dice)
    prevention.open()
    treatment.open()
    for visit in visits(somebody, dice):
        context = add_encounter(chart, somebody, visit)
        measured = measure(chart, somebody, visit, context, dice)
        treatment.treat(visit, context)
        laboratory.examine(visit, context)
        prevention.vaccinate(visit, context)
        add_note(chart, somebody, visit, measured, context)
    add_care(chart, somebody, treatment.problems, dice)
    # Drawn last, and from dice of its own, so that asking for Consents changes nothing else.
    consent_dice = Dice(f"{seed}/{number}/consent")
    if consents and consent_dice.chance(CONSENT_SHARE):
        add_consent(chart, somebody, consent_dice)
    return chart.resources
