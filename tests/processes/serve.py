"""
A server as an operator starts it, with the small application: `python -m tests.processes.serve PLAN`.

Prints one line of JSON when it serves, and leaves the exit code to the test.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from fhir_server.logs import configure
from fhir_server.store.embedded import CannotStart, MongodOptions
from fhir_server.supervisor.plan import RUNS, Serving, SupervisorPlan
from fhir_server.supervisor.supervise import supervise


def plan(asked: dict[str, Any]) -> SupervisorPlan:
    """A plan for tests, with what the test asks for."""
    paths: dict[str, Any] = {
        name: Path(asked[name]) for name in ("data_dir", "tls_cert", "tls_key") if name in asked
    }
    usual: dict[str, Any] = {
        "run_id": f"{RUNS}test-{Path(asked['data_dir']).name}",
        "settings": {},
        "application": "tests.processes.tiny:create_app",
        "mongod": MongodOptions(cache_gb=0.25),
        "port": 0,
    }
    return SupervisorPlan(**(usual | asked | paths))


async def on_ready(serving: Serving) -> None:
    """Say where."""
    sys.stdout.write(json.dumps({"port": serving.port, "mllp_port": serving.mllp_port}) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve until a signal comes."""
    configure("supervisor")
    try:
        asyncio.run(supervise(plan(json.loads(sys.argv[1])), on_ready))
    except CannotStart as refusal:
        sys.stderr.write(f"fhir-server serve: {refusal}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
