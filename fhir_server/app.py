"""
One worker's application: everything put together, started and stopped with the process.

The FHIR API is plain ASGI (api/fhir.py), what is around it is FastAPI's (api/face.py), and
adapters submit through the same application as anybody else, as a client with a token.
"""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Coroutine, MutableMapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, tzinfo
from random import SystemRandom
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import structlog

from consent.decision import BASE_POLICIES
from consent.table import ConsentTable
from fhir_server.api.authorization.endpoints import AUTHORIZATION, Authorization
from fhir_server.api.authorization.pages import PAGES, Pages
from fhir_server.api.face import face, is_around
from fhir_server.api.fhir import Fhir
from fhir_server.api.flood import Flood
from fhir_server.api.metrics import Metrics
from fhir_server.api.origins import Cors, Origins
from fhir_server.api.registration import registered
from fhir_server.api.request import Receive
from fhir_server.api.response import Send
from fhir_server.feeds import hl7v2_feed
from fhir_server.interactions.submission import Rules
from fhir_server.pipeline.consents import Consents
from fhir_server.pipeline.full_text import begin_to_write
from fhir_server.pipeline.links import SEALED_FOR
from fhir_server.pipeline.parameters import SearchParameters
from fhir_server.pipeline.reindexing import Reindexing
from fhir_server.pipeline.services import Measures, Services
from fhir_server.preparing.preparing import Preparing, PreparingLimits
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import FhirError
from fhir_server.r4.zones import zone_of
from fhir_server.search.values.site import Site
from fhir_server.settings import Settings
from fhir_server.smart.bearers import Bearers
from fhir_server.smart.brands.bundle import published_brands
from fhir_server.smart.client_keys import ClientKeys
from fhir_server.smart.external.provider import Provider
from fhir_server.smart.external.tokens import ProviderTokens
from fhir_server.smart.external.trust import trust_of
from fhir_server.smart.keys import Keyring, load_or_create
from fhir_server.smart.lock_out import HiddenNames
from fhir_server.smart.passwords import Passwords
from fhir_server.smart.rates import Rates
from fhir_server.smart.seals import Seals
from fhir_server.smart.second_factor import SecondFactors
from fhir_server.smart.secret import wrapping_secret
from fhir_server.smart.tokens import SERVED, Tokens
from fhir_server.store.ending import ended
from fhir_server.store.limits import StoreLimits
from fhir_server.store.store import Store
from fhir_server.store.time_zone import require_time_zone

log = structlog.get_logger()

Scope = MutableMapping[str, Any]


def utc_now() -> datetime:
    """The one clock of the server."""
    return datetime.now(UTC)


def new_id() -> str:
    """An id that nobody can guess."""
    return str(uuid.uuid4())


class Spec(Protocol):
    """What a worker is told: `port` is the one served, `settings` a Settings as JSON."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> dict[str, Any]: ...

    @property
    def mongodb_url(self) -> str: ...

    @property
    def port(self) -> int: ...

    def mllp_socket(self) -> socket.socket | None:
        """The bound socket for HL7 v2, for the one worker that has it."""


def create_app(spec: Spec) -> Application:
    """The application of the worker that `spec` describes."""
    told = Settings(**spec.settings)
    settings = told.model_copy(
        update={"mongodb_url": spec.mongodb_url, "base_url": told.served_at(spec.port)}
    )
    return Application(settings, spec.name, spec.mllp_socket())


class Application:
    """An ASGI application with a lifespan; `mllp` is a bound socket when this worker listens for HL7 v2."""

    def __init__(self, settings: Settings, process: str, mllp: socket.socket | None = None) -> None:
        self._settings = settings
        self._process = process
        self._mllp = mllp
        self._base_path = urlsplit(settings.base_url).path.rstrip("/")
        self._metrics = Metrics()
        self._open = AsyncExitStack()
        self._store: Store | None = None
        self._fhir: Any = None
        self._authorization: Any = None
        self._pages: Pages | None = None
        self._provider: Provider | None = None
        self._face: Any = face(
            self._not_ready,
            self._metrics,
            settings,
            registered(settings),
            published_brands(settings, settings.base_url),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] != "http":
            raise ValueError(f"{scope['type']} is not served")
        elif self._authorization is not None and scope["path"] in AUTHORIZATION:
            await self._authorization(scope, receive, send)
        elif self._pages is not None and scope["path"] in PAGES:
            await self._pages(scope, receive, send)
        elif self._fhir is None or self._is_around(scope["path"]):
            await self._face(scope, receive, send)
        else:
            await self._fhir(scope, receive, send)

    async def start(self) -> Services:
        """Open the store and begin to work; `stop` undoes it."""
        settings = self._settings
        limits = StoreLimits(
            search_seconds_max=settings.query_seconds_max, sort_matches_max=settings.sort_matches_max
        )
        store = await Store.open(
            settings.mongodb_url or "",
            clock=utc_now,
            random=SystemRandom(),
            name=settings.mongodb_database,
            app_name=self._process,
            limits=limits,
        )
        self._store = store
        self._open.push_async_callback(store.close)
        await require_time_zone(store.state, settings.time_zone)
        await store.state.put(*SERVED, {"base_url": settings.base_url})
        await begin_to_write(store, settings.full_text)
        preparing = _preparing(settings)
        self._open.push_async_callback(preparing.close)
        services = await _services(settings, store, preparing, self._metrics)
        self._open.callback(services.passwords.close)
        reindexing = _for_ever(self._reindexing(services, limits), "reindexing")
        self._open.push_async_callback(ended, reindexing)
        flood = Flood(settings.refusals_per_second_max)
        fhir = Fhir(services, self._metrics, self._base_path, flood)
        origins = Origins(settings.cors_origins, store.clients.all, time.monotonic)
        if services.bearers.external is None:
            self._authorization = Cors(Authorization(services, flood), origins)
            self._pages = Pages(services, flood)
        else:
            self._provider = services.bearers.external.provider
            self._open.push_async_callback(ended, _for_ever(self._provider.keep_up(), "provider"))
        self._open.push_async_callback(ended, _for_ever(_keep_up(services), "keys"))
        counting = _for_ever(fhir.count_refusals(), "counting")
        self._open.callback(counting.cancel)
        self._open.push_async_callback(fhir.write_counted_refusals)
        self._fhir = Cors(fhir, origins)
        if self._mllp is not None:
            await self._open.enter_async_context(hl7v2_feed(self, self._mllp, services))
        return services

    def _reindexing(self, services: Services, limits: StoreLimits) -> Coroutine[None, None, None]:
        reindexing = Reindexing(
            services.store,
            services.parameters,
            services.consents,
            base_url=services.settings.base_url,
            zone=services.zone,
            full_text=services.settings.full_text,
            share=services.settings.reindex_share,
            limits=limits,
            told=self._metrics.reindexed,
        )
        return reindexing.run_for_ever()

    async def stop(self) -> None:
        """Finish what is under way and let go of everything."""
        await self._open.aclose()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        log.info("worker_started", process=self._process)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _is_around(self, path: str) -> bool:
        """
        Is this no address of the FHIR API?

        Those to get tokens are none where a provider issues them.
        """
        return is_around(path) or path in AUTHORIZATION | PAGES or not _is_below(path, self._base_path)

    async def _not_ready(self) -> dict[str, str]:
        if self._store is None:
            return {"store": "not open yet"}
        try:
            await self._store.epoch()
        except FhirError as away:
            return {"mongodb": str(away)}
        if self._provider is not None and (reason := self._provider.unready) is not None:
            return {"provider": reason}
        return {}


def _for_ever(work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
    """A task that only a bug ends, of which nobody would hear: it is awaited when the process stops."""

    def told(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (bug := task.exception()) is not None:
            log.critical("task_died", name=name, exc_info=bug)

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(told)
    return task


async def _services(settings: Settings, store: Store, preparing: Preparing, measures: Measures) -> Services:
    now = utc_now()
    secret = wrapping_secret(settings.data_dir, settings.secret)
    keys = await load_or_create(store.state, secret, now)
    zone = zone_of(settings.time_zone)
    tokens = Tokens(keys, settings.base_url, definitions().resource_types, zone)
    keyring = Keyring(keys, store.state, secret, time.monotonic)
    table = ConsentTable(BASE_POLICIES[settings.consent_base_policy], zone=zone)
    parameters = SearchParameters(store)
    bearers = Bearers(tokens, keyring, _trusted(settings, zone))
    consents = Consents(table, store, parameters, utc_now, bearers)
    seals = Seals(keys, SEALED_FOR)
    services = Services(
        settings,
        store,
        keyring,
        tokens,
        bearers,
        ClientKeys(frozenset(settings.jwks_private_hosts), time.monotonic),
        seals,
        consents,
        parameters,
        preparing,
        utc_now,
        new_id,
        now,
        registered(settings),
        measures,
        Passwords(),
        SecondFactors(secret),
        HiddenNames(secret),
        Rates(settings.token_requests_per_minute_max, 60.0, time.monotonic),
    )
    await services.consents.refreshed()
    return services


def _trusted(settings: Settings, zone: tzinfo) -> ProviderTokens | None:
    """The tokens of the OpenID provider that is trusted, if one is."""
    trust = trust_of(settings, definitions().resource_types, Site(settings.base_url, zone))
    if trust is None:
        return None
    hosts = frozenset(settings.jwks_private_hosts)
    return ProviderTokens(Provider(trust.issuer, trust.algorithms, hosts, time.monotonic), trust)


async def _keep_up(services: Services) -> None:
    """Sign with the newest key, whoever made it, and know what other processes do, also when idle."""
    while True:
        await asyncio.sleep(_KEYS_LOOKED_FOR_SECONDS)
        with suppress(FhirError):
            await services.consents.refreshed()
            if await services.keyring.renewed():
                log.info("keys_renewed", kid=services.keyring.keys.current_id)


def _preparing(settings: Settings) -> Preparing:
    rules = Rules(
        settings.base_url,
        settings.resource_bytes_max,
        settings.bundle_entries_max,
        settings.full_text,
        settings.time_zone,
    )
    return Preparing(
        rules,
        PreparingLimits(
            inline_bytes_max=settings.bundle_inline_bytes_max,
            bundles_max=settings.bundles_large_max,
            waiting_bytes_max=settings.bundles_waiting_bytes_max,
            memory_bytes_max=settings.bundle_memory_bytes_max,
        ),
    )


def _is_below(path: str, base: str) -> bool:
    return path == base or path.startswith(base + "/")


_KEYS_LOOKED_FOR_SECONDS: Final = 10.0
