"""
Entries with more tokens than one document should have: a Group of 100,000 members.

Of the types in OVERFLOWING_TYPES the tokens of long names (`Group|member`) and the patients beyond
some are put into documents of their own in `bodies`, beside the version that has them:
`Type/id/0000000007/p0001` holds patients as tokens `@<patient>`, `.../t0001` other tokens. They
are written with the version and never change.

Words (fhir_server/search/values/words.py) are put aside in the same way, of whatever type and all of
them at once, as `.../w0001`; the marker stands in their place.

The version keeps one token more, its *marker* `+Type/id/0000000007`, which stands for all of them.
A question is asked of one document: before it is, each token in it is looked up among those that
were put aside, and the markers of the versions that have it are added as alternatives
(resolving.py). And, Or and Not are then judged over one document, as for any other.

What the version keeps is enough for all that is asked without a value: of each long name the
tokens that sorting compares, the least and the greatest; of the patients as many as nobody can
name without all of them being looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from fhir_server.search.values.escaping import split
from fhir_server.store.documents import PATIENT_PREFIX, Document, own_tokens
from fhir_server.store.limits import StoreLimits

OVERFLOWING_TYPES: Final = frozenset(("CodeSystem", "ConceptMap", "Group", "List", "Provenance", "ValueSet"))
"""The types that list things without end. A search that meets one of them asks `bodies` as well."""

MARKER_PREFIX: Final = "+"

Whole = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""All tokens, all patients and all words of an entry."""


def is_overflowing(fields: Document) -> bool:
    """Were tokens or words set aside, and not yet put back?"""
    return "more" in fields and "whole" not in fields


def set_aside_entry(fields: Document, name: str, limits: StoreLimits) -> list[Document]:
    """Takes out of `fields` what of their entry is too much for them; the documents it becomes."""
    return [*_set_aside_tokens(fields, name, limits), *_set_aside_words(fields, name, limits)]


def _set_aside_tokens(fields: Document, name: str, limits: StoreLimits) -> list[Document]:
    """Takes tokens and patients out of `fields` when they are too many; the documents they become."""
    patients: Sequence[str] = fields.get("pts", ())
    tokens = own_tokens(fields)
    if fields["ty"] not in OVERFLOWING_TYPES or len(tokens) + len(patients) <= limits.entry_tokens_inline_max:
        return []
    most = limits.name_tokens_inline_max
    by_name: dict[str, list[str]] = {}
    for token in tokens:
        by_name.setdefault(_name_of(token), []).append(token)
    long = [alike for alike in by_name.values() if len(alike) > most]
    others = patients[most:]
    if not long and not others:
        return []
    aside = [*chain.from_iterable(long)]
    kept = [token for alike in by_name.values() if len(alike) <= most for token in alike]
    kept += [token for alike in long for token in _compared(alike)]
    _keep(fields, [*kept, MARKER_PREFIX + name], patients[:most])
    named = [PATIENT_PREFIX + patient for patient in others]
    fields["more"] = sum(map(len, aside)) + 2 * sum(map(len, named))
    return [*_parts(f"{name}/p", named, limits), *_parts(f"{name}/t", aside, limits)]


def _set_aside_words(fields: Document, name: str, limits: StoreLimits) -> list[Document]:
    """Takes the words out of `fields` when they are too many, after the tokens; the documents they become."""
    holder = fields.get("was", fields)
    words: Sequence[str] = holder.get("wrd", ())
    if len(words) <= limits.entry_words_inline_max:
        return []
    holder["wrd"] = [MARKER_PREFIX + name]
    fields["more"] = fields.get("more", 0) + sum(map(len, words))
    return [*_parts(f"{name}/w", words, limits, "wrd")]


def leave_aside(tombstone: Document, current: Document) -> None:
    """The entry of a tombstone is that of what it deletes, and stays where it is."""
    _keep(tombstone, own_tokens(current), current.get("pts", ()))
    words = current.get("was", current).get("wrd")
    if words:
        tombstone["was"]["wrd"] = words
    tombstone["more"] = current["more"]
    tombstone["of"] = current.get("of", current["n"])


def whole(fields: Document, aside: Iterable[Document]) -> Whole:
    """All of the entry's; of `fields` that were read without tokens the patients."""
    kept = (token for token in own_tokens(fields) if not token.startswith(MARKER_PREFIX))
    tokens = dict.fromkeys(kept) if "tok" in fields else {}
    patients = dict.fromkeys((fields["pt"],) if "pt" in fields else fields.get("pts", ()))
    inline = fields.get("was", fields).get("wrd", ())
    words = [word for word in inline if not word.startswith(MARKER_PREFIX)]
    for part in aside:
        if "wrd" in part:
            words += part["wrd"]
        elif part["tok"][0].startswith(PATIENT_PREFIX):
            patients.update(dict.fromkeys([token[1:] for token in part["tok"]]))
        else:
            tokens.update(dict.fromkeys(part["tok"]))
    return tuple(tokens), tuple(patients), tuple(words)


def _keep(fields: Document, tokens: list[str], patients: Sequence[str]) -> None:
    named = [PATIENT_PREFIX + patient for patient in patients]
    if "was" in fields:
        fields["was"]["tok"] = tokens
        fields["tok"] = [fields["tok"][0], *named]
    else:
        fields["tok"] = [*tokens, *named]
    if patients:
        fields["pts"] = list(patients)


def _name_of(token: str) -> str:
    """`Type|param` of a token; that of the type itself is the type."""
    return "|".join(token.split("|", 2)[:2])


def _compared(tokens: list[str]) -> Iterator[str]:
    """Of one name and each form of value the tokens that `fhir_server.search.asking.ordering` may sort by."""
    by_form: dict[tuple[int, bool], list[tuple[str, str]]] = {}
    for token in tokens:
        value = split(token.split("|", 2)[2], "|")
        by_form.setdefault((len(value), value[0] != ""), []).append((value[0], token))
    for alike in by_form.values():
        yield from dict.fromkeys((min(alike)[1], max(alike)[1]))


def _parts(name: str, tokens: Sequence[str], limits: StoreLimits, field: str = "tok") -> Iterator[Document]:
    """Documents of some tokens each; none weighs much, however long a token is."""
    version = name.rpartition("/")[0]
    some: list[str] = []
    characters = place = 0
    for token in tokens:
        if len(some) == limits.overflow_part_tokens_max or characters > limits.overflow_part_characters_max:
            yield _part(f"{name}{place:04d}", version, field, some)
            some, characters, place = [], 0, place + 1
        some.append(token)
        characters += len(token)
    if some:
        yield _part(f"{name}{place:04d}", version, field, some)


def _part(id: str, version: str, field: str, tokens: list[str]) -> Document:
    return {"_id": id, "of": MARKER_PREFIX + version, field: tokens}
