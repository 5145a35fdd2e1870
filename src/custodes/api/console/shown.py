# SPDX-License-Identifier: Apache-2.0
"""How values are shown: filters of the templates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from markupsafe import Markup, escape

from custodes.evaluation import report

__all__ = ["FILTERS"]


def when(value: datetime | None, empty: str = "–") -> Markup:
    """Return a time (UTC, to the minute) as an element that scripts and readers understand."""
    if value is None:
        return escape(empty)
    at = value.astimezone(UTC)
    machine = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}">{} UTC</time>').format(machine, f"{at:%Y-%m-%d %H:%M}")


def day(value: datetime | None, empty: str = "–") -> Markup:
    """Return a date (UTC)."""
    if value is None:
        return escape(empty)
    return Markup('<time datetime="{0}">{0}</time>').format(f"{value.astimezone(UTC):%Y-%m-%d}")


def words(value: str) -> str:
    """Return an identifier such as ``law-enforcement`` as words."""
    text = str(value).replace("-", " ").replace("_", " ")
    return text[:1].upper() + text[1:]


def percent(value: float) -> str:
    """Return a similarity, 0..100, with two places: rounded down, so that it never seems more than it is."""
    return f"{int(value * 100) / 100:.2f} %"


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def of_what(kind: str, *, current: bool) -> str:
    """Return of what an evaluation of a kind is; whether of what runs here now, where anything that runs here is."""
    if kind == "attacks":
        return report.BROUGHT
    return "of what runs here now" if current else "of something else than what runs here now"


def unbroken(markup: Markup) -> Markup:
    """Return part of a page in which no number stands on another line than its percent sign."""
    return Markup(report.unbroken(markup))  # noqa: S704 (it was markup before)


def short(value: str, length: int = 12) -> str:
    """Return the beginning of a long id."""
    return value if len(value) <= length else value[:length] + "…"


FILTERS: dict[str, Callable[..., object]] = {
    "when": when,
    "day": day,
    "words": words,
    "percent": percent,
    "plural": plural,
    "short": short,
    "of_what": of_what,
    "unbroken": unbroken,
}
