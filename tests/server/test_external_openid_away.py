"""A provider that changes its keys, is away, or says what cannot be: docs/external-openid.md."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Unauthenticated, Unavailable
from fhir_server.search.values.site import Site
from fhir_server.settings import Settings
from fhir_server.smart.external.provider import (
    KEPT_SECONDS_MIN,
    KEYS_SECONDS_MAX,
    REFETCH_SECONDS,
    Provider,
)
from fhir_server.smart.external.tokens import ProviderTokens
from fhir_server.smart.external.trust import trust_of
from tests.databases import a_database
from tests.server.providing import CERTS, CONFIGURATION, RSA, OpenIdProvider, an_ec_key, providing
from tests.server.running import BASE, Server, issues_of, serving

NEW = an_ec_key("new")
READY = "http://fhir.example/health/ready"
DISCOVERY = "/.well-known/smart-configuration"


@dataclass(slots=True)
class Watch:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture(loop_scope="session")
async def provider() -> AsyncIterator[OpenIdProvider]:
    async with providing() as found:
        yield found


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def tokens(provider: OpenIdProvider, watch: Watch) -> ProviderTokens:
    settings = Settings(**provider.settings)
    trust = trust_of(settings, definitions().resource_types, Site(BASE))
    assert trust is not None
    hosts = frozenset(settings.jwks_private_hosts)
    return ProviderTokens(Provider(trust.issuer, trust.algorithms, hosts, watch), trust)


async def verified(tokens: ProviderTokens, token: str) -> str:
    return (await tokens.verify(token, now=int(time.time()))).client


async def test_a_new_key_is_fetched_once_by_all_who_wait_for_it(
    provider: OpenIdProvider, tokens: ProviderTokens, watch: Watch
) -> None:
    await verified(tokens, provider.token())
    provider.keys.append(NEW.as_dict(private=False))
    watch.now += REFETCH_SECONDS
    asked = [provider.token(key=NEW) for _ in range(20)]
    assert set(await asyncio.gather(*(verified(tokens, token) for token in asked))) == {"chart"}
    assert provider.asked == [CONFIGURATION, CERTS] * 2


async def test_made_up_keys_are_not_looked_for_each_time(
    provider: OpenIdProvider, tokens: ProviderTokens
) -> None:
    for number in range(20):
        with pytest.raises(Unauthenticated):
            await verified(tokens, provider.token(key=an_ec_key(f"made-up-{number}")))
    assert provider.asked == [CONFIGURATION, CERTS]


async def test_a_token_of_a_key_that_is_taken_back_is_forgotten(
    provider: OpenIdProvider, tokens: ProviderTokens, watch: Watch
) -> None:
    token = provider.token()
    await verified(tokens, token)
    provider.keys = [NEW.as_dict(private=False)]
    watch.now += REFETCH_SECONDS
    await verified(tokens, provider.token(key=NEW))
    with pytest.raises(Unauthenticated):
        await verified(tokens, token)


async def test_known_keys_go_on_while_the_provider_is_away(
    provider: OpenIdProvider, tokens: ProviderTokens, watch: Watch
) -> None:
    await verified(tokens, provider.token())
    provider.away = True
    watch.now += REFETCH_SECONDS
    with pytest.raises(Unavailable):
        await verified(tokens, provider.token(key=NEW))
    assert await verified(tokens, provider.token()) == "chart"
    assert tokens.provider.unready is None
    watch.now += KEYS_SECONDS_MAX
    with pytest.raises(Unavailable):
        await verified(tokens, provider.token(key=NEW))
    with pytest.raises(Unavailable):
        await verified(tokens, provider.token())
    assert tokens.provider.unready is not None


async def test_what_the_provider_says_is_read_again_when_it_is_due(
    provider: OpenIdProvider, tokens: ProviderTokens, watch: Watch
) -> None:
    """Also where it says, as Keycloak does, that nothing may be kept; and no more often."""
    await kept_up(tokens)
    await kept_up(tokens)
    assert provider.asked == [CONFIGURATION, CERTS]
    assert tokens.provider.away is None
    watch.now += KEPT_SECONDS_MIN
    await kept_up(tokens)
    assert provider.asked == [CONFIGURATION, CERTS] * 2


async def kept_up(tokens: ProviderTokens) -> None:
    """As a worker does, until there is nothing to do for a while."""
    with suppress(TimeoutError):
        await asyncio.wait_for(tokens.provider.keep_up(), 0.5)


WRONG: dict[str, dict[str, Any]] = {
    "keys behind a redirect": {"status": "302 Found", "headers": {CERTS: ("Location: /elsewhere",)}},
    "keys that are not there": {"status": "404 Not Found"},
    "the configuration of another issuer": {"told": {"issuer": "https://evil.example"}},
    "an issuer with a slash": {"told": {"issuer": "http://127.0.0.1/realms/hospital/"}},
    "no jwks_uri": {"told": {"jwks_uri": None}},
    "keys without TLS on another host": {"told": {"jwks_uri": "http://keys.example.org/jwks"}},
    "keys inside the network": {"told": {"jwks_uri": "https://169.254.169.254/jwks"}},
    "keys in a file": {"told": {"jwks_uri": "file:///etc/passwd"}},
    "keys at no port": {"told": {"jwks_uri": "https://keys.example.org:x/jwks"}},
    "no keys": {"keys": []},
    "private keys": {"keys": [RSA.as_dict(private=True)]},
    "a secret as a key": {"keys": [{"kty": "oct", "kid": "rsa", "k": "c2VjcmV0"}]},
}


@pytest.mark.parametrize("name", WRONG)
async def test_keys_that_cannot_be_had_verify_nothing(
    provider: OpenIdProvider, tokens: ProviderTokens, name: str
) -> None:
    for member, value in WRONG[name].items():
        setattr(provider, member, value)
    with pytest.raises(Unavailable):
        await verified(tokens, provider.token())
    assert len(provider.asked) <= 2


async def test_a_private_host_is_asked_only_when_the_operator_names_it(
    provider: OpenIdProvider, tokens: ProviderTokens, watch: Watch
) -> None:
    alone = ProviderTokens(Provider(provider.issuer, ("RS256",), frozenset(), watch), tokens._trust)
    with pytest.raises(Unavailable):
        await verified(alone, provider.token())
    assert provider.asked == []


@pytest_asyncio.fixture(loop_scope="session")
async def server(
    provider: OpenIdProvider, mongodb_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """It starts while the provider is away."""
    provider.away = True
    async with (
        a_database(mongodb_url) as name,
        serving(mongodb_url, name, tmp_path_factory.mktemp("data"), **provider.settings) as running,
    ):
        yield running


async def test_a_server_starts_without_its_provider_and_is_ready_when_that_is_there(
    server: Server, provider: OpenIdProvider
) -> None:
    token = provider.token()
    async with server.bearing(token) as http:
        refused = await http.get("/Patient")
        assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert refused.headers["retry-after"]
        assert issues_of(refused)[0]["code"] == "transient"
        assert (await http.get(DISCOVERY)).status_code == httpx.codes.SERVICE_UNAVAILABLE
        unready = await http.get(READY)
        assert (unready.status_code, list(unready.json()["missing"])) == (503, ["provider"])
        record = (await server.records())[-1]
        assert (record.outcome, record.status) == ("failed", 503)
        provider.away = False
        await asyncio.sleep(REFETCH_SECONDS)
        assert (await http.get("/Patient")).status_code == httpx.codes.OK
        assert (await http.get(READY)).status_code == httpx.codes.OK
