"""What the pipeline works with: one value per process, made in app.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fhir_server.interactions.registered import Registered
from fhir_server.pipeline.consents import Consents
from fhir_server.preparing.preparing import Preparing
from fhir_server.settings import Settings
from fhir_server.smart.tokens import Tokens
from fhir_server.store.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """
    `clock` gives the time in UTC; `new_id` an id for a resource that nobody can guess;
    `started` is when this process began to serve, `registered` what it serves.
    """

    settings: Settings
    store: Store
    tokens: Tokens
    consents: Consents
    preparing: Preparing
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    started: datetime
    registered: Registered
