"""
What the table of routes, the formats and the settings come to, handed down to those who tell of it.

https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, get_args

from fhir_server.api.routes import ROUTES
from fhir_server.interactions.registered import (
    Registered,
    RegisteredOperation,
    SystemInteraction,
    TypeInteraction,
)
from fhir_server.operations import OPERATIONS
from fhir_server.r4.interaction import PATCHES
from fhir_server.r4.media import Format
from fhir_server.settings import Settings

Code = TypeVar("Code", TypeInteraction, SystemInteraction)


def registered(
    settings: Settings, operations: Iterable[RegisteredOperation] = OPERATIONS.values()
) -> Registered:
    """What a process with these settings serves."""
    served = {code for route in ROUTES for code in route.serves}
    conditional = {code for route in ROUTES if route.conditional for code in route.serves}
    media_types = [format.media_type for format in Format]
    return Registered(
        system=_in_order(served, get_args(SystemInteraction)),
        types=_in_order(served, get_args(TypeInteraction)),
        conditional=frozenset(_in_order(conditional, get_args(TypeInteraction))),
        formats=(*media_types, *(format.value for format in Format)),
        patch_formats=(*PATCHES, *media_types),
        operations=tuple(operations),
        conditional_delete_max=settings.conditional_delete_max,
        cors=settings.oidc_issuer is None or bool(settings.cors_origins),
        full_text=settings.full_text,
    )


def _in_order(served: set[TypeInteraction | SystemInteraction], codes: tuple[Code, ...]) -> tuple[Code, ...]:
    """Those of one level, in the order in which FHIR lists them."""
    return tuple(code for code in codes if code in served)
