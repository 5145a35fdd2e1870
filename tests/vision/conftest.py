# SPDX-License-Identifier: Apache-2.0
"""One engine for all tests of the room, and the portraits."""

from __future__ import annotations

from pathlib import Path

import pytest

from custodes.config import Config, Vision
from custodes.vision.engine import Engine
from custodes.vision.image import Image

PORTRAITS = Path(__file__).parent.parent / "data"


@pytest.fixture(autouse=True)
def _as_shipped(as_shipped: None) -> None:
    """Networks are opened here each time."""


@pytest.fixture(scope="session")
def engine() -> Engine:
    """An engine with the default pack, everything switched on."""
    return Engine.default(Config(vision=Vision(gender=True, emotion=True)))


@pytest.fixture(scope="session")
def portraits(engine: Engine) -> dict[str, Image]:
    """The photos of ``tests/data``, by name without ending."""
    return {p.stem: engine.load(p) for p in sorted(PORTRAITS.iterdir()) if p.suffix in (".jpg", ".png")}
