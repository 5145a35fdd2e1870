# SPDX-License-Identifier: Apache-2.0
"""Single scores as CSV, for who wants to compute anew what a report says.

Its bytes are the same each time: an evaluation tells their SHA-256, and its entry in the ledger commits to that. The
file names photos and, where tables do, people: it is its owner's alone (mode 0600), and it is there whole or not at
all. A text that a spreadsheet would take for a formula begins with an apostrophe; numbers stay numbers, and a score
that is not there (minus infinity) is an empty cell.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from custodes.errors import Unavailable

__all__ = ["scores_sha256", "write_scores"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def _lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """Yield the bytes of the file, a row at a time, the heading first."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in itertools.chain([header], rows):
        writer.writerow([_cell(value) for value in row])
        yield text.getvalue().encode("utf-8", "backslashreplace")
        text.seek(0)
        text.truncate()


def scores_sha256(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the SHA-256, in hexadecimal, of the file that :func:`write_scores` makes of a table."""
    found = hashlib.sha256()
    for line in _lines(header, rows):
        found.update(line)
    return found.hexdigest()


def write_scores(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write a table of scores, and return how many rows it has.

    Args:
        path: of the file; what is there is replaced.
        header: names of the columns.
        rows: of texts, numbers, truths (1 and 0) and None (empty).

    Raises:
        Unavailable: if it can't be written; nothing is left then.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    count = -1  # the heading is no row
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for line in _lines(header, rows):
                    file.write(line)
                    count += 1
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as e:
        raise Unavailable(f"{path.name} can't be written: {e.strerror}.") from e
    return count


def _cell(value: object) -> object:
    """Return a value as a cell: float32 in as few digits as give the same float32."""
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, float | np.floating):
        return str(value) if math.isfinite(value) else ""
    if value is None or isinstance(value, int | np.integer):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
