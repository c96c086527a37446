"""
`fhir-server serve`: the server, in the foreground, until Ctrl-C or SIGTERM.

What is not said here is in the environment (docs/settings.md) or has a default that is safe: it
listens on loopback alone, and beyond it only with TLS or behind a proxy that ends it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from fhir_server.commands.demo import Demo
from fhir_server.commands.failure import fail
from fhir_server.logs import configure
from fhir_server.r4.definitions import definitions
from fhir_server.search.values.site import Site
from fhir_server.settings import Settings, settings
from fhir_server.smart.brands.bundle import InvalidBrands, published_brands
from fhir_server.smart.external.trust import trust_of
from fhir_server.smart.keys import SecretMismatchError
from fhir_server.smart.secret import wrapping_secret
from fhir_server.store.embedded import CannotStart, MongodOptions
from fhir_server.supervisor.plan import RUNS, SupervisorPlan
from fhir_server.supervisor.supervise import supervise


def serve(
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the database and the secret.", show_default="data")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port for HTTP.", show_default="8080")] = None,
    mllp_port: Annotated[
        int | None, typer.Option(help="Port for HL7 v2 over MLLP.", show_default="off")
    ] = None,
    mllp_host: Annotated[
        str | None, typer.Option(help="Address to listen on for MLLP.", show_default="127.0.0.1")
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(help="What clients call this server; links and tokens are made from it."),
    ] = None,
    mongodb_url: Annotated[
        str | None, typer.Option(help="A replica set to use instead of the embedded mongod.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that serve the port.", show_default="1")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    behind_proxy: Annotated[bool | None, typer.Option("--behind-proxy", help="A proxy ends TLS.")] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Load synthetic patients, and serve a demo app.")
    ] = False,
) -> None:
    """
    Serve FHIR R4 over HTTP, and HL7 v2 over MLLP.

    Example: fhir-server serve --data-dir data --port 8080 --mllp-port 2575
    """
    told = settings(
        {
            "data_dir": data_dir,
            "host": host,
            "port": port,
            "mllp_port": mllp_port,
            "mllp_host": mllp_host,
            "base_url": base_url,
            "mongodb_url": mongodb_url,
            "workers": workers,
            "tls_cert": tls_cert,
            "tls_key": tls_key,
            "behind_proxy": behind_proxy,
            "demo": demo or None,
        }
    )
    _refuse_unsafe(told)
    _refuse_unclear(told)
    _refuse_brands(told)
    configure("supervisor")
    try:
        wrapping_secret(told.data_dir, told.secret)
        asyncio.run(supervise(plan_of(told), Demo(told) if told.demo else None))
    except (CannotStart, SecretMismatchError) as reason:
        fail(str(reason))


def plan_of(told: Settings) -> SupervisorPlan:
    """What the supervisor is to run."""
    passed: dict[str, Any] = told.model_dump(mode="json")
    return SupervisorPlan(
        run_id=f"{RUNS}{uuid.uuid4().hex[:12]}",
        data_dir=told.data_dir,
        settings=passed,
        mongodb_url=told.mongodb_url,
        mongodb_database=told.mongodb_database,
        time_zone=told.time_zone,
        mongod=MongodOptions(cache_gb=told.mongodb_cache_bytes / (1 << 30)),
        workers=told.workers,
        host=told.host,
        port=told.port,
        mllp_host=told.mllp_host,
        mllp_port=told.mllp_port,
        tls_cert=told.tls_cert,
        tls_key=told.tls_key,
        proxies=told.proxies if told.behind_proxy else (),
        connections_max=told.connections_max,
        drain_seconds_max=told.drain_seconds_max,
    )


def _refuse_unclear(told: Settings) -> None:
    """A provider is trusted as was meant, or not at all."""
    if told.oidc_issuer is not None:
        try:
            trust_of(told, definitions().resource_types, Site())
        except ValueError as refusal:
            fail(str(refusal))


def _refuse_unsafe(told: Settings) -> None:
    """Patient data leaves this machine encrypted or not at all."""
    if (told.tls_cert is None) != (told.tls_key is None):
        fail("TLS needs both --tls-cert and --tls-key")
    for file in (told.tls_cert, told.tls_key):
        if file is not None and not file.is_file():
            fail(f"`{file}` is not a file")
    if not _is_loopback(told.host) and told.tls_cert is None and not told.behind_proxy:
        fail(
            f"Listening on {told.host} without TLS would send patient data in the clear: "
            "give --tls-cert and --tls-key, or --behind-proxy when a proxy ends TLS"
        )
    if told.mllp_port is not None and not _is_loopback(told.mllp_host) and not told.behind_proxy:
        fail(
            f"MLLP on {told.mllp_host} would take patient data in the clear: listen on loopback, "
            "or give --behind-proxy when a TLS tunnel ends on this machine's network"
        )


def _refuse_brands(told: Settings) -> None:
    """What is published at /brands is right, or nothing is served."""
    # Port 0 is any: the worker, which knows it, looks at the address.
    base_url = None if not told.base_url and not told.port else told.served_at(told.port)
    try:
        published_brands(told, base_url)
    except InvalidBrands as reason:
        fail(f"what is to be published at /brands may not be\n{reason}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
