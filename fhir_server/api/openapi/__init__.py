"""
OpenAPI documents of the FHIR API: one for the server, one for each resource type.

They are made from the table of routes and from what is registered, so that they list what is
there and nothing else.

https://spec.openapis.org/oas/v3.1.1.html
"""

from fhir_server.api.openapi.document import SYSTEM, names, openapi

__all__ = ["SYSTEM", "names", "openapi"]
