"""Primitives under FHIRPath Patch: values and what stands beside them. https://hl7.org/fhir/R4/json.html#primitive."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.r4.validation import validate
from tests.r4.patch.parameters import add, delete, insert, move, parts, patched, patient, replace, value

BIRTH_TIME = {"url": "http://example.org/birthTime", "valueDateTime": "1974-12-25T14:35:45-05:00"}
PREFIX = {"url": "http://example.org/prefix", "valueString": "VV"}


class TestPrimitives:
    def test_what_is_replaced_loses_what_stood_beside_it(self) -> None:
        before = patient(birthDate="1974-12-25", _birthDate={"extension": [BIRTH_TIME]})
        after = patched(before, replace("Patient.birthDate", value(valueDate="1975-01-01")))
        assert after == patient(birthDate="1975-01-01")

    def test_a_value_may_bring_its_extensions(self) -> None:
        given = {"valueDate": "1974-12-25", "_valueDate": {"extension": [BIRTH_TIME]}}
        expected = patient(birthDate="1974-12-25", _birthDate={"extension": [BIRTH_TIME]})
        assert patched(patient(), add("Patient", "birthDate", value(**given))) == expected

    def test_a_value_may_be_extensions_alone(self) -> None:
        given = {"_valueDate": {"extension": [BIRTH_TIME]}}
        after = patched(patient(birthDate="1974"), replace("Patient.birthDate", value(**given)))
        assert after == patient(_birthDate={"extension": [BIRTH_TIME]})

    def test_a_primitive_is_deleted_with_what_stands_beside_it(self) -> None:
        before = patient(birthDate="1974-12-25", _birthDate={"extension": [BIRTH_TIME]}, active=True)
        assert patched(before, delete("Patient.birthDate")) == patient(active=True)

    def test_an_extension_of_a_primitive_is_an_element_like_others(self) -> None:
        before = patient(birthDate="1974-12-25", _birthDate={"id": "b", "extension": [BIRTH_TIME, PREFIX]})
        path = "Patient.birthDate.extension('http://example.org/birthTime')"
        changed = patched(before, replace(f"{path}.value", value(valueDateTime="1974")))
        assert changed["_birthDate"]["extension"][0] == {"url": BIRTH_TIME["url"], "valueDateTime": "1974"}
        assert patched(before, delete(path))["_birthDate"] == {"id": "b", "extension": [PREFIX]}

    def test_the_last_extension_goes_with_what_held_it(self) -> None:
        before = patient(birthDate="1974-12-25", _birthDate={"extension": [BIRTH_TIME]})
        assert patched(before, delete("Patient.birthDate.extension[0]")) == patient(birthDate="1974-12-25")
        alone = patient(_birthDate={"extension": [BIRTH_TIME]}, active=True)
        assert patched(alone, delete("Patient.birthDate.extension[0]")) == patient(active=True)

    def test_an_extension_is_added_to_a_primitive_that_had_none(self) -> None:
        prefix = parts(url={"valueUri": PREFIX["url"]}, value={"valueString": "VV"})
        before = patient(birthDate="1974", name=[{"given": ["A", "B"]}])
        after = patched(
            before,
            add("Patient.birthDate", "extension", prefix),
            add("Patient.name.given[1]", "extension", prefix),
            insert("Patient.name.given[1].extension", 1, prefix),
            add("Patient.name.given[1]", "id", value(valueString="b")),
        )
        assert after == patient(
            birthDate="1974",
            name=[{"given": ["A", "B"], "_given": [None, {"extension": [PREFIX, PREFIX], "id": "b"}]}],
            _birthDate={"extension": [PREFIX]},
        )


NAME: dict[str, Any] = {
    "given": ["A", None, "C"],
    "_given": [None, {"extension": [PREFIX]}, {"id": "c"}],
}


class TestRepeatingPrimitives:
    @pytest.mark.parametrize(
        ("operation", "given", "beside"),
        [
            (
                insert("Patient.name.given", 0, value(valueString="0")),
                ["0", "A", None, "C"],
                [None, None, {"extension": [PREFIX]}, {"id": "c"}],
            ),
            (
                insert("Patient.name[0].given", 3, value(valueString="D", _valueString={"id": "d"})),
                ["A", None, "C", "D"],
                [None, {"extension": [PREFIX]}, {"id": "c"}, {"id": "d"}],
            ),
            (
                add("Patient.name", "given", value(valueString="D")),
                ["A", None, "C", "D"],
                [None, {"extension": [PREFIX]}, {"id": "c"}, None],
            ),
            (delete("Patient.name.given[0]"), [None, "C"], [{"extension": [PREFIX]}, {"id": "c"}]),
            (delete("Patient.name.given[1]"), ["A", "C"], [None, {"id": "c"}]),
            (delete("Patient.name.given[1].extension"), ["A", "C"], [None, {"id": "c"}]),
            (
                delete("Patient.name.given[2].id"),
                ["A", None, "C"],
                [None, {"extension": [PREFIX]}, None],
            ),
            (
                move("Patient.name.given", 2, 0),
                ["C", "A", None],
                [{"id": "c"}, None, {"extension": [PREFIX]}],
            ),
            (
                replace("Patient.name.given[1]", value(valueString="B")),
                ["A", "B", "C"],
                [None, None, {"id": "c"}],
            ),
            (
                replace("Patient.name.given.last()", value(valueString="D")),
                ["A", None, "D"],
                [None, {"extension": [PREFIX]}, None],
            ),
        ],
    )
    def test_values_and_what_stands_beside_them_stay_together(
        self, operation: dict[str, Any], given: list[Any], beside: list[Any]
    ) -> None:
        after = patched(patient(name=[NAME]), operation)
        assert after == patient(name=[{"given": given, "_given": beside}])
        assert validate(after) == ()

    def test_an_array_of_nothing_but_nulls_is_left_out(self) -> None:
        before = patient(name=[{"given": ["A", "B"], "_given": [{"id": "a"}, None]}])
        assert patched(before, delete("Patient.name.given[0].id")) == patient(name=[{"given": ["A", "B"]}])
        assert patched(before, delete("Patient.name.given[0]")) == patient(name=[{"given": ["B"]}])

    def test_an_index_counts_across_the_elements_around(self) -> None:
        before = patient(name=[{"given": ["A", "B"]}, {"given": ["C"]}])
        assert patched(before, delete("Patient.name.given[2]")) == patient(name=[{"given": ["A", "B"]}])
