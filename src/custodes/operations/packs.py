# SPDX-License-Identifier: Apache-2.0
"""Model packs: listing, checking, timing and adding them."""

from __future__ import annotations

from pathlib import Path

from custodes.config import Config
from custodes.errors import NotFound
from custodes.vision.calibrations import read_local
from custodes.vision.manifest import Calibration
from custodes.vision.pack import Check, Manifest, Timing, add_pack, bench_pack, list_packs, open_pack, verify_pack

__all__ = ["Calibration", "Check", "Manifest", "PackOperations", "Timing"]


class PackOperations:
    """Use cases around model packs; they need no database."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def list(self) -> tuple[Manifest, ...]:
        """List all packs, what ships first.

        Raises:
            Invalid: if a manifest can't be read.
        """
        return list_packs(self._config)

    def get(self, pack_id: str) -> Manifest:
        """Describe a pack.

        Raises:
            NotFound: if there is none of that id.
        """
        for manifest in self.list():
            if manifest.id == pack_id:
                return manifest
        raise NotFound(f"There is no model pack {pack_id}.", remedy="custodes pack list shows all.")

    def local(self, manifest: Manifest) -> Calibration | None:
        """Return the stricter map of a pack that was made on local data, or None; a server that starts has it in force.

        Raises:
            IntegrityError: if it isn't one that may be in force; the pack isn't opened then.
            Unavailable: if it can't be read.
        """
        return read_local(self._config, manifest)

    def verify(self, pack_id: str) -> tuple[Check, ...]:
        """Check every network of a pack against its manifest.

        Raises:
            NotFound: if there is none of that id.
        """
        return verify_pack(self._config, pack_id)

    def bench(self, pack_id: str) -> tuple[Timing, ...]:
        """Time every network of a pack.

        Raises:
            NotFound: if there is none of that id.
        """
        return bench_pack(open_pack(self._config, pack_id))

    def add(self, folder: Path) -> Manifest:
        """Check a pack and copy it into the data folder.

        Raises:
            Invalid: if the manifest or a network can't be meant.
            IntegrityError: if a file is not what the manifest says.
            Conflict: if there is a pack of that id.
        """
        return add_pack(self._config, folder)
