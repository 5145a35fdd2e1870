# SPDX-License-Identifier: Apache-2.0
"""How AWS tells that a request breaks the service model: the wording, without the reading.

Wording follows AWS's services as many of their users recorded it. What is echoed is cut to :data:`MAX_ECHO`
characters and never holds an image's bytes; no more than :data:`MAX_VIOLATIONS` are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from custodes.api.aws.errors import Frame, WireError, serialization_error

__all__ = ["MAX_VIOLATIONS", "NOT_NULL", "Buffer", "Violation", "mistyped", "move", "refuse", "violation"]

MAX_VIOLATIONS = 10
MAX_ECHO = 256
MAX_SHOWN = 20
"""Elements of a list or a map that a message shows."""
NOT_NULL = "Member must not be null"


@dataclass(slots=True)
class Violation:
    """One broken constraint.

    Attributes:
        shown: the value as the message shows it, cut to size.
        rule: the constraint's sentence.
        path: where, from the reader's value downwards; empty for the value itself.
    """

    shown: str
    rule: str
    path: str = ""


class Buffer(NamedTuple):
    """A blob, of which only the size in bytes may be told."""

    size: int


def _flat(value: object) -> str:
    """Show a value inside another; one that has values inside itself is not opened."""
    if isinstance(value, str):
        return value[: MAX_ECHO + 1]
    if isinstance(value, Buffer):
        return f"java.nio.HeapByteBuffer[pos=0 lim={value.size} cap={value.size}]"
    if isinstance(value, list):
        return "[...]"
    if isinstance(value, dict):
        return "{...}"
    return "null" if value is None else str(value)


def _show(value: object) -> str:
    """Show a value as Java would, in quotes, as far as a caller needs it."""
    if value is None:
        return "null"
    if isinstance(value, list):
        shown = f"[{', '.join(map(_flat, value[:MAX_SHOWN]))}]"
    elif isinstance(value, dict):
        pairs = (f"{_flat(k)}={_flat(v)}" for k, v in islice(value.items(), MAX_SHOWN))
        shown = f"{{{', '.join(pairs)}}}"
    else:
        shown = _flat(value)
    return f"'{shown}'" if len(shown) <= MAX_ECHO else f"'{shown[:MAX_ECHO]}...'"


def violation(value: object, rule: str, path: str = "") -> Violation:
    """Note that ``value`` breaks ``rule``."""
    return Violation(_show(value), rule, path)


def move(found: list[Violation], since: int, name: str) -> None:
    """Put the violations from ``since`` on one level down, under ``name``."""
    for one in found[since:]:
        one.path = f"{name}.{one.path}" if one.path else name


def refuse(found: Sequence[Violation]) -> WireError:
    """Return the ``ValidationException`` that tells all violations."""
    told = "; ".join(
        f"Value {v.shown} at '{v.path}' failed to satisfy constraint: {v.rule}" for v in found[:MAX_VIOLATIONS]
    )
    count = min(len(found), MAX_VIOLATIONS)
    return WireError(Frame.VALIDATION, f"{count} validation error{'s' * (count > 1)} detected: {told}")


def mistyped(value: object, expected: str) -> WireError:
    """Return the refusal of a JSON value that can't become ``expected`` (AWS's word for the type)."""
    if isinstance(value, dict):
        return serialization_error("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return serialization_error("Start of list found where not expected")
    if expected in ("List", "Map", "Structure"):
        return serialization_error("Unexpected field type")
    token = "STRING" if isinstance(value, str) else "NUMBER"
    if isinstance(value, bool):
        token = "TRUE" if value else "FALSE"
    return serialization_error(f"{token}_VALUE cannot be converted to {expected}")
