"""A statement changes what it speaks of, and nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapters.hl7v2.statement import DELETED, Listed, Otherwise, Parts, Statement, applied

elements = st.dictionaries(st.sampled_from("abcdef"), st.integers() | st.text(min_size=1), max_size=5)


@given(elements, elements)
def test_what_is_not_spoken_of_stays(present: dict[str, Any], statement: Statement) -> None:
    after = applied(statement, present)
    assert {name: after[name] for name in present.keys() - statement.keys()} == {
        name: present[name] for name in present.keys() - statement.keys()
    }
    assert {name: after[name] for name in statement} == statement


@given(elements, elements)
def test_to_say_it_twice_is_to_say_it_once(present: dict[str, Any], statement: Statement) -> None:
    once = applied(statement, present)
    assert applied(statement, once) == once


@given(elements)
def test_to_say_nothing_changes_nothing(present: dict[str, Any]) -> None:
    assert applied({}, present) == present


def test_deleted_is_gone_and_what_is_present_is_left_alone() -> None:
    present = {"gender": "female", "name": [{"family": "A"}]}
    assert applied({"gender": DELETED, "active": DELETED}, present) == {"name": [{"family": "A"}]}
    assert present == {"gender": "female", "name": [{"family": "A"}]}


def test_parts_of_an_element_leave_the_others() -> None:
    statement = {"period": Parts({"end": "2"}), "stay": Parts({"x": DELETED})}
    assert applied(statement, {"period": {"start": "1"}, "stay": {"x": 1}}) == {
        "period": {"start": "1", "end": "2"}
    }
    assert applied(statement, None) == {"period": {"end": "2"}}


def test_listed_entries_make_those_they_replace_give_way() -> None:
    stated = Listed([{"use": "home", "value": "2"}], lambda present: present.get("use") == "home")
    present = {"telecom": [{"use": "home", "value": "1"}, {"use": "work", "value": "9"}]}
    assert applied({"telecom": stated}, present) == {
        "telecom": [{"use": "home", "value": "2"}, {"use": "work", "value": "9"}]
    }


def test_an_entry_said_twice_is_there_once() -> None:
    stated = Listed([{"value": "1"}, {"value": "1"}], lambda _: False)
    assert applied({"telecom": stated}, {"telecom": [{"value": "1"}]}) == {"telecom": [{"value": "1"}]}


def test_a_list_from_which_all_is_taken_is_no_element() -> None:
    assert applied({"telecom": Listed([], lambda _: True)}, {"telecom": [{"value": "1"}]}) == {}


def test_otherwise_holds_only_where_there_is_nothing() -> None:
    assert applied({"status": Otherwise("unknown")}, {"status": "finished"}) == {"status": "finished"}
    assert applied({"status": Otherwise("unknown")}, None) == {"status": "unknown"}
