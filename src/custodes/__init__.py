# SPDX-License-Identifier: Apache-2.0
"""Custodes: face recognition in which every use answers to somebody.

``from custodes import Engine`` is the library; ``custodes`` is the command; ``custodes serve`` is the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from custodes.vision.engine import Engine

__all__ = ["Engine", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load the engine only when it is asked for, so that the command line starts quickly."""
    if name == "Engine":
        from custodes.vision.engine import Engine

        return Engine
    raise AttributeError(name)
