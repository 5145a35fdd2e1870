# SPDX-License-Identifier: Apache-2.0
"""Where the running server answers, for commands that can't know: with port 0 the system chooses.

The server keeps its URL in ``DATA/endpoint`` while it runs. With several servers on one data folder the file names
the last that was started.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from custodes.config import Config
from custodes.errors import Unavailable

__all__ = ["endpoint_of", "kept"]


def _file(config: Config) -> Path:
    return config.data / "endpoint"


def endpoint_of(config: Config) -> str:
    """Return the URL that clients use.

    Raises:
        Unavailable: if the port is any free one and no server runs.
    """
    if config.server.endpoint or config.server.port:
        return config.endpoint_url
    try:
        return _file(config).read_text(encoding="utf-8").strip()
    except OSError as e:
        raise Unavailable(
            "The endpoint isn't known: CUSTODES_PORT is 0, and no server runs on this data folder.",
            remedy="Start custodes serve first, or set CUSTODES_PORT or CUSTODES_ENDPOINT.",
        ) from e


@contextlib.contextmanager
def kept(config: Config, endpoint: str) -> Iterator[None]:
    """Keep the URL of this server in the data folder, for its owner alone, as long as the block lasts.

    Raises:
        Unavailable: if it can't be written.
    """
    path = _file(config)
    draft = path.with_name(f".endpoint.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(endpoint + "\n")
        draft.replace(path)
    except OSError as e:
        raise Unavailable(f"The endpoint can't be written to the data folder: {e.strerror}.") from e
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # gone, or another server's by now
            if path.read_text(encoding="utf-8").strip() == endpoint:
                path.unlink()
