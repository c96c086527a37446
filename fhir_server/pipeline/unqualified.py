"""
Whether an id that is asked for without its type is that of several resources.

`Observation?subject=23` is refused when the caller may see a Patient/23 and a Group/23: what they meant
cannot be known. One find by id answers it, for all of a search together; none is made where the caller can
see but one of the types. What is hidden looks absent here as anywhere.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from fhir_server.pipeline.admission import left_of_app_state, restriction
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import Invalid
from fhir_server.r4.resource import Key
from fhir_server.search.asking.chains import LOGGED
from fhir_server.search.predicates.predicate import Predicate, Unqualified, WithId, all_of, of_types
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import covering
from fhir_server.store.explaining import stage


async def refuse_ambiguous(
    asked: Sequence[Unqualified], consented: Predicate, caller: Caller, services: Services
) -> None:
    """
    Raises Invalid when one id is that of several resources which the caller may search.

    `consented` is what consents leave to the caller.
    """
    types = {key.type for each in asked for keys in each.meant for key in keys} - {LOGGED}
    seen = frozenset(type for type in types if covering(caller.scopes, type, "s"))
    in_doubt = [
        (each.asked_as, few) for each in asked for keys in each.meant if len(few := _of(keys, seen)) > 1
    ]
    if not in_doubt:
        return
    ids = frozenset(key.id for _, keys in in_doubt for key in keys)
    left = left_of_app_state(caller, seen, services)
    visible = all_of(of_types(seen), restriction(caller, seen, "s"), consented, left)
    with stage("joins"):
        known = await services.store.keys(all_of(WithId(ids), visible), types=seen, most=len(ids) * len(seen))
    assert known is not None, "there are no more than ids in each type"
    for asked_as, keys in in_doubt:
        if sum(str(key) in known for key in keys) > 1:
            raise Invalid(
                f"Resources of several types have an id that `{asked_as}` asks for: write `Type/id`"
            )


def _of(keys: Iterable[Key], types: AbstractSet[str]) -> set[Key]:
    return {key for key in keys if key.type in types}
