"""
Numbers for Prometheus: how many requests, how they ended, how long they took.

With several workers each writes to files in a shared folder (PROMETHEUS_MULTIPROC_DIR, set by
the supervisor) and whichever answers /metrics adds them up.

https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import os
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from fhir_server.store.passes import Pass

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


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
        self._search_seconds = Histogram(
            "fhir_search_seconds", "Time to answer a search", buckets=_SECONDS, registry=self.registry
        )
        self._slow_searches = Counter(
            "fhir_slow_searches",
            "Searches that took slow_search_ms or more",
            ["type"],
            registry=self.registry,
        )
        self._reindexed = Gauge(
            "fhir_reindexed_resources",
            "Resources done in the pass over a type that is under way, or was last",
            ["type"],
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self._to_reindex = Gauge(
            "fhir_resources_to_reindex",
            "Resources of the type when that pass began",
            ["type"],
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        # The library looks a pair of labels up under a lock; there are few of them.
        self._of: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def answered(self, method: str, status: int, seconds: float) -> None:
        """Count one request that was answered; `method` is one of METHODS or `other`."""
        found = self._of.get((method, status))
        if found is None:
            found = self._requests.labels(method, str(status)), self._seconds.labels(method)
            self._of[method, status] = found
        requests, durations = found
        requests.inc()
        durations.observe(seconds)

    def searched(self, type: str, seconds: float, *, slow: bool) -> None:
        """Count one search; `type` is a resource type or `*`."""
        self._search_seconds.observe(seconds)
        if slow:
            self._slow_searches.labels(type).inc()

    def reindexed(self, one: Pass) -> None:
        """How far a pass over a type is (fhir_server/pipeline/reindexing.py)."""
        self._reindexed.labels(one.type).set(one.done)
        self._to_reindex.labels(one.type).set(one.total)

    def exposition(self) -> bytes:
        """All workers' numbers in the text format."""
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            together = CollectorRegistry()
            MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # the library's stub
            return generate_latest(together)
        return generate_latest(self.registry)


METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
"""Those that are counted by name."""
