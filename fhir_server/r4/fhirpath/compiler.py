"""
FHIRPath expressions, compiled once into closures over plain JSON.

What is compiled is what R4's search parameters and invariants use; anything else raises
UnsupportedExpression when it is compiled, never when it is run, and
tests/r4/test_fhirpath_coverage.py lists by name what that leaves out. Three readings of ours:
`as` is `ofType` even on a collection, as R4's search expressions mean it; `resolve()` knows the
type of what a reference points to (and the whole resource if it is contained), nothing more;
`matches` and `replaceMatches` take the regular expressions that R4 itself uses, and no others,
as some take a lifetime to answer.

http://hl7.org/fhirpath/N1/, https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

from fhir_server.r4.fhirpath.functions import FUNCTIONS, PATTERN_FUNCTIONS
from fhir_server.r4.fhirpath.model import is_a, is_type, known_type
from fhir_server.r4.fhirpath.nodes import (
    FALSE,
    NOTHING,
    TRUE,
    Collection,
    Environment,
    Evaluate,
    Node,
    boolean,
    child,
    environment,
    resource_node,
    single,
    truth,
)
from fhir_server.r4.fhirpath.operators import OPERATIONS, Operation
from fhir_server.r4.fhirpath.patterns import own_pattern
from fhir_server.r4.fhirpath.references import type_of
from fhir_server.r4.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Member,
    Syntax,
    This,
    TypeOperation,
    Unary,
    UnsupportedExpression,
    Variable,
    parse,
    type_name,
)
from fhir_server.r4.fhirpath.values import decimal
from fhir_server.r4.resource import Resource

EXPRESSIONS_CACHED_MAX: Final = 4096


@functools.lru_cache(EXPRESSIONS_CACHED_MAX)
def compiled(text: str) -> Evaluate:
    """The expression as a function. Raises UnsupportedExpression for what is beyond it."""
    try:
        return compiled_syntax(parse(text))
    except RecursionError as error:
        raise UnsupportedExpression("The expression has too many steps") from error


def evaluate(text: str, resource: Resource) -> Collection:
    """What the expression selects in the resource."""
    node = resource_node(resource)
    return compiled(text)([node], environment(node))


def compiled_syntax(expression: Syntax) -> Evaluate:
    """As `compiled`, from a tree."""
    found = _compiled(expression)
    return _kept(found) if _starts_at_the_resource(expression) else found


def _compiled(expression: Syntax) -> Evaluate:
    match expression:
        case Literal(type=type, value=value):
            return _constant([Node(type, value)])
        case Empty():
            return _constant(NOTHING)
        case This():
            return lambda this, _: this
        case Variable(name=name):
            return _variable(name)
        case Member():
            return _member(expression, None)
        case Index(of=of, index=index):
            return _index(compiled_syntax(of), compiled_syntax(index))
        case TypeOperation(operator=operator, of=of, type=type):
            return _type_operation(operator, of, type)
        case Call():
            return _call(expression)
        case Binary(operator=operator, left=left, right=right):
            return _binary(operator, compiled_syntax(left), compiled_syntax(right))
        case Unary(operator=operator, operand=operand):
            return _unary(operator, compiled_syntax(operand))


def _starts_at_the_resource(expression: Syntax) -> bool:
    """Is this a path such as `%resource.snapshot.element.first()`, which every item of a loop asks for?"""
    match expression:
        case Member(of=Variable()):
            return True
        case Member(of=of) | Call(of=of, arguments=()) if of is not None:
            return _starts_at_the_resource(of)
        case _:
            return False


def _kept(evaluate: Evaluate) -> Evaluate:
    """Evaluated once in an environment."""
    key = object()

    def kept(this: Collection, around: Environment) -> Collection:
        found = around.known.get(key)
        if found is None:
            found = around.known[key] = evaluate(this, around)
        return found

    return kept


def _constant(collection: Collection) -> Evaluate:
    return lambda _this, _around: collection


def _variable(name: str) -> Evaluate:
    match name:
        case "resource":
            return lambda _this, around: [around.resource]
        case "rootResource":
            return lambda _this, around: [around.root]
        case "context":
            return lambda _this, around: [around.context]
        case "ucum":
            return _constant([Node("string", "http://unitsofmeasure.org")])
        case "sct":
            return _constant([Node("string", "http://snomed.info/sct")])
        case "loinc":
            return _constant([Node("string", "http://loinc.org")])
        case _:
            raise UnsupportedExpression(f"The variable `%{name}` is not known")


def _member(member: Member, only: str | None) -> Evaluate:
    """`only` is the type that a choice is asked for right away."""
    if member.of is None:
        if member.name[0].isupper():
            return _root(member.name)
        step = child(member.name, only)
        return lambda this, _: step(this)
    _refuse_resolved(member.of, member.name)
    of, step = compiled_syntax(member.of), child(member.name, only)
    return lambda this, around: step(of(this, around))


def _root(type: str) -> Evaluate:
    """`Patient` at the start of a path: the focus, where it is one."""
    if not is_type(type):
        raise UnsupportedExpression(f"R4 has no type `{type}`")
    return lambda this, _: [item for item in this if is_a(item.type, type)]


def _refuse_resolved(of: Syntax, wanted: str) -> None:
    match of:
        case Call(name="resolve"):
            raise UnsupportedExpression(f"`{wanted}` of another resource cannot be read here")
        case Call(of=Call(name="resolve"), name="where" | "ofType" | "as" | "first"):
            raise UnsupportedExpression(f"`{wanted}` of another resource cannot be read here")
        case TypeOperation(of=inner):
            _refuse_resolved(inner, wanted)
        case _:
            return


def _index(of: Evaluate, index: Evaluate) -> Evaluate:
    def item(this: Collection, around: Environment) -> Collection:
        place = single(index(this, around))
        if place is None or not isinstance(place.value, int) or place.value < 0:
            return NOTHING
        return of(this, around)[place.value : place.value + 1]

    return item


def _type_operation(operator: str, of: Syntax, wanted: str) -> Evaluate:
    type = known_type(wanted)
    if type is None:
        raise UnsupportedExpression(f"R4 has no type `{wanted}`")
    if operator == "is":
        return _is(compiled_syntax(of), type)
    if isinstance(of, Member):
        # A choice: only the member of that type needs to be looked at.
        return _of_type(_member(of, type), type)
    return _of_type(compiled_syntax(of), type)


def _of_type(of: Evaluate, type: str) -> Evaluate:
    return lambda this, around: [item for item in of(this, around) if is_a(item.type, type)]


def _is(of: Evaluate, type: str) -> Evaluate:
    def is_(this: Collection, around: Environment) -> Collection:
        item = single(of(this, around))
        return NOTHING if item is None else boolean(is_a(item.type, type))

    return is_


def _call(call: Call) -> Evaluate:
    if call.name in ("as", "is", "ofType"):
        wanted = type_name(call.arguments[0]) if len(call.arguments) == 1 else None
        if wanted is None:
            raise UnsupportedExpression(f"`{call.name}` wants one type")
        return _type_operation("is" if call.name == "is" else "as", call.of or This(), wanted)
    of = compiled_syntax(call.of or This())
    if call.name == "resolve" and not call.arguments:
        return _resolve(of)
    if call.name in PATTERN_FUNCTIONS:
        return _pattern_call(call, of)
    function = FUNCTIONS.get(call.name)
    if function is None:
        raise UnsupportedExpression(f"The function `{call.name}` is not known")
    least, most = function.arguments
    if not least <= len(call.arguments) <= most:
        raise UnsupportedExpression(f"`{call.name}` has {len(call.arguments)} arguments")
    return function.build(of, tuple(compiled_syntax(argument) for argument in call.arguments))


def _pattern_call(call: Call, of: Evaluate) -> Evaluate:
    """A call whose first argument is a regular expression, the others constants as well."""
    match call.arguments:
        case (Literal(type="string", value=str() as text), *others):
            constants = [str(other.value) for other in others if isinstance(other, Literal)]
            build, expected = PATTERN_FUNCTIONS[call.name]
            if len(constants) == len(others) == expected:
                return build(of, own_pattern(text), *constants)
    raise UnsupportedExpression(f"`{call.name}` wants constants")


def _resolve(of: Evaluate) -> Evaluate:
    contained = child("contained")

    def resolve(this: Collection, around: Environment) -> Collection:
        found: Collection = []
        for item in of(this, around):
            text = item.value.get("reference") if isinstance(item.value, dict) else item.value
            if isinstance(text, str) and text.startswith("#"):
                own = [around.root] if text == "#" else contained([around.root])
                found.extend(node for node in own if text in ("#", f"#{node.value.get('id')}"))
            elif (type := type_of(item.value)) is not None:
                found.append(Node(type, {"resourceType": type}))
        return found

    return resolve


def _binary(operator: str, left: Evaluate, right: Evaluate) -> Evaluate:
    decided = _DECIDED_BY_THE_LEFT.get(operator)
    if decided is not None:
        return _short(OPERATIONS[operator], decided, left, right)
    operation = OPERATIONS.get(operator)
    if operation is None:
        raise UnsupportedExpression(f"The operator `{operator}` is not known")
    return lambda this, around: operation(left(this, around), right(this, around))


_DECIDED_BY_THE_LEFT: Final[Mapping[str, tuple[bool, Collection]]] = {
    "and": (False, FALSE),
    "or": (True, TRUE),
    "implies": (False, TRUE),
}
"""Where the left side alone may say what the result is, by the operator."""


def _short(
    operation: Operation, decided: tuple[bool, Collection], left: Evaluate, right: Evaluate
) -> Evaluate:
    deciding, result = decided

    def short(this: Collection, around: Environment) -> Collection:
        first = left(this, around)
        if truth(first) is deciding:
            return result
        return operation(first, right(this, around))

    return short


def _unary(operator: str, operand: Evaluate) -> Evaluate:
    def sign(this: Collection, around: Environment) -> Collection:
        item = single(operand(this, around))
        value = decimal(item) if item else None
        if item is None or value is None:
            return NOTHING
        return [Node(item.type, -value if operator == "-" else value)]

    return sign
