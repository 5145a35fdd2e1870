# SPDX-License-Identifier: Apache-2.0
"""The engines of this server: one a model pack, opened when a collection first needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from custodes.errors import CustodesError, Invalid, NotFound, Unavailable
from custodes.vision.engine import Engine
from custodes.vision.pack import Pack

__all__ = ["Engines"]

T = TypeVar("T")


class Engines:
    """Engines by the id of their pack.

    Args:
        default: id of the pack of new collections.
        open_pack: reads a pack, without its networks.
        open_engine: opens the engine of a pack.
        describe: returns the fingerprint of what a pack is as it runs here.
    """

    def __init__(
        self,
        default: str,
        open_pack: Callable[[str], Pack],
        open_engine: Callable[[Pack], Engine],
        describe: Callable[[Pack], str],
    ) -> None:
        self._default = default
        self._open_pack = open_pack
        self._open_engine = open_engine
        self._describe = describe
        self._packs: dict[str, Pack] = {}
        self._engines: dict[str, Engine] = {}
        self._fingerprints: dict[str, str] = {}
        self._lock = threading.RLock()

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

    def pack(self, pack: str) -> Pack:
        """Return a pack, of which no network is opened for it.

        Raises:
            Unavailable: if the pack isn't installed, or can't be read.
        """
        with self._lock:
            return _explained(pack, lambda: self._pack(pack))

    def fingerprint(self, pack: str) -> str:
        """Return what tells apart what runs here from anything else: evaluations of anything else are void.

        It is that of the very pack whose networks run, also if its files change meanwhile; none is opened for it.

        Args:
            pack: id of the pack; empty for the one of new collections.

        Raises:
            Unavailable: if the pack isn't installed, can't be read, or compares no faces.
        """
        wanted = pack or self._default
        told = self._fingerprints.get(wanted)
        if told is None:
            with self._lock:
                told = _explained(wanted, lambda: self._describe(self._pack(wanted)))
                self._fingerprints[wanted] = told
        return told

    def _opened(self, pack: str) -> Engine:
        try:
            return _explained(pack, lambda: self._open_engine(self._pack(pack)))
        except CustodesError:
            self._packs.pop(pack, None)  # it may be mended, and is read anew
            self._fingerprints.pop(pack, None)
            raise

    def _pack(self, pack: str) -> Pack:
        if pack not in self._packs:
            self._packs[pack] = self._open_pack(pack)
        return self._packs[pack]


def _explained(pack: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except NotFound as e:
        raise Unavailable(
            f"The model pack {pack} isn't installed here.", remedy="The operator adds it: custodes pack add."
        ) from e
    except Invalid as e:
        raise Unavailable(
            f"The model pack {pack} can't be used.", remedy="The operator's custodes pack verify says why."
        ) from e
