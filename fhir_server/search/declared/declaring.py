"""
What a SearchParameter declares, and whether this server can keep it.

Only `active` ones take effect, and a `draft` is judged as if it did: so it can be tried before it
counts. What is retired or unknown is a text like any other. HL7's own definitions are stored as they
are; what they say is here anyway.

An expression is anybody's text and is evaluated on each write, so it may say only what costs no more
than a walk through the resource: paths, and filters relative to what a path selects. What could go
through all of it again for each of its parts (`descendants()`, `%resource` in a criterion) is refused
by name. `xpath` means nothing here; `multipleOr`, `comparator`, `modifier` and `chain` restrict nothing.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from fhir_server.r4.definitions import SearchComponent, definitions
from fhir_server.r4.definitions import SearchParameter as OfR4
from fhir_server.r4.errors import Issue, Unprocessable
from fhir_server.r4.fhirpath import UnsupportedExpression, compiled_syntax
from fhir_server.r4.fhirpath.syntax import (
    Binary,
    Call,
    Index,
    Literal,
    Member,
    Syntax,
    This,
    TypeOperation,
    Unary,
    operands,
    parse,
)
from fhir_server.r4.resource import Resource
from fhir_server.search.declared.catalogue import NOT_INDEXED, Catalogue, Declared, concrete
from fhir_server.search.declared.parameters import (
    SUPPORTED_TYPES,
    own_parameter,
    r4_by_url,
    r4_parameters_of,
)

TYPE: Final = "SearchParameter"
EXPRESSION_CHARACTERS_MAX: Final = 5_000
EXPRESSION_STEPS_MAX: Final = 300
"""Names, calls and operators of an expression, all alternatives together."""
EXPRESSION_FILTERS_MAX: Final = 3
"""Criteria within each other: each looks again at what the one around it has looked at."""
PARTS_MIN: Final = 2
"""Of a composite."""
DECLARED_MAX: Final = 500
"""Search parameters beside R4's own."""

FUNCTIONS: Final = frozenset(
    (
        "as", "contains", "empty", "endsWith", "exists", "extension", "first", "hasValue", "last", "not",
        "ofType", "resolve", "startsWith", "tail", "where",
    )
)  # fmt: skip
OPERATORS: Final = frozenset(("|", "=", "!=", "and", "or"))

_HL7: Final = "http://hl7.org/fhir/SearchParameter/"
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_IN_EFFECT: Final = "active"
_JUDGED: Final = (_IN_EFFECT, "draft")


def require_declarable(resource: Resource, id: str, catalogue: Catalogue) -> None:
    """Raises Unprocessable with each reason why this SearchParameter could not be searched by."""
    issues = tuple(
        Issue("error", "not-supported", told, (f"{TYPE}.{element}",))
        for element, told in _faults(resource, id, catalogue)
    )
    if issues:
        raise Unprocessable("This search parameter cannot be searched by", issues=issues)


def declared_in(resource: Resource, id: str) -> Declared | None:
    """What takes effect of a SearchParameter that was judged; None when nothing does."""
    if resource.get("status") != _IN_EFFECT or str(resource.get("url")).startswith(_HL7):
        return None
    return _read(resource, id)


def clashing(one: Declared, others: Iterable[Declared]) -> Declared | None:
    """Another one that has its code on one of its types."""
    return next(
        (
            other
            for other in others
            if other.id != one.id and other.code == one.code and other.types & one.types
        ),
        None,
    )


def _read(resource: Resource, id: str) -> Declared:
    return Declared(
        id=id,
        url=resource["url"],
        code=resource["code"],
        type=resource["type"],
        bases=tuple(resource["base"]),
        expression=resource.get("expression", ""),
        targets=tuple(resource.get("target", ())),
        components=tuple(
            SearchComponent(component["definition"].partition("|")[0], component["expression"])
            for component in resource.get("component", ())
        ),
    )


Fault = tuple[str, str]
"""The element, and what is wrong with it."""


def _faults(resource: Resource, id: str, catalogue: Catalogue) -> Iterator[Fault]:
    if resource["status"] not in _JUDGED:
        return
    one = _read(resource, id)
    if one.url.startswith(_HL7):
        known = r4_by_url().get(one.url)
        if known is not None and not _says_the_same(one, known):
            yield "url", "R4 defines this search parameter otherwise: one of your own has a url of its own"
        return
    if len(catalogue.declared) >= DECLARED_MAX and all(other.id != id for other in catalogue.declared):
        yield "status", f"There are {DECLARED_MAX} search parameters beside R4's own, which is the limit"
    yield from _of_code(one, catalogue)
    yield from _of_bases(one)
    faulty = list(_of_type(one))
    yield from faulty
    if faulty:
        return
    faulty = list(_of_expression(one.expression, "expression"))
    yield from faulty
    for place, component in enumerate(one.components):
        found = list(_of_expression(component.expression, f"component[{place}].expression"))
        faulty += found
        yield from found
    if not faulty:
        yield from _of_selection(one)


def _of_code(one: Declared, catalogue: Catalogue) -> Iterator[Fault]:
    if not _CODE.fullmatch(one.code):
        yield (
            "code",
            "A code is a letter and up to 63 letters, digits, `-` or `_`: what begins with `_` is FHIR's own",
        )
        return
    theirs = sorted(name for name in one.types if one.code in r4_parameters_of(name))
    if theirs:
        yield "code", f"R4 defines `{one.code}` for {theirs[0]}"
    other = clashing(one, catalogue.declared)
    if other is not None:
        shared = sorted(other.types & one.types)
        yield "code", f"{TYPE}/{other.id} defines `{one.code}` for {shared[0]}"


def _of_bases(one: Declared) -> Iterator[Fault]:
    for place, base in enumerate(one.bases):
        if base in NOT_INDEXED:
            yield (
                f"base[{place}]",
                f"{base}s are written by the server alone, and searched by R4's parameters",
            )
        elif not concrete((base,)):
            yield f"base[{place}]", "This is not a resource type of R4"


def _of_type(one: Declared) -> Iterator[Fault]:
    if one.type == "special" or one.type not in SUPPORTED_TYPES:
        yield "type", f"A search parameter of type {one.type} means what its definition says in words"
    if not one.expression:
        yield "expression", "Without an expression it selects nothing"
    if one.targets and one.type != "reference":
        yield "target", "Only a search parameter of type reference has targets"
    if one.components and one.type != "composite":
        yield "component", "Only a search parameter of type composite has components"
    if one.type == "composite" and len(one.components) < PARTS_MIN:
        yield "component", "A composite has components: a code and a value"


def _of_expression(text: str, element: str) -> Iterator[Fault]:
    if len(text) > EXPRESSION_CHARACTERS_MAX:
        yield element, f"The expression has more than {EXPRESSION_CHARACTERS_MAX} characters"
        return
    try:
        expression = parse(text)
    except UnsupportedExpression as error:
        yield element, f"This is not an expression of FHIRPath: {error}"
        return
    told = _costly(expression)
    if told is not None:
        yield element, told
        return
    try:
        compiled_syntax(expression)
    except UnsupportedExpression as error:
        yield element, f"The expression cannot be evaluated: {error}"


def _costly(expression: Syntax) -> str | None:
    """Why it may take more than a walk through the resource. Without recursion: it may be deep."""
    waiting = [(expression, 0, True)]
    steps = 0
    while waiting:
        part, filters, outermost = waiting.pop()
        steps += 1
        if steps > EXPRESSION_STEPS_MAX:
            return f"The expression has more than {EXPRESSION_STEPS_MAX} steps"
        if filters > EXPRESSION_FILTERS_MAX:
            return f"The expression has more than {EXPRESSION_FILTERS_MAX} criteria within each other"
        match part:
            case Literal() | This() | Member(of=None):
                if filters and isinstance(part, Member) and part.name[:1].isupper():
                    return (
                        f"`{part.name}` in a criterion would look at the whole resource for each part of it"
                    )
            case Member(of=of) if of is not None:
                waiting.append((of, filters, False))
            case Index(of=of, index=Literal(type="integer")):
                waiting.append((of, filters, False))
            case TypeOperation(of=of):
                waiting.append((of, filters, False))
            case Binary(operator="|", left=left, right=right) if outermost:
                waiting += [(left, filters, True), (right, filters, True)]
            case Binary(operator=operator, left=left, right=right) if operator in OPERATORS - {"|"}:
                waiting += [(left, filters, False), (right, filters, False)]
            case Call(of=of, name=name, arguments=arguments) if name in FUNCTIONS:
                waiting += [(of, filters, False)] if of is not None else []
                if name not in ("as", "ofType"):
                    waiting += [(argument, filters + 1, False) for argument in arguments]
            case _:
                return f"{_name_of(part)} is not for search parameters"
    return None


def _name_of(part: Syntax) -> str:
    match part:
        case Call(name=name):
            return f"`{name[:64]}()`"
        case Binary(operator=operator) | Unary(operator=operator):
            return f"`{operator}` here"
        case Index():
            return "An index that is no number"
        case _:
            return "A variable or an empty collection"


def _of_selection(one: Declared) -> Iterator[Fault]:
    """What it selects in each of its bases, by the definitions of the elements."""
    unknown = list(_unknown_components(one))
    yield from unknown
    if unknown:
        return
    for place, base in enumerate(one.bases):
        # Of an abstract type it is enough that one of all those types has it.
        found = [own_parameter(one, name) for name in sorted(concrete((base,)))]
        if not found:
            continue
        if not any(parameter.alternatives for parameter in found):
            yield "expression", f"It selects nothing in {base}, which is base[{place}]"
        elif one.type == "composite":
            if not any(parameter.supported for parameter in found):
                yield (
                    "component",
                    "Its components are not such as R4's own composites have, or select nothing",
                )
        elif not any(parameter.types for parameter in found):
            yield "type", f"What it selects in {base} has no values of a parameter of type {one.type}"
        elif one.targets and not any(parameter.reaches for parameter in found):
            yield "target", f"What it selects in {base} refers to none of the targets"


def _unknown_components(one: Declared) -> Iterator[Fault]:
    for place, component in enumerate(one.components):
        if component.definition not in r4_by_url():
            yield f"component[{place}].definition", "A component is defined by a search parameter of R4"


def _says_the_same(one: Declared, known: OfR4) -> bool:
    """Word for word, but for spaces and for what R4's expression says of other types."""
    if (one.code, one.type, set(one.bases)) != (known.code, known.type, set(known.bases)):
        return False
    if not known.expression:
        return not one.expression
    if len(one.expression) > EXPRESSION_CHARACTERS_MAX:
        return False
    try:
        said = set(operands(parse(one.expression), "|"))
        return all(said.issuperset(operands(parse(text), "|")) for text in _r4_expressions(known))
    except (UnsupportedExpression, RecursionError):
        return False


def _r4_expressions(known: OfR4) -> Iterator[str]:
    """As each of its types has it: only the alternatives that select something there."""
    for name in concrete(known.bases):
        declared: OfR4 | None = definitions().search_parameters[name].get(known.code)
        if declared is not None and declared.expression is not None and declared.url == known.url:
            yield declared.expression
