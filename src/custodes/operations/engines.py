# SPDX-License-Identifier: Apache-2.0
"""The engines of this server: one a model pack, opened when a collection first needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from custodes.vision.engine import Engine

__all__ = ["Engines"]


class Engines:
    """Engines by the id of their pack.

    Args:
        default: id of the pack of new collections.
        open_engine: opens the engine of a pack.
    """

    def __init__(self, default: str, open_engine: Callable[[str], Engine]) -> None:
        self._default = default
        self._open = open_engine
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()

    @property
    def default(self) -> Engine:
        """The engine of new collections and of operations without one."""
        return self.of(self._default)

    def of(self, pack: str) -> Engine:
        """Return the engine of a pack.

        Raises:
            NotFound: if the pack isn't installed.
            IntegrityError: if its files are not what its manifest says.
        """
        engine = self._engines.get(pack)
        if engine is None:
            with self._lock:
                engine = self._engines.get(pack) or self._open(pack)
                self._engines[pack] = engine
        return engine
