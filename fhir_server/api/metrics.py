"""
Numbers for Prometheus: how many requests, how they ended, how long they took.

With several workers each writes to files in a shared folder (PROMETHEUS_MULTIPROC_DIR, set by
the supervisor) and whichever answers /metrics adds them up.

https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(slots=True)
class Measured:
    """One request under way; its status is known at the end."""

    status: int = 500


class Metrics:
    """The metrics of this process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "fhir_requests", "FHIR requests answered", ["method", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "fhir_request_seconds", "Time to answer", ["method"], buckets=_SECONDS, registry=self.registry
        )

    @contextmanager
    def request(self, method: str) -> Iterator[Measured]:
        """Measure one request."""
        measured = Measured()
        started = time.perf_counter()
        try:
            yield measured
        finally:
            known = method if method in METHODS else "other"
            self._requests.labels(known, str(measured.status)).inc()
            self._seconds.labels(known).observe(time.perf_counter() - started)

    def exposition(self) -> bytes:
        """All workers' numbers in the text format."""
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            together = CollectorRegistry()
            MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # the library's stub
            return generate_latest(together)
        return generate_latest(self.registry)


METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
"""Those that are counted by name."""
