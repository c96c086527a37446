"""
The records of what the authorization server was asked: each of them, given or refused.

Who got in, who tried and what was taken back are AuditEvents of one type, and of a subtype for each `Act`.

docs/security-events.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from audit.record import Record
from fhir_server.pipeline.services import Services
from fhir_server.smart.caller import Contact
from fhir_server.smart.refusals import OAuthRefused

Act = Literal[
    "authorize",
    "introspection",
    "launch",
    "login",
    "logout",
    "registration",
    "revocation",
    "token",
    "userinfo",
]
"""What was asked: `authorize` is an app that asks a person, and what the person decided."""


@dataclass(frozen=True, slots=True)
class Who:
    """As far as is known: the client, the account of the user and whom FHIR knows them as, the patient."""

    client: str | None = None
    account: str | None = None
    user: str | None = None
    patient: str | None = None


NOBODY: Final = Who()


def record(
    act: Act,
    status: int,
    contact: Contact,
    services: Services,
    who: Who = NOBODY,
    reason: str | None = None,
    *,
    scope: str | None = None,
) -> Record:
    """Of one request; without a `reason` it was given what it asked for, and `scope` where that is one."""
    return Record(
        time=services.clock(),
        interaction=act,
        outcome="success" if reason is None else "failed" if status >= 500 else "refused",
        status=status,
        request_id=contact.request_id,
        address=contact.address,
        client=who.client,
        user=who.user,
        subject=who.account,
        patients=() if who.patient is None else (who.patient,),
        query=None if scope is None else f"scope={scope}",
        reason=reason,
    )


async def record_refused(act: Act, refused: OAuthRefused, services: Services, contact: Contact) -> None:
    """Raises Unavailable."""
    reason = f"{refused.error}: {refused}"
    who = Who(refused.client or refused.claimed)
    await services.store.append(record(act, refused.status, contact, services, who, reason))
