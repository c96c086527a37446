"""
The person has decided: a code for the app, or a refusal.

What is granted is what was asked for, what the client is registered for, what the person chose, and what they
have a right to themselves: the smallest of all.

https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.pipeline.authorizing.asking import Asked
from fhir_server.pipeline.authorizing.choosing import chooses
from fhir_server.pipeline.authorizing.recording import Who, record
from fhir_server.pipeline.authorizing.sessions import Session
from fhir_server.pipeline.services import Services
from fhir_server.r4.definitions import definitions
from fhir_server.search.values.site import Site
from fhir_server.smart.authorization_request import AuthorizationRefused
from fhir_server.smart.caller import Contact
from fhir_server.smart.grants import CODE_LIFETIME, Granted, grant_id, hash_of_secret, token_text
from fhir_server.smart.scopes import context_of, granted, narrowed, words

HANDLE_BYTES: Final = 18
SECRET_BYTES: Final = 32
_OF_LAUNCH: Final = (
    "encounter", "fhirContext", "need_patient_banner", "intent", "smart_style_url", "tenant",
)  # fmt: skip
"""What a token's answer tells of a launch, beside the patient."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What can be granted at all: the scopes for resources, and the others."""

    scopes: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def choices(self) -> tuple[str, ...]:
        """Of the others, those that a person decides on."""
        return tuple(word for word in self.words if not _is_context(word))


def offered(asked: Asked, session: Session, services: Services) -> Offered:
    """
    What of the request is this user's to grant: nobody without a resource of their own has a right to any.

    Without a patient there is nothing of a patient/ scope.
    """
    site = Site(services.settings.base_url, services.zone)
    fhir = granted(asked.scope, definitions().resource_types, site)
    contexts = {"patient"} if asked.patient is not None else set()
    if session.user.fhir_user is not None:
        contexts.add("user")
    others = words(asked.scope)
    if session.user.fhir_user is None:
        # https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html: it cannot be supported then.
        others = tuple(word for word in others if word not in ("fhirUser", "profile"))
    others = tuple(word for word in others if not _is_context(word) or _is_told(word, asked))
    return Offered(tuple(scope.text for scope in fhir if scope.context in contexts), others)


def _is_context(word: str) -> bool:
    """Does it ask for what the launch tells, which gives nothing that is not chosen on a page of its own?"""
    return word == "launch" or word.startswith("launch/")


def _is_told(word: str, asked: Asked) -> bool:
    """Will the answer with the token tell it?"""
    launched = asked.launched or {}
    if word == "launch":
        return True
    if word == "launch/patient":
        return asked.patient is not None
    if word == "launch/encounter":
        return launched.get("encounter") is not None
    wanted = context_of(word)
    assert wanted is not None, "it is a word that is known"
    type, role = wanted
    return any(
        type in (str(one.get("reference", "")).partition("/")[0].lower(), str(one.get("type", "")).lower())
        and role in (None, one.get("role", "launch"))
        for one in launched.get("fhirContext") or ()
    )


async def is_decided(asked: Asked, session: Session, services: Services) -> bool:
    """
    Has the organisation decided for this clinician, whom an EHR launched the app for?

    It is this one when the EHR says so, or when they have logged in for this: in a browser that several
    people use, who is logged in may be the one before.
    """
    if asked.launched is None or asked.prompt_consent or not chooses(session):
        return False
    if asked.launched.get("user") != session.user.fhir_user and session.auth_time < asked.made:
        return False
    client = await services.store.clients.get(asked.client)
    return client is not None and client.decided_for_clinicians


async def approved(
    asked: Asked, chosen: Iterable[str], session: Session, services: Services, contact: Contact
) -> str:
    """
    The URL at which the app gets its code, for those scopes that were chosen; recorded.

    Raises AuthorizationRefused when nothing was, or when it has been decided already; and Unavailable.
    """
    scope = _chosen(offered(asked, session, services), chosen, services)
    now = services.clock()
    if await services.store.tickets.take("request", asked.secret, now) is None:
        raise AuthorizationRefused("access_denied", "It has been decided already")
    handle, secret = secrets.token_urlsafe(HANDLE_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    given = Granted(
        id=grant_id(handle),
        client=asked.client,
        account=session.user.id,
        user=session.user.fhir_user,
        scope=scope,
        patient=asked.patient,
        context=_context(asked),
        redirect_uri=asked.redirect_uri,
        challenge=asked.challenge,
        nonce=asked.nonce,
        auth_time=session.auth_time,
        session=session.id if _holds_while_online(scope) else None,
        made=now,
        code=hash_of_secret(secret),
        code_until=now + CODE_LIFETIME,
        redeemed=False,
        refresh=None,
        used=now,
        until=now + CODE_LIFETIME,
        revoked=False,
    )
    await services.store.grants.add(given)
    who = Who(asked.client, session.user.id, session.user.fhir_user, asked.patient)
    await services.store.append(record("authorize", 200, contact, services, who, scope=scope))
    return asked.address.with_told({"code": token_text(handle, secret)}, services.settings.base_url)


def _chosen(offered: Offered, chosen: Iterable[str], services: Services) -> str:
    """As much of what is offered as was chosen; whatever else a form says is left out."""
    told = " ".join(chosen)
    site = Site(services.settings.base_url, services.zone)
    fhir = narrowed(told, " ".join(offered.scopes), definitions().resource_types, site)
    others = [word for word in offered.words if word in told.split(" ") or _is_context(word)]
    scope = " ".join((*others, *fhir.split()))
    nothing_chosen = all(_is_context(word) for word in scope.split())
    if not scope or (nothing_chosen and (offered.choices or offered.scopes)):
        raise AuthorizationRefused("access_denied", "The person has not allowed anything")
    return scope


def _holds_while_online(scope: str) -> bool:
    return "online_access" in words(scope) and "offline_access" not in words(scope)


def _context(asked: Asked) -> Mapping[str, Any]:
    """What the answer with the token tells beside the patient."""
    launched = asked.launched
    if launched is not None:
        return {name: launched[name] for name in _OF_LAUNCH if launched.get(name) is not None}
    # Nobody but the app shows whose record it is.
    return {} if asked.patient is None else {"need_patient_banner": True}
