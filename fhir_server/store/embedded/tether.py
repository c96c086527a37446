"""
Run a program that must not outlive the process that started it. Run as a script, by path.

    python -I -S tether.py PARENT_PID PROGRAM ARGUMENT...

On Linux the kernel is asked to kill the program when its parent dies (PR_SET_PDEATHSIG,
man 2 prctl; the request survives exec), and this process becomes the program. Elsewhere this
process stays, and ends the program when its standard input - a pipe whose other end the parent
holds and never writes to - is closed, which the kernel does however the parent dies.

The parent of PR_SET_PDEATHSIG is a *thread*: whoever starts a tether must do so from a thread that
lives as long as the program (process.py does).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
ORPHANED = 70
DESCRIPTORS_WANTED = 64_000
KILL_AFTER_SECONDS = 5.0


def main(arguments: list[str]) -> int:
    """Become the program, or watch over it."""
    parent, command = int(arguments[0]), arguments[1:]
    raise_descriptor_limit()
    if sys.platform == "linux":
        die_with_parent(parent)
        os.execv(command[0], command)  # noqa: S606 - the command is our own, and no shell is wanted
    return watch(command)


def raise_descriptor_limit() -> None:
    """
    Let this process, and those it starts, open as many files as the machine allows it to.

    The usual soft limit of 1024 is for programs that use select(2). mongod wants 64,000.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies; end at once if it has already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(ORPHANED)


def watch(command: list[str]) -> int:
    """Run the program until it ends or standard input is closed; return its exit code."""
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own command
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: program.send_signal(received))
    threading.Thread(target=_end_with_input, args=(program,), daemon=True).start()
    return program.wait()


def _end_with_input(program: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    program.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(KILL_AFTER_SECONDS)
    program.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
