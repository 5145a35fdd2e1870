# SPDX-License-Identifier: Apache-2.0
"""The board: all public requests for footage and the agencies that vouch for them, as the same bytes for everyone.

Whoever has cameras fetches all of it and looks for what concerns them at home, so that nobody learns whether anything
did. It has no date of its own and no order but that of its contents: two copies are the same, byte for byte, whoever
got them and when, for as long as what is public is the same. Its tag is the SHA-256 of it, by which nobody can be told
apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from custodes.cameras.documents import Fields, canonical, parse
from custodes.errors import Invalid

__all__ = ["MOST_BOARD", "Board", "make_board", "read_board"]

MOST_BOARD = 16 * 2**20
"""Bytes of a board."""

_BOARD = "custodes-footage-board-1"
_MOST_AGENCIES = 500
_MOST_REQUESTS = 1_000


@dataclass(frozen=True, slots=True)
class Board:
    """A board.

    Attributes:
        agencies: certificates, for whoever may want to enrol one; they are no reason to trust it.
        requests: each is to be checked.
        document: the whole.
    """

    agencies: tuple[bytes, ...]
    requests: tuple[bytes, ...]
    document: bytes

    @property
    def tag(self) -> str:
        """SHA-256 of the whole, in hexadecimal."""
        return hashlib.sha256(self.document).hexdigest()


def make_board(agencies: Iterable[bytes], requests: Iterable[bytes]) -> Board:
    """Make a board of documents that were checked; their order counts for nothing."""
    ordered = tuple(sorted(set(agencies))), tuple(sorted(set(requests)))
    told = {
        "form": _BOARD,
        "agencies": [parse(d, "An agency's certificate") for d in ordered[0]],
        "requests": [parse(d, "A request") for d in ordered[1]],
    }
    return Board(*ordered, canonical(told))


def read_board(document: bytes) -> Board:
    """Read a board that was fetched; hostile, and so is all that stands on it.

    Raises:
        Invalid: if it is none.
    """
    what = "A board"
    fields = Fields(parse(document, what, MOST_BOARD), what, "form", "agencies", "requests")
    fields.form(_BOARD)
    agencies = tuple(map(canonical, fields.list("agencies", _MOST_AGENCIES)))
    requests = tuple(map(canonical, fields.list("requests", _MOST_REQUESTS)))
    if any(tuple(sorted(set(some))) != some for some in (agencies, requests)):
        raise Invalid("A board has each document once, in their order.")
    return Board(agencies, requests, document)
