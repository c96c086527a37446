"""
What a laboratory measures: codes, units, reference ranges, and how it comes out for whom.

Each analyte has a mean, a spread and what shifts it: a disease by its key, being a woman or a child,
fever, smoking every day. What follows from other values (mean corpuscular volume, LDL, estimated
filtration) is calculated from them, as laboratories do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fhir_server.population.vocabulary import Element, loinc

Values = Mapping[str, float]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Unit:
    """As people write it, and in UCUM; `places` is the precision that it is reported with."""

    text: str
    ucum: str
    places: int


@dataclass(frozen=True, slots=True, eq=False)
class Analyte:
    """`calculated` has the value from what was measured before in the same sample, age and sex."""

    key: str
    code: Element
    unit: Unit
    normal: Range
    normal_women: Range
    mean: float
    spread: float
    shifts: Mapping[str, float]
    calculated: Callable[[Values, float, str], float] | None = None

    def range_for(self, sex: str) -> Range:
        return self.normal_women if sex == "female" else self.normal


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    code: Element
    analytes: tuple[Analyte, ...]


def _measured(
    key: str,
    code: Element,
    unit: Unit,
    normal: Range,
    bell: Range,
    *,
    normal_women: Range | None = None,
    **shifts: float,
) -> Analyte:
    shifts = {name.replace("_", " "): shift for name, shift in shifts.items()}
    return Analyte(key, code, unit, normal, normal_women or normal, bell[0], bell[1], shifts)


def _calculated(
    key: str,
    code: Element,
    unit: Unit,
    normal: Range,
    formula: Callable[[Values, float, str], float],
    *,
    normal_women: Range | None = None,
) -> Analyte:
    return Analyte(key, code, unit, normal, normal_women or normal, 0, 0, {}, formula)


def _filtration(values: Values, years: float, sex: str) -> float:
    """CKD-EPI 2021, from creatinine."""
    kappa, alpha, factor = (0.7, -0.241, 1.012) if sex == "female" else (0.9, -0.302, 1.0)
    ratio = values["creatinine"] / kappa
    power = float(ratio**alpha if ratio < 1 else ratio**-1.2)
    aging = float(0.9938**years)
    return min(142 * power * aging * factor, 150)


def _low_density(values: Values, _years: float, _sex: str) -> float:
    """Friedewald's estimate."""
    return values["cholesterol"] - values["hdl"] - values["triglycerides"] / 5


def _hematocrit(values: Values, _years: float, _sex: str) -> float:
    return values["hemoglobin"] * 100 / values["concentration"]


def _cell_volume(values: Values, _years: float, _sex: str) -> float:
    return values["hematocrit"] * 10 / values["erythrocytes"]


def _cell_hemoglobin(values: Values, _years: float, _sex: str) -> float:
    return values["hemoglobin"] * 10 / values["erythrocytes"]


MG_PER_DL: Final = Unit("mg/dL", "mg/dL", 0)
MMOL_PER_L: Final = Unit("mmol/L", "mmol/L", 0)
THOUSANDS: Final = Unit("10*3/uL", "10*3/uL", 0)
PERCENT: Final = Unit("%", "%", 1)

METABOLIC: Final = Panel(
    loinc("51990-0", "Basic metabolic panel - Blood"),
    (
        _measured(
            "glucose",
            loinc("2345-7", "Glucose [Mass/volume] in Serum or Plasma"),
            MG_PER_DL,
            (70, 99),
            (88, 6),
            diabetes=52,
            prediabetes=19,
        ),
        _measured(
            "urea",
            loinc("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma"),
            MG_PER_DL,
            (7, 20),
            (13, 2.6),
            kidney=14,
        ),
        _measured(
            "creatinine",
            loinc("2160-0", "Creatinine [Mass/volume] in Serum or Plasma"),
            Unit("mg/dL", "mg/dL", 2),
            (0.6, 1.3),
            (0.95, 0.11),
            kidney=0.62,
            female=-0.17,
            child=-0.4,
        ),
        _measured(
            "sodium",
            loinc("2951-2", "Sodium [Moles/volume] in Serum or Plasma"),
            MMOL_PER_L,
            (136, 145),
            (140, 1.9),
        ),
        _measured(
            "potassium",
            loinc("2823-3", "Potassium [Moles/volume] in Serum or Plasma"),
            Unit("mmol/L", "mmol/L", 1),
            (3.5, 5.1),
            (4.2, 0.28),
            kidney=0.4,
        ),
        _measured(
            "chloride",
            loinc("2075-0", "Chloride [Moles/volume] in Serum or Plasma"),
            MMOL_PER_L,
            (98, 107),
            (102, 2),
        ),
        _measured(
            "bicarbonate",
            loinc("2028-9", "Carbon dioxide, total [Moles/volume] in Serum or Plasma"),
            MMOL_PER_L,
            (22, 29),
            (25, 1.6),
            kidney=-3,
            copd=3,
        ),
        _measured(
            "calcium",
            loinc("17861-6", "Calcium [Mass/volume] in Serum or Plasma"),
            Unit("mg/dL", "mg/dL", 1),
            (8.5, 10.5),
            (9.4, 0.3),
        ),
        _calculated(
            "filtration",
            loinc("98979-8", "Glomerular filtration rate (CKD-EPI 2021)/1.73 sq M"),
            Unit("mL/min/1.73m2", "mL/min/{1.73_m2}", 0),
            (60, 150),
            _filtration,
        ),
    ),
)
LIPIDS: Final = Panel(
    loinc("24331-1", "Lipid 1996 panel - Serum or Plasma"),
    (
        _measured(
            "cholesterol",
            loinc("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma"),
            MG_PER_DL,
            (100, 200),
            (176, 22),
            hyperlipidemia=48,
            obesity=6,
            child=-20,
        ),
        _measured(
            "triglycerides",
            loinc("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma"),
            MG_PER_DL,
            (40, 150),
            (105, 24),
            hyperlipidemia=62,
            diabetes=34,
            obesity=25,
            child=-25,
        ),
        _measured(
            "hdl",
            loinc("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma"),
            MG_PER_DL,
            (40, 90),
            (50, 7),
            female=9,
            obesity=-6,
            diabetes=-4,
        ),
        _calculated(
            "ldl",
            loinc("13457-7", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation"),
            MG_PER_DL,
            (50, 130),
            _low_density,
        ),
    ),
)
BLOOD_COUNT: Final = Panel(
    loinc("58410-2", "CBC panel - Blood by Automated count"),
    (
        _measured(
            "leukocytes",
            loinc("6690-2", "Leukocytes [#/volume] in Blood by Automated count"),
            Unit("10*3/uL", "10*3/uL", 1),
            (4.5, 11.0),
            (7.0, 1.2),
            fever=5.5,
            smoker=0.9,
        ),
        _measured(
            "erythrocytes",
            loinc("789-8", "Erythrocytes [#/volume] in Blood by Automated count"),
            Unit("10*6/uL", "10*6/uL", 2),
            (4.5, 5.9),
            (5.1, 0.22),
            normal_women=(4.1, 5.1),
            female=-0.55,
            iron_deficiency=-0.35,
            kidney=-0.5,
        ),
        _measured(
            "hemoglobin",
            loinc("718-7", "Hemoglobin [Mass/volume] in Blood"),
            Unit("g/dL", "g/dL", 1),
            (13.5, 17.5),
            (15.2, 0.6),
            normal_women=(12.0, 15.5),
            female=-1.6,
            iron_deficiency=-2.9,
            kidney=-1.6,
            child=-1.4,
        ),
        _measured(
            "concentration",
            loinc("786-4", "MCHC [Entitic Mass/volume] in Red Blood Cells by Automated count"),
            Unit("g/dL", "g/dL", 1),
            (31, 36),
            (33.8, 0.7),
            iron_deficiency=-2.2,
        ),
        _calculated(
            "hematocrit",
            loinc("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count"),
            PERCENT,
            (38.8, 50.0),
            _hematocrit,
            normal_women=(34.9, 44.5),
        ),
        _calculated(
            "volume",
            loinc("787-2", "MCV [Entitic mean volume] in Red Blood Cells by Automated count"),
            Unit("fL", "fL", 1),
            (80, 100),
            _cell_volume,
        ),
        _calculated(
            "mass",
            loinc("785-6", "MCH [Entitic mass] by Automated count"),
            Unit("pg", "pg", 1),
            (26, 34),
            _cell_hemoglobin,
        ),
        _measured(
            "platelets",
            loinc("777-3", "Platelets [#/volume] in Blood by Automated count"),
            THOUSANDS,
            (150, 400),
            (262, 42),
            iron_deficiency=40,
        ),
    ),
)
HBA1C: Final = _measured(
    "hba1c",
    loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
    PERCENT,
    (4.0, 5.6),
    (5.2, 0.22),
    diabetes=1.9,
    prediabetes=0.75,
)
THYROTROPIN: Final = _measured(
    "thyrotropin",
    loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"),
    Unit("mIU/L", "m[IU]/L", 2),
    (0.4, 4.0),
    (1.9, 0.5),
    hypothyroidism=1.3,
)
NATRIURETIC_PEPTIDE: Final = _measured(
    "natriuretic peptide",
    loinc("33762-6", "Natriuretic peptide.B prohormone N-Terminal [Mass/volume] in Serum or Plasma"),
    Unit("pg/mL", "pg/mL", 0),
    (0, 300),
    (130, 40),
    heart_failure=1500,
)
CLOTTING: Final = _measured(
    "clotting",
    loinc("6301-6", "INR in Platelet poor plasma by Coagulation assay"),
    Unit("{INR}", "{INR}", 1),
    (0.9, 1.2),
    (1.05, 0.06),
    fibrillation=1.4,
)
FERRITIN: Final = _measured(
    "ferritin",
    loinc("2276-4", "Ferritin [Mass/volume] in Serum or Plasma"),
    Unit("ng/mL", "ng/mL", 0),
    (24, 336),
    (120, 30),
    normal_women=(11, 307),
    female=-40,
    iron_deficiency=-66,
)
ALBUMIN: Final = _measured(
    "albumin",
    loinc("9318-7", "Albumin/Creatinine [Mass Ratio] in Urine"),
    Unit("mg/g", "mg/g", 0),
    (0, 30),
    (12, 3),
    diabetes=16,
    kidney=60,
)
URATE: Final = _measured(
    "urate",
    loinc("3084-1", "Urate [Mass/volume] in Serum or Plasma"),
    Unit("mg/dL", "mg/dL", 1),
    (3.5, 7.2),
    (5.4, 0.7),
    normal_women=(2.6, 6.0),
    female=-1.0,
    gout=2.6,
)

FOLLOWED_BY: Final[Mapping[str, Sequence[Panel | Analyte]]] = {
    "hypertension": (METABOLIC,),
    "diabetes": (HBA1C, METABOLIC, ALBUMIN),
    "prediabetes": (HBA1C,),
    "hyperlipidemia": (LIPIDS,),
    "kidney": (METABOLIC, BLOOD_COUNT, ALBUMIN),
    "coronary": (LIPIDS,),
    "heart failure": (NATRIURETIC_PEPTIDE, METABOLIC),
    "fibrillation": (CLOTTING,),
    "hypothyroidism": (THYROTROPIN,),
    "iron deficiency": (BLOOD_COUNT, FERRITIN),
    "gout": (URATE,),
}
"""What is measured to follow a disease."""
