# SPDX-License-Identifier: Apache-2.0
"""The engines of this server: one a model pack, opened when a collection first needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from custodes.errors import Invalid, NotFound, Unavailable
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
            Unavailable: if the pack isn't installed, or its manifest can't be read; whoever asks can't help it.
            IntegrityError: if its files are not what its manifest says.
        """
        engine = self._engines.get(pack)
        if engine is None:
            with self._lock:
                engine = self._engines.get(pack) or self._opened(pack)
                self._engines[pack] = engine
        return engine

    def _opened(self, pack: str) -> Engine:
        try:
            return self._open(pack)
        except NotFound as e:
            raise Unavailable(
                f"The model pack {pack} isn't installed here.", remedy="The operator adds it: custodes pack add."
            ) from e
        except Invalid as e:
            raise Unavailable(
                f"The model pack {pack} can't be used.", remedy="The operator's custodes pack verify says why."
            ) from e
