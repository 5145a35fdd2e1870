# SPDX-License-Identifier: Apache-2.0
"""Where recorded video lies: FOLDER/<camera>/<YYYYMMDD>/<HHMMSSmmm>.mp4, by UTC; and how it is opened.

A path is made of a camera's random id and a time, never of anything that people chose. What is being written is called
``.<HHMMSSmmm>.mp4.part``. Files are opened from folder to folder without following links, so that nothing outside the
camera's own folder is ever read. Nothing here needs a database: the process that reads a camera imports it.
"""

from __future__ import annotations

import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from custodes.errors import Invalid, NotFound, Unavailable

__all__ = ["DAY", "MOST_BYTES", "day_of", "open_segment", "part_path", "segment_path", "start_of"]

DAY = 86_400_000
"""Milliseconds of a day."""
MOST_BYTES = 1 << 30
"""Of a file of recorded video; no recorder writes a larger one."""

_CAMERA = re.compile(r"cam-[0-9a-f]{16}")
_DAY = re.compile(r"[0-9]{8}")
_FILE = re.compile(r"(?:([0-9]{9})\.mp4|\.([0-9]{9})\.mp4\.part)")
_NOT_NOTED = getattr(os, "O_NOATIME", 0)
_PASSED = getattr(os, "O_PATH", os.O_RDONLY)  # a folder that is only gone through, which Landlock may have closed
_LATEST = 253_402_300_800_000  # the year 10000, which a path has no room for


def segment_path(folder: Path, camera: str, start: int) -> Path:
    """Return where a camera's video that begins at ``start`` (milliseconds since 1970) lies.

    Raises:
        Invalid: if that is no id of a camera, or no time.
    """
    return Path(folder, *_parts(camera, start))


def part_path(folder: Path, camera: str, start: int) -> Path:
    """Return where it lies while it is being written.

    Raises:
        Invalid: as :func:`segment_path`.
    """
    path = segment_path(folder, camera, start)
    return path.with_name(f".{path.name}.part")


def start_of(day: str, name: str) -> tuple[int, bool] | None:
    """Return when the video of a file begins, and whether the file is complete; None if it is none of ours.

    Args:
        day: name of its folder; hostile.
        name: of the file; hostile.
    """
    told = _FILE.fullmatch(name)
    if told is None or not _DAY.fullmatch(day):
        return None
    clock = told[1] or told[2]
    try:
        at = datetime.strptime(f"{day}{clock[:6]}+0000", "%Y%m%d%H%M%S%z")
    except ValueError:
        return None
    start = int(at.timestamp()) * 1000 + int(clock[6:])
    return (start, told[1] is not None) if start >= 0 else None


def day_of(at: int) -> str:
    """Return the day of a time, by UTC: ``2026-11-26``."""
    return f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%d}"


def open_segment(folder: Path, camera: str, start: int) -> BinaryIO:
    """Open a camera's video for reading; the caller closes it.

    Raises:
        Invalid: as :func:`segment_path`.
        NotFound: if there is no such file.
        Unavailable: if it can't be read, or is no regular file of our own.
    """
    parts = _parts(camera, start)
    held: list[int] = []
    try:
        held.append(os.open(folder, _PASSED | os.O_DIRECTORY | os.O_CLOEXEC))
        for part in parts[:-1]:
            held.append(os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=held[-1]))
        return opened(parts[-1], held[-1])
    except FileNotFoundError as e:
        raise NotFound("This video isn't there any more.") from e
    except OSError as e:
        raise Unavailable(f"A file of recorded video can't be read: {e.strerror}.") from e
    finally:
        for descriptor in held:
            os.close(descriptor)


def opened(name: str, folder: int, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open a regular file of an open folder, and nothing that only looks like one.

    Raises:
        OSError: if it can't be opened, or is a link, a folder, a pipe or a device.
    """
    wanted = flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:  # that somebody has looked at it is kept nowhere, in the file's times neither
        descriptor = os.open(name, wanted | _NOT_NOTED, dir_fd=folder)
    except PermissionError:  # it is another's
        descriptor = os.open(name, wanted, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no regular file")
        return os.fdopen(descriptor, "rb" if flags == os.O_RDONLY else "r+b")
    except BaseException:
        os.close(descriptor)
        raise


def _parts(camera: str, start: int) -> tuple[str, str, str]:
    if not _CAMERA.fullmatch(camera):
        raise Invalid("That is no id of a camera.")
    if not 0 <= start < _LATEST:
        raise Invalid("That is no time of video.")
    at = datetime.fromtimestamp(start // 1000, UTC)
    return camera, f"{at:%Y%m%d}", f"{at:%H%M%S}{start % 1000:03d}.mp4"
