"""What a value of `_text` or `_content` asks for: https://hl7.org/fhir/R4/search.html#content"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.errors import Invalid, TooCostly, Unsupported
from fhir_server.r4.interaction import Criteria, Search
from fhir_server.search.asking.conditional import query_of
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.search.asking.query import Query, parse
from fhir_server.search.asking.text import DEPTH_MAX, STARTS_MAX
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.search.values.escaping import written
from fhir_server.search.values.indexed_words import Indexed
from fhir_server.search.values.words import WORD_CHARACTERS_MAX, words_in, words_of
from tests.search.test_words import a_narrative
from tests.search.versions import a_version

ALL = Indexed("content", "content")


def query(
    type: str | None, *parameters: tuple[str, str], indexed: Indexed = ALL, lenient: bool = False
) -> Query:
    search = Search(type, parameters, "lenient" if lenient else "strict")
    return parse(search, limits=SearchLimits(), indexed=indexed)


def asked(value: str, name: str = "_text", type: str | None = "Condition") -> Predicate:
    return query(type, (name, value)).predicate


def holds(predicate: Predicate, text: str, *, note: str = "", type: str = "Condition") -> bool:
    resource = {"resourceType": type, "text": a_narrative(text), "note": [{"text": note}]}
    entry = Entry((type,), words=words_of(type, resource, "content"))
    return matches(predicate, a_version(entry, type=type))


@pytest.mark.parametrize(
    ("value", "found", "not_found"),
    [
        ("liver", ["the Liver.", "LIVER"], ["livers", "bone"]),
        ("bone liver", ["liver and bone"], ["bone", "liver"]),
        ("(bone OR liver) and metastases", ["liver metastases"], ["bone and liver", "metastases"]),
        ("bone or liver and metastases", ["bone", "liver metastases"], ["liver", "metastases"]),
        ("not (bone or liver)", ["skin"], ["skin and bone"]),
        ("skin NOT bone", ["skin"], ["skin and bone", "heart"]),
        ("NOT NOT skin", ["skin"], ["bone"]),
        ('"and" liver', ["liver and"], ["liver"]),
        ("metas*", ["metastases", "metas"], ["meta", "xmetastases"]),
        ("8480-6", ["code 8480-6", "6 of 8480"], ["8480"]),
        ("MÜLLER", ["Mu&#776;ller", "muller"], ["mueller"]),
        ("liver,bone", ["liver", "bone"], ["skin"]),
        ("(liver)", ["liver"], ["bone"]),
        (r"liver\,bone", ["bone, liver"], ["liver"]),
    ],
)
def test_a_value_asks_for_words(value: str, found: list[str], not_found: list[str]) -> None:
    predicate = asked(value)
    assert [text for text in found if not holds(predicate, text)] == []
    assert [text for text in not_found if holds(predicate, text)] == []


def test_text_is_the_narrative_and_content_is_all() -> None:
    assert not holds(asked("heart"), "liver", note="heart")
    assert holds(asked("heart", "_content"), "liver", note="heart")
    assert holds(asked("liver heart", "_content"), "liver", note="heart")
    assert holds(asked("hea* liv*", "_content"), "liver", note="heart")
    assert not holds(asked("hea*"), "liver", note="heart")


def test_several_types_are_asked_at_once_and_those_without_a_narrative_have_none() -> None:
    predicate = query(None, ("_type", "Condition,Binary"), ("_text", "liver")).predicate
    assert holds(predicate, "liver")
    assert not holds(predicate, "liver", type="Procedure")
    assert holds(asked("liver", type=None), "liver", type="Procedure")
    with pytest.raises(Invalid, match="not a search parameter of Binary"):
        asked("liver", type="Binary")


terms = st.sampled_from(["liver", "Bone", "bones", "and", "or", "NOT", "6", "8480"])
Tree = tuple[str, tuple["Tree", ...]] | str
trees: st.SearchStrategy[Tree] = st.recursive(
    terms,
    lambda inner: st.tuples(
        st.sampled_from(["AND", "OR", "NOT", " "]), st.lists(inner, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=8,
)


def said(tree: Tree) -> str:
    """The tree as a client writes it: everything in parentheses, words that look like more in quotes."""
    if isinstance(tree, str):
        return f'"{tree}"' if tree.upper() in ("AND", "OR", "NOT") else tree
    operator, parts = tree
    if operator == "NOT":
        return f"NOT {said(parts[0])}"
    return "(" + f" {operator} ".join(map(said, parts)) + ")"


def means(tree: Tree, words: Sequence[str]) -> bool:
    if isinstance(tree, str):
        return all(word in words for word in words_in(tree))
    operator, parts = tree
    if operator == "NOT":
        return not means(parts[0], words)
    together = any if operator == "OR" else all
    return together(means(part, words) for part in parts)


@settings(max_examples=150)
@given(trees, st.lists(terms, max_size=5))
def test_a_value_means_what_its_tree_means(tree: Tree, held: list[str]) -> None:
    try:
        predicate = asked(said(tree))
    except TooCostly:
        return
    text = " ".join(held)
    assert holds(predicate, text) == means(tree, words_in(text))


@given(st.text(alphabet='ab *()"\\,ANDORNOT', max_size=20))
@settings(max_examples=300)
def test_any_value_is_understood_or_refused(value: str) -> None:
    with suppress(Invalid, TooCostly, Unsupported):
        asked(value)


@given(st.text(max_size=20))
def test_what_a_narrative_says_is_found_by_it(text: str) -> None:
    words = words_in(text)
    if words and all(len(word) <= WORD_CHARACTERS_MAX for word in words):
        predicate = asked(written(" ".join(f'"{word}"' for word in words)))
        entry = Entry(("Condition",), words=tuple(f"Condition|_text|{word}" for word in words))
        assert matches(predicate, a_version(entry, type="Condition"))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("(liver", "a parenthesis that nothing closes"),
        ("liver)", "a parenthesis that nothing opens"),
        ("()", "nothing where a word is expected"),
        ("AND liver", "nothing where a word is expected"),
        ("liver OR", "nothing where a word is expected"),
        ("NOT", "nothing where a word is expected"),
        (" ", "nothing where a word is expected"),
        ('"liver', "a quotation mark that nothing closes"),
        ('""', "a term without a word"),
        ("-", "a term without a word"),
        ("*", "a term without a word"),
        ("liv*er", "elsewhere than behind one"),
        ("liver-*", "elsewhere than behind one"),
        ("x" * 65, "has at most 64 characters"),
        (r"a\b", "may only stand before"),
    ],
)
def test_what_cannot_be_understood_is_refused(value: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        asked(value)


def test_a_phrase_is_refused_rather_than_answered_by_its_words() -> None:
    with pytest.raises(Unsupported, match="has a phrase"):
        asked('"liver metastases"')


def test_there_are_limits() -> None:
    deep = "(" * (DEPTH_MAX + 1) + "liver" + ")" * (DEPTH_MAX + 1)
    with pytest.raises(TooCostly, match="nested deeper"):
        asked(deep)
    with pytest.raises(TooCostly, match="nested deeper"):
        asked("NOT " * (DEPTH_MAX + 1) + "liver")
    with pytest.raises(TooCostly, match="1000 values"):
        query("Condition", *[("_text", "a " * 600)] * 2)
    with pytest.raises(TooCostly, match="1000 values"):
        asked("a-" * 1001)
    with pytest.raises(TooCostly, match="1000 values"):
        query("Condition", *[("_text", "a*")] * 20)
    with pytest.raises(TooCostly, match="name the types"):
        asked("a* b* c*", "_content", type=None)
    assert STARTS_MAX >= 2 * 146


def test_they_have_no_modifiers() -> None:
    for modifier in ("exact", "contains", "missing", "not"):
        with pytest.raises(Invalid, match="it has none"):
            query("Condition", (f"_text:{modifier}", "true"))


@pytest.mark.parametrize(
    ("indexed", "name", "reason"),
    [
        (Indexed("off", "off"), "_text", "the setting `full_text` to be `narrative`"),
        (Indexed("off", "content"), "_text", "the setting `full_text` to be `narrative`"),
        (Indexed("narrative", "narrative"), "_content", "the setting `full_text` to be `content`"),
        (
            Indexed("content", "narrative"),
            "_content",
            "for Condition: some was written while the setting `full_text` was `narrative`",
        ),
        (Indexed("narrative", "off"), "_text", "while the setting `full_text` was `off`"),
        (Indexed("content", "off", {"Condition": "narrative"}), "_content", "`full_text` was `narrative`"),
        (Indexed("content", "off", {"Patient": "content"}), "_content", "`full_text` was `off`"),
    ],
)
def test_what_is_not_indexed_is_refused_with_the_reason(indexed: Indexed, name: str, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        query("Condition", (name, "liver"), indexed=indexed)
    found = query("Condition", (name, "liver"), ("code", "x"), indexed=indexed, lenient=True)
    assert found.ignored == (name,)
    assert found.used == (("code", "x"),)


def test_a_type_that_was_reindexed_is_asked_though_others_are_not() -> None:
    indexed = Indexed("content", "off", {"Condition": "content", "Patient": "narrative"})
    assert query("Condition", ("_content", "liver"), indexed=indexed).ignored == ()
    assert query(None, ("_type", "Condition,Patient"), ("_text", "liver"), indexed=indexed).ignored == ()
    assert query("Condition", ("subject:Patient._text", "liver"), indexed=indexed).ignored == ()
    for type, name in ((None, "_text"), ("Patient", "_content"), ("Condition", "subject:Patient._content")):
        with pytest.raises(Unsupported, match="`\\$reindex` makes up for it"):
            query(type, (name, "liver"), indexed=indexed)


def test_audit_events_and_conditions_have_no_words() -> None:
    with pytest.raises(Unsupported, match="not there for AuditEvents"):
        asked("liver", type="AuditEvent")
    with pytest.raises(Unsupported, match="says too little"):
        query_of(Criteria("Condition", (("_text", "liver"),)), limits=SearchLimits(), base_url="", zone=UTC)
