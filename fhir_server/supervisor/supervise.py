"""
The spine of `serve`: sockets, database, workers; and the same backwards.

    listening       bind the ports                      -> CannotStart, when one is taken
    running         take the data folder, start mongod  -> CannotStart, when another one has it
    Database.open   schema and indexes, once            -> CannotStart, when it does not suit
    workers         start them, and again when they die
    (a signal)
    workers         stop accepting, finish what is under way, end
    mongod          stop, give the folder back

The supervisor touches no request and no resource, so there is little that could bring it down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from fhir_server.r4.errors import Unavailable
from fhir_server.store.database import Database, Unsuitable
from fhir_server.store.embedded import CannotStart, refuse_while_served, running
from fhir_server.store.embedded.tether import raise_descriptor_limit
from fhir_server.store.limits import StoreLimits
from fhir_server.store.sessions import release_orphans, release_sessions
from fhir_server.store.state import State
from fhir_server.store.time_zone import require_time_zone
from fhir_server.supervisor.handover import Dispatcher
from fhir_server.supervisor.metrics import metrics_folder
from fhir_server.supervisor.plan import RUNS, Serving, SupervisorPlan
from fhir_server.supervisor.sockets import Sockets, listening
from fhir_server.supervisor.stopping import Stopped, Stopping, signals
from fhir_server.supervisor.workers import KILL_MARGIN_SECONDS, Surroundings, Worker

log = structlog.get_logger(__name__)

OnReady = Callable[[Serving], Awaitable[None]]


async def supervise(plan: SupervisorPlan, on_ready: OnReady | None = None) -> None:
    """
    Serve until a signal comes; then stop in order and return.

    `on_ready` is called once, when all workers serve; it is cancelled when the server stops.
    Raises CannotStart with a line for the operator.
    """
    raise_descriptor_limit()
    if plan.mongodb_url is None:
        # Before the port: of a second `serve`, the folder says more.
        refuse_while_served(plan.data_dir)
    with signals() as stopping, listening(plan) as sockets:
        async with AsyncExitStack() as stack:
            try:
                around = await stopping.unless_asked(_prepared(plan, sockets, stack))
            except Stopped:
                return
            await _serve(around, stopping, on_ready)


async def _prepared(plan: SupervisorPlan, sockets: Sockets, stack: AsyncExitStack) -> Surroundings:
    url = plan.mongodb_url
    if url is None:
        url = (await stack.enter_async_context(running(plan.data_dir, plan.mongod))).url
    database = await stack.enter_async_context(_database(plan, url))
    metrics = stack.enter_context(metrics_folder())
    # A MongoDB that is not ours outlives a server that is killed, and keeps what it had begun.
    if orphans := await release_orphans(database, RUNS):
        log.info("transactions_released", count=orphans)

    async def release(worker: str) -> int:
        return await release_sessions(database, worker)

    return Surroundings(plan, sockets, Dispatcher(sockets.http), url, metrics, release)


@asynccontextmanager
async def _database(plan: SupervisorPlan, url: str) -> AsyncIterator[Database]:
    """Our own connection. Opening it makes the schema, before there is anybody to wait for that."""
    name, limits = f"{plan.run_id}.supervisor", StoreLimits(connections_max=2)
    async with AsyncExitStack() as stack:
        try:
            database = await Database.open(url, plan.mongodb_database, app_name=name, limits=limits)
            stack.push_async_callback(database.close)
            await require_time_zone(State(database), plan.time_zone)
        except (Unsuitable, Unavailable) as error:
            raise CannotStart(str(error)) from error
        yield database


async def _serve(around: Surroundings, stopping: Stopping, on_ready: OnReady | None) -> None:
    workers = [Worker(number, around) for number in range(around.plan.workers)]
    lives = [asyncio.create_task(worker.keep()) for worker in workers]
    greeting = asyncio.create_task(_greet(workers, around, on_ready))
    asked = asyncio.create_task(stopping.asked.wait())
    watched: set[asyncio.Task[object]] = {asked, greeting, *lives}
    try:
        while not asked.done():
            ended, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
    finally:
        greeting.cancel()
        asked.cancel()
        around.dispatcher.close()
        await _stop(workers, lives, around.plan.drain_seconds_max, stopping)


async def _greet(workers: list[Worker], around: Surroundings, on_ready: OnReady | None) -> None:
    for worker in workers:
        await worker.serving.wait()
    sockets = around.sockets
    log.info("serving", port=sockets.port, workers=len(workers))
    if on_ready is not None:
        await on_ready(Serving(around.mongodb_url, sockets.port, sockets.mllp_port))


async def _stop(
    workers: list[Worker], lives: list[asyncio.Task[None]], drain_seconds_max: float, stopping: Stopping
) -> None:
    """Drain all workers at once; at a second signal, end them."""
    seconds_max = drain_seconds_max + KILL_MARGIN_SECONDS
    drained = asyncio.gather(*(worker.stop(seconds_max) for worker in workers))
    hurried = asyncio.create_task(stopping.hurried.wait())
    await asyncio.wait((drained, hurried), return_when=asyncio.FIRST_COMPLETED)
    if not drained.done():
        for worker in workers:
            worker.kill()
    await drained
    hurried.cancel()
    for life in lives:
        life.cancel()
    await asyncio.wait(lives)
    for life in lives:
        if not life.cancelled():
            life.result()
    log.info("workers_stopped", workers=len(workers))
