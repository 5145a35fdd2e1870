# SPDX-License-Identifier: Apache-2.0
"""What operators see: one structured line and a few numbers a request. Neither carries faces, names or images."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from custodes.api.gate import Gate
from custodes.config import Log
from custodes.errors import CustodesError

__all__ = ["Telemetry", "configure_logging"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Forward(logging.Handler):
    """Hands what libraries log through :mod:`logging` to structlog, so that all lines have one form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        structlog.get_logger(record.name).log(record.levelno, record.getMessage(), exc_info=record.exc_info)


def configure_logging(settings: Log) -> None:
    """Set structlog up for this process: JSON lines, or coloured ones on a terminal; libraries' warnings too."""
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING, force=True)
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


class _GateNumbers(Collector):
    """What the gate counts itself, read when somebody asks."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Iterator[Metric]:
        """Read the numbers."""
        label = ("pool",)
        threads = GaugeMetricFamily("custodes_pool_threads", "Threads of a pool.", labels=label)
        busy = GaugeMetricFamily("custodes_pool_threads_busy", "Threads at work.", labels=label)
        seconds = CounterMetricFamily("custodes_pool_busy_seconds", "Time that threads were at work.", labels=label)
        waiting = GaugeMetricFamily("custodes_requests_waiting", "Requests that wait for a thread.", labels=label)
        for pool in self._gate.pools:
            threads.add_metric((pool.name,), pool.threads)
            busy.add_metric((pool.name,), pool.running)
            seconds.add_metric((pool.name,), pool.seconds)
            waiting.add_metric((pool.name,), pool.waiting)
        throttled = CounterMetricFamily("custodes_throttled", "Requests throttled, by cause.", labels=("cause",))
        for cause, count in self._gate.throttled.items():
            throttled.add_metric((cause.value,), count)
        yield from (threads, busy, seconds, waiting, throttled)
        yield GaugeMetricFamily("custodes_body_bytes", "Bytes of request bodies in memory.", self._gate.held_bytes)


class Telemetry:
    """Counts and logs requests.

    Args:
        gate: whose numbers are told too.
    """

    def __init__(self, gate: Gate) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_GateNumbers(gate))
        self._requests = Counter(
            "custodes_requests", "Requests answered.", ("operation", "outcome"), registry=self.registry
        )
        self._seconds = Histogram(
            "custodes_request_seconds",
            "Time from a request's last byte to the answer's first.",
            ("operation",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._refused_heads = Counter(
            "custodes_refused_heads",
            "Connections ended for a head that is no HTTP, or too long or slow.",
            registry=self.registry,
        )
        self._enrolled = Gauge(
            "custodes_enrolled", "Collections, faces and users in the database.", ("kind",), registry=self.registry
        )
        self._log = structlog.get_logger("custodes.api")

    def request(
        self, *, operation: str, outcome: str, status: int, seconds: float, request_id: str = "", key_id: str = ""
    ) -> None:
        """Record that a request was answered.

        Args:
            operation: name of a known operation, or method and template of a known route, or ``"unknown"``.
            outcome: ``"ok"``, or the error's name on the wire, or its HTTP status.
            status: HTTP status.
            seconds: how long it took.
            request_id: what the client got to quote.
            key_id: access key that was verified, or an empty string.
        """
        self._requests.labels(operation, outcome).inc()
        self._seconds.labels(operation).observe(seconds)
        self._log.info(
            "request",
            operation=operation,
            outcome=outcome,
            status=status,
            ms=round(seconds * 1e3, 2),
            request_id=request_id,
            key=key_id,
        )

    def failure(self, error: BaseException, *, operation: str, request_id: str) -> None:
        """Log an error that isn't the client's, foreseen or not, with its traceback."""
        event = "failure" if isinstance(error, CustodesError) else "unforeseen"
        self._log.error(event, operation=operation, request_id=request_id, exc_info=error)

    def refused_head(self, reason: str) -> None:
        """Record that a connection was ended before a request began.

        Args:
            reason: what the client is told; nothing of what it sent.
        """
        self._refused_heads.inc()
        self._log.info("refused head", reason=reason)

    def enrolled(self, *, collections: int, faces: int, users: int) -> None:
        """Record how many there are, of all collections together."""
        self._enrolled.labels("collections").set(collections)
        self._enrolled.labels("faces").set(faces)
        self._enrolled.labels("users").set(users)

    def metrics(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self.registry)
