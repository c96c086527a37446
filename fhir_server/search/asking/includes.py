"""
`_include` and `_revinclude`: what they ask for, and what they come to for a page of matches.

The entries' tokens say it all: no resource is read for it. What leads by canonical URL forwards is in
canonicals.py. AuditEvents refer to everything that was ever looked at: they come by `_revinclude` where
they are named, and are left out where `*` would mean them.

https://hl7.org/fhir/R4/search.html#include, https://hl7.org/fhir/R4/search.html#revinclude
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Invalid, TooCostly
from fhir_server.r4.fhirpath.references import target_of
from fhir_server.r4.interaction import Parameters
from fhir_server.r4.resource import Key
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.search.declared.catalogue import Catalogue, in_force
from fhir_server.search.declared.parameters import Parameter, being_built, parameters_of
from fhir_server.search.predicates.canonical import (
    are_canonical,
    canonical_name,
    canonicals_in,
    names_of,
    with_url,
)
from fhir_server.search.predicates.version import Version

FORWARD: Final = "_include"
REVERSE: Final = "_revinclude"
INCLUDES: Final = (FORWARD, REVERSE)
ITERATE: Final = "iterate"

_ALL: Final = "*"
_NUMBER: Final = re.compile("[0-9]{1,9}")
_LOGGED: Final = "AuditEvent"


@dataclass(frozen=True, slots=True)
class Include:
    """
    `Observation:subject:Patient`: the references that are followed, in one direction or the other.

    No type is any, no parameter each of the type, no target any that the parameter can have.
    `iterate` follows them from what was included, too.
    """

    type: str | None
    parameter: str | None
    target: str | None = None
    iterate: bool = False
    reverse: bool = False


def includes_of(given: Parameters, types: tuple[str, ...], limits: SearchLimits) -> tuple[Include, ...]:
    """Each `_include` and `_revinclude` of a search over `types` (none: all), once."""
    if len(given) > limits.include_parameters_max:
        raise TooCostly(
            f"The search has more than {limits.include_parameters_max} `_include`s and `_revinclude`s"
        )
    return tuple(dict.fromkeys(_include(name, value, types) for name, value in given))


class Referred(NamedTuple):
    """What a reference leads to: as it is now, or the version of that number."""

    key: Key
    number: int | None = None


def included(versions: Iterable[Version], includes: Sequence[Include]) -> tuple[Referred, ...]:
    """What `versions` refer to, each once, in the order it is met; none of them."""
    page = tuple(versions)
    own = {Referred(version.key, number) for version in page for number in (None, version.number)}
    wanted: dict[Referred, None] = {}
    for version in page:
        for include in includes:
            if not include.reverse and include.type in (None, version.key.type):
                wanted.update(dict.fromkeys(_targets(version, include)))
    return tuple(one for one in wanted if one not in own)


def referring(
    versions: Iterable[Version], includes: Sequence[Include], *, tokens_max: int
) -> dict[str, set[str]]:
    """
    By type, the tokens one of which a resource has that refers to one of `versions`.

    Raises TooCostly when there are more than `tokens_max`.
    """
    by_type: dict[str, list[Version]] = defaultdict(list)
    for version in versions:
        by_type[version.key.type].append(version)
    found: dict[str, set[str]] = defaultdict(set)
    count = 0
    for include in includes:
        if not include.reverse:
            continue
        for source in _sources(include):
            names = {**_names(include, source), **_canonical_names(include, source)}
            for name, targets in names.items():
                referred = (one for target in by_type.keys() & targets for one in by_type[target])
                wanted = [each for one in referred for each in _known_as(one, name)]
                count += len(wanted)
                if count > tokens_max:
                    raise TooCostly(
                        f"The includes follow more than {tokens_max} references backwards: "
                        "name types and parameters, or ask for fewer matches"
                    )
                if wanted:
                    found[source].update([f"{name}|{each}" for each in wanted])
    return dict(found)


def needs_tokens(includes: Iterable[Include]) -> bool:
    """Is what they lead to, one way or the other, said by the tokens of what they start from?"""
    return any(
        not include.reverse or any(_canonical_names(include, source) for source in _sources(include))
        for include in includes
    )


def _known_as(version: Version, name: str) -> Iterable[str]:
    """What a reference under this name says that leads to `version`."""
    if are_canonical((name,)):
        return canonicals_in(version.entry, names_of((version.key.type,)))
    return (str(version.key),)


def followed(resource_type: str) -> list[Parameter]:
    """The parameters of the type by which its references can be followed."""
    return [each for each in parameters_of(resource_type).values() if is_followed(each)]


def includable(resource_type: str) -> list[Parameter]:
    """The parameters of the type that `_include` follows: also those that name a canonical URL."""
    return [each for each in parameters_of(resource_type).values() if is_followed(each) or is_canonical(each)]


def is_canonical(parameter: Parameter) -> bool:
    """Does it lead to resources by their URL?"""
    return parameter.type == "reference" and parameter.supported and not is_followed(parameter)


def targets_of(parameter: Parameter) -> frozenset[str]:
    """The types that it may lead to."""
    targets = frozenset(parameter.reaches or parameter.targets) or _types()
    return targets & with_url() if is_canonical(parameter) else targets


def followed_to(resource_type: str) -> list[Parameter]:
    """The parameters of all types by which references to this one can be followed backwards."""
    return [parameter for parameter in _backwards(in_force()) if resource_type in targets_of(parameter)]


@lru_cache(maxsize=8)
def _backwards(_in_force: Catalogue) -> tuple[Parameter, ...]:
    return tuple(each for source in sorted(_types()) for each in includable(source))


def is_followed(parameter: Parameter) -> bool:
    """Does it lead to resources by their type and id? A resource may stand where a reference could."""
    return (
        parameter.type == "reference"
        and parameter.supported
        and not parameter.types.isdisjoint(("Reference", "Resource"))
    )


def _sources(include: Include) -> tuple[str, ...]:
    if include.type is not None:
        return (include.type,)
    return tuple(sorted(_types() - {_LOGGED}))


def _types() -> frozenset[str]:
    return definitions().resource_types


def _targets(version: Version, include: Include) -> Iterator[Referred]:
    found = tuple(dict.fromkeys(_references(version, include)))
    # One that is written with its version is there without it, too.
    versioned = {one.key for one in found if one.number is not None}
    return (one for one in found if one.number is not None or one.key not in versioned)


def _references(version: Version, include: Include) -> Iterator[Referred]:
    names = _names(include, version.key.type)
    for token in version.entry.tokens:
        name, _, rest = token.partition("|")
        code, _, value = rest.partition("|")
        types = names.get(f"{name}|{code}")
        if types is None:
            continue
        target = target_of(value)
        # A base is another server's.
        if target and not target.base and target.type in types:
            number = target.version
            key = Key(target.type, target.id)
            if number is None:
                yield Referred(key)
            elif _NUMBER.fullmatch(number):
                yield Referred(key, int(number))


def _names(include: Include, source: str) -> Mapping[str, frozenset[str]]:
    """The names under which the references from `source` are found, each with the types that it may reach."""
    return _names_by(include, source, in_force())


def _canonical_names(include: Include, source: str) -> Mapping[str, frozenset[str]]:
    """The same of what leads by canonical URL."""
    return _canonical_names_by(include, source, in_force())


@lru_cache(maxsize=4_096)
def _names_by(include: Include, source: str, _in_force: Catalogue) -> Mapping[str, frozenset[str]]:
    return _reaching(include, followed(source))


@lru_cache(maxsize=4_096)
def _canonical_names_by(include: Include, source: str, _in_force: Catalogue) -> Mapping[str, frozenset[str]]:
    by_url = [each for each in parameters_of(source).values() if is_canonical(each)]
    return {canonical_name(name): types for name, types in _reaching(include, by_url).items()}


def _reaching(include: Include, parameters: Iterable[Parameter]) -> Mapping[str, frozenset[str]]:
    names: dict[str, frozenset[str]] = {}
    for parameter in parameters:
        if include.parameter not in (None, parameter.code):
            continue
        types = frozenset(parameter.targets) or _types()
        if is_canonical(parameter):
            types &= with_url()
        if include.target is not None:
            types &= {include.target}
        for name in parameter.found_as:
            names[name] = names.get(name, frozenset()) | types
    return names


def _include(name: str, value: str, types: tuple[str, ...]) -> Include:
    """`value` of the parameter `name`, whose modifier is none or `iterate`."""
    code, _, modifier = name.partition(":")
    reverse, iterate = code == REVERSE, modifier == ITERATE
    if value == _ALL:
        return Include(None, None, None, iterate, reverse)
    source, _, rest = value.partition(":")
    parameter, _, target = rest.partition(":")
    if source not in _types():
        raise Invalid(f"`{name}` is `[type]:[parameter]`, `[type]:[parameter]:[target type]` or `*`")
    _refuse_target(name, source, parameter, target)
    include = Include(
        source, None if parameter == _ALL else parameter, target or None, iterate=iterate, reverse=reverse
    )
    if types and not iterate:
        _refuse_stranger(name, include, types)
    return include


def _refuse_target(name: str, source: str, code: str, target: str) -> None:
    """Raises Invalid or Unavailable unless references of `source` by this parameter lead there."""
    if target and target not in _types():
        raise Invalid(f"`{name}`: `{target[:64]}` is not a resource type of R4")
    if code == _ALL:
        return
    parameter = parameters_of(source).get(code)
    if parameter is None or parameter.type != "reference":
        told = f"`{name}`: `{code[:64]}` is not a reference parameter of {source}"
        raise being_built(source, code) or Invalid(told)
    if target and parameter.targets and target not in parameter.targets:
        raise Invalid(f"`{name}`: `{code}` of {source} does not refer to {target}")


def _refuse_stranger(name: str, include: Include, types: tuple[str, ...]) -> None:
    """Raises Invalid when no match can be at the end that the include starts from."""
    if not include.reverse:
        if include.type not in types:
            raise Invalid(f"`{name}` starts at {include.type}, which this search does not return")
        return
    assert include.type is not None, "without a type it is `*`, which starts anywhere"
    names = {**_names(include, include.type), **_canonical_names(include, include.type)}
    if not any(not targets.isdisjoint(types) for targets in names.values()):
        raise Invalid(f"`{name}` of {include.type} leads to nothing that this search returns")
