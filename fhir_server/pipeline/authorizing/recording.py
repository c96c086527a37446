"""
The records of what the authorization server was asked: each of them, given or refused.

They are AuditEvents of the type login or logout, so that who got in, and who tried, is one search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audit.record import Record
from fhir_server.pipeline.services import Services
from fhir_server.smart.caller import Contact
from fhir_server.smart.refusals import OAuthRefused


@dataclass(frozen=True, slots=True)
class Who:
    """As far as is known: the client, the account of the user and whom FHIR knows them as, the patient."""

    client: str | None = None
    account: str | None = None
    user: str | None = None
    patient: str | None = None


NOBODY: Final = Who()


def record(
    status: int,
    contact: Contact,
    services: Services,
    who: Who = NOBODY,
    reason: str | None = None,
    *,
    interaction: str = "login",
) -> Record:
    """Of one request; without a `reason` it was given what it asked for."""
    return Record(
        time=services.clock(),
        interaction=interaction,
        outcome="success" if reason is None else "failed" if status >= 500 else "refused",
        status=status,
        request_id=contact.request_id,
        address=contact.address,
        client=who.client,
        user=who.user,
        subject=who.account,
        patients=() if who.patient is None else (who.patient,),
        reason=reason,
    )


async def record_refused(refused: OAuthRefused, services: Services, contact: Contact) -> None:
    """Raises Unavailable."""
    reason = f"{refused.error}: {refused}"
    await services.store.append(record(refused.status, contact, services, Who(refused.client), reason))
