"""
Somebody else's FHIR server: real HTTP on a real socket, and a memory of what arrived.

It refuses a resource whose `gender` is not a code, as any server would; what else it answers, a test
may say beforehand.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

GENDERS = {None, "female", "male", "other", "unknown"}

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class OtherServer:
    """`replies` are given first, one for each request; then it answers as a FHIR server does."""

    url: str = ""
    names_the_entry: bool = True
    bundle_entries_max: int = 100_000
    seconds_per_request: float = 0.0
    replies: list[Reply] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    stored: dict[str, Any] = field(default_factory=dict)
    created: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        request = Received(scope["method"], scope["path"].removeprefix("/fhir"), headers, body)
        await asyncio.sleep(self.seconds_per_request)
        reply = self._reply(request)
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [(k.encode(), v.encode()) for k, v in reply.headers.items()],
            }
        )
        text = b"" if reply.content is None else json.dumps(reply.content).encode()
        await send({"type": "http.response.body", "body": text})

    def _reply(self, request: Received) -> Reply:
        if request.path == "/metadata":
            return Reply(200, {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"})
        self.received.append(request)
        if self.replies:
            return self.replies.pop(0)
        if request.path in ("", "/"):
            return self._bundle(request.json)
        return self._one(request.method, request.path.strip("/"), request.json)

    def _bundle(self, bundle: Any) -> Reply:
        entries = bundle["entry"]
        if len(entries) > self.bundle_entries_max:
            return Reply(413, _outcome("too-costly", "Too many entries"))
        if bundle["type"] == "batch":
            return Reply(200, _response("batch", [self._entry(entry) for entry in entries]))
        refused = [i for i, entry in enumerate(entries) if not _is_good(entry["resource"])]
        if refused:
            where = [f"Bundle.entry[{i}].resource.gender" for i in refused] if self.names_the_entry else []
            return Reply(422, _outcome("code-invalid", "No such code", *where))
        return Reply(200, _response("transaction", [self._entry(entry) for entry in entries]))

    def _entry(self, entry: Any) -> Reply:
        return self._one(entry["request"]["method"], entry["request"]["url"], entry["resource"])

    def _one(self, method: str, url: str, resource: Any) -> Reply:
        if not _is_good(resource):
            return Reply(422, _outcome("code-invalid", "No such code", "Patient.gender"))
        if method == "PUT":
            self.stored[url] = resource
            return Reply(200)
        self.created += 1
        self.stored[f"{url}/created-{self.created}"] = resource
        return Reply(201)


def _is_good(resource: Any) -> bool:
    return resource.get("gender") in GENDERS


def _outcome(code: str, diagnostics: str, *expression: str) -> dict[str, Any]:
    issues = [
        {"severity": "error", "code": code, "diagnostics": diagnostics}
        | ({"expression": [where]} if where else {})
        for where in expression or ("",)
    ]
    return {"resourceType": "OperationOutcome", "issue": issues}


def _response(type: str, replies: list[Reply]) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": f"{type}-response",
        "entry": [
            {
                "response": {"status": str(reply.status)}
                | ({"outcome": reply.content} if reply.content else {})
            }
            for reply in replies
        ],
    }


@contextmanager
def serving() -> Iterator[OtherServer]:
    """An OtherServer that listens on a free port of this machine."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    other = OtherServer(url=f"http://127.0.0.1:{listener.getsockname()[1]}/fhir")
    config = uvicorn.Config(other, log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield other
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
