# SPDX-License-Identifier: Apache-2.0
"""What the kernel of this machine can close to a process."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["landlock"]


def landlock() -> int:
    """Return the version of Landlock; 0 if there is none."""
    return max(0, ctypes.CDLL(None).syscall(444, None, 0, 1)) if sys.platform == "linux" else 0
