"""
The settings of one process: read once, frozen, from the command line and the environment.

Each can be given as `FHIR_SERVER_<NAME>`; docs/settings.md is made from this file. No setting
turns a stage of the pipeline off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ORIGIN: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class SettingsRefused(ValueError):
    """Settings that are wrong, or that cannot work together; the message says which and why."""


SigningAlgorithm = Literal["RS256", "PS256", "ES256", "ES384", "RS384"]


class Settings(BaseSettings):
    """Names end in their unit; a limit ends in `_max`."""

    model_config = SettingsConfigDict(env_prefix="FHIR_SERVER_", frozen=True, extra="forbid")

    data_dir: Path = Field(Path("data"), description="Folder of the embedded database and of the secret.")
    mongodb_url: str | None = Field(None, description="A replica set to use instead of the embedded mongod.")
    mongodb_database: str = Field("fhir", description="Name of the database.")
    mongodb_cache_bytes: int = Field(
        1 << 30, gt=1 << 28, description="Cache of the embedded mongod, in bytes."
    )
    secret: str | None = Field(
        None,
        description="What wraps the signing keys: 64 hexadecimal digits; else `secret` in the data folder.",
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port for HTTP; 0 takes a free one.")
    base_url: str = Field(
        "",
        description="What links, Location, fullUrl and the audience of tokens are made from; "
        "without it, the address that is listened on.",
    )
    time_zone: str = Field(
        "UTC",
        description="Zone of dates and times that state none, in resources, searches and Consents, by its "
        "IANA name. It stays that of the database: docs/search.md.",
    )
    behind_proxy: bool = Field(
        False, description="TLS is ended by a proxy in front: listening beyond loopback is allowed."
    )
    proxies: tuple[str, ...] = Field(
        ("127.0.0.1",), description="Proxies whose X-Forwarded-For is believed, with --behind-proxy."
    )
    tls_cert: Path | None = Field(None, description="Certificate chain, PEM.")
    tls_key: Path | None = Field(None, description="Private key of the certificate, PEM.")
    workers: int = Field(1, ge=1, le=64, description="Processes that serve the port.")
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins whose scripts may call the API, as a JSON list."
    )

    dynamic_registration: bool = Field(
        False, description="Apps may register themselves (RFC 7591), to ask people for what they decide on."
    )
    registered_clients_max: int = Field(
        1_000, gt=0, description="With that many clients registered, none registers itself any more."
    )
    demo: bool = Field(
        False,
        description="Load a small synthetic population into an empty database, and serve the demo app at "
        "/demo/ for it: `serve --demo`. Not for a server that holds data of real people.",
    )

    access_token_seconds_max: int = Field(
        3_600, gt=0, le=3_600, description="How long an access token of an app holds, in seconds."
    )
    session_seconds_max: int = Field(
        8 * 3_600, gt=0, description="How long a person stays logged in, in seconds."
    )
    brands_file: Path | None = Field(
        None, description="A Brand Bundle to publish at /brands, a JSON file: docs/brands.md."
    )
    brand_identifier: str | None = Field(
        None,
        min_length=1,
        description="The identifier of this server's own brand in it: `system|value`, or a value.",
    )

    jwks_private_hosts: tuple[str, ...] = Field(
        (),
        description="Hosts of clients' keys that may have an address that is not public, or no TLS, as a "
        "JSON list.",
    )

    oidc_issuer: str | None = Field(
        None,
        description="An OpenID provider whose tokens are accepted, by its issuer, exactly: this server then "
        "issues none itself, docs/external-openid.md. The other `oidc_` settings are about it.",
    )
    oidc_audience: str | None = Field(
        None, description="What `aud` of its access tokens must name: what this server is called there."
    )
    oidc_algorithms: tuple[SigningAlgorithm, ...] = Field(
        ("RS256", "PS256", "ES256", "ES384", "RS384"),
        min_length=1,
        description="What its tokens may be signed with, as a JSON list.",
    )
    oidc_user_claim: str = Field(
        "fhirUser", min_length=1, description="Claim that refers to the user: `Practitioner/7`."
    )
    oidc_patient_claim: str = Field(
        "patient", min_length=1, description="Claim with the id of the patient in context."
    )
    oidc_scope_claim: str = Field(
        "scope", min_length=1, description="Claim with the scopes, a text or a list; in Entra it is `scp`."
    )
    oidc_client_claim: str = Field(
        "azp",
        min_length=1,
        description="Claim with the client_id; `client_id` where the token does not have it.",
    )
    oidc_roles_claim: str | None = Field(
        None, min_length=1, description="Claim with the user's roles; within others: `realm_access.roles`."
    )
    oidc_role_scopes: Mapping[str, str] = Field(
        {},
        description="The scopes that each role gives beside those of the token, as a JSON object: "
        '`{"nurse": "user/*.rs"}`.',
    )
    oidc_purpose_claim: str | None = Field(
        None, min_length=1, description="Claim with the purpose of use: `TREAT`."
    )

    mllp_port: int | None = Field(None, ge=0, le=65535, description="Port for HL7 v2 over MLLP; none: off.")
    mllp_host: str = Field("127.0.0.1", description="Address to listen on for MLLP.")
    mllp_message_bytes_max: int = Field(
        14 << 20, gt=0, le=14 << 20, description="The largest HL7 v2 message."
    )
    mllp_connections_max: int = Field(200, gt=0, description="MLLP connections at once.")
    hl7v2_senders: Path | None = Field(
        None, description="Agreements with HL7 v2 senders, a TOML file: docs/hl7v2.md."
    )
    hl7v2_time_zone: str = Field("UTC", description="Zone of HL7 v2 times that state none.")

    body_bytes_max: int = Field(64 << 20, gt=0, description="The largest request body.")
    resource_bytes_max: int = Field(
        32 << 20,
        gt=0,
        le=60 << 20,
        description="The largest resource, as JSON text; a request with one takes about five times that.",
    )
    bundle_entries_max: int = Field(25_000, gt=0, description="Entries in a batch or transaction.")
    bundle_inline_bytes_max: int = Field(
        512 << 10,
        gt=0,
        description="A larger batch or transaction is large: it is prepared in another process.",
    )
    bundle_memory_bytes_max: int = Field(
        1 << 30, gt=1 << 28, description="Memory of a process that prepares large Bundles."
    )
    bundles_large_max: int = Field(
        2, gt=0, description="Large Bundles in work at once, per process; others wait."
    )
    bundles_waiting_bytes_max: int = Field(
        256 << 20, gt=0, description="Large Bundles that wait, together, per process; one more is refused."
    )
    conditional_delete_max: int = Field(
        1, gt=0, le=1_000, description="Resources that one conditional delete may delete; more is refused."
    )
    page_size_default: int = Field(50, gt=0, description="Matches on a page without `_count`.")
    page_size_max: int = Field(1_000, gt=0, description="The largest `_count` honoured.")
    includes_max: int = Field(
        5_000, gt=0, description="Included resources on one page; the others come behind `next`."
    )
    include_steps_max: int = Field(
        20, gt=0, description="References between a match and what `:iterate` includes; beyond is refused."
    )
    join_matches_max: int = Field(
        20_000,
        gt=0,
        description="Resources that a chain or `_has` may join on the smaller side; candidates of a page.",
    )
    chain_links_max: int = Field(
        5, gt=0, le=20, description="References that one chain or nested `_has` may follow; more is refused."
    )
    total_estimated_max: int = Field(
        10_000, gt=0, description="Where `_total=estimate` stops counting: there are so many, or more."
    )
    expansion_codes_max: int = Field(
        10_000,
        gt=0,
        le=50_000,
        description="Codes that the value sets and hierarchies of one search may come to; beyond is refused.",
    )
    sort_matches_max: int = Field(
        10_000, gt=0, description="Matches that may be sorted by a parameter without an index."
    )
    full_text: Literal["off", "narrative", "content"] = Field(
        "narrative",
        description="The words that are indexed: `narrative` for `_text`, `content` for `_content` too.",
    )
    reindex_share: float = Field(
        0.3, gt=0, le=1, description="Share of one process's time that reindexing may take."
    )
    request_seconds_max: float = Field(120.0, gt=0, description="Time for one request.")
    query_seconds_max: float = Field(30.0, gt=0, description="Time for one query of the database.")
    search_values_max: int = Field(
        1_000, gt=0, description="Alternatives between commas of all parameters of one search, together."
    )
    slow_search_ms: int = Field(
        500, ge=0, description="A search that takes so many milliseconds is logged, without its values."
    )
    connections_max: int = Field(2_000, gt=0, description="HTTP connections at once, per process.")
    drain_seconds_max: float = Field(20.0, gt=0, description="Time for requests under way when stopping.")
    refusals_per_second_max: int = Field(
        20,
        gt=0,
        description="Refused calls of one address without a valid token, its refused logins, what its apps "
        "are refused: so many of each, before they are slowed and counted together.",
    )
    caller_requests_per_second_max: int = Field(
        10_000,
        gt=0,
        description="Requests of one caller (a client, for one user where there is one) at the FHIR API, per "
        "process; a Bundle is one. Beyond is 429 with Retry-After.",
    )
    authorize_requests_per_minute_max: int = Field(
        600,
        gt=0,
        description="Requests of apps to people (/auth/authorize) from one address, per process: each waits "
        "for the person, a quarter of an hour at most. Beyond is 429 with Retry-After.",
    )
    token_requests_per_minute_max: int = Field(
        3_000,
        gt=0,
        description="Requests of one client at the token endpoint, per process; of a public client, from one "
        "address. Beyond is 429 with Retry-After.",
    )
    consent_base_policy: Literal["basic", "all", "break-glass-only", "deny"] = Field(
        "basic", description="What holds for a patient without a Consent: see docs/consent.md."
    )

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_named(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"`{origin}` is no origin such as https://app.example.org: name each one")
        return origins

    @field_validator("time_zone")
    @classmethod
    def _the_zone_is_known(cls, name: str) -> str:
        if name not in _zone_names():
            raise ValueError(f"`{name}` is not a time zone of the IANA database, such as Europe/Berlin")
        return name

    @model_validator(mode="after")
    def _the_provider_is_told_whole(self) -> Self:
        if refusal := self._provider_refusal():
            raise ValueError(refusal)
        return self

    def _provider_refusal(self) -> str | None:
        if self.oidc_issuer is None:
            fields = type(self).model_fields
            told = [
                name
                for name in fields
                if name.startswith("oidc_") and getattr(self, name) != fields[name].default
            ]
            return f"`{told[0]}` is about the provider that `oidc_issuer` names: name it" if told else None
        parts = urlsplit(self.oidc_issuer)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
            return "`oidc_issuer` is a URL such as https://login.example.org/realms/hospital"
        if parts.scheme == "http" and parts.hostname not in self.jwks_private_hosts:
            return f"`oidc_issuer` is https, or {parts.hostname} stands in `jwks_private_hosts`"
        if self.oidc_issuer.rstrip("/") == self.base_url.rstrip("/"):
            return "`oidc_issuer` is another server than `base_url`"
        if not self.oidc_audience:
            return "`oidc_issuer` needs `oidc_audience`: else a token for any other server would do"
        if (self.oidc_roles_claim is None) is not (not self.oidc_role_scopes):
            return (
                "`oidc_roles_claim` and `oidc_role_scopes` come together: one without the other gives nothing"
            )
        return None

    @property
    def has_demo_app(self) -> bool:
        """Is /demo/ served? Not where a provider issues the tokens: it does not know the app."""
        return self.demo and self.oidc_issuer is None

    def served_at(self, port: int) -> str:
        """The base URL, when the server listens on `port`."""
        return self.base_url.rstrip("/") or self.local_address(port)

    def local_address(self, port: int) -> str:
        """Where a client on this machine finds the base, whatever it is called outside."""
        scheme = "https" if self.tls_cert is not None else "http"
        host = self.host if self.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104  compared, not bound
        path = urlsplit(self.base_url).path.rstrip("/") if self.base_url else "/fhir"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"


def settings(given: Mapping[str, Any]) -> Settings:
    """
    What a command was told, then the environment, then the defaults; None is not told.

    Raises SettingsRefused.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        # Its own text quotes all that was given, a secret too.
        reasons = [
            (".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, "))
            for one in error.errors(include_url=False, include_input=False)
        ]
    raise SettingsRefused("; ".join(f"{name}: {reason}" if name else reason for name, reason in reasons))


@cache
def _zone_names() -> frozenset[str]:
    """Read from hundreds of files, once."""
    # The machine's own zone has a name, too, but another machine means another zone by it.
    return frozenset(available_timezones() - {"localtime", "Factory"})
