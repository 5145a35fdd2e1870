# SPDX-License-Identifier: Apache-2.0
"""How reports put things into words: the scale of answers, what runs searched for, rates, times, counts."""

from __future__ import annotations

from datetime import UTC, datetime

from custodes.operations.dossier import Meaning
from custodes.operations.paper import visible

__all__ = ["ANSWERS", "KINDS", "NAME", "at_of", "chance", "counted", "one_in", "or_dash", "when_of", "words_of"]

NAME = 120
"""Characters that are shown of a name or label."""

ANSWERS = {
    "supports-strongly": "Strongly supports that both show one person",
    "supports": "Supports that both show one person",
    "inconclusive": "Inconclusive",
    "contradicts": "Contradicts that both show one person",
    "contradicts-strongly": "Strongly contradicts that both show one person",
}
"""The scale, in words."""
KINDS = {
    "references": "all reference photos of the case together",
    "photo": "photos, the largest face of each",
    "group": "every face of a photo",
    "bulk": "every face of many photos",
    "standing": "a standing search, made again as images came in",
}
"""What a run searched for, in words."""


def words_of(value: str) -> str:
    """Return an id in words: ``law-enforcement`` becomes ``Law enforcement``."""
    return value.replace("-", " ").capitalize()


def one_in(rate: float) -> str:
    """Return a rate as one in so many."""
    return f"1 in {round(1 / rate):,}" if rate > 0 else "none"


def chance(meaning: Meaning | None) -> str:
    """Say what a similarity means, as far as the model says."""
    if meaning is None:
        return "The model's manifest states no false-match rate for this similarity."
    measured = f" (measured on {visible(meaning.measured_on, NAME)})" if meaning.measured_on else ""
    told = (
        f"At most {one_in(meaning.false_match_rate)} comparisons of photos of two different people came to "
        f"{meaning.from_similarity:g} or more{measured}."
    )
    if meaning.comparisons is None or meaning.by_chance is None:
        return told
    return told + (
        f" This run made {counted(meaning.comparisons, 'comparison')}: at that rate, "
        f"{_few(meaning.by_chance)} of them would come so close by chance."
    )


def _few(count: float) -> str:
    return "fewer than 0.001" if count < 0.001 else f"{count:.3g}"


def counted(count: int | None, noun: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}" if count is not None else f"unknown {noun}s"


def when_of(value: datetime | None) -> str:
    """Return a time as it is read."""
    return "not known" if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def at_of(value: str | None) -> str:
    """Return a time of the ledger's as a table shows it."""
    return "not known" if value is None else f"{value[:10]} {value[11:16]}"


def or_dash(value: object, without: str = "–") -> str:
    """Return a value as text, or a dash if there is none."""
    return without if value is None or value == "" else str(value)
