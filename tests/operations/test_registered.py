"""The operations that are registered are R4's, where R4 has them."""

from __future__ import annotations

import pytest

from fhir_server.operations import OPERATIONS, Registered
from fhir_server.operations.registered import OWN_DEFINITIONS
from fhir_server.r4.definitions import definitions

R4S = [one for one in OPERATIONS.values() if not one.definition.startswith(OWN_DEFINITIONS)]


@pytest.mark.parametrize("operation", R4S, ids=lambda operation: operation.name)
def test_an_operation_is_where_r4_defines_it(operation: Registered) -> None:
    (defined,) = [one for one in definitions().operations if one.url == operation.definition]
    levels = {"system": defined.on_system, "type": defined.on_type, "instance": defined.on_instance}
    assert set(operation.levels) == {level for level, is_there in levels.items() if is_there}
    assert (defined.code, defined.resources) == (operation.name, ("Resource",))


def test_what_affects_state_is_asked_for_by_post_alone() -> None:
    assert OPERATIONS["meta-add"].methods("instance") == ("POST",)
    assert OPERATIONS["meta"].methods("system") == ("GET", "POST")
    assert OPERATIONS["validate"].methods("type") == ("POST",)
