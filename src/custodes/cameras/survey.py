# SPDX-License-Identifier: Apache-2.0
"""What video of a camera lies on the disk, against what is known of it.

A bad file is counted and never raises; what no recorder writes, since it is too large or has holes, isn't even read.
Links aren't followed, and names that are none of ours mean nothing. What a recorder was writing when it was killed is
cut to its last whole fragment and called by its name; if there is no whole fragment, it is deleted.

This process opens no file as video: :mod:`.measuring` does.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from custodes.cameras.measuring import Measurer
from custodes.cameras.model import Segment
from custodes.cameras.mp4 import digest, size_of, whole
from custodes.cameras.paths import day_of, opened, segment_path, start_of
from custodes.errors import IntegrityError, Unavailable

__all__ = ["Survey", "survey"]

_YOUNG = 60.0  # seconds: what was written to since may still be written to
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found.

    Attributes:
        segments: files that aren't known, or not with this size.
        gone: starts of those that are known and aren't there, or are no video any more.
        unreadable: how many files of ours are no video, or can't be read.
    """

    segments: tuple[Segment, ...]
    gone: tuple[int, ...]
    unreadable: int


@dataclass(slots=True)
class _Look:
    """A survey at work: what is known, what measures, when it must end, and what has been found so far."""

    camera: str
    known: Mapping[int, int]
    writing: bool
    measurer: Measurer
    until: float
    found: list[Segment] = field(default_factory=list)
    there: set[int] = field(default_factory=set)
    blind: set[str] = field(default_factory=set)
    unreadable: int = 0


def survey(
    folder: Path, camera: str, known: Mapping[int, int], *, writing: bool, most_seconds: float = math.inf
) -> Survey:
    """Look through a camera's files; only those that aren't known are opened.

    Args:
        folder: where video lies, of all cameras.
        camera: whose.
        known: sizes in bytes, by start.
        writing: whether the camera may be recording: what was written to in the last minute is left alone then.
        most_seconds: after so many no more files are opened; the next survey finds them.

    Raises:
        Invalid: if that is no id of a camera.
        Unavailable: if its folder is there and can't be read: nothing is known then.
    """
    root = segment_path(folder, camera, 0).parent.parent
    with Measurer() as measurer:
        look = _Look(camera, known, writing, measurer, time.monotonic() + most_seconds)
        _look_through(look, root)
    gone = (s for s in known if s not in look.there and day_of(s).replace("-", "") not in look.blind)
    return Survey(tuple(sorted(look.found, key=lambda s: s.start)), tuple(sorted(gone)), look.unreadable)


def _look_through(look: _Look, root: Path) -> None:
    """Look through a camera's folder.

    Raises:
        Unavailable: if it is there and can't be read.
    """
    try:
        with _folder(str(root)) as here:
            for day in sorted(e.name for e in os.scandir(here) if e.is_dir(follow_symlinks=False)):
                _look_at(look, here, day)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise Unavailable(f"The folder of recorded video can't be read: {e.strerror}.") from e


def _look_at(look: _Look, here: int, day: str) -> None:
    """Look through the folder of a day."""
    if start_of(day, "000000000.mp4") is None:
        return
    try:
        with _folder(day, here) as inside:
            entries = sorted((e for e in os.scandir(inside) if e.is_file(follow_symlinks=False)), key=lambda e: e.name)
            for entry in entries:
                told = start_of(day, entry.name)
                if told is not None:
                    _take(look, inside, entry, *told)
    except OSError:
        look.blind.add(day)
        look.unreadable += 1


def _take(look: _Look, inside: int, entry: os.DirEntry[str], start: int, complete: bool) -> None:
    """Look at a file; one that is known and has the size that is known isn't opened."""
    try:
        stat = entry.stat(follow_symlinks=False)
        if complete and look.known.get(start) == stat.st_size:
            look.there.add(start)
            return
        if time.monotonic() > look.until:
            look.there.update({start} & look.known.keys())
            return
        if complete:
            with opened(entry.name, inside) as file:
                segment = _segment(look, file, start)
        elif look.writing and time.time() - stat.st_mtime < _YOUNG:
            return
        else:
            found = _rescued(look, inside, entry.name, start)
            if found is None:
                return
            segment = found
    except FileNotFoundError:  # deleted, or completed, meanwhile
        return
    except (OSError, IntegrityError, Unavailable):
        look.unreadable += 1
        return
    look.found.append(segment)
    look.there.add(start)


def _rescued(look: _Look, inside: int, name: str, start: int) -> Segment | None:
    """Take up what a recorder left; None if there is nothing in it, and so it is deleted.

    Raises:
        OSError: if that can't be done, or there is a complete file of this name.
        Unavailable: if it can't be measured; it is left then.
    """
    target = name.removeprefix(".").removesuffix(".part")
    with opened(name, inside, os.O_RDWR) as file:
        end = whole(file)
        try:
            if not end:
                raise IntegrityError("There is no whole fragment.")
            file.truncate(end)
            with opened(name, inside) as again:  # who measures it may not write
                segment = _segment(look, again, start)
        except IntegrityError:
            os.unlink(name, dir_fd=inside)
            return None
        os.fsync(file.fileno())
    if _is_there(target, inside):
        raise FileExistsError(0, "there is a complete file")
    os.rename(name, target, src_dir_fd=inside, dst_dir_fd=inside)
    return segment


def _is_there(name: str, inside: int) -> bool:
    try:
        os.stat(name, dir_fd=inside, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _segment(look: _Look, file: BinaryIO, start: int) -> Segment:
    size = size_of(file)
    told = look.measurer.measure(file)
    return Segment(look.camera, start, start + told.length, size, digest(file), told.width, told.height, told.mime)


@contextmanager
def _folder(name: str, within: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, _FOLDER, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
