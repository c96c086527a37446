"""
What the adapter says to its operator: facts with fields, identifiers only, never patient data.

A port, so that the adapter's lines are written by whoever runs it, in the form of all others.
"""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """structlog's loggers are this."""

    def info(self, event: str, /, **facts: Any) -> Any: ...

    def warning(self, event: str, /, **facts: Any) -> Any: ...

    def error(self, event: str, /, **facts: Any) -> Any: ...
