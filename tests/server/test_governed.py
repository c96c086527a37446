"""A query is answered under the consents of its own time, whatever others learn while it runs."""

from __future__ import annotations

from fhir_server.search.predicates.predicate import Predicate
from fhir_server.smart.caller import Caller
from tests.server.hiding import a_consent
from tests.server.running import Server, a_patient


async def test_a_query_is_asked_again_when_somebody_else_has_learnt_of_a_denial(server: Server) -> None:
    """The process knows the denial by the time the query ends; the query did not when it began."""
    consents = server.services.consents
    asked_under: list[Predicate] = []
    async with server.as_() as client:
        await client.put("/Patient/denying", json=a_patient(id="denying"))
        await consents.refreshed()
        denial = a_consent("denying", "denial", {"type": "deny"})
        assert (await client.put("/Consent/denial", json=denial)).status_code == 201

        async def run(restriction: Predicate) -> int:
            asked_under.append(restriction)
            # Somebody else asks meanwhile.
            await consents.refreshed()
            return len(asked_under)

        caller: Caller = server.services.tokens.verify(
            server.token(), now=int(server.services.clock().timestamp())
        )
        answered = await consents.governed(caller, server.services.clock(), run)
    assert answered == 2
    assert asked_under[0] != asked_under[1]
