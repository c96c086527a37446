"""What `serve` promises about its processes (docs/processes.md), seen from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.store.embedded import joined
from tests.folders import a_short_folder
from tests.processes.served import Served, command_of, first_children, gone, is_alive, refused, served, spawn

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes through /proc")


@pytest.fixture(scope="module")
def pairs_folder() -> Iterator[Path]:
    with a_short_folder() as folder:
        yield folder


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(pairs_folder: Path) -> AsyncIterator[Served]:
    """A server with two workers, for tests that leave it as it is."""
    settings = {"slow_seconds": 0.05}
    async with served(data_dir=str(pairs_folder), workers=2, mllp_port=0, settings=settings) as server:
        yield server


async def test_ctrl_c_in_a_terminal_reaches_the_supervisor_alone(pair: Served) -> None:
    group = os.getpgid(pair.process.pid)
    others = [pair.mongod, *pair.workers]
    assert len(others) == 3
    assert all(os.getpgid(pid) != group for pid in others)


async def test_connections_are_shared_out_evenly(pair: Served) -> None:
    async with httpx.AsyncClient(base_url=pair.client.base_url) as client:
        answers = await asyncio.gather(*(client.get("/slow") for _ in range(20)))
    assert sorted(Counter(answer.json()["pid"] for answer in answers).values()) == [10, 10]


async def test_one_worker_alone_listens_for_hl7_v2(pair: Served) -> None:
    answers = [await pair.who() for _ in range(4)]
    assert {answer["name"].split(".")[1]: answer["mllp"] for answer in answers} == {
        "worker-0": True,
        "worker-1": False,
    }


async def test_a_second_serve_on_the_folder_is_refused_with_the_first_ones_pid(
    pair: Served, pairs_folder: Path
) -> None:
    # On the same port too: what the operator needs to know is that the server runs already.
    said = await refused(data_dir=str(pairs_folder), port=pair.port)
    assert f"is in use by `fhir-server serve` (pid {pair.process.pid})" in said
    assert (await pair.who())["pid"] in pair.workers


async def test_secrets_are_not_on_the_command_line_of_a_worker(pair: Served) -> None:
    for pid in pair.workers:
        assert command_of(pid).split()[1:] == ["-P", "-m", "fhir_server.worker"]


async def test_a_signal_stops_all_processes_in_order(folder: Path) -> None:
    async with served(data_dir=str(folder), workers=2) as server:
        started = [server.mongod, *server.workers]
        assert await server.stop(signal.SIGTERM) == 0
        assert not any(is_alive(pid) for pid in started)


async def test_a_port_that_is_taken_is_refused_in_one_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = await refused(data_dir=str(folder), port=port)
    assert said == f"fhir-server serve: Cannot listen on 127.0.0.1 port {port}: Address already in use\n"


@pytest.mark.parametrize(
    "settings", [{"broken": "the key does not fit"}, {"unready": "the key does not fit"}]
)
async def test_an_application_that_cannot_start_stops_the_server_with_its_reason(
    mongodb_url: str, database_name: str, folder: Path, settings: dict[str, str]
) -> None:
    said = await refused(
        data_dir=str(folder), mongodb_url=mongodb_url, mongodb_database=database_name, settings=settings
    )
    *facts, reason = said.splitlines()
    assert reason == "fhir-server serve: RuntimeError: the key does not fit"
    # A traceback would quote data, and come in pieces, between those of the other worker.
    assert all(json.loads(fact)["event"] for fact in facts)


async def test_a_database_that_does_not_suit_is_refused_in_one_line(folder: Path) -> None:
    said = await refused(data_dir=str(folder), mongodb_url="mongodb://:secret@nowhere")
    assert said.startswith("fhir-server serve: The MongoDB URL cannot be read")
    assert said.count("\n") == 1
    assert "secret" not in said


async def test_kill_9_of_the_server_leaves_no_process_and_a_folder_that_opens(folder: Path) -> None:
    async with served(data_dir=str(folder), workers=2) as server:
        others = [server.mongod, *server.workers]
        server.process.kill()
        await server.ended()
        assert await gone(others)
    async with served(data_dir=str(folder)) as server:
        assert (await server.who())["pid"] in server.workers


async def test_a_mongod_that_was_killed_is_started_again_and_nothing_acknowledged_is_lost(
    folder: Path,
) -> None:
    async with served(data_dir=str(folder)) as server, joined(folder) as url:
        async with AsyncMongoClient[dict[str, Any]](url) as client:
            written = client.get_database("test").get_collection("written")
            for number in range(20):
                await written.insert_one({"_id": number})
            killed = server.mongod
            os.kill(killed, signal.SIGKILL)
            await written.insert_one({"_id": 20})
            assert server.mongod != killed
            assert await written.count_documents({}) == 21
        assert (await server.who())["pid"] in server.workers


async def test_a_worker_that_was_killed_is_started_again_and_the_port_keeps_answering(
    mongodb_url: str, database_name: str, folder: Path
) -> None:
    plan: dict[str, Any] = {"mongodb_url": mongodb_url, "mongodb_database": database_name}
    async with served(data_dir=str(folder), workers=2, **plan) as server:
        killed, other = server.workers
        os.kill(killed, signal.SIGKILL)
        assert await gone([killed])
        # None of these meets the dead one; each has a connection of its own.
        assert {(await server.who())["pid"] for _ in range(3)} <= {other, *server.workers}
        names = await _names_of_both(server)
        assert {name.rpartition(".")[2] for name in names} == {"1", "2"}


async def test_with_a_single_worker_connections_wait_for_the_next_one(
    mongodb_url: str, database_name: str, folder: Path
) -> None:
    plan: dict[str, Any] = {"mongodb_url": mongodb_url, "mongodb_database": database_name}
    async with served(data_dir=str(folder), **plan) as server:
        [killed] = server.workers
        os.kill(killed, signal.SIGKILL)
        assert await gone([killed])
        assert (await server.who())["name"].endswith("worker-0.2")


async def test_a_worker_that_stands_still_is_started_again(
    mongodb_url: str, database_name: str, folder: Path
) -> None:
    plan: dict[str, Any] = {"mongodb_url": mongodb_url, "mongodb_database": database_name}
    async with served(data_dir=str(folder), silent_seconds_max=3, **plan) as server:
        [still] = server.workers
        os.kill(still, signal.SIGSTOP)
        assert await gone([still], seconds_max=20)
        assert (await server.who())["name"].endswith("worker-0.2")


async def test_a_signal_lets_a_request_under_way_finish(
    mongodb_url: str, database_name: str, folder: Path
) -> None:
    async with served(
        data_dir=str(folder),
        mongodb_url=mongodb_url,
        mongodb_database=database_name,
        settings={"slow_seconds": 0.7},
    ) as server:
        under_way = asyncio.create_task(server.client.get("/slow"))
        await asyncio.sleep(0.2)
        assert await server.stop(signal.SIGINT) == 0
        assert (await under_way).status_code == 200


async def test_a_second_signal_does_not_wait_for_requests(
    mongodb_url: str, database_name: str, folder: Path
) -> None:
    async with served(
        data_dir=str(folder),
        mongodb_url=mongodb_url,
        mongodb_database=database_name,
        settings={"slow_seconds": 60},
    ) as server:
        under_way = asyncio.create_task(server.client.get("/slow"))
        await asyncio.sleep(0.2)
        server.process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.2)
        assert server.process.returncode is None
        assert await server.stop(signal.SIGINT) == 0
        with pytest.raises(httpx.TransportError):
            await under_way


async def test_under_nohup_the_end_of_the_terminal_does_not_end_the_server(
    mongodb_url: str, database_name: str, folder: Path
) -> None:
    plan: dict[str, Any] = {"mongodb_url": mongodb_url, "mongodb_database": database_name}
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with served(data_dir=str(folder), **plan) as server:
            server.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.2)
            assert (await server.who())["pid"] in server.workers
    finally:
        signal.signal(signal.SIGHUP, usual)


async def test_a_signal_while_it_starts_stops_it(folder: Path) -> None:
    process = await spawn(data_dir=str(folder))
    started = await first_children(process.pid)
    process.terminate()
    await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert await gone(started)


async def test_tls_is_the_workers(mongodb_url: str, database_name: str, folder: Path) -> None:
    certificate, key = _certificate(folder)
    async with served(
        data_dir=str(folder),
        mongodb_url=mongodb_url,
        mongodb_database=database_name,
        tls_cert=str(certificate),
        tls_key=str(key),
    ) as server:
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with httpx.AsyncClient(verify=trusting) as client:
            assert (await client.get(f"https://localhost:{server.port}/")).status_code == 200
        with pytest.raises(httpx.TransportError):
            await server.client.get("/")


async def _names_of_both(server: Served) -> set[str]:
    names: set[str] = set()
    async with asyncio.timeout(20):
        while len(names) < 2 or {name.rpartition(".")[2] for name in names} == {"1"}:
            answers = [await server.who() for _ in range(2)]
            names = {answer["name"] for answer in answers}
    return names


def _certificate(folder: Path) -> tuple[Path, Path]:
    folder.mkdir()
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
