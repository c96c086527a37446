"""What $meta-add and $meta-delete make of a resource."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.operations.meta import LISTS, column, identity, meta_with
from fhir_server.operations.meta_add import with_added
from fhir_server.operations.meta_delete import with_deleted
from fhir_server.r4.validation import validate

codings = st.fixed_dictionaries(
    {},
    optional={"system": st.sampled_from(["http://a.example", "http://b.example"]), "display": st.just("x")},
).flatmap(lambda coding: st.sampled_from("abc").map(lambda code: {**coding, "code": code}))
canonicals = st.sampled_from([f"http://a.example/{name}" for name in "abc"])
metas = st.fixed_dictionaries(
    {},
    optional={
        "profile": st.lists(canonicals, min_size=1, max_size=3),
        "security": st.lists(codings, min_size=1, max_size=3),
        "tag": st.lists(codings, min_size=1, max_size=3),
    },
)


def a_patient(meta: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Patient", "active": True} | ({"meta": meta} if meta else {})


def found(resource: Any, name: str) -> set[object]:
    return {identity(one) for one, _ in column(resource.get("meta", {}), name)}


@given(metas, metas)
def test_what_is_added_is_there_beside_what_was(own: dict[str, Any], more: dict[str, Any]) -> None:
    added = with_added(a_patient(own), more)
    for name in LISTS:
        assert found(added, name) == found(a_patient(own), name) | found(a_patient(more), name)
        assert added.get("meta", {}).get(name, [])[: len(own.get(name, []))] == own.get(name, [])
    assert with_added(added, more) is added
    assert validate(added) == ()


@given(metas, metas)
def test_what_is_deleted_is_gone_and_nothing_else(own: dict[str, Any], less: dict[str, Any]) -> None:
    left = with_deleted(a_patient(own), less)
    for name in LISTS:
        assert found(left, name) == found(a_patient(own), name) - found(a_patient(less), name)
    assert with_deleted(left, less) is left
    assert left["active"] is True
    assert validate(left) == ()


def test_tokens_become_codings_and_canonicals() -> None:
    tokens = {
        "_profile": {"http://a.example/p\\|1"},
        "_security": set[str](),
        "_tag": {"x", "http://a.example|x", "|y", "y", "http://b.example|"},
    }
    (returned,) = meta_with(tokens)["parameter"]
    assert returned["valueMeta"] == {
        "profile": ["http://a.example/p|1"],
        "tag": [
            {"system": "http://a.example", "code": "x"},
            {"system": "http://b.example"},
            {"code": "y"},
        ],
    }
