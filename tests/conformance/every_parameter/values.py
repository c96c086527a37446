"""
Values to search by: two of each FHIR type that differ, and the searches that ask for the first.

The oracle is written down here, from the tables of R4's search page, one function a parameter
type. Of two ordered values the first is the lesser one.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from fhir_server.r4.definitions import definitions
from fhir_server.r4.resource import Literal
from tests.conformance.every_parameter.paths import Selection
from tests.r4.instances import minimal

SYSTEM: Final = "http://example.org/system"
UNIT: Final = {"unit": "milligram", "system": "http://unitsofmeasure.org", "code": "mg"}

NOT_SEARCHED: Final = frozenset(
    (
        ("date", "Age"),
        ("date", "Range"),
        ("date", "string"),
        ("quantity", "SampledData"),
        ("reference", "Attachment"),
    )
)
"""A parameter type, and a type of an element that it has no meaning for: only `:missing` asks for it."""

Search = tuple[str, str]
"""What follows the parameter's code, and a value: `(":exact", "Text 7")`."""


def pair(one: Selection, n: int) -> tuple[Any, Any]:
    """Two values that differ; the second is None where there is only one that may stand there."""
    codes = _codes(one)
    if codes:
        first, second = codes[-1], (codes[0] if len(codes) > 1 else None)
        return _coded(one.kind, first), None if second is None else _coded(one.kind, second)
    make = _MADE[one.kind]
    if one.path == "Patient.deceasedDateTime":
        return make(one, n, 0), None
    return make(one, n, 0), make(one, n, 1)


def searches(search_type: str, one: Selection, value: Any) -> list[Search]:
    """Searches that find `value` and not the other one of its pair."""
    return list(_ASKED[search_type](one, value))


def _codes(one: Selection) -> list[tuple[str, str]]:
    binding = one.last.element.binding
    if (
        binding is None
        or binding.strength != "required"
        or one.kind not in ("code", "Coding", "CodeableConcept")
    ):
        return []
    systems = definitions().value_sets.get(binding.value_set or "", {})
    codes = [(system, code) for system in sorted(systems) for code in sorted(systems[system])]
    if one.path == "SearchParameter.status":
        codes = [(system, code) for system, code in codes if code not in ("active", "draft")]
    return codes or [(system, code) for system in systems for code in ("text/html", "text/plain")]


def _coded(kind: str, code: tuple[str, str]) -> Any:
    coding = {"system": code[0], "code": code[1]}
    match kind:
        case "code":
            return code[1]
        case "Coding":
            return coding
        case _:
            return {"coding": [coding]}


def _coding(n: int, which: int) -> dict[str, Any]:
    return {"system": SYSTEM, "code": f"code-{n}-{which}", "display": f"Display {n}-{which}"}


def _reference(one: Selection, n: int, which: int) -> dict[str, Any]:
    target = one.target or min(one.last.declared.targets)
    return {"reference": f"{target}/r-{n}-{which}"}


def _identifier(n: int, which: int) -> dict[str, Any]:
    return {"system": SYSTEM, "value": f"value-{n}-{which}"}


def _telecom(one: Selection, n: int, which: int) -> dict[str, Any]:
    return {"system": one.last.beside.get("system", "phone"), "value": f"t-{n}-{which}"}


def _name(n: int, which: int) -> dict[str, Any]:
    return {
        "text": f"Whole Näme{n}x{which}",
        "family": f"Family{n}x{which}",
        "given": [f"Given{n}x{which}", f"Middle{n}x{which}"],
        "prefix": [f"Prefix{n}x{which}"],
        "suffix": [f"Suffix{n}x{which}"],
    }


def _address(n: int, which: int) -> dict[str, Any]:
    parts = ("text", "city", "district", "state", "postalCode", "country")
    return {part: f"{part.title()}{n}x{which}" for part in parts} | {"line": [f"Line{n}x{which}"]}


def _day(which: int) -> str:
    return f"{2001 + 20 * which}-02-03"


def _amount(which: int) -> Literal:
    return Literal(f"{5 + 20 * which}.40".encode())


def _unit(one: Selection) -> dict[str, str]:
    return {**UNIT, "unit": "percent", "code": "%"} if one.type == "RiskAssessment" else UNIT


def _is_plain(one: Selection) -> bool:
    """Names that programs use have neither spaces nor accents, by an invariant."""
    canonical = "url" in definitions().types[one.type].elements or one.type == "NamingSystem"
    return canonical and one.last.name in ("name", "path")


def _quantity_of(_one: Selection, _n: int, which: int) -> dict[str, Any]:
    return {"value": _amount(which), **UNIT}


def _position(_one: Selection, _n: int, which: int) -> dict[str, Any]:
    return {"latitude": Literal(b"52.52"), "longitude": Literal(b"13.4") if which else Literal(b"4.9")}


_MADE: Final[Mapping[str, Callable[[Selection, int, int], Any]]] = {
    "Address": lambda _one, n, which: _address(n, which),
    "Age": lambda _one, _n, which: {"value": _amount(which), **UNIT, "unit": "years", "code": "a"},
    "Attachment": lambda _one, n, which: {"url": f"http://example.org/a/{n}/{which}"},
    "BackboneElement": _position,
    "CodeableConcept": lambda _one, n, which: {"coding": [_coding(n, which)]},
    "Coding": lambda _one, n, which: _coding(n, which),
    "ContactPoint": _telecom,
    "Duration": lambda _one, _n, which: {"value": _amount(which), **UNIT, "unit": "hours", "code": "h"},
    "HumanName": lambda _one, n, which: _name(n, which),
    "Identifier": lambda _one, n, which: _identifier(n, which),
    "Money": lambda _one, _n, which: {"value": _amount(which), "currency": "EUR"},
    "Period": lambda _one, _n, which: {"start": _day(which), "end": f"{_day(which)[:4]}-03-04T05:06:07Z"},
    "Quantity": _quantity_of,
    "Range": lambda one, _n, which: {
        "low": {"value": Literal(f"{5 + 20 * which}.60".encode()), **_unit(one)},
        "high": {"value": Literal(f"{6 + 20 * which}.40".encode()), **_unit(one)},
    },
    "Reference": _reference,
    "Resource": lambda _one, n, which: minimal(_one.target or "Composition") | {"id": f"c-{n}-{which}"},
    "SampledData": lambda _one, _n, which: minimal("SampledData") | {"origin": {"value": _amount(which)}},
    "Timing": lambda _one, _n, which: {"event": [_day(which), f"{_day(which)[:4]}-05-06"]},
    "boolean": lambda _one, _n, which: not which,
    "canonical": lambda _one, n, which: f"http://example.org/canonical/{n}/{which}|1.{which}",
    "code": lambda _one, n, which: f"code-{n}-{which}",
    "date": lambda _one, _n, which: _day(which),
    "dateTime": lambda _one, _n, which: f"{_day(which)}T04:05:06+02:00",
    "decimal": lambda _one, _n, which: Literal(f"0.{25 + 50 * which}".encode()),
    "id": lambda _one, n, which: f"id-{n}-{which}",
    "instant": lambda _one, _n, which: f"{_day(which)}T04:05:06.789Z",
    "integer": lambda _one, n, which: n + which,
    "markdown": lambda _one, n, which: f"Märkdown{n}x{which} of  some words",
    "string": lambda one, n, which: (
        f"Name{n}x{which}" if _is_plain(one) else f"Stríng{n}x{which} of  some words"
    ),
    "uri": lambda _one, n, which: f"http://example.org/uri/{n}/{which}",
    "url": lambda _one, n, which: f"http://example.org/url/{n}/{which}",
}


def _token(one: Selection, value: Any) -> Iterator[Search]:
    match one.kind:
        case "CodeableConcept" | "Coding":
            coding = value["coding"][0] if "coding" in value else value
            yield "", f"{coding['system']}|{coding['code']}"
            yield "", coding["code"]
            if coding["system"] == SYSTEM:
                yield "", f"nothing-has-this,{coding['code']}"
                yield ":text", coding["display"].upper()
        case "Identifier":
            yield "", f"{value['system']}|{value['value']}"
            yield "", value["value"]
        case "ContactPoint":
            yield "", value["value"]
        case "code" if _codes(one):
            yield "", value
            yield "", next(f"{system}|{code}" for system, code in reversed(_codes(one)) if code == value)
        case "boolean":
            yield "", "true"
        case "dateTime":
            # Patient's `deceased` is whether there is one.
            yield "", "true"
        case _:
            yield "", value


def _referring(one: Selection, value: Any) -> Iterator[Search]:
    match one.kind:
        case "Reference":
            type, _, id = value["reference"].partition("/")
            yield "", value["reference"]
            yield f":{type}", id
            yield "", f"{type}/nobody,{value['reference']}"
        case "Resource":
            yield "", f"{value['resourceType']}/{value['id']}"
        case "canonical":
            yield "", value
            yield "", value.partition("|")[0]
        case _:
            yield "", value


def _string(_one: Selection, value: Any) -> Iterator[Search]:
    if isinstance(value, str):
        word, *more = value.split()
        yield "", word.upper().replace("Í", "i").replace("Ä", "a")
        yield ":exact", value
        yield ":contains", " OF ".join([word[3:].lower(), *more[1:2]])
        return
    for part in value.values():
        for text in part if isinstance(part, list) else [part]:
            yield "", text.lower()
            yield ":exact", text
            yield ":contains", text[2:]


def _date(_one: Selection, value: Any) -> Iterator[Search]:
    year = int(_day(0)[:4])
    yield "", str(year)
    yield "", f"eq{year}"
    yield "", f"lt{year + 10}"
    yield "", f"le{year}"
    yield "", f"eb{year + 10}"
    yield "", f"ne{_day(1)[:4]}"
    if isinstance(value, str):
        yield "", value
        yield "", f"ap{value[:10]}"


def _number(one: Selection, value: Any) -> Iterator[Search]:
    if one.kind == "Range":
        yield from _in_between(value, "")
        return
    number = str(int(value)) if isinstance(value, int) else bytes(value).decode()
    yield "", number
    yield "", f"eq{number}"
    yield "", f"le{number}"
    yield "", f"lt{float(number) + 0.5 if isinstance(value, int) else 0.3}"


def _quantity(one: Selection, value: Any) -> Iterator[Search]:
    if one.kind == "Range":
        yield from _in_between(value, f"|{UNIT['system']}|mg")
        yield from _in_between(value, "||milligram")
        return
    number = bytes(value["value"]).decode()
    system = value.get("system", "urn:iso:std:iso:4217")
    code = value.get("code", value.get("currency"))
    yield "", number
    yield "", f"eq{number}|{system}|{code}"
    yield "", f"{number}||{value.get('unit', code)}"
    yield "", f"lt10.5|{system}|{code}"
    yield "", f"le{number}"


def _in_between(value: Any, unit: str) -> Iterator[Search]:
    low = bytes(value["low"]["value"]).decode()
    yield "", f"lt7{unit}"
    yield "", f"le{low}{unit}"
    yield "", f"eb10{unit}"
    yield "", f"6{unit}"


def _uri(_one: Selection, value: Any) -> Iterator[Search]:
    plain = value.partition("|")[0]
    yield "", value
    yield "", plain
    yield ":below", plain
    yield ":above", f"{plain}/below/it"


def _near(_one: Selection, _value: Any) -> Iterator[Search]:
    yield "", "52.52|4.9"
    yield "", "52.5|5|50|km"
    yield "", "52.5|5|50000|m"


_ASKED: Final[Mapping[str, Callable[[Selection, Any], Iterator[Search]]]] = {
    "token": _token,
    "reference": _referring,
    "string": _string,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
    "uri": _uri,
    "special": _near,
}
