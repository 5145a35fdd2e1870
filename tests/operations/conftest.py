# SPDX-License-Identifier: Apache-2.0
"""An installation of the tests' own, in this process, and photos for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from custodes.app import App
from custodes.config import Config, Limits
from custodes.governance import OPERATOR, Caller, Purpose

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")

PHOTOS = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def photos() -> dict[str, bytes]:
    """The photos of ``tests/data``, at most 640 pixels a side, as JPEG; and ``nobody``, which shows no face."""
    made = {}
    for name in ("obama_1.jpg", "obama_2.jpg", "biden.jpg", "group.jpg"):
        picture = cv2.imread(str(PHOTOS / name))
        scale = 640 / max(picture.shape)
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        made[name.removesuffix(".jpg")] = cv2.imencode(".jpg", small)[1].tobytes()
    made["nobody"] = cv2.imencode(".jpg", np.full((200, 200, 3), 128, np.uint8))[1].tobytes()
    return made


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An installation that all tests of the room share, so that its models are opened once."""
    config = Config(data=tmp_path_factory.mktemp("installation"), limits=Limits(faces=50, subject_faces=3))
    app = App.open(config)
    yield app
    app.close()


@pytest.fixture
def app(installation: App) -> Iterator[App]:
    """The installation with an empty collection ``people``, which the test may do with what it likes."""
    installation.collections.create(ME, "people", {})
    yield installation
    installation.collections.delete(ME, "people")
