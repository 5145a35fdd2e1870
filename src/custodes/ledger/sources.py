# SPDX-License-Identifier: Apache-2.0
"""Where an auditor reads a log: a folder or a web server. What is read is bounded in size and time, and hostile."""

from __future__ import annotations

import gzip
import time
import urllib.error
import urllib.request
import zlib
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

from custodes.errors import Invalid, NotFound, Unavailable

__all__ = ["Folder", "Source", "Url", "open_source"]

_TIMEOUT = 30.0  # seconds for one answer as a whole, and for each wait within it
_CHUNK = 1 << 16


class Source(Protocol):
    """Where a log's files are."""

    def read(self, path: str, limit: int) -> bytes:
        """Return a file by its path below the log's prefix.

        Raises:
            NotFound: if there is none, or it has more than ``limit`` bytes.
            Unavailable: if it can't be read.
        """


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _within(file: _Readable, path: str, limit: int) -> bytes:
    """Read a file in time and within bounds."""
    end, parts, size = time.monotonic() + _TIMEOUT, [], 0
    while chunk := file.read(_CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            raise NotFound(f"{path} has more than {limit} bytes.")
        if time.monotonic() > end:
            raise Unavailable(f"{path} takes more than {_TIMEOUT:g} s.")
    return b"".join(parts)


class Folder:
    """A log in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: str, limit: int) -> bytes:
        """Return a file.

        Raises:
            NotFound: if there is none, or it has more than ``limit`` bytes.
            Unavailable: if it can't be read.
        """
        whole = self._folder / path
        try:
            if not whole.is_file():  # a pipe would never end
                raise NotFound(f"There is no {path}.")
            with whole.open("rb") as file:
                return _within(file, path, limit)
        except OSError as e:
            raise Unavailable(f"{path} can't be read: {e.strerror}.") from e


def _opener() -> urllib.request.OpenerDirector:
    """Return a client of HTTP alone, so that a redirection leads nowhere else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class Url:
    """A log on a web server."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._opener = _opener()
        self._opener.addheaders = [("Accept-Encoding", "gzip, identity"), ("User-Agent", "custodes")]

    def read(self, path: str, limit: int) -> bytes:
        """Return a file.

        Raises:
            NotFound: if there is none, or it has more than ``limit`` bytes.
            Unavailable: if it can't be fetched.
        """
        try:
            with self._opener.open(f"{self._url}/{path}", timeout=_TIMEOUT) as answer:
                packed = answer.headers.get("Content-Encoding", "").strip().lower() == "gzip"
                data = _within(gzip.GzipFile(fileobj=answer) if packed else answer, path, limit)
                if answer.length:
                    raise Unavailable(f"{path} was cut off on its way.")
                return data
        except urllib.error.HTTPError as e:
            if e.code in (404, 410):
                raise NotFound(f"There is no {path}.") from e
            raise Unavailable(f"{path} can't be fetched: HTTP status {e.code}.") from e
        except (OSError, EOFError, zlib.error, HTTPException, ValueError) as e:
            raise Unavailable(f"{path} can't be fetched: {getattr(e, 'reason', None) or type(e).__name__}.") from e


def open_source(place: str) -> Source:
    """Return the log at an ``http(s)://`` URL or in a folder.

    Raises:
        NotFound: if there is no such folder.
        Invalid: if the URL is of another kind.
    """
    if place.startswith(("http://", "https://")):
        return Url(place)
    if "://" in place:
        raise Invalid("A ledger is in a folder, or at an http:// or https:// URL.")
    if not Path(place).is_dir():
        raise NotFound("There is no such folder.")
    return Folder(Path(place))
