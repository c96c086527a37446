"""A tethered program ends with the process that started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_server.store.embedded import tether
from tests.processes.served import first_children, gone

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes through /proc")

# As `main` does it where there is no PR_SET_PDEATHSIG.
WATCH = f"import runpy, sys; sys.exit(runpy.run_path({tether.__file__!r})['watch'](sys.argv[1:]))"
PARENT = textwrap.dedent(
    f"""
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, {tether.__file__!r}, str(os.getpid()), "/bin/sleep", "60"])
    print(child.pid, flush=True)
    time.sleep(60)
    """
)


@contextlib.contextmanager
def _running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
async def test_the_kernel_ends_it_when_its_parent_is_killed() -> None:
    with _running("-c", PARENT) as parent:
        assert parent.stdout is not None
        tethered = int(parent.stdout.readline())
        parent.kill()
        assert await gone([tethered])


async def test_a_parent_that_is_gone_already_is_noticed() -> None:
    with _running(tether.__file__, "1", "/bin/sleep", "60") as tethered:
        assert tethered.wait(10) == (tether.ORPHANED if sys.platform == "linux" else 0)


async def test_elsewhere_the_end_of_the_pipe_ends_it() -> None:
    with _running("-c", WATCH, "/bin/sleep", "60") as watching:
        [program] = await first_children(watching.pid)
        assert watching.stdin is not None
        watching.stdin.close()
        assert await gone([program])
        assert watching.wait(10) == -signal.SIGTERM % 256 or watching.returncode != 0


async def test_elsewhere_a_signal_reaches_the_program() -> None:
    with _running("-c", WATCH, "/bin/sleep", "60") as watching:
        [program] = await first_children(watching.pid)
        await asyncio.sleep(0.1)
        os.kill(watching.pid, signal.SIGTERM)
        assert await gone([program])
