"""May a Brand Bundle be published? [P2]: https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_server.smart.brands.bundle import BrandIdentifier, brand_identifier, problems

EXAMPLE: dict[str, Any] = json.loads(Path("docs/brands.example.json").read_bytes())
BASE = "https://fhir.goodhealth.example.org/fhir"
PRIMARY = BrandIdentifier("https://goodhealth.example.org", "urn:ietf:rfc:3986")

BRAND = "Bundle.entry[0].resource"
PART = "Bundle.entry[1].resource"
ENDPOINT = "Bundle.entry[2].resource"

Change = Callable[[dict[str, Any]], object]


def found_in(change: Change, identifier: BrandIdentifier | None = PRIMARY) -> set[str]:
    bundle = copy.deepcopy(EXAMPLE)
    change(bundle)
    return {place for issue in problems(bundle, identifier, BASE) for place in issue.expression}


def brand(bundle: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = bundle["entry"][0]["resource"]
    return told


def part(bundle: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = bundle["entry"][1]["resource"]
    return told


def endpoint(bundle: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = bundle["entry"][2]["resource"]
    return told


def logo(bundle: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = brand(bundle)["extension"][0]["extension"][0]
    return told


def portal(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = brand(bundle)["extension"][1]["extension"]
    return told


def test_the_example_of_the_documentation_may_be_published() -> None:
    """[P2]"""
    assert problems(EXAMPLE, PRIMARY, BASE) == []
    assert problems(EXAMPLE, BrandIdentifier("https://goodhealth.example.org"), f"{BASE}/") == []


BROKEN: dict[str, tuple[Change, str]] = {
    "another type [P2]": (lambda b: b.update(type="searchset"), "Bundle.type"),
    "no timestamp [R398, R418]": (lambda b: b.pop("timestamp"), "Bundle.timestamp"),
    "no entry": (lambda b: b.pop("entry"), "Bundle.entry"),
    "no fullUrl": (lambda b: b["entry"][0].pop("fullUrl"), "Bundle.entry[0].fullUrl"),
    "no resource": (lambda b: b["entry"][2].pop("resource"), "Bundle.entry[2]"),
    "no name": (lambda b: brand(b).pop("name"), f"{BRAND}.name"),
    "no website": (lambda b: brand(b).pop("telecom"), f"{BRAND}.telecom"),
    "two websites": (
        lambda b: brand(b)["telecom"].append({"system": "phone", "value": "1"}),
        f"{BRAND}.telecom",
    ),
    "a telephone": (
        lambda b: brand(b).update(telecom=[{"system": "phone", "value": "1"}]),
        f"{BRAND}.telecom[0]",
    ),
    "an unknown category": (
        lambda b: brand(b)["type"][0]["coding"][0].update(code="magic"),
        f"{BRAND}.type[0].coding[0].code",
    ),
    "a logo in the clear": (
        lambda b: logo(b).update(valueUrl="http://goodhealth.example.org/logo.svg"),
        f"{BRAND}.extension[0].extension[0].value",
    ),
    "a logo that is elsewhere": (
        lambda b: logo(b).update(valueUrl="logo.svg"),
        f"{BRAND}.extension[0].extension[0].value",
    ),
    "an unknown part": (
        lambda b: logo(b).update(url="brandTune"),
        f"{BRAND}.extension[0].extension[0].url",
    ),
    "a part without its value": (
        lambda b: portal(b)[0].update(url="portalUrl"),
        f"{BRAND}.extension[1].extension[0]",
    ),
    "two names of a portal": (
        lambda b: portal(b).append({"url": "portalName", "valueString": "x"}),
        f"{BRAND}.extension[1].extension[6]",
    ),
    "a portal's endpoint that is not the brand's": (
        lambda b: portal(b)[5]["valueReference"].update(reference="Endpoint/other"),
        f"{BRAND}.extension[1].extension[5].value",
    ),
    "an endpoint that is not there": (
        lambda b: brand(b)["endpoint"].append({"reference": "Endpoint/other"}),
        f"{BRAND}.endpoint[1].reference",
    ),
    "a parent that is not there": (
        lambda b: part(b)["partOf"].update(reference="Organization/other"),
        f"{PART}.partOf.reference",
    ),
    "a parent with a parent": (
        lambda b: brand(b).update(partOf={"display": "a network"}),
        f"{PART}.partOf",
    ),
    "no way to an endpoint": (lambda b: part(b).pop("partOf"), f"{PART}.endpoint"),
    "another reason [R405]": (
        lambda b: part(b)["telecom"][0]["_value"]["extension"][0].update(valueCode="unknown"),
        f"{PART}.telecom[0].value.extension[0].value",
    ),
    "the same id twice": (lambda b: part(b).update(id="goodhealth"), f"{PART}.id"),
    "no FHIR version": (lambda b: endpoint(b).pop("extension"), f"{ENDPOINT}.extension"),
    "a FHIR version in words": (
        lambda b: endpoint(b)["extension"][0].update(valueCode="R4"),
        f"{ENDPOINT}.extension[0]",
    ),
    "another connection": (
        lambda b: endpoint(b)["connectionType"].update(code="dicom-wado-rs"),
        f"{ENDPOINT}.connectionType",
    ),
    "no page for developers": (lambda b: endpoint(b).pop("contact"), f"{ENDPOINT}.contact"),
    "a page for developers in the clear": (
        lambda b: endpoint(b)["contact"][0].update(value="http://developers.example.org"),
        f"{ENDPOINT}.contact",
    ),
    "another payload": (
        lambda b: endpoint(b)["payloadType"][0]["coding"][0].update(code="any"),
        f"{ENDPOINT}.payloadType",
    ),
    "no address of a server": (lambda b: endpoint(b).update(address="urn:x"), f"{ENDPOINT}.address"),
    "the address of another server [R396, R417]": (
        lambda b: endpoint(b).update(address="https://elsewhere.example/fhir"),
        f"{BRAND}.endpoint",
    ),
    "an endpoint without a brand [R396, R417]": (
        lambda b: b["entry"].append(
            {"fullUrl": "https://x.example/Endpoint/x", "resource": {**endpoint(b), "id": "x"}}
        ),
        "Bundle.entry[3].resource",
    ),
    "nobody with the identifier [R412, R432]": (
        lambda b: brand(b).pop("identifier"),
        "Bundle.entry.resource.identifier",
    ),
    "two with the identifier [R412, R432]": (
        lambda b: part(b).update(identifier=brand(b)["identifier"]),
        "Bundle.entry.resource.identifier",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_problem_names_its_element(name: str) -> None:
    """[P2, R396, R398, R405, R412, R417, R418, R432]"""
    change, place = BROKEN[name]
    assert place in found_in(change)


def test_what_is_no_fhir_is_told_as_such() -> None:
    assert "Bundle.entry[0].resource.active" in found_in(lambda b: brand(b).update(active="yes"))
    assert problems({"resourceType": "Patient"}, None, None)
    assert problems({}, None, None)


def test_several_brands_need_the_identifier_of_the_primary_one() -> None:
    """[R409]"""
    assert found_in(lambda _: None, None) == {"Bundle.entry.resource.identifier"}
    assert found_in(lambda b: b["entry"].pop(1), None) == set()


@pytest.mark.parametrize("reason", ["asked-declined", "asked-unknown"])
@pytest.mark.parametrize("url", ["portalName", "portalUrl"])
def test_who_was_asked_may_say_nothing(reason: str, url: str) -> None:
    """[R405]"""
    absent = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": reason}
    value = {"portalName": "_valueString", "portalUrl": "_valueUrl"}[url]

    def change(bundle: dict[str, Any]) -> None:
        kept = [one for one in portal(bundle) if one["url"] != url]
        brand(bundle)["extension"][1]["extension"] = [*kept, {"url": url, value: {"extension": [absent]}}]

    assert found_in(change) == set()


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("urn:ietf:rfc:3986|https://a.example", BrandIdentifier("https://a.example", "urn:ietf:rfc:3986")),
        ("https://a.example", BrandIdentifier("https://a.example")),
        ("|7", BrandIdentifier("7")),
    ],
)
def test_an_identifier_has_a_value_and_may_have_a_system(text: str, identifier: BrandIdentifier) -> None:
    """[R403, R410, R421, R430, R431]"""
    assert brand_identifier(text) == identifier
    assert identifier.told()["value"] == identifier.value
