"""
An Endpoint of a Brand Bundle.

https://hl7.org/fhir/smart-app-launch/STU2.2/StructureDefinition-user-access-endpoint.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from fhir_server.r4.errors import Issue
from fhir_server.r4.resource import Resource
from fhir_server.smart.brands.elements import extensions_of, is_link, problem

FHIR_VERSION: Final = "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version"
CONNECTION_TYPE: Final = ("http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "hl7-fhir-rest")
PAYLOAD_TYPE: Final = ("http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "none")

_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?(-[A-Za-z0-9.]+)?")


def endpoint_problems(endpoint: Resource, place: str) -> Iterator[Issue]:
    """What keeps it from being one that apps can use."""
    versions = list(extensions_of(endpoint, FHIR_VERSION, place))
    if not versions:
        yield problem(f"An Endpoint says its FHIR version: {FHIR_VERSION}", f"{place}.extension")
    for version, where in versions:
        if not _VERSION.fullmatch(str(version.get("valueCode", ""))):
            yield problem("A FHIR version is a valueCode such as 4.0.1", where)
    connection = endpoint.get("connectionType", {})
    if (connection.get("system"), connection.get("code")) != CONNECTION_TYPE:
        yield problem(f"The connection type is {'|'.join(CONNECTION_TYPE)}", f"{place}.connectionType")
    contacts = endpoint.get("contact", ())
    if not any(one.get("system") == "url" and is_link(one.get("value"), "https") for one in contacts):
        told = "A contact is where developers configure access: system url, an https URL"
        yield problem(told, f"{place}.contact")
    payloads = endpoint.get("payloadType", ())
    codes = [
        (coding.get("system"), coding.get("code")) for one in payloads for coding in one.get("coding", ())
    ]
    if len(payloads) != 1 or PAYLOAD_TYPE not in codes:
        yield problem(f"There is one payload type, {'|'.join(PAYLOAD_TYPE)}", f"{place}.payloadType")
    if not is_link(endpoint.get("address"), "https", "http"):
        yield problem("The address is the base URL of a FHIR server", f"{place}.address")
