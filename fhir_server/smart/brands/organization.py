"""
A brand: an Organization with its logos and portals.

https://hl7.org/fhir/smart-app-launch/STU2.2/StructureDefinition-user-access-brand.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_server.r4.errors import Issue
from fhir_server.r4.resource import Resource
from fhir_server.smart.brands.elements import extensions_of, is_declined, is_link, problem

BRAND: Final = "http://hl7.org/fhir/StructureDefinition/organization-brand"
PORTAL: Final = "http://hl7.org/fhir/StructureDefinition/organization-portal"
CATEGORY: Final = "http://hl7.org/fhir/smart-app-launch/CodeSystem/user-access-category"
CATEGORIES: Final = frozenset(
    ("clinical", "insurance", "laboratory", "imaging", "pharmacy", "network", "aggregator")
)

_PARTS: Final[Mapping[str, Mapping[str, tuple[str, bool]]]] = {
    BRAND: {
        "brandLogo": ("valueUrl", True),
        "brandLogoLicense": ("valueUrl", True),
        "brandBundle": ("valueUrl", True),
    },
    PORTAL: {
        "portalName": ("valueString", False),
        "portalDescription": ("valueMarkdown", False),
        "portalUrl": ("valueUrl", False),
        "portalLogo": ("valueUrl", True),
        "portalLogoLicense": ("valueUrl", True),
        "portalEndpoint": ("valueReference", True),
    },
}
"""Of each extension: the value that each of its parts has, and whether there may be several."""
_LOGOS: Final = ("brandLogo", "portalLogo")


def brand_problems(brand: Resource, place: str) -> Iterator[Issue]:
    """What keeps it from being a card that people recognize, without its references."""
    if not brand.get("name"):
        yield problem("A brand has a name", f"{place}.name")
    yield from _of_website(brand, place)
    yield from _of_categories(brand, place)
    for url in _PARTS:
        for extension, where in extensions_of(brand, url, place):
            yield from _of_parts(extension, _PARTS[url], where)
    yield from _of_portals(brand, place)


def endpoints_of(brand: Resource) -> list[str]:
    """The references to its Endpoints."""
    return [one["reference"] for one in brand.get("endpoint", ()) if "reference" in one]


def _of_website(brand: Resource, place: str) -> Iterator[Issue]:
    websites = brand.get("telecom", ())
    if len(websites) != 1:
        yield problem("A brand has one telecom: its public website", f"{place}.telecom")
        return
    [website] = websites
    if is_declined(website, "value") and "value" not in website:
        return
    if website.get("system") != "url" or not is_link(website.get("value"), "https", "http"):
        yield problem("The website of a brand is a telecom of system url", f"{place}.telecom[0]")


def _of_categories(brand: Resource, place: str) -> Iterator[Issue]:
    for index, concept in enumerate(brand.get("type", ())):
        for number, coding in enumerate(concept.get("coding", ())):
            if coding.get("system") == CATEGORY and coding.get("code") not in CATEGORIES:
                told = f"A category of access is one of: {', '.join(sorted(CATEGORIES))}"
                yield problem(told, f"{place}.type[{index}].coding[{number}].code")


def _of_parts(
    extension: Mapping[str, Any], parts: Mapping[str, tuple[str, bool]], place: str
) -> Iterator[Issue]:
    seen: set[str] = set()
    for index, part in enumerate(extension.get("extension", ())):
        where, name = f"{place}.extension[{index}]", part.get("url", "")
        if name not in parts:
            yield problem(f"The parts of this extension are: {', '.join(parts)}", f"{where}.url")
            continue
        value, several = parts[name]
        if name in seen and not several:
            yield problem(f"There is one {name}", where)
        seen.add(name)
        if value not in part:
            if not is_declined(part, value):
                yield problem(f"{name} has a {value}", where)
        elif name in _LOGOS and not is_link(part[value], "https", "data"):
            yield problem("A logo is at an https URL, or in a data URI", f"{where}.value")
        elif value == "valueUrl" and not is_link(part[value], "https", "http", "data"):
            yield problem(f"{name} is an absolute URL", f"{where}.value")


def _of_portals(brand: Resource, place: str) -> Iterator[Issue]:
    """uab-1: Portal endpoints must also appear at Organization.endpoint."""
    known = endpoints_of(brand)
    for portal, where in extensions_of(brand, PORTAL, place):
        for part, at in extensions_of(portal, "portalEndpoint", where):
            if part.get("valueReference", {}).get("reference") not in known:
                yield problem("An Endpoint of a portal is one of the brand's, too (uab-1)", f"{at}.value")
