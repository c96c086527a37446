"""
A Brand Bundle as a whole: may it be published, and which of its brands is this server's?

https://hl7.org/fhir/smart-app-launch/STU2.2/StructureDefinition-user-access-brands-bundle.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fhir_server.r4.errors import FhirError, Issue
from fhir_server.r4.resource import Resource, from_text
from fhir_server.r4.validation import validate
from fhir_server.settings import Settings
from fhir_server.smart.brands.elements import problem, wrong_reasons
from fhir_server.smart.brands.endpoint import endpoint_problems
from fhir_server.smart.brands.organization import brand_problems, endpoints_of

BRANDS_BYTES_MAX: Final = 16 << 20
BRANDS_PATH: Final = "/brands"
"""Where it is published, beside the FHIR base."""


@dataclass(frozen=True, slots=True)
class BrandIdentifier:
    """The Identifier of a primary brand."""

    value: str
    system: str | None = None

    def told(self) -> dict[str, str]:
        """As FHIR has it."""
        return {"value": self.value} if self.system is None else {"system": self.system, "value": self.value}

    def names(self, brand: Resource) -> bool:
        """Is it among the brand's identifiers? Without a system, whatever theirs is."""
        return any(
            one.get("value") == self.value and self.system in (None, one.get("system"))
            for one in brand.get("identifier", ())
        )


@dataclass(frozen=True, slots=True)
class Brands:
    """What is published: the Bundle as it is in its file, and the identifier of this server's brand."""

    text: bytes
    identifier: BrandIdentifier | None


class InvalidBrands(ValueError):
    """A file that cannot be published; the message has a line for each problem."""


def brand_identifier(text: str) -> BrandIdentifier:
    """The identifier that `text` writes: `system|value`, or a value."""
    system, bar, value = text.partition("|")
    return BrandIdentifier(value, system or None) if bar else BrandIdentifier(text)


def brands_in(file: Path, identifier: BrandIdentifier | None, base_url: str | None) -> Brands:
    """What is in the file. Raises InvalidBrands."""
    try:
        if file.stat().st_size > BRANDS_BYTES_MAX:
            raise InvalidBrands(f"{file} has more than {BRANDS_BYTES_MAX} bytes")
        text = file.read_bytes()
        bundle = from_text(text)
    except OSError as error:
        raise InvalidBrands(f"{file} cannot be read: {error.strerror}") from error
    except FhirError as error:
        raise InvalidBrands(f"{file} is no JSON object") from error
    found = problems(bundle, identifier, base_url)
    if found:
        lines = (f"{', '.join(one.expression) or 'Bundle'}: {one.diagnostics}" for one in found)
        raise InvalidBrands("\n".join(lines))
    return Brands(text, identifier)


def published_brands(told: Settings, base_url: str | None) -> Brands | None:
    """
    What the server at `base_url` (None: not known yet) publishes, by its settings; None when it is nothing.

    Raises InvalidBrands.
    """
    if told.brands_file is None:
        return None
    identifier = None if told.brand_identifier is None else brand_identifier(told.brand_identifier)
    return brands_in(told.brands_file, identifier, base_url)


def problems(bundle: Resource, identifier: BrandIdentifier | None, base_url: str | None) -> list[Issue]:
    """
    Each reason why this Bundle may not be published, each with its element; none when it may.

    `base_url` is that of the FHIR server whose brand the identifier names; None when it is not known.
    """
    broken = [issue for issue in validate(bundle, expected_type="Bundle") if issue.severity in _BREAKING]
    if broken or bundle.get("resourceType") != "Bundle":
        # What is not FHIR cannot be judged any further.
        return broken or [problem("This is no Bundle", "resourceType")]
    return [*_of_bundle(bundle), *_Contents(bundle).problems(identifier, base_url)]


def _of_bundle(bundle: Resource) -> Iterator[Issue]:
    if bundle.get("type") != "collection":
        yield problem("A Brand Bundle is of type collection", "Bundle.type")
    if "timestamp" not in bundle:
        yield problem("A Brand Bundle says when it changed last", "Bundle.timestamp")
    if not bundle.get("entry"):
        yield problem("A Brand Bundle has brands and endpoints", "Bundle.entry")
    for index, entry in enumerate(bundle.get("entry", ())):
        for name in ("fullUrl", "resource"):
            if name not in entry:
                yield problem(f"An entry has a {name}", f"Bundle.entry[{index}].{name}")
    yield from wrong_reasons(bundle, "Bundle")


class _Contents:
    """The brands and Endpoints of a Bundle, by how they are referred to within it."""

    def __init__(self, bundle: Resource) -> None:
        self.brands: dict[str, tuple[Resource, str]] = {}
        self.endpoints: dict[str, tuple[Resource, str]] = {}
        self.twice: list[Issue] = []
        for index, entry in enumerate(bundle.get("entry", ())):
            resource, place = entry.get("resource", {}), f"Bundle.entry[{index}].resource"
            type = resource.get("resourceType")
            if type in ("Organization", "Endpoint"):
                named = f"{type}/{resource.get('id', f'#{index}')}"
                kept = self.brands if type == "Organization" else self.endpoints
                if named in kept:
                    self.twice.append(problem(f"{named} is there twice", f"{place}.id"))
                kept[named] = (resource, place)

    def problems(self, identifier: BrandIdentifier | None, base_url: str | None) -> Iterator[Issue]:
        yield from self.twice
        for endpoint, place in self.endpoints.values():
            yield from endpoint_problems(endpoint, place)
        for brand, place in self.brands.values():
            yield from brand_problems(brand, place)
            yield from self._of_references(brand, place)
        referred = {one for brand, _ in self.brands.values() for one in endpoints_of(brand)}
        for name, (_, place) in self.endpoints.items():
            if name not in referred:
                yield problem("No brand refers to this Endpoint", place)
        yield from self._of_primary(identifier, base_url)

    def _of_references(self, brand: Resource, place: str) -> Iterator[Issue]:
        for index, reference in enumerate(brand.get("endpoint", ())):
            if reference.get("reference") not in self.endpoints:
                told = "It refers to an Endpoint of this Bundle: Endpoint/[id]"
                yield problem(told, f"{place}.endpoint[{index}].reference")
        parent = self._parent(brand)
        if "reference" in brand.get("partOf", {}):
            if parent is None:
                told = "It refers to an Organization of this Bundle: Organization/[id]"
                yield problem(told, f"{place}.partOf.reference")
            elif "partOf" in parent:
                yield problem("A parent brand has no parent of its own", f"{place}.partOf")
        if not endpoints_of(brand) and not (parent and endpoints_of(parent)):
            yield problem("A brand, or the one that it is part of, has an Endpoint", f"{place}.endpoint")

    def _parent(self, brand: Resource) -> Resource | None:
        parent, _ = self.brands.get(brand.get("partOf", {}).get("reference", ""), (None, ""))
        return parent

    def _of_primary(self, identifier: BrandIdentifier | None, base_url: str | None) -> Iterator[Issue]:
        named = [found for found in self.brands.values() if identifier is None or identifier.names(found[0])]
        if len(named) != 1:
            told = "exactly one brand has the identifier of the primary one"
            if identifier is None:
                told = "a Bundle with several brands takes the identifier of the primary one"
            yield problem(f"There are {len(named)}: {told}", "Bundle.entry.resource.identifier")
            return
        [(brand, place)] = named
        parent = self._parent(brand)
        leads = [*endpoints_of(brand), *(endpoints_of(parent) if parent else ())]
        addresses = [
            self.endpoints[one][0].get("address", "").rstrip("/") for one in leads if one in self.endpoints
        ]
        if base_url is not None and base_url.rstrip("/") not in addresses:
            yield problem(
                f"The primary brand has no Endpoint with the address {base_url}", f"{place}.endpoint"
            )


_BREAKING: Final = ("error", "fatal")
