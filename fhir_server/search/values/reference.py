"""
reference: what an element points to.

Extracted: `|Patient/1` from a reference on this server, relative or under our own base URL;
`|https://other.example/Patient/1` from one elsewhere, a urn or a canonical as it is written;
with its version also `|Patient/1/_history/2`. A canonical stands beside it as `:canonical|...`
(canonical.py). What is contained is no value of its own (`fragments`). An identifier in place of a
reference, or beside it, gives `:identifier|system|value`.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.r4.fhirpath.references import target_of, type_of
from fhir_server.r4.primitives import is_id
from fhir_server.r4.resource import Key
from fhir_server.search.declared.parameters import Parameter
from fhir_server.search.predicates.canonical import canonical_name
from fhir_server.search.predicates.entry import escape
from fhir_server.search.predicates.predicate import (
    AnyToken,
    Elsewhere,
    Predicate,
    TokenPrefix,
    Unqualified,
    any_of,
    token,
)
from fhir_server.search.predicates.unions import union
from fhir_server.search.values.escaping import unescaped
from fhir_server.search.values.modifiers import refuse_modifier
from fhir_server.search.values.site import Site
from fhir_server.search.values.token import coded, in_system, system_and_code


def suffixes(nodes: Collection, site: Site) -> list[str]:
    """What follows the parameter's name in each token."""
    found: list[str] = []
    for type, value, _ in nodes:
        if type == "Reference":
            reference, identifier = value.get("reference"), value.get("identifier")
            if isinstance(reference, str):
                found += _to(reference, site.base_url)
            if isinstance(identifier, dict):
                found += _identified(identifier)
        elif isinstance(value, str):
            found += _canonical(value, site.base_url)
        elif isinstance(value, dict) and isinstance(value.get("id"), str) and "resourceType" in value:
            # A resource that stands where a reference could: Bundle's first entry.
            found.append(f"|{value['resourceType']}/{escape(value['id'])}")
    return found


def fragments(nodes: Collection) -> list[str]:
    """The ids of the contained resources that are referred to."""
    texts = [value.get("reference") if isinstance(value, dict) else value for _, value, _ in nodes]
    return [text[1:] for text in texts if isinstance(text, str) and text.startswith("#") and text != "#"]


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], site: Site) -> Predicate:
    """
    One of `values` is what the parameter points to; `:[type]` says its type, `:identifier` its name.

    `:below` finds each version of what a canonical names.
    """
    if modifier == "below" and "below" in _modifiers(parameter):
        return any_of(*(_below(parameter, unescaped(value)) for value in values))
    if modifier == "identifier" and "identifier" in _modifiers(parameter):
        name = f"{parameter.name}:identifier"
        return union(coded(name, *system_and_code(parameter.code, value)) for value in values)
    if modifier is not None and modifier not in definitions().resource_types:
        raise refuse_modifier(parameter.code, modifier, *_modifiers(parameter))
    wanted = [_wanted(parameter, modifier, unescaped(value), site.base_url) for value in values]
    tokens = frozenset(f"{parameter.name}|{escape(target)}" for targets in wanted for target in targets)
    meant = frozenset(frozenset(map(_key, targets)) for targets in wanted if len(targets) > 1)
    if meant:
        return Elsewhere(Unqualified(parameter.code, tokens, meant))
    return AnyToken(tokens)


def _key(target: str) -> Key:
    type, _, id = target.partition("/")
    return Key(type, id)


def _modifiers(parameter: Parameter) -> tuple[str, ...]:
    """A canonical has versions, a Reference may have an identifier."""
    if "Reference" in parameter.types:
        return ("[type]", "identifier", "missing")
    return ("[type]", "below", "missing")


def _below(parameter: Parameter, canonical: str) -> Predicate:
    """Each version of what the canonical names; with a part of a version each that begins with it."""
    exactly = f"{parameter.name}|{escape(canonical)}"
    if "|" not in canonical:
        return token(exactly)
    return any_of(token(exactly), TokenPrefix(f"{exactly}."))


def _to(reference: str, base_url: str) -> list[str]:
    if reference.startswith("#") or not reference:
        return []
    reference = _relative(reference, base_url)
    found = [f"|{escape(reference)}"]
    if "|" in reference:
        found.append(f"|{escape(reference.partition('|')[0])}")
    elif "/_history/" in reference and (target := target_of(reference)):
        found.append(f"|{escape(str(target))}")
    return found


def _canonical(canonical: str, base_url: str) -> list[str]:
    """As a reference that is searched for, and as it is written, by which it leads on (canonical.py)."""
    found = _to(canonical, base_url)
    return [*found, canonical_name("") + f"|{escape(canonical)}"] if found else []


def _relative(reference: str, base_url: str) -> str:
    if base_url and reference.startswith(base_url + "/"):
        return reference[len(base_url) + 1 :]
    return reference


def _identified(identifier: dict[str, Any]) -> list[str]:
    return [f":identifier{suffix}" for suffix in in_system(identifier.get("system"), identifier.get("value"))]


def _wanted(parameter: Parameter, type: str | None, value: str, base_url: str) -> list[str]:
    """The references that one search value means."""
    if type is not None and parameter.targets and type not in parameter.targets:
        raise Invalid(f"`{parameter.code}` never refers to a {type}")
    value = _relative(value, base_url)
    if ":" in value or parameter.types == {"canonical"}:
        # A URL elsewhere, a urn, a canonical: as it is.
        _require_type(parameter, type, value)
        return [value]
    if "/" not in value:
        return [f"{target}/{value}" for target in _types(parameter, type, value)]
    target = target_of(value)
    if target is None or target.base or not is_id(target.id):
        raise Invalid(f"A value of `{parameter.code}` is `id`, `Type/id` or an absolute URL")
    if type not in (None, target.type):
        raise Invalid(f"`{parameter.code}:{type}` cannot be a {target.type}")
    return [value]


def _types(parameter: Parameter, type: str | None, id: str) -> tuple[str, ...]:
    if not is_id(id):
        raise Invalid(f"A value of `{parameter.code}` is `id`, `Type/id` or an absolute URL")
    if type is None:
        if not parameter.reaches:
            raise Invalid(f"`{parameter.code}` may refer to anything: write `Type/id`")
        return parameter.reaches
    return (type,)


def _require_type(parameter: Parameter, type: str | None, address: str) -> None:
    """Raises Invalid when `address` is not one of the type, or need not be."""
    said = type_of(address)
    if type is None or said == type or (said is None and parameter.reaches == (type,)):
        return
    raise Invalid(f"An address as a value of `{parameter.code}:{type}` ends in `{type}/` and an id")
