"""
HL7 v2 codes in FHIR's words: the concept maps of HL7's v2-to-FHIR guide that we use.

A code that is not here has no counterpart; its coding is kept as it came. What the guide
leaves open and we decided is marked "ours", with the reason.

https://build.fhir.org/ig/HL7/v2-to-fhir/coding_system_maps.html
"""

from __future__ import annotations

from typing import Final

V3: Final = "http://terminology.hl7.org/CodeSystem/v3-"
V2: Final = "http://terminology.hl7.org/CodeSystem/v2-"
CODE_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/"

Meaning = tuple[str, str, str]
"""System, code and display."""

ADMINISTRATIVE_SEX: Final = {
    "F": "female",
    "M": "male",
    "O": "other",
    "U": "unknown",
    "A": "other",
    "N": "other",
}
"""Table 0001"""

YES_NO: Final = {"Y": True, "N": False, "1": True, "0": False}
"""Table 0136. Ours: 1 and 0, which systems send that keep booleans as numbers."""

NAME_TYPE: Final = {
    "BAD": "old",
    "D": "usual",
    "L": "official",
    "M": "maiden",
    "MSK": "anonymous",
    "N": "nickname",
    "NAV": "temp",
    "R": "official",
    "TEMP": "temp",
}
"""Table 0200"""

ADDRESS_TYPE: Final = {"M": "postal", "SH": "postal"}
ADDRESS_USE: Final = {"BA": "old", "BI": "billing", "C": "temp", "B": "work", "H": "home", "O": "work"}
"""Table 0190, in two parts"""

TELECOM_USE: Final = {"PRN": "home", "WPN": "work", "PRS": "mobile"}
"""Table 0201"""

TELECOM_SYSTEM: Final = {
    "PH": "phone",
    "CP": "phone",
    "FX": "fax",
    "MD": "other",
    "SAT": "other",
    "BP": "pager",
    "INTERNET": "email",
    "X.400": "email",
    "TDD": "other",
    "TTY": "other",
}
"""Table 0202. Ours: CP, which the guide makes a use alone; a mobile phone is a phone."""

MARITAL_STATUS: Final[dict[str, Meaning]] = {
    "A": (f"{V3}MaritalStatus", "L", "Legally Separated"),
    "D": (f"{V3}MaritalStatus", "D", "Divorced"),
    "M": (f"{V3}MaritalStatus", "M", "Married"),
    "S": (f"{V3}MaritalStatus", "S", "Never Married"),
    "W": (f"{V3}MaritalStatus", "W", "Widowed"),
    "C": (f"{V3}MaritalStatus", "C", "Common Law"),
    "G": (f"{V3}MaritalStatus", "T", "Domestic partner"),
    "P": (f"{V3}MaritalStatus", "T", "Domestic partner"),
    "R": (f"{V3}MaritalStatus", "T", "Domestic partner"),
    "E": (f"{V3}MaritalStatus", "L", "Legally Separated"),
    "N": (f"{V3}MaritalStatus", "A", "Annulled"),
    "I": (f"{V3}MaritalStatus", "I", "Interlocutory"),
    "B": (f"{V3}MaritalStatus", "U", "unmarried"),
    "U": (f"{V3}NullFlavor", "UNK", "unknown"),
    "O": (f"{V3}NullFlavor", "OTH", "other"),
    "T": (f"{V3}NullFlavor", "NAVU", "Not available"),
}
"""Table 0002"""

RELATIONSHIP: Final[dict[str, Meaning]] = {
    "SEL": (f"{V3}RoleCode", "ONESELF", "self"),
    "SPO": (f"{V3}RoleCode", "SPS", "spouse"),
    "DOM": (f"{V3}RoleCode", "SIGOTHR", "significant other"),
    "CHD": (f"{V3}RoleCode", "CHILD", "child"),
    "GCH": (f"{V3}RoleCode", "GRNDCHILD", "grandchild"),
    "NCH": (f"{V3}RoleCode", "NCHILD", "natural child"),
    "SCH": (f"{V3}RoleCode", "STPCHLD", "step child"),
    "FCH": (f"{V3}RoleCode", "CHLDFOST", "foster child"),
    "PAR": (f"{V3}RoleCode", "PRN", "parent"),
    "MTH": (f"{V3}RoleCode", "MTH", "mother"),
    "FTH": (f"{V3}RoleCode", "FTH", "father"),
    "GRP": (f"{V3}RoleCode", "GRPRN", "grandparent"),
    "EXF": (f"{V3}RoleCode", "EXT", "extended family member"),
    "SIB": (f"{V3}RoleCode", "SIB", "sibling"),
    "BRO": (f"{V3}RoleCode", "BRO", "brother"),
    "SIS": (f"{V3}RoleCode", "SIS", "sister"),
    "FND": (f"{V3}RoleCode", "FRND", "unrelated friend"),
    "EMR": (f"{V2}0131", "E", "Employer"),
    "EMC": (f"{V2}0131", "C", "Emergency Contact"),
    "UNK": (f"{V2}0131", "U", "Unknown"),
    "OTH": (f"{V2}0131", "O", "Other"),
}
"""Table 0063"""

PATIENT_CLASS: Final[dict[str, Meaning]] = {
    "E": (f"{V3}ActCode", "EMER", "emergency"),
    "I": (f"{V3}ActCode", "IMP", "inpatient encounter"),
    "O": (f"{V3}ActCode", "AMB", "ambulatory"),
    "P": (f"{V3}ActCode", "PRENC", "pre-admission"),
}
"""Table 0004; R, B, C, N and U have no counterpart and stay what they are."""

ENCOUNTER_STATUS: Final = {"P": "planned", "U": "unknown"}
"""By patient class; each other class is in progress until it is discharged."""

ENCOUNTER_PRIORITY: Final[dict[str, Meaning]] = {
    "1": (f"{V3}ActPriority", "EM", "emergency"),
    "2": (f"{V3}ActPriority", "UR", "urgent"),
    "3": (f"{V3}ActPriority", "EL", "elective"),
}
"""Table 0217"""

DIAGNOSIS_TYPE: Final[dict[str, Meaning]] = {
    "A": (f"{CODE_SYSTEM}diagnosis-role", "AD", "Admission diagnosis"),
}
"""Table 0052"""

ALLERGY_CATEGORY: Final = {
    "DA": "medication",
    "FA": "food",
    "EA": "environment",
    "AA": "biologic",
    "PA": "environment",
    "LA": "environment",
}
ALLERGY_TYPE: Final = dict.fromkeys(("DA", "FA", "MA", "EA", "AA", "PA", "LA"), "allergy")
"""Table 0127, in two parts"""

REACTION_SEVERITY: Final = {"SV": "severe", "MO": "moderate", "MI": "mild"}
ALLERGY_CRITICALITY: Final = {"SV": "high", "MI": "low"}
"""Table 0128: severity of the reaction, or criticality of the allergy where no reaction is named"""

OBSERVATION_STATUS: Final = {
    "A": "amended",
    "B": "amended",  # ours: a final result, information added
    "C": "corrected",
    "D": "entered-in-error",
    "F": "final",
    "I": "registered",  # ours: specimen in the laboratory, results pending
    "N": "cancelled",  # ours: not asked, so never made
    "O": "registered",  # ours: the order's detail, no result
    "P": "preliminary",
    "R": "preliminary",  # ours: entered, not verified
    "S": "preliminary",  # ours: partial
    "U": "final",  # ours: final now, the value is the one sent before
    "V": "final",  # ours: verified, no change
    "W": "entered-in-error",
    "X": "cancelled",
}
"""Table 0085"""

REPORT_STATUS: Final = {
    "O": "registered",
    "I": "registered",
    "S": "registered",
    "A": "partial",  # ours: some, but not all, results available
    "P": "preliminary",
    "C": "corrected",
    "M": "preliminary",  # ours: corrected, not final
    "N": "registered",  # ours: procedure completed, results pending
    "R": "partial",
    "F": "final",
    "X": "cancelled",
}
"""Table 0123; Y (no such order) and Z (no such patient) say that there is no report."""

INTERPRETATION: Final = dict(
    line.split("|")
    for line in """\
<|Off scale low
>|Off scale high
A|Abnormal
AA|Critical abnormal
B|Better
CAR|Carrier
D|Significant change down
DET|Detected
E|Equivocal
EX|outside threshold
EXP|Expected
H|High
HH|Critical high
HU|Significantly high
I|Intermediate
IE|Insufficient evidence
IND|Indeterminate
L|Low
LL|Critical low
LU|Significantly low
MS|moderately susceptible
N|Normal
NCL|No CLSI defined breakpoint
ND|Not detected
NEG|Negative
NR|Non-reactive
NS|Non-susceptible
POS|Positive
R|Resistant
RR|Reactive
S|Susceptible
SDD|Susceptible-dose dependent
SYN-R|Synergy - resistant
SYN-S|Synergy - susceptible
U|Significant change up
VS|very susceptible
UNE|Unexpected
W|Worse
WR|Weakly reactive""".splitlines()
)
"""Table 0078: the same codes in v3-ObservationInterpretation"""

OBSERVATION_CATEGORY: Final = {
    **dict.fromkeys("LAB BG BLB CG CH CP GE HM IMM MB MCB MYC OSL SP SR TX VR".split(), "laboratory"),
    **dict.fromkeys("RAD RUS CT NMR NMS VUS OUS RX XRC CUS".split(), "imaging"),
}
"""Ours: what the section of the laboratory or imaging department (table 0074) makes of a result."""

RACE: Final = frozenset(("1002-5", "2028-9", "2054-5", "2076-8", "2106-3"))
ETHNICITY: Final = frozenset(("2135-2", "2186-5"))
"""The OMB categories of CDC's code set (urn:oid:2.16.840.1.113883.6.238), which table 0005 repeats"""

CODE_SYSTEMS: Final = {
    "LN": "http://loinc.org",
    "LOINC": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "SNOMED": "http://snomed.info/sct",
    "SNOMED-CT": "http://snomed.info/sct",
    "UCUM": "http://unitsofmeasure.org",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "ICD10": "http://hl7.org/fhir/sid/icd-10",
    "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
    "I10P": "http://www.cms.gov/Medicare/Coding/ICD10",
    "I9": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9C": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9CDX": "http://hl7.org/fhir/sid/icd-9-cm",
    "ICD9": "http://hl7.org/fhir/sid/icd-9-cm",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "RXN": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "NDC": "http://hl7.org/fhir/sid/ndc",
    "CVX": "http://hl7.org/fhir/sid/cvx",
    "MVX": "http://hl7.org/fhir/sid/mvx",
    "C4": "http://www.ama-assn.org/go/cpt",
    "CPT": "http://www.ama-assn.org/go/cpt",
    "CDCREC": "urn:oid:2.16.840.1.113883.6.238",
    "ISO3166_1": "urn:iso:std:iso:3166",
    "ISO639-1": "urn:ietf:bcp:47",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "NUBC": "https://www.nubc.org/CodeSystem/RevenueCodes",
}
"""Table 0396, the systems that FHIR names. SNM is not SNOMED CT but the SNOMED before it."""
