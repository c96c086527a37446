"""
The patients' consents as this process knows them, never older than the database's epoch.

The table (consent/table.py) is pure; here it is fed. Each answer about a patient is given as of
an epoch that was read after the request arrived, so a consent that was revoked before a request
is never overlooked by it, whichever process took the revocation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from consent.decision import Decision, Requester
from consent.table import ConsentTable
from fhir_server.pipeline.parameters import SearchParameters
from fhir_server.policy.app_state import AppState
from fhir_server.r4.errors import FhirError
from fhir_server.r4.resource import from_text
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.smart.bearers import Bearers
from fhir_server.smart.caller import Caller
from fhir_server.smart.revocations import Revoked
from fhir_server.store.epoch import Epoch
from fhir_server.store.store import Store

Result = TypeVar("Result")


class Consents:
    """
    Decides for callers, and keeps the table up to date, and `parameters` with it.

    `app_state` is what is known of the codes of app state, as new as the table; the clients to which `tokens`
    were issued have codes of their own.
    """

    def __init__(
        self,
        table: ConsentTable,
        store: Store,
        parameters: SearchParameters,
        clock: Callable[[], datetime],
        bearers: Bearers,
    ) -> None:
        self._table = table
        self._revoked = Revoked()
        self._revoked_as_of = 0
        self._bearers = bearers
        self._app_state_as_of = 0
        self.app_state = AppState()
        self._clock = clock
        self._store = store
        self._parameters = parameters
        self._refreshing = asyncio.Lock()

    async def as_of(self, epoch: Epoch, caller: Caller) -> None:
        """
        Make the table at least as new as `epoch`. Raises Unauthenticated when the caller's token was revoked
        by then.
        """
        await self._made_as_new_as(epoch)
        self._revoked.require_holds(caller)

    async def current(self, caller: Caller) -> None:
        """Make the table as new as the database is now. Raises as `as_of`."""
        await self.as_of(await self._store.epoch(), caller)

    def require_holds(self, caller: Caller) -> None:
        """Raises Unauthenticated when it is known here already that the caller's token was revoked."""
        self._revoked.require_holds(caller)

    async def refreshed(self) -> None:
        """The same for nobody's sake."""
        await self._made_as_new_as(await self._store.epoch())

    async def _made_as_new_as(self, epoch: Epoch) -> None:
        if epoch.parameters > self._parameters.catalogue.epoch:
            await self._parameters.as_of(epoch)
        if (
            epoch.consents <= self._table.epoch
            and epoch.revoked <= self._revoked_as_of
            and epoch.app_state <= self._app_state_as_of
        ):
            return
        async with self._refreshing:
            if epoch.revoked > self._revoked_as_of:
                self._revoked.add(await self._store.revocations.after(self._revoked_as_of), self._clock())
                self._revoked_as_of = epoch.revoked
            if epoch.app_state > self._app_state_as_of:
                self.app_state = await self._store.app_state.all()
                self._app_state_as_of = epoch.app_state
                self._bearers.forget(self.app_state.codes_of)
            if epoch.consents > self._table.epoch:
                changed = await self._store.consents_changed_after(self._table.epoch)
                self._table.apply(
                    [(v.key.id, None if v.body is None else from_text(v.body)) for v in changed],
                    epoch.consents,
                )

    def decide(self, patients: Sequence[str], caller: Caller, now: datetime) -> Decision:
        """Do the consents of all these patients let this caller through?"""
        return self._table.decide(patients, requester(caller), now)

    async def governed(
        self, caller: Caller, now: datetime, run: Callable[[Predicate], Awaitable[Result]]
    ) -> Result:
        """
        Run a query within what consents leave to `caller`.

        The query and the look at the epoch travel together; when the epoch turns out to have
        moved, the query is asked again under the newer consents, also where it was refused.
        """

        async def outcome(restriction: Predicate) -> Result | FhirError:
            try:
                return await run(restriction)
            except FhirError as refusal:
                return refusal

        while True:
            # Of the table as it is now: meanwhile somebody else may make it newer.
            as_of, app_state = self._table.epoch, self.app_state
            restriction = self._table.restriction(requester(caller), now)
            result, epoch = await asyncio.gather(outcome(restriction), self._store.epoch())
            await self.as_of(epoch, caller)
            if epoch.consents > as_of or self.app_state is not app_state:
                continue
            if isinstance(result, FhirError):
                raise result
            return result


@lru_cache(maxsize=4_096)
def requester(caller: Caller) -> Requester:
    """The facts of a caller that a consent can speak of."""
    user = caller.user or ""
    own = user.removeprefix("Patient/") if user.startswith("Patient/") else None
    return Requester(user=caller.user, client=caller.client, patient=own, purpose=caller.purpose)
