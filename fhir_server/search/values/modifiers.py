"""
Modifiers: `name:exact`.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from fhir_server.r4.errors import Invalid


def refuse_modifier(code: str, modifier: str, *known: str) -> Invalid:
    """The refusal of a modifier that the parameter has not, naming those that it has."""
    has = ", ".join(f"`:{name}`" for name in known)
    return Invalid(f"The modifier `:{modifier[:64]}` of `{code}` is not supported; there is {has}")
