# SPDX-License-Identifier: Apache-2.0
"""A camera that all tests of the room share, and its videos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cameras.footage import Visit, footage
from tests.cameras.gst_rtsp import RtspServer, missing


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of videos that tests of this process share."""
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="session")
def door(videos: Path) -> Path:
    """Six seconds at 640 x 360, 10 pictures a second, a key picture each second; a person passes from 2 to 4.5."""
    return footage(videos, visits=(Visit("obama_1.jpg", 2.0, 4.5),))


@pytest.fixture(scope="session")
def garden(videos: Path) -> Path:
    """The same at 480 x 270, and nobody comes."""
    return footage(videos, size=(480, 270), seconds=3.0, seed=2)


@pytest.fixture(scope="session")
def rtsp_server(door: Path, garden: Path) -> Iterator[RtspServer]:
    """A camera with the mounts ``door`` (which has sound, too) and ``garden``, without a password.

    A test that kills or freezes it leaves it running; who needs one undisturbed makes an :class:`RtspServer`.
    """
    if why := missing():
        pytest.skip(why)
    server = RtspServer({"door": door, "garden": garden}, audio=frozenset({"door"}))
    yield server
    server.kill()
