"""A small application for workers under test: who answers, what was counted, a slow answer."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from fhir_server.supervisor.plan import WorkerSpec
from fhir_server.worker import Application, Message, Receive, Send


def create_app(spec: WorkerSpec) -> Application:
    """What the test asks for in `settings`; `/slow` answers after as many seconds."""
    if "broken" in spec.settings:
        raise RuntimeError(spec.settings["broken"])

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(spec, receive, send)
        else:
            await _answer(spec, scope["path"], send)

    return application


async def _lifespan(spec: WorkerSpec, receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup" and "unready" in spec.settings:
            raise RuntimeError(spec.settings["unready"])
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(spec: WorkerSpec, path: str, send: Send) -> None:
    if path == "/slow":
        await asyncio.sleep(spec.settings["slow_seconds"])
    body: dict[str, Any] = {
        "pid": os.getpid(),
        "name": spec.name,
        "mllp": spec.mllp_descriptor is not None,
        "mongodb_url": spec.mongodb_url,
    }
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    )
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
