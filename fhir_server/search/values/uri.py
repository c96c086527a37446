"""
uri: exactly this one, or with `:below` and `:above` those under or over it, segment by segment.

A canonical with a version is found with and without it; what has a canonical `url` is found by `url|version`.

https://hl7.org/fhir/R4/search.html#uri
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.search.declared.parameters import Parameter
from fhir_server.search.predicates.entry import escape
from fhir_server.search.predicates.predicate import AnyToken, Predicate, TokenPrefix, all_of, any_of, token
from fhir_server.search.predicates.unions import union
from fhir_server.search.values.escaping import unescaped
from fhir_server.search.values.modifiers import refuse_modifier
from fhir_server.search.values.site import Site


def suffixes(nodes: Collection, _site: Site) -> list[str]:
    """What follows the parameter's name in each token."""
    found: list[str] = []
    for type, value, _ in nodes:
        if isinstance(value, str):
            found.append(f"|{escape(value)}")
            if type == "canonical" and "|" in value:
                found.append(f"|{escape(value.partition('|')[0])}")
    return found


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], _site: Site) -> Predicate:
    """One of `values` is a uri of the parameter."""
    uris = [unescaped(value) for value in values]
    match modifier:
        case None:
            return union(_is(parameter, uri) for uri in uris)
        case "below":
            return any_of(*(_below(parameter, _url(parameter, uri)) for uri in uris))
        case "above":
            return union(_above(parameter, _url(parameter, uri)) for uri in uris)
        case _:
            raise refuse_modifier(parameter.code, modifier, "below", "above", "missing")


def _is(parameter: Parameter, uri: str) -> Predicate:
    whole = token(f"{parameter.name}|{escape(uri)}")
    url, bar, version = uri.rpartition("|")
    if not bar or parameter.code != "url":
        return whole
    # What `url|version` names is the resource that has both.
    versions = token(f"{parameter.resource_type}|version|{escape(version.casefold())}")
    return any_of(whole, all_of(token(f"{parameter.name}|{escape(url)}"), versions))


def _below(parameter: Parameter, url: str) -> Predicate:
    start = f"{parameter.name}|{escape(url.rstrip('/'))}"
    return any_of(token(start), TokenPrefix(start + "/"))


def _above(parameter: Parameter, url: str) -> Predicate:
    scheme, _, rest = url.rstrip("/").partition("://")
    segments = rest.split("/")
    over = [f"{scheme}://{'/'.join(segments[: count + 1])}" for count in range(len(segments))]
    return AnyToken(frozenset(f"{parameter.name}|{escape(uri)}{end}" for uri in over for end in ("", "/")))


def _url(parameter: Parameter, uri: str) -> str:
    if "://" not in uri:
        raise Invalid(f"`:above` and `:below` of `{parameter.code}` are for URLs, whose path has segments")
    return uri
