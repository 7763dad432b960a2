"""Counts for Prometheus. A label's values are ours: no text of a caller becomes one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from idc_mcp import __version__
from idc_mcp.http.refusals import STATUS

if TYPE_CHECKING:
    from idc_mcp.app import App
    from idc_mcp.http.exchanges import Exchange

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds: most questions take some hundredths, a statement thirty at most by default."""


class Metrics:
    """The counts of one server."""

    def __init__(self, app: App | None) -> None:
        # When a count began is told by process_start_time_seconds.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        labels = ("method", "tool")
        self._requests = Counter(
            "idcmcp_requests", "Requests that were answered, cancelled or ended.",
            (*labels, "outcome"), registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "idcmcp_request_seconds", "How long they took.", labels, buckets=BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self._refused = Counter(
            "idcmcp_refused", "Requests that were refused.", ("reason",), registry=self.registry
        )
        for reason in STATUS:
            self._refused.labels(reason)
        self._in_flight = Gauge(
            "idcmcp_in_flight", "Requests that are being answered.", registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        if app is not None:
            Info("idcmcp_release", "What is served.", registry=self.registry).info(
                {
                    "version": __version__,
                    "release": app.release.name,
                    "data_version": app.release.data_version,
                }
            )
            self.registry.register(_Core(app))

    def begin(self) -> None:
        """A request has come."""
        self._in_flight.inc()

    def end(self, exchange: Exchange) -> None:
        """It is over."""
        self._in_flight.dec()
        self.count(exchange)

    def count(self, exchange: Exchange) -> None:
        """Count a request that is over, refused or not."""
        if exchange.refused:
            self._refused.labels(exchange.refused).inc()
            return
        labels = (exchange.method or "none", exchange.tool)
        self._requests.labels(*labels, exchange.outcome).inc()
        self._seconds.labels(*labels).observe(exchange.seconds)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)


class _Core(Collector):
    """What the core can tell at the moment of asking."""

    def __init__(self, app: App) -> None:
        self.app = app

    def collect(self) -> Iterator[GaugeMetricFamily]:
        cohorts = self.app.cohorts.files.quota.used()
        for name, about, value in (
            ("sql_processes_busy", "Statements of callers that run.", self.app.pool.busy),
            ("sql_processes_limit", "Most of them at once.", self.app.settings.sql_workers),
            ("cohorts_kept", "Cohorts that are kept.", cohorts.cohorts),
            ("cohorts_bytes", "Bytes of their files.", cohorts.bytes),
            (
                "database_ready",
                "1 where the database is built.",
                self.app.index.database is not None,
            ),
        ):
            yield GaugeMetricFamily(f"idcmcp_{name}", about, value=float(value))
