r"""
token: a code, alone or in its system.

Extracted from Coding, CodeableConcept and Identifier: `|code` and `|system|code`, where there
is no system `||code`; from anything else that is one value: `|value`. The case of a string does not matter:
it is kept folded. An element of type code has the system of its required binding, which is looked at when a
search names a system.

Beside them stands what `:text` asks for, `:text|heart rate`: CodeableConcept.text, Coding.display and
Identifier.type.text, folded; and for `:of-type` an Identifier with each code of its type.

`:in`, `:below` and `:above` ask what codes mean, which is elsewhere: `having` says what is found once that
is known.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.search.declared.parameters import Parameter, Systems
from fhir_server.search.predicates.entry import escape
from fhir_server.search.predicates.predicate import (
    AnyToken,
    Coded,
    Elsewhere,
    Nothing,
    Predicate,
    Relation,
    TokenPrefix,
    any_of,
    token,
)
from fhir_server.search.predicates.unions import union
from fhir_server.search.values import string
from fhir_server.search.values.escaping import split, unescaped
from fhir_server.search.values.folding import STRING_CHARACTERS_MAX, folded
from fhir_server.search.values.modifiers import refuse_modifier
from fhir_server.search.values.site import Site

SPECIAL_VALUES: Final = "http://hl7.org/fhir/special-values"
"""The system of true and false: https://hl7.org/fhir/R4/codesystem-special-values.html."""

_MIME_TYPES: Final = "urn:ietf:bcp:13"

_WITH_SYSTEM: Final = frozenset(("Coding", "CodeableConcept", "Identifier"))
_CODED: Final = frozenset(("Coding", "CodeableConcept"))


def suffixes(nodes: Collection, _site: Site) -> list[str]:
    """What follows the parameter's name in each token."""
    found: list[str] = []
    for type, value, _ in nodes:
        if type == "CodeableConcept":
            for coding in value.get("coding", ()):
                found += _coding(coding)
            found += _text(value.get("text"))
        elif type == "Coding":
            found += _coding(value)
        elif type == "Identifier":
            found += in_system(value.get("system"), value.get("value"))
            found += _typed(value.get("type", {}), value.get("value"))
        elif type == "ContactPoint":
            found += _one(value.get("value"))
        elif type == "string" and isinstance(value, str):
            found += _one(value.casefold())
        else:
            found += _one(value)
    return found


def in_system(system: Any, code: Any) -> tuple[str, ...]:
    """The tokens of a code that stands beside its system, as Coding and Identifier have it."""
    if not isinstance(code, str):
        return (f"|{escape(system)}|",) if isinstance(system, str) else ()
    code = escape(code)
    if isinstance(system, str):
        return f"|{code}", f"|{escape(system)}|{code}"
    return f"|{code}", f"||{code}"


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], _site: Site) -> Predicate:
    """
    One of `values` is a token of the parameter; `:text` starts its text, `:of-type` has its type.

    What `:not-in` denies is the same as what `:in` asks for: whoever has all parts denies it.
    """
    match modifier:
        case None:
            return union(_is(parameter, value) for value in values)
        case "text" if parameter.types & _WITH_SYSTEM:
            return any_of(*(_described(parameter, value) for value in values))
        case "of-type" if "Identifier" in parameter.types:
            return union(_of_type(parameter, value) for value in values)
        case "below" if _MIME_TYPES in (parameter.systems or ()):
            return any_of(*(_with_parameters(parameter, value) for value in values))
        case "above" | "below" | "in" | "not-in" if _is_coded(parameter):
            return any_of(*(_related(parameter, modifier, value) for value in values))
        case _:
            raise refuse_modifier(parameter.code, modifier, *_modifiers(parameter))


def _modifiers(parameter: Parameter) -> tuple[str, ...]:
    described = ("text",) if parameter.types & _WITH_SYSTEM else ()
    typed = ("of-type",) if "Identifier" in parameter.types else ()
    coded = ("in", "not-in", "above", "below") if _is_coded(parameter) else ()
    return ("not", *described, *typed, *coded, "missing")


def _is_coded(parameter: Parameter) -> bool:
    """Do its values have a system, said beside them or by their binding?"""
    return bool(parameter.types & _CODED) or parameter.systems is not None


def _related(
    parameter: Parameter, modifier: Literal["in", "not-in", "below", "above"], value: str
) -> Predicate:
    asked_as = f"{parameter.code}:{modifier}"
    relation: Relation = "in" if modifier == "not-in" else modifier
    of = unescaped(value) if relation == "in" else _code_in_system(parameter, asked_as, value)
    beside = bool(parameter.types & _WITH_SYSTEM) or parameter.systems is None
    systems = None if beside else tuple(sorted((parameter.systems or {}).items()))
    return Elsewhere(Coded(parameter.name, relation, of, asked_as, systems))


def _code_in_system(parameter: Parameter, asked_as: str, value: str) -> tuple[str, str]:
    """What a code means depends on its system, which the binding says where it knows one alone."""
    system, code = system_and_code(parameter.code, value)
    if system is None and parameter.systems is not None and len(parameter.systems) == 1:
        system = next(iter(parameter.systems))
    if not (system and code):
        raise Invalid(f"A value of `{asked_as}` is `system|code`")
    return system, code


def having(question: Coded, codes: Mapping[str, frozenset[str] | None]) -> Predicate:
    """The entry has one of `codes`, by system; None is any code of it."""
    found: list[Predicate] = []
    bound = None if question.systems is None else dict(question.systems)
    for system, some in codes.items():
        for code in ("",) if some is None else some:
            if bound is None:
                found.append(coded(question.name, system, code))
            else:
                found.append(_is_bound(question.name, bound, system, code))
    return union(found)


def _with_parameters(parameter: Parameter, value: str) -> Predicate:
    """`text/xml` and `text/xml; charset=UTF-8`: https://hl7.org/fhir/R4/search.html#mimetype."""
    system, code = system_and_code(parameter.code, value)
    if system not in (None, _MIME_TYPES) or not code:
        return Nothing()
    name = f"{parameter.name}|{escape(code)}"
    return any_of(token(name), TokenPrefix(f"{name};"))


def _described(parameter: Parameter, value: str) -> Predicate:
    return TokenPrefix(f"{parameter.name}:text|{escape(string.asked(parameter, value))}")


def _of_type(parameter: Parameter, value: str) -> Predicate:
    parts = [unescaped(part) for part in split(value, "|")]
    if len(parts) != 3 or not all(parts):
        raise Invalid(f"A value of `{parameter.code}:of-type` is `system|code|value`")
    return token(f"{parameter.name}:of-type|{'|'.join(map(escape, parts))}")


def system_and_code(code: str, value: str) -> tuple[str | None, str]:
    """`(system, code)` of a search value, the system None when it is not said."""
    parts = [unescaped(part) for part in split(value, "|")]
    if len(parts) > 2 or not any(parts):
        raise Invalid(f"A value of `{code}` is `code`, `system|code`, `|code` or `system|`")
    return (None, parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def coded(name: str, system: str | None, code: str) -> Predicate:
    """The entry has `code` in `system` under `name`; no system: in any, empty: in none, no code: any code."""
    if system is None:
        return token(f"{name}|{escape(code)}")
    if not code:
        return TokenPrefix(f"{name}|{escape(system)}|")
    return token(f"{name}|{escape(system)}|{escape(code)}")


def _is(parameter: Parameter, value: str) -> Predicate:
    system, code = system_and_code(parameter.code, value)
    if parameter.types == {"boolean"}:
        return _is_boolean(parameter, system, code)
    if system is None and "string" in parameter.types:
        return AnyToken(frozenset(f"{parameter.name}|{escape(each)}" for each in (code, code.casefold())))
    if system is None or parameter.types & _WITH_SYSTEM:
        return coded(parameter.name, system, code)
    if parameter.systems is None:
        raise Invalid(f"`{parameter.code}` has values without a system: search by the value alone")
    return _is_bound(parameter.name, parameter.systems, system, code)


def _is_boolean(parameter: Parameter, system: str | None, code: str) -> Predicate:
    if code not in ("true", "false"):
        raise Invalid(f"`{parameter.code}` is `true` or `false`")
    return coded(parameter.name, None, code) if system in (None, SPECIAL_VALUES) else Nothing()


def _is_bound(name: str, systems: Systems, system: str, code: str) -> Predicate:
    """The JSON of a code does not say its system: the binding does."""
    codes = systems.get(system)
    if codes is None:
        return Nothing()
    if code:
        # A system without a list of codes has a grammar, and any code may be of it.
        return coded(name, None, code) if code in codes or not codes else Nothing()
    if len(systems) == 1:
        return TokenPrefix(f"{name}|")
    return AnyToken(frozenset(f"{name}|{escape(each)}" for each in codes))


def _coding(coding: dict[str, Any]) -> tuple[str, ...]:
    return *in_system(coding.get("system"), coding.get("code")), *_text(coding.get("display"))


def _text(value: Any) -> tuple[str, ...]:
    plain = folded(value) if isinstance(value, str) else ""
    return (f":text|{escape(plain[:STRING_CHARACTERS_MAX])}",) if plain else ()


def _typed(type: dict[str, Any], value: Any) -> list[str]:
    """The identifier by each code of its type, and the text of the type."""
    found = [*_text(type.get("text"))]
    if isinstance(value, str):
        for coding in type.get("coding", ()):
            system, code = coding.get("system"), coding.get("code")
            if isinstance(system, str) and isinstance(code, str):
                found.append(f":of-type|{escape(system)}|{escape(code)}|{escape(value)}")
    return found


def _one(value: Any) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("|true",) if value else ("|false",)
    return (f"|{escape(value)}",) if isinstance(value, str) else ()
