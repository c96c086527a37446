"""
Resources at random, and searches at random of each kind: a type of parameter with a modifier or prefix.

The resources have few different values, so that a search finds some of them and leaves some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from fhir_server.r4.interaction import Search
from fhir_server.r4.resource import Literal
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.search.asking.query import parse
from fhir_server.search.predicates.predicate import Coded, Elsewhere, Predicate
from fhir_server.search.predicates.rewriting import rewritten
from fhir_server.search.values.date import PREFIXES
from fhir_server.search.values.folding import folded
from fhir_server.search.values.indexed_words import Indexed
from fhir_server.search.values.token import having
from tests.search.versions import BASE_URL

Json = dict[str, Any]
Make = Callable[[Random], str]

UCUM: Final = "http://unitsofmeasure.org"

CODES: Final = ("a", "b", "A", "a|b", "c,d")
SYSTEMS: Final = ("urn:s", "urn:t", None)
NAMES: Final = (
    "Ann",
    "anna",
    "Änne",
    "Berg",
    "van den Berg",
    "O'Brien",
    "Anne-Marie",
    "St. Ann",
    "x" * 250 + "ann",
)
DATES: Final = (
    "2010",
    "2010-03",
    "2010-03-04",
    "2010-03-04T05:06:07Z",
    "2011-12-31T23:59:59+05:00",
    "2012-02-29",
)
NUMBERS: Final = ("0", "1", "1.0", "0.95", "1.05", "-2", "99.5", "100", "1e2", "12345678901234567890.5")
UNITS: Final = (("mg", UCUM), ("g", UCUM), ("mg", "urn:other"), ("mmHg", None))
URLS: Final = (
    "http://x.example/a",
    "http://x.example/a/b",
    "http://x.example/ab",
    "urn:oid:1.2",
    "http://x.example",
)
MEANINGS: Final[Mapping[str | tuple[str, str], Mapping[str, frozenset[str] | None]]] = {
    "http://x.example/some": {"urn:s": frozenset({"a", "a|b"}), "urn:t": frozenset({"A"})},
    "http://x.example/all": {"urn:s": None},
    "http://x.example/none": {},
    ("urn:s", "a"): {"urn:s": frozenset({"a", "b"})},
    ("urn:t", "b"): {"urn:t": frozenset({"b", "c,d"})},
}
"""By value set, or code: the codes that are meant in each system, None for all."""
WORDS: Final = ("liver", "livers", "bone", "Knochen", "8480-6")


def maybe(random: Random, **found: Any) -> Json:
    """Some of the members."""
    return {name: value for name, value in found.items() if random.random() < 0.7}


def coding(random: Random) -> Json:
    system = random.choice(SYSTEMS)
    return {"code": random.choice(CODES), "display": random.choice(NAMES[:3])} | (
        {"system": system} if system else {}
    )


def concept(random: Random) -> Json:
    return maybe(
        random, coding=[coding(random) for _ in range(random.randint(1, 2))], text=random.choice(NAMES[:-1])
    )


def quantity(random: Random) -> Json:
    code, system = random.choice(UNITS)
    stated = {"value": Literal(random.choice(NUMBERS).encode()), "unit": code}
    coded = {"code": code, "system": system} if system else {}
    return {**stated, **coded, **({"comparator": random.choice("<>")} if random.random() < 0.1 else {})}


def identifier(random: Random) -> Json:
    stated = maybe(random, system=random.choice(SYSTEMS[:2]), value=random.choice(CODES))
    return {**stated, **maybe(random, type={"coding": [coding(random)], "text": random.choice(NAMES[:3])})}


def patient(random: Random) -> Json:
    family, given = random.choice(NAMES), [random.choice(NAMES), random.choice(NAMES)]
    return maybe(
        random,
        name=[maybe(random, family=family, given=given, text=f"{given[0]} {family}")],
        gender=random.choice(("male", "female")),
        active=random.choice((True, False)),
        birthDate=random.choice(DATES[:3]),
        identifier=[identifier(random) for _ in range(2)],
        text={"status": "generated", "div": f"<div>{random.choice(WORDS)} {random.choice(WORDS)}</div>"},
    )


def observation(random: Random) -> Json:
    dated = random.choice(
        (
            {"effectiveDateTime": random.choice(DATES)},
            {"effectivePeriod": maybe(random, start=random.choice(DATES[:3]), end=random.choice(DATES[3:]))},
            {},
        )
    )
    subject = maybe(
        random, reference=random.choice(("Patient/1", "Patient/2", "Group/1", f"{BASE_URL}/Patient/1"))
    )
    of = {"subject": {**subject, **maybe(random, identifier=identifier(random))}}
    component = [{"code": concept(random), "valueQuantity": quantity(random)} for _ in range(2)]
    valued = random.choice(({"valueQuantity": quantity(random)}, {"valueCodeableConcept": concept(random)}))
    return {**dated, **maybe(random, code=concept(random), component=component, **of), **valued}


def value_set(random: Random) -> Json:
    return maybe(random, url=random.choice(URLS), version=random.choice(CODES), title=random.choice(NAMES))


def response(random: Random) -> Json:
    version = random.choice(("", "|1", "|1.0", "|1.1", "|2.0", "|10"))
    return maybe(random, questionnaire=random.choice(URLS[:3]) + version)


def charge(random: Random) -> Json:
    return maybe(random, factorOverride=Literal(random.choice(NUMBERS).encode()))


def location(random: Random) -> Json:
    return maybe(
        random,
        position={
            "latitude": Literal(f"{random.choice((0, 52.5, -89.9))}".encode()),
            "longitude": Literal(f"{random.choice((13.4, 179.99, -179.99))}".encode()),
        },
    )


TYPES: Final[dict[str, Callable[[Random], Json]]] = {
    "ChargeItem": charge,
    "Location": location,
    "Observation": observation,
    "Patient": patient,
    "QuestionnaireResponse": response,
    "ValueSet": value_set,
}


def escaped(text: str) -> str:
    return "".join(f"\\{character}" if character in "\\|,$" else character for character in text)


def a_code(random: Random) -> str:
    code, system = escaped(random.choice(CODES)), random.choice(("urn:s|", "urn:t|", "|", ""))
    return f"{system}{code}"


def a_text(random: Random) -> str:
    text = random.choice(NAMES)
    start = random.randrange(min(len(text), 4))
    wanted = text[start : start + random.randint(1, 12)]
    return escaped(wanted if folded(wanted) else text)


def any_of(*values: str) -> Make:
    """One of them, or two as alternatives."""
    return lambda random: ",".join(random.sample([escaped(value) for value in values], random.randint(1, 2)))


def with_prefix(prefix: str, make: Make) -> Make:
    return lambda random: f"{prefix}{make(random)}"


def an_amount(random: Random) -> str:
    code, system = random.choice(UNITS)
    return random.choice(NUMBERS) + random.choice(("", f"||{code}", f"|{system or UCUM}|{code}"))


def a_pair(make: Make) -> Make:
    return lambda random: f"{random.choice(('urn:s|', ''))}{random.choice(CODES[:3])}${make(random)}"


def asked(type: str, *criteria: tuple[str, str]) -> Predicate:
    """The predicate of a search, all words being indexed."""
    indexed = Indexed("content", "content")
    search = Search(type, criteria)
    predicate = parse(search, limits=SearchLimits(), base_url=BASE_URL, indexed=indexed).predicate
    return rewritten(predicate, _meant)


def _meant(part: Predicate) -> Predicate | None:
    """What is asked of codes, as a terminology would answer it that knows MEANINGS."""
    match part:
        case Elsewhere(question=Coded() as question):
            return having(question, MEANINGS[question.of])
        case _:
            return None


def several(make: Make) -> Make:
    return lambda random: ",".join(make(random) for _ in range(5))


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of parameter with a modifier or a prefix, and how a search of that kind is written."""

    search_type: str
    what: str
    type: str
    name: str
    make: Make

    def predicate(self, random: Random) -> tuple[Predicate, str]:
        value = self.make(random)
        return asked(self.type, (self.name, value)), f"{self.type}?{self.name}={value}"


TRUTH: Final = any_of("true", "false")


def one_of(*values: str) -> Make:
    return lambda random: random.choice(values)


def _missing() -> Iterator[Kind]:
    types_of = {
        "token": ("Observation", "code"),
        "reference": ("Observation", "subject"),
        "string": ("Patient", "name"),
        "uri": ("ValueSet", "url"),
        "date": ("Observation", "date"),
        "number": ("ChargeItem", "factor-override"),
        "quantity": ("Observation", "value-quantity"),
        "composite": ("Observation", "component-code-value-quantity"),
        "special": ("Location", "near"),
        "canonical": ("QuestionnaireResponse", "questionnaire"),
    }
    for search_type, (type, name) in types_of.items():
        yield Kind(search_type, "missing", type, f"{name}:missing", one_of("true", "false"))


def _ordered() -> Iterator[Kind]:
    for prefix in PREFIXES:
        yield Kind("date", prefix, "Observation", "date", with_prefix(prefix, one_of(*DATES)))
        yield Kind("number", prefix, "ChargeItem", "factor-override", with_prefix(prefix, one_of(*NUMBERS)))
        yield Kind("quantity", prefix, "Observation", "value-quantity", with_prefix(prefix, an_amount))
        both = a_pair(with_prefix(prefix, an_amount))
        yield Kind("composite", prefix, "Observation", "combo-code-value-quantity", both)
        moments = ("2030", "2030", *(f"2026-11-21T08:00:00.0{n}Z" for n in range(16, 21)))
        instant = with_prefix(prefix, one_of(*moments))
        yield Kind("date", f"{prefix} of _lastUpdated", "Patient", "_lastUpdated", instant)


def _strings_and_tokens() -> Iterator[Kind]:
    for modifier in ("", "exact", "contains"):
        name = f"name:{modifier}".rstrip(":")
        yield Kind(
            "string", modifier, "Patient", name, any_of(*NAMES[:-1]) if modifier == "exact" else a_text
        )
    for modifier in ("", "not"):
        yield Kind("token", modifier, "Observation", f"code:{modifier}".rstrip(":"), a_code)
        yield Kind("token", f"{modifier} of a boolean", "Patient", f"active:{modifier}".rstrip(":"), TRUTH)
        yield Kind(
            "token", f"{modifier} of a string", "ValueSet", f"version:{modifier}".rstrip(":"), any_of(*CODES)
        )
        yield Kind(
            "token",
            f"{modifier} of _id",
            "Patient",
            f"_id:{modifier}".rstrip(":"),
            any_of("1", "2", "3", "4"),
        )
    yield Kind("token", "system", "Observation", "code", one_of("urn:s|", "urn:t|"))
    yield Kind("token", "text", "Observation", "code:text", a_text)
    value_sets = any_of("http://x.example/some", "http://x.example/all", "http://x.example/none")
    for modifier in ("in", "not-in"):
        yield Kind("token", modifier, "Observation", f"code:{modifier}", value_sets)
    for modifier in ("below", "above"):
        yield Kind("token", modifier, "Observation", f"code:{modifier}", one_of("urn:s|a", "urn:t|b"))
    of_type = one_of(
        *(
            f"{system}|{escaped(code)}|{escaped(value)}"
            for system in SYSTEMS[:2]
            for code in CODES
            for value in CODES
        )
    )
    yield Kind("token", "of-type", "Patient", "identifier:of-type", several(of_type))


def _others() -> Iterator[Kind]:
    yield Kind(
        "reference",
        "",
        "Observation",
        "subject",
        any_of("Patient/1", "Group/1", f"{BASE_URL}/Patient/2", "1"),
    )
    yield Kind("reference", "[type]", "Observation", "subject:Patient", any_of("1", "2"))
    yield Kind("reference", "identifier", "Observation", "subject:identifier", a_code)
    yield Kind(
        "canonical",
        "",
        "QuestionnaireResponse",
        "questionnaire",
        one_of(*(u + v for u in URLS[:3] for v in ("", "|1.0"))),
    )
    yield Kind(
        "canonical",
        "below",
        "QuestionnaireResponse",
        "questionnaire:below",
        one_of(*(u + v for u in URLS[:3] for v in ("", "|1"))),
    )
    yield Kind("uri", "", "ValueSet", "url", any_of(*URLS))
    for modifier in ("below", "above"):
        yield Kind(
            "uri", modifier, "ValueSet", f"url:{modifier}", one_of(*URLS[:3], "http://x.example/a/b/c")
        )
    coded = a_pair(lambda random: escaped(random.choice(CODES)))
    yield Kind("composite", "", "Observation", "code-value-concept", several(coded))
    yield Kind(
        "special", "", "Location", "near", one_of("52.5|13.4|1|km", "0|180|5", "-90|0|20", "0|-179.9|30|km")
    )
    yield Kind(
        "words",
        "",
        "Patient",
        "_text",
        one_of("liver", "liver*", "bone OR liver", "NOT bone", "8480-6 liver"),
    )


KINDS: Final = (*_missing(), *_ordered(), *_strings_and_tokens(), *_others())
