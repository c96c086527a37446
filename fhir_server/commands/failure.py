"""How a command says that it cannot do what it was asked for: one line, exit code 1, no traceback."""

from __future__ import annotations

from typing import Final, NoReturn

import typer

FAILED: Final = 1


def fail(reason: str) -> NoReturn:
    typer.secho(f"error: {reason}", err=True, fg=typer.colors.RED)
    raise typer.Exit(FAILED)
