"""
What a person chose on the consent page.

For each offer, by its place `n`, the form has `choice-n`: `all`, `some` or `none` (a box that is not ticked
posts nothing, which is none), and `part-n` for each narrower scope that is ticked, which counts with `some`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fhir_server.smart.words import Offer


def chosen(form: Iterable[tuple[str, str]], offers: Sequence[Offer]) -> tuple[str, ...]:
    """The texts that are allowed, in the order of the offers, each once; never one that was not offered."""
    posted = frozenset(form)
    found = (text for place, offer in enumerate(offers) for text in _of(offer, place, posted))
    return tuple(dict.fromkeys(found))


def _of(offer: Offer, place: int, posted: frozenset[tuple[str, str]]) -> list[str]:
    choices = {value for name, value in posted if name == f"choice-{place}"}
    if choices == {"all"}:
        return [offer.text]
    # What is contradictory is read as the least of it.
    parts = [one.text for one in offer.narrower if (f"part-{place}", one.text) in posted]
    return parts if choices in ({"some"}, {"some", "all"}) else []
