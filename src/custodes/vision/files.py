# SPDX-License-Identifier: Apache-2.0
"""Writing files so that whoever reads them, at whatever time, sees all or nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, readable by its owner alone, and put it in its place by renaming; its folder is made if need be.

    Raises:
        OSError: if it can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())  # or a power failure may leave the name with nothing behind it
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
