"""
The words of FHIRPath and the tree they form.

The grammar is FHIRPath's own, whole; what of it can be compiled is `compiler.py`'s affair.

http://hl7.org/fhirpath/N1/grammar.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

CHARACTERS_MAX: Final = 10_000
DEPTH_MAX: Final = 100
"""Of parentheses, arguments and indexers within each other."""


class UnsupportedExpression(ValueError):
    """The expression is not FHIRPath, or uses a part of it that is not compiled."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value of a system type: `'text'`, `1`, `1.0`, `true`, `@2015-02`."""

    type: str
    value: str | int | bool | Decimal


@dataclass(frozen=True, slots=True)
class Empty:
    """`{}`."""


@dataclass(frozen=True, slots=True)
class This:
    """The item that the expression, or the criterion, is asked of: `$this`."""


@dataclass(frozen=True, slots=True)
class Variable:
    """`%resource`."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`of.name`, or `name` of the focus; at the start it may be the name of a type."""

    of: Syntax | None
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """`of[index]`."""

    of: Syntax
    index: Syntax


@dataclass(frozen=True, slots=True)
class Call:
    """`of.name(arguments)`, or `name(arguments)` of the focus."""

    of: Syntax | None
    name: str
    arguments: tuple[Syntax, ...]


@dataclass(frozen=True, slots=True)
class TypeOperation:
    """`of is type`, `of as type`."""

    operator: str
    of: Syntax
    type: str


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`."""

    operator: str
    left: Syntax
    right: Syntax


@dataclass(frozen=True, slots=True)
class Unary:
    """`-operand`."""

    operator: str
    operand: Syntax


Syntax = Literal | Empty | This | Variable | Member | Index | Call | TypeOperation | Binary | Unary


def parse(text: str) -> Syntax:
    """The tree of `text`. Raises UnsupportedExpression when it is not FHIRPath."""
    if len(text) > CHARACTERS_MAX:
        raise UnsupportedExpression(f"More than {CHARACTERS_MAX} characters")
    return _Parser(text).whole()


def operands(expression: Syntax, operator: str) -> tuple[Syntax, ...]:
    """`(a, b, c)` of `a | b | c`; the expression itself where `operator` is not the outermost."""
    if isinstance(expression, Binary) and expression.operator == operator:
        return operands(expression.left, operator) + operands(expression.right, operator)
    return (expression,)


def rooted(path: Syntax, root: Syntax) -> Syntax:
    """A path relative to an item, such as `value.as(Quantity)`, as one from `root`."""
    match path:
        case Member(of=of, name=name):
            return Member(root if of is None else rooted(of, root), name)
        case Call(of=of, name=name, arguments=arguments):
            return Call(root if of is None else rooted(of, root), name, arguments)
        case TypeOperation(operator=operator, of=of, type=type):
            return TypeOperation(operator, rooted(of, root), type)
        case Index(of=of, index=index):
            return Index(rooted(of, root), index)
        case _:
            return path


class _Word(NamedTuple):
    kind: str
    text: str
    position: int


_WORD: Final = re.compile(
    r"""
    (?P<skip> \s+ | //[^\n]* | /\*.*?\*/ )
  | (?P<moment> @T?[0-9][0-9T:.Z-]*(?:\+[0-9:]+)? )
  | (?P<number> [0-9]+(?:\.[0-9]+)? )
  | (?P<string> '(?:[^'\\]|\\.)*' )
  | (?P<variable> %(?:[A-Za-z][\w-]*|`[^`]*`|'[^']*') )
  | (?P<name> [A-Za-z_]\w*|`(?:[^`\\]|\\.)*` )
  | (?P<special> \$[a-z]+ )
  | (?P<symbol> <=|>=|!=|!~|[.()\[\]{},|=~<>+*/&-] )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}

_PRECEDENCE: Final = {
    operator: level
    for level, operators in enumerate(
        (
            "implies",
            "or xor",
            "and",
            "in contains",
            "= != ~ !~",
            "< <= > >=",
            "|",
            "is as",
            "+ - &",
            "* / div mod",
        ),
        start=1,
    )
    for operator in operators.split()
}
_UNARY_PRECEDENCE: Final = len(_PRECEDENCE)


def _words(text: str) -> Iterator[_Word]:
    position = 0
    while position < len(text):
        found = _WORD.match(text, position)
        if found is None:
            raise UnsupportedExpression(f"Not FHIRPath at character {position + 1}")
        if found.lastgroup != "skip":
            yield _Word(str(found.lastgroup), found[0], position)
        position = found.end()
    yield _Word("end", "", len(text))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPED.get(m[2], m[2]), text)


class _Parser:
    """Precedence climbing over the words of one expression."""

    def __init__(self, text: str) -> None:
        self._words = tuple(_words(text))
        self._next = 0
        self._depth = 0

    def whole(self) -> Syntax:
        expression = self._expression(0)
        if self._word.kind != "end":
            raise self._unexpected()
        return expression

    @property
    def _word(self) -> _Word:
        return self._words[self._next]

    def _unexpected(self) -> UnsupportedExpression:
        return UnsupportedExpression(f"Unexpected `{self._word.text}` at character {self._word.position + 1}")

    def _take(self) -> _Word:
        word = self._word
        self._next += 1
        return word

    def _took(self, symbol: str) -> bool:
        if self._word.kind == "symbol" and self._word.text == symbol:
            self._next += 1
            return True
        return False

    def _expect(self, symbol: str) -> None:
        if not self._took(symbol):
            raise self._unexpected()

    def _expression(self, above: int) -> Syntax:
        """An expression of operators that bind tighter than `above`."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise UnsupportedExpression(f"Nested deeper than {DEPTH_MAX} levels")
        left = self._operand()
        while (
            self._word.kind in ("symbol", "name") and (level := _PRECEDENCE.get(self._word.text, 0)) > above
        ):
            operator = self._take().text
            if operator in ("is", "as"):
                left = TypeOperation(operator, left, self._type_name())
            else:
                left = Binary(operator, left, self._expression(level))
        self._depth -= 1
        return left

    def _operand(self) -> Syntax:
        for sign in ("-", "+"):
            if self._took(sign):
                operand = self._expression(_UNARY_PRECEDENCE)
                return Unary(sign, operand)
        return self._followed(self._start())

    def _start(self) -> Syntax:
        word = self._take()
        match word.kind, word.text:
            case "name", "true" | "false":
                return Literal("boolean", word.text == "true")
            case "name", _:
                return self._member(None, word)
            case "string", text:
                return Literal("string", _unescaped(text[1:-1]))
            case "number", text:
                return Literal("decimal", Decimal(text)) if "." in text else Literal("integer", int(text))
            case "moment", text:
                return _moment(text[1:])
            case "variable", text:
                return Variable(text[1:].strip("`'"))
            case "special", "$this":
                return This()
            case "symbol", "(":
                inner = self._expression(0)
                self._expect(")")
                return inner
            case "symbol", "{":
                self._expect("}")
                return Empty()
            case _:
                self._next -= 1
                raise self._unexpected()

    def _followed(self, expression: Syntax) -> Syntax:
        while True:
            if self._took("."):
                expression = self._member(expression, self._take())
            elif self._took("["):
                expression = Index(expression, self._expression(0))
                self._expect("]")
            else:
                return expression

    def _member(self, of: Syntax | None, word: _Word) -> Syntax:
        if word.kind != "name":
            self._next -= 1
            raise self._unexpected()
        name = _unescaped(word.text[1:-1]) if word.text.startswith("`") else word.text
        if not self._took("("):
            return Member(of, name)
        arguments: list[Syntax] = []
        while not self._took(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._expression(0))
        return Call(of, name, tuple(arguments))

    def _type_name(self) -> str:
        name = type_name(self._followed(self._start()))
        if name is None:
            raise self._unexpected()
        return name


def type_name(expression: Syntax) -> str | None:
    """`Quantity` of `Quantity`, `FHIR.Quantity` or `System.Quantity`; None when it names no type."""
    match expression:
        case Member(of=None, name=name) | Member(of=Member(of=None, name="FHIR" | "System"), name=name):
            return name
        case _:
            return None


def _moment(text: str) -> Literal:
    if text.startswith("T"):
        return Literal("time", text[1:])
    return Literal("dateTime" if "T" in text else "date", text.removesuffix("T"))
