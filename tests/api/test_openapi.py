"""The OpenAPI documents are valid, and list what is registered and nothing else."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from fhir_server.api.openapi import SYSTEM, names, openapi
from fhir_server.api.registration import registered
from fhir_server.api.routes import ROUTES
from fhir_server.interactions.capabilities import capabilities
from fhir_server.r4.definitions import definitions
from fhir_server.r4.interaction import Capabilities
from fhir_server.r4.resource import from_text, to_text
from fhir_server.r4.validation import validate
from fhir_server.r4.xml import from_xml
from fhir_server.settings import Settings
from tests.interactions.test_capabilities import BASE, STARTED

METHODS: Final = frozenset(("get", "post", "put", "patch", "delete"))


@cache
def document(name: str) -> dict[str, Any]:
    return from_text(to_text(openapi(name, registered(Settings()), "/fhir")))


def operations(name: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): told
        for path, each in document(name)["paths"].items()
        for method, told in each.items()
    }


def parameters(name: str, method: str, path: str) -> dict[str, dict[str, Any]]:
    """By name, references followed."""
    components = document(name)["components"]["parameters"]
    listed = operations(name)[method, path]["parameters"]
    found = [components[each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in listed]
    assert len({(each["in"], each["name"]) for each in found}) == len(found)
    return {each["name"]: each for each in found}


@pytest.mark.parametrize("name", [SYSTEM, "AuditEvent", "Binary", "Bundle", "Observation", "Patient"])
def test_a_document_is_valid(name: str) -> None:
    """The validator takes half a second for one; the others differ in names alone, see below."""
    OpenAPIV31SpecValidator(document(name)).validate()


@pytest.mark.parametrize("name", names())
def test_each_document_refers_to_what_it_has(name: str) -> None:
    told = document(name)
    text = to_text(told).decode()
    for reference in set(re.findall(r'"\$ref":"#/components/([^"]+)"', text)):
        section, _, component = reference.partition("/")
        assert component in told["components"][section]
    for section in told["components"].values():
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", component) for component in section)
    ids = [each["operationId"] for each in operations(name).values()]
    assert len(set(ids)) == len(ids)
    assert {tag["name"] for tag in told["tags"]} == {
        tag for each in operations(name).values() for tag in each["tags"]
    }


def test_there_is_a_document_for_the_server_and_for_each_type() -> None:
    assert set(names()) == {SYSTEM, *definitions().resource_types}
    assert len(names()) == 147


def test_a_type_is_searched_in_the_compartments_that_it_can_be_in() -> None:
    assert not [listed for _, listed in operations("Slot") if listed.startswith("/{compartment}")]
    for type, compartments in {
        "Patient": ["Patient", "Practitioner", "RelatedPerson"],
        "Encounter": ["Encounter", "Patient", "Practitioner", "RelatedPerson"],
    }.items():
        path = f"/{{compartment}}/{{id}}/{type}"
        assert parameters(type, "GET", path)["compartment"]["schema"]["enum"] == compartments
    assert len(parameters(SYSTEM, "GET", "/{compartment}/{id}/*")["compartment"]["schema"]["enum"]) == 5


def test_the_documents_list_each_route_once() -> None:
    listed = {
        (method, path.replace(f"/{name}", "/{type}", 1))
        # Some operations are there for one type only.
        for name in (SYSTEM, "Patient", "SearchParameter")
        for method, path in operations(name)
    }
    assert listed == {(route.method, f"/{route.template}") for route in ROUTES} | {("GET", "/metadata")}


@pytest.mark.parametrize("name", names())
def test_what_a_type_has_not_is_not_listed(name: str) -> None:
    if name == SYSTEM:
        return
    methods = {method for method, path in operations(name) if "$" not in path}
    if name == "AuditEvent":
        # Searches are by POST too, and nothing is written.
        assert methods == {"GET", "POST"}
        posts = {path for method, path in operations(name) if method == "POST" and "$" not in path}
        assert posts == {"/AuditEvent/_search", "/{compartment}/{id}/AuditEvent/_search"}
    else:
        assert methods == {"GET", "POST", "PUT", "PATCH", "DELETE"}


@pytest.mark.parametrize("name", names())
def test_its_search_parameters_are_those_of_the_capability_statement(name: str) -> None:
    statement = capabilities(Capabilities(), registered(Settings()), BASE, STARTED)
    (rest,) = statement["rest"]
    told = rest if name == SYSTEM else next(each for each in rest["resource"] if each["type"] == name)
    path = "/" if name == SYSTEM else f"/{name}"
    listed = parameters(name, "GET", path)
    for parameter in told["searchParam"]:
        assert listed[parameter["name"]]["description"].startswith(parameter["type"])
        assert parameter["definition"] in listed[parameter["name"]]["description"]
    shaping = {each for each in listed if listed[each]["in"] == "query"} - {
        parameter["name"] for parameter in told["searchParam"]
    }
    assert {"_count", "_sort", "_summary", "_elements", "_format"} <= shaping
    assert ("_type" in shaping) is (name == SYSTEM)
    form = operations(name)["POST", path.rstrip("/") + "/_search"]["requestBody"]["content"]
    properties = form["application/x-www-form-urlencoded"]["schema"]["properties"]
    assert set(properties) == {each for each in listed if listed[each]["in"] == "query"}


def test_each_operation_says_how_it_is_answered_and_refused() -> None:
    for (method, path), told in operations("Patient").items():
        statuses = set(told["responses"])
        assert {"400", "401", "403", "406", "503"} <= statuses, (method, path)
        assert statuses & {"200", "201", "204"}, (method, path)
        for status, answer in told["responses"].items():
            if status in ("200", "201"):
                assert {"application/fhir+json", "application/fhir+xml"} <= set(answer["content"])
    assert set(operations("Patient")["POST", "/Patient"]["responses"]) >= {"200", "201", "412", "422"}


def test_each_kind_of_patch_is_listed_with_an_example() -> None:
    content = operations("Patient")["PATCH", "/Patient/{id}"]["requestBody"]["content"]
    assert list(content) == list(registered(Settings()).patch_formats)
    assert content["application/json-patch+json"]["example"] == [
        {"op": "add", "path": "/language", "value": "en"}
    ]


def test_a_binary_comes_and_goes_by_its_own_content_type() -> None:
    assert "*/*" in operations("Binary")["POST", "/Binary"]["requestBody"]["content"]
    assert "*/*" in operations("Binary")["GET", "/Binary/{id}"]["responses"]["200"]["content"]
    assert "*/*" not in operations("Patient")["POST", "/Patient"]["requestBody"]["content"]


@pytest.mark.parametrize("name", names())
def test_everything_but_the_capabilities_needs_a_token(name: str) -> None:
    assert document(name)["security"] == [{"bearer": []}]
    without = {key for key, told in operations(name).items() if told.get("security") == []}
    assert without == ({("GET", "/metadata")} if name == SYSTEM else set())


def test_the_examples_of_bodies_are_resources_to_fill_in() -> None:
    content = operations(SYSTEM)["POST", "/"]["requestBody"]["content"]
    bundle = content["application/fhir+json"]["example"]
    assert not validate(bundle)
    assert from_xml(content["application/fhir+xml"]["example"].encode()) == bundle
    patient = operations("Patient")["POST", "/Patient"]["requestBody"]["content"]["application/fhir+json"]
    assert patient["example"] == {"resourceType": "Patient"}


def test_the_elements_of_a_resource_are_listed() -> None:
    patient = document("Patient")["components"]["schemas"]["Patient"]["properties"]
    assert patient["birthDate"] == {"type": "string", "title": "date"}
    assert patient["name"]["items"]["title"] == "HumanName"
    assert {"deceasedBoolean", "deceasedDateTime"} <= set(patient)


def test_the_address_is_below_the_base() -> None:
    assert openapi(SYSTEM, registered(Settings()), "/ehr/r4")["servers"] == [{"url": "/ehr/r4"}]
    assert openapi(SYSTEM, registered(Settings()), "")["servers"] == [{"url": "/"}]
