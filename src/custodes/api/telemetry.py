# SPDX-License-Identifier: Apache-2.0
"""What operators see: one structured line and a few numbers a request. Neither carries faces, names or images."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from custodes.config import Log

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


class Telemetry:
    """Counts and logs requests."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
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
        self.waiting = Gauge("custodes_requests_waiting", "Requests in work or waiting.", registry=self.registry)
        self._log = structlog.get_logger("custodes.api")

    def request(
        self, *, operation: str, outcome: str, status: int, seconds: float, request_id: str, key_id: str
    ) -> None:
        """Record that a request was answered.

        Args:
            operation: name of a known operation, or ``"unknown"``.
            outcome: ``"ok"``, or the error's name on the wire.
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
        """Log an error that nobody foresaw, with its traceback."""
        self._log.error("unforeseen", operation=operation, request_id=request_id, exc_info=error)

    def metrics(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self.registry)
