"""
What people come down with: how often, from which age, and what it is called and treated with.

The figures are rough and our own; they make a population in which old age, hypertension, diabetes
and their laboratory values go together, not one to do epidemiology with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fhir_server.population.vocabulary import ICD10, RXNORM, SNOMED, Element, coding, concept, snomed

ORAL: Final = snomed("26643006", "Oral route")
INHALED: Final = snomed("447694001", "Respiratory tract route")
TOPICAL: Final = snomed("6064005", "Topical route")


@dataclass(frozen=True, slots=True, eq=False)
class Drug:
    """`dose` units so many `times_a_day`; a supply lasts for `days`, and can be had again `refills` times."""

    code: Element
    dose: int
    unit: str
    times_a_day: int
    days: int
    refills: int
    route: Element
    as_needed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Disease:
    """
    A condition that stays. `share` of people have it by the age of 80, none before `onset_years`.

    `women` scales that share for women; nobody has it who has the one that `excludes` names.
    """

    key: str
    code: Element
    onset_years: int
    share: float
    women: float = 1.0
    visits_a_year: float = 0.0
    drugs: tuple[Drug, ...] = ()
    excludes: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Illness:
    """A condition that goes again after some days. `emergency` and `admitted` are shares of the cases."""

    code: Element
    from_years: int
    to_years: int
    per_year: float
    days: int
    women: float = 1.0
    men: float = 1.0
    emergency: float = 0.0
    admitted: float = 0.0
    fever: float = 0.0
    drugs: tuple[Drug, ...] = ()
    procedure: Element | None = None
    antigen_test: bool = False


def _named(code: str, icd10: str, display: str) -> Element:
    return concept(coding(SNOMED, code, display), coding(ICD10, icd10), text=display)


def _tablet(code: str, display: str, times_a_day: int = 1, *, days: int = 90, refills: int = 3) -> Drug:
    return Drug(concept(coding(RXNORM, code, display)), 1, "tablet", times_a_day, days, refills, ORAL)


def _inhaler(code: str, display: str, *, as_needed: bool) -> Drug:
    return Drug(concept(coding(RXNORM, code, display)), 2, "puff", 2, 30, 11, INHALED, as_needed)


def _painkiller(code: str, display: str) -> Drug:
    return Drug(concept(coding(RXNORM, code, display)), 1, "tablet", 3, 10, 0, ORAL, as_needed=True)


LISINOPRIL: Final = _tablet("314076", "lisinopril 10 MG Oral Tablet")
AMLODIPINE: Final = _tablet("197361", "amlodipine 5 MG Oral Tablet")
HYDROCHLOROTHIAZIDE: Final = _tablet("310798", "hydrochlorothiazide 25 MG Oral Tablet")
SIMVASTATIN: Final = _tablet("312961", "simvastatin 20 MG Oral Tablet")
METFORMIN: Final = _tablet("860975", "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet", 2)
ASPIRIN: Final = _tablet("243670", "aspirin 81 MG Oral Tablet")
CLOPIDOGREL: Final = _tablet("309362", "clopidogrel 75 MG Oral Tablet")
WARFARIN: Final = _tablet("855332", "warfarin sodium 5 MG Oral Tablet", days=30, refills=11)
FUROSEMIDE: Final = _tablet("313988", "furosemide 40 MG Oral Tablet")
CARVEDILOL: Final = _tablet("200033", "carvedilol 25 MG Oral Tablet", 2)
LEVOTHYROXINE: Final = _tablet("966222", "levothyroxine sodium 0.075 MG Oral Tablet")
SERTRALINE: Final = _tablet("312938", "sertraline 100 MG Oral Tablet", days=30, refills=5)
ALENDRONATE: Final = _tablet("904419", "alendronic acid 10 MG Oral Tablet")
DONEPEZIL: Final = _tablet("997223", "donepezil hydrochloride 10 MG Oral Tablet")
ALLOPURINOL: Final = _tablet("197319", "allopurinol 100 MG Oral Tablet")
FERROUS_SULFATE: Final = _tablet("310325", "ferrous sulfate 325 MG Oral Tablet", days=30, refills=5)
LORATADINE: Final = _tablet("311372", "loratadine 10 MG Oral Tablet", days=30, refills=5)
OMEPRAZOLE: Final = Drug(
    concept(coding(RXNORM, "198051", "omeprazole 20 MG Delayed Release Oral Capsule")),
    1,
    "capsule",
    1,
    30,
    5,
    ORAL,
)
ALBUTEROL: Final = _inhaler(
    "745679", "200 ACTUAT albuterol 0.09 MG/ACTUAT Metered Dose Inhaler", as_needed=True
)
FLUTICASONE: Final = _inhaler(
    "895994", "120 ACTUAT fluticasone propionate 0.044 MG/ACTUAT Metered Dose Inhaler", as_needed=False
)
ACETAMINOPHEN: Final = _painkiller("313782", "acetaminophen 325 MG Oral Tablet")
IBUPROFEN: Final = _painkiller("310965", "ibuprofen 200 MG Oral Tablet")
NAPROXEN: Final = _painkiller("849574", "naproxen sodium 220 MG Oral Tablet")
AMOXICILLIN: Final = _tablet("308192", "amoxicillin 500 MG Oral Tablet", 3, days=10, refills=0)
AMOXICILLIN_CLAVULANATE: Final = _tablet(
    "562251", "amoxicillin 250 MG / clavulanate 125 MG Oral Tablet", 3, days=10, refills=0
)
PENICILLIN_V: Final = _tablet("834102", "penicillin V potassium 500 MG Oral Tablet", 2, days=10, refills=0)
AZITHROMYCIN: Final = _tablet("308460", "azithromycin 250 MG Oral Tablet", 1, days=5, refills=0)
NITROFURANTOIN: Final = Drug(
    concept(coding(RXNORM, "311995", "nitrofurantoin, macrocrystals 50 MG Oral Capsule")),
    1,
    "capsule",
    4,
    7,
    0,
    ORAL,
)
HYDROCORTISONE: Final = Drug(
    concept(coding(RXNORM, "106258", "hydrocortisone 10 MG/ML Topical Cream")),
    1,
    "application",
    2,
    14,
    0,
    TOPICAL,
)

DISEASES: Final = (
    Disease("obesity", _named("162864005", "E66.9", "Body mass index 30+ - obesity"), 8, 0.36),
    Disease(
        "hypertension",
        _named("59621000", "I10", "Essential hypertension"),
        25,
        0.58,
        visits_a_year=1,
        drugs=(LISINOPRIL, AMLODIPINE, HYDROCHLOROTHIAZIDE),
    ),
    Disease("hyperlipidemia", _named("55822004", "E78.5", "Hyperlipidemia"), 30, 0.45, drugs=(SIMVASTATIN,)),
    Disease(
        "diabetes",
        _named("44054006", "E11.9", "Diabetes mellitus type 2"),
        30,
        0.24,
        visits_a_year=2,
        drugs=(METFORMIN,),
    ),
    Disease("prediabetes", _named("15777000", "R73.03", "Prediabetes"), 30, 0.3, excludes="diabetes"),
    Disease(
        "kidney", _named("433144002", "N18.30", "Chronic kidney disease stage 3"), 55, 0.16, visits_a_year=1
    ),
    Disease(
        "coronary",
        _named("53741008", "I25.10", "Coronary arteriosclerosis"),
        45,
        0.14,
        women=0.7,
        visits_a_year=1,
        drugs=(ASPIRIN, CLOPIDOGREL),
    ),
    Disease(
        "heart failure",
        _named("88805009", "I50.9", "Chronic congestive heart failure"),
        60,
        0.08,
        visits_a_year=2,
        drugs=(FUROSEMIDE, CARVEDILOL),
    ),
    Disease(
        "fibrillation",
        _named("49436004", "I48.91", "Atrial fibrillation"),
        55,
        0.09,
        visits_a_year=2,
        drugs=(WARFARIN,),
    ),
    Disease("asthma", _named("195967001", "J45.909", "Asthma"), 4, 0.1, drugs=(ALBUTEROL, FLUTICASONE)),
    Disease(
        "copd",
        _named("13645005", "J44.9", "Chronic obstructive lung disease"),
        45,
        0.11,
        visits_a_year=1,
        drugs=(ALBUTEROL,),
        excludes="asthma",
    ),
    Disease(
        "hypothyroidism",
        _named("40930008", "E03.9", "Hypothyroidism"),
        25,
        0.06,
        women=2.2,
        drugs=(LEVOTHYROXINE,),
    ),
    Disease(
        "depression",
        _named("370143000", "F32.9", "Major depressive disorder"),
        15,
        0.16,
        women=1.5,
        visits_a_year=1,
        drugs=(SERTRALINE,),
    ),
    Disease("arthritis", _named("239873007", "M17.9", "Osteoarthritis of knee"), 45, 0.3, drugs=(NAPROXEN,)),
    Disease(
        "osteoporosis", _named("64859006", "M81.0", "Osteoporosis"), 58, 0.07, women=4, drugs=(ALENDRONATE,)
    ),
    Disease(
        "reflux",
        _named("235595009", "K21.9", "Gastroesophageal reflux disease"),
        25,
        0.2,
        drugs=(OMEPRAZOLE,),
    ),
    Disease(
        "rhinitis", _named("367498001", "J30.2", "Seasonal allergic rhinitis"), 5, 0.18, drugs=(LORATADINE,)
    ),
    Disease(
        "iron deficiency",
        _named("87522002", "D50.9", "Iron deficiency anemia"),
        15,
        0.04,
        women=3.5,
        drugs=(FERROUS_SULFATE,),
    ),
    Disease("migraine", _named("37796009", "G43.909", "Migraine"), 12, 0.07, women=2.5, drugs=(NAPROXEN,)),
    Disease(
        "alzheimer",
        _named("26929004", "G30.9", "Alzheimer's disease"),
        66,
        0.12,
        visits_a_year=1,
        drugs=(DONEPEZIL,),
    ),
    Disease("gout", _named("90560007", "M10.9", "Gout"), 38, 0.06, women=0.4, drugs=(ALLOPURINOL,)),
)

ILLNESSES: Final = (
    Illness(_named("444814009", "J01.90", "Viral sinusitis"), 3, 100, 0.14, 14, drugs=(ACETAMINOPHEN,)),
    Illness(
        _named("195662009", "J02.9", "Acute viral pharyngitis"),
        3,
        100,
        0.12,
        10,
        fever=0.9,
        drugs=(IBUPROFEN,),
    ),
    Illness(
        _named("10509002", "J20.9", "Acute bronchitis"), 2, 100, 0.09, 16, fever=0.8, drugs=(ACETAMINOPHEN,)
    ),
    Illness(
        _named("65363002", "H66.90", "Otitis media"),
        0,
        9,
        0.25,
        10,
        fever=1.4,
        drugs=(AMOXICILLIN_CLAVULANATE,),
    ),
    Illness(
        _named("43878008", "J02.0", "Streptococcal sore throat"),
        4,
        25,
        0.06,
        10,
        fever=1.6,
        drugs=(PENICILLIN_V,),
        antigen_test=True,
    ),
    Illness(_named("25374005", "K52.9", "Gastroenteritis"), 0, 100, 0.06, 5, emergency=0.2, fever=0.5),
    Illness(
        _named("68566005", "N39.0", "Urinary tract infectious disease"),
        2,
        100,
        0.09,
        8,
        men=0.2,
        fever=0.6,
        drugs=(NITROFURANTOIN,),
    ),
    Illness(_named("40275004", "L25.9", "Contact dermatitis"), 1, 100, 0.03, 21, drugs=(HYDROCORTISONE,)),
    Illness(
        _named("44465007", "S93.409A", "Sprain of ankle"), 8, 75, 0.03, 28, emergency=0.6, drugs=(IBUPROFEN,)
    ),
    Illness(
        _named("65966004", "S52.90XA", "Fracture of forearm"),
        4,
        95,
        0.012,
        60,
        emergency=1.0,
        drugs=(ACETAMINOPHEN,),
        procedure=snomed("274474001", "Bone immobilization"),
    ),
    Illness(
        _named("284549007", "S61.419A", "Laceration of hand"),
        2,
        90,
        0.018,
        14,
        emergency=1.0,
        procedure=snomed("288086009", "Suture open wound"),
    ),
    Illness(
        _named("233604007", "J18.9", "Pneumonia"),
        0,
        110,
        0.014,
        21,
        emergency=0.4,
        admitted=0.45,
        fever=1.8,
        drugs=(AZITHROMYCIN,),
        procedure=snomed("399208008", "Plain chest X-ray"),
    ),
    Illness(
        _named("74400008", "K37", "Appendicitis"),
        6,
        70,
        0.003,
        21,
        admitted=1.0,
        fever=1.0,
        drugs=(AMOXICILLIN,),
        procedure=snomed("80146002", "Appendectomy"),
    ),
)
