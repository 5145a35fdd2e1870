# SPDX-License-Identifier: Apache-2.0
"""Boards are read at fixed times, whatever stands on them and whoever looks at that.

Each time it is the same request: no cookie, no name of a client, no tag of what is there already, no connection that is
kept for the next time. Redirects are refused. Boards don't wait for one another, and one that isn't read within a
minute, however it talks until then, is given up. The newest good copy of each is kept in memory alone, for a day; a
board that is no good is told of, and changes nothing else.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from socket import SHUT_RDWR
from typing import Any

import httpx

from custodes.cameras.board import MOST_BOARD, Board, read_board
from custodes.errors import CustodesError, Invalid, Unavailable

__all__ = ["BoardReader", "BoardState", "ClockOffset"]

_AGENT = "Custodes"
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": _AGENT,
}
_TIMEOUT = 20.0
_CUT = 1.0
"""Seconds in which a thread whose connection was cut comes to its end."""
_SLOW = "The board's server talks too slowly."
_LONGEST = 60.0
"""Seconds that a board may take, however slowly it talks."""
_FRESH = timedelta(days=1)
"""For so long a copy is kept: what was taken back since isn't shown for longer."""
_CONNECTED = ("connection.connect_tcp.complete", "connection.start_tls.complete")


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far this machine's clock stood from that of the server of a board, by whole seconds.

    Attributes:
        milliseconds: how much this clock was ahead.
        at: when, by this clock.
        by: host of the board.
    """

    milliseconds: int
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class BoardState:
    """How a board is.

    Attributes:
        url: where it is.
        good_at: when the copy that is kept was read, or None.
        requests: how many requests are on that copy; none if it isn't kept any more.
        problem: why it couldn't be read the last time, or empty.
        offset: of the clocks, when the copy was read.
    """

    url: str
    good_at: datetime | None = None
    requests: int = 0
    problem: str = ""
    offset: ClockOffset | None = None


class _Line:
    """The connection to a board, which others may cut."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream: Any = None
        self.is_cut = False

    def trace(self, event: str, told: Mapping[str, Any]) -> None:
        """Take what httpcore tells of a connection that it makes."""
        if event in _CONNECTED:
            with self._lock:
                self._stream = told["return_value"]
                if self.is_cut:
                    self._end()

    def cut(self) -> None:
        """End it, and keep it from beginning: whoever reads from it is told that it's gone."""
        with self._lock:
            self.is_cut = True
            self._end()

    def _end(self) -> None:
        found = self._stream.get_extra_info("socket") if self._stream is not None else None
        with suppress(OSError):
            if found is not None:
                found.shutdown(SHUT_RDWR)


class BoardReader:
    """Reads boards, and keeps the newest good copy of each.

    Args:
        urls: where they are.
        own: gives the board of this installation.
        clock: seconds since 1970.
        verify: checks certificates; by default with what this machine trusts.
    """

    def __init__(
        self,
        urls: Sequence[str],
        own: Callable[[], Board],
        *,
        clock: Callable[[], float] = time.time,
        verify: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._own = own
        self._clock = clock
        self._verify = verify
        self._states = {url: BoardState(url) for url in dict.fromkeys(urls)}
        self._copies: dict[str, Board] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def round(self) -> int:
        """Read every board once, all at the same time, and return how many were good.

        One that is given up is asked again when its thread has ended, which the search for a name may delay.
        """
        good: list[str] = []
        lines: dict[str, _Line] = {}
        for url in [u for u in self._states if u not in self._threads or not self._threads[u].is_alive()]:
            line = lines[url] = _Line()
            reading = threading.Thread(target=self._reading, args=(url, line, good), name="board", daemon=True)
            self._threads[url] = reading
            reading.start()
        until = time.monotonic() + _LONGEST
        for url in lines:
            self._threads[url].join(max(0.0, until - time.monotonic()))
        for url, line in lines.items():
            if self._threads[url].is_alive():
                line.cut()
                self._threads[url].join(_CUT)
                if self._threads[url].is_alive():
                    self._failed(url, _SLOW)
        return len(good)

    def _reading(self, url: str, line: _Line, good: list[str]) -> None:
        if self._read(url, line):
            good.append(url)

    def take(self, document: bytes) -> Board:
        """Take a board that somebody has fetched themselves, for this process.

        Raises:
            Invalid: if it is none.
        """
        board = read_board(document)
        with self._lock:
            self._copies[f"file {board.tag}"] = board
        return board

    def states(self) -> tuple[BoardState, ...]:
        """Return how the boards are."""
        with self._lock:
            return tuple(self._states.values())

    def documents(self) -> tuple[bytes, ...]:
        """Return all requests that stand on a board, each once; hostile. Nothing is asked of anybody for it."""
        with self._lock:
            self._forget_old()
            copies = list(self._copies.values())
        return tuple(dict.fromkeys(d for board in (self._own(), *copies) for d in board.requests))

    def offset(self) -> ClockOffset | None:
        """Return the newest measure of this machine's clock, or None if there is none."""
        known = [s.offset for s in self.states() if s.offset is not None]
        return max(known, key=lambda o: o.at, default=None)

    def _forget_old(self) -> None:
        now = self._now()
        for url, state in self._states.items():
            if state.good_at is not None and now - state.good_at >= _FRESH and self._copies.pop(url, None) is not None:
                self._states[url] = replace(state, requests=0)

    def _read(self, url: str, line: _Line) -> bool:
        try:
            document, offset = self._fetch(url, line)
            board = read_board(document)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as e:
            if line.is_cut:
                return self._failed(url, _SLOW)
            return self._failed(url, f"It can't be reached ({type(e).__name__}).")
        except CustodesError as e:
            return self._failed(url, e.message)
        with self._lock:
            self._copies[url] = board
            self._states[url] = BoardState(url, self._now(), len(board.requests), "", offset)
        return True

    def _failed(self, url: str, problem: str) -> bool:
        with self._lock:
            self._states[url] = replace(self._states[url], problem=problem)
        return False

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _fetch(self, url: str, line: _Line) -> tuple[bytes, ClockOffset | None]:
        """Fetch a board, with a client that has never fetched anything and never will again.

        Raises:
            Invalid: if it is too large, or is elsewhere.
            Unavailable: if the server says that there is none.
            httpx.HTTPError: if it can't be reached.
        """
        if httpx.URL(url).scheme not in ("http", "https"):
            raise Invalid("A board's URL begins with https:// or http://.")
        transport = httpx.HTTPTransport(verify=self._verify(), trust_env=False, retries=0)
        extensions = {"timeout": httpx.Timeout(_TIMEOUT).as_dict(), "trace": line.trace}
        request = httpx.Request("GET", url, headers=_HEADERS, extensions=extensions)
        with transport:
            answer = transport.handle_request(request)
            answer.request = request
            try:
                return _body(answer), self._offset(answer, request)
            finally:
                answer.close()

    def _offset(self, answer: httpx.Response, request: httpx.Request) -> ClockOffset | None:
        try:
            told = parsedate_to_datetime(answer.headers.get("date", ""))
            now = self._now()
            return ClockOffset(round((now - told).total_seconds() * 1000), now, request.url.host)
        except (TypeError, ValueError):
            return None


def _body(answer: httpx.Response) -> bytes:
    """Read the body of an answer.

    Raises:
        Invalid: if it is too large, or a redirect.
        Unavailable: if it is an error.
    """
    if 300 <= answer.status_code < 400:
        raise Invalid("The board is said to be elsewhere; that isn't followed.", remedy="Set its URL anew.")
    if answer.status_code != 200:
        raise Unavailable(f"The board's server answers {answer.status_code}.")
    parts, size = [], 0
    for part in answer.iter_raw():
        size += len(part)
        if size > MOST_BOARD:
            raise Invalid(f"A board has at most {MOST_BOARD} bytes.")
        parts.append(part)
    return b"".join(parts)
