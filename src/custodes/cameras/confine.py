# SPDX-License-Identifier: Apache-2.0
"""Takes from a process what it doesn't need to read hostile video: files, network, memory, new privileges, a core dump.

Landlock (Linux 5.13 and later) leaves it the folder that it records into, files that it is to read, and what the C
library reads to find a host; so whoever takes the process over by a flaw in a decoder finds no database, no keys and no
other camera's video, although all belong to the same user. From Linux 6.7 on it can't begin TCP connections that
reading its camera doesn't need, and from 6.12 on it reaches neither signals nor abstract sockets of other processes.
Where the kernel hasn't got that, the rest of this still holds, and :func:`confine` says so.

Not closed: UDP, which names are looked up by; and it may begin processes, which are confined as it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from custodes.cameras.paths import MOST_BYTES

__all__ = ["ENVIRONMENT", "confine"]

ENVIRONMENT = {"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""Variables of such a process; libraries begin no thread of their own before it is confined."""

_SPARE = 3 << 29  # bytes beyond what the process has when it begins: packets, and what it waits to send
_BYTES_A_PIXEL = 48  # pictures that a decoder keeps (up to 17), and one in colours
_MOST_FILES = 256
_NO_NEW_PRIVILEGES, _DUMPABLE = 38, 4
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on all architectures
_VERSION = 1  # flag: ask which version there is
_BENEATH = 1  # kind of a rule: a path
_READ_FILE, _READ_FOLDER, _WRITE_FILE, _TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
_REMOVE_FILE, _MAKE_FOLDER, _MAKE_FILE = 1 << 5, 1 << 7, 1 << 8
_READ = _READ_FILE | _READ_FOLDER
_RECORD = _READ | _WRITE_FILE | _TRUNCATE | _REMOVE_FILE | _MAKE_FOLDER | _MAKE_FILE
_OF_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE
_KNOWN = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL = (1 << 16) - 1
_LISTEN, _CONNECT = 1 << 0, 1 << 1  # TCP, from version 4 on
_SCOPES = (1 << 0) | (1 << 1)  # abstract sockets and signals, from version 6 on
_LOOKED_UP = (
    "/etc/hosts",
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/localtime",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/dev/urandom",
    "/dev/null",
    "/proc/self",
)


def confine(
    folder: str,
    readable: Sequence[str],
    most_pixels: int,
    *,
    urls: Sequence[str] = (),
    writes: int = MOST_BYTES,
    spare: int = _SPARE,
) -> bool:
    """Confine this process, before it begins threads; return whether its files are, too.

    Args:
        folder: where it records; empty for nowhere.
        readable: files and folders that it may read.
        most_pixels: pictures up to this size must fit into its memory.
        urls: of cameras: what reading them takes of the network is left.
        writes: bytes of the largest file that it may write.
        spare: bytes of memory that it may use, pictures apart.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError, IndexError):
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = size + spare + _BYTES_A_PIXEL * most_pixels
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (_MOST_FILES, _MOST_FILES))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_FSIZE, (writes, writes))
    if sys.platform != "linux":
        return False
    c = ctypes.CDLL(None, use_errno=True)
    c.prctl(_DUMPABLE, 0, 0, 0, 0)
    if c.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    return _closed(c, folder, readable, _forbidden(urls))


def _forbidden(urls: Sequence[str]) -> int:
    """Return what of TCP reading cameras doesn't take: who sends us RTMP connects to us, we connect to all others."""
    schemes = {url.partition(":")[0].lower() for url in urls}
    connects, listens = bool(schemes & {"rtsp", "rtsps"}), "rtmp" in schemes
    return (0 if connects else _CONNECT) | (0 if listens else _LISTEN)


def _closed(c: ctypes.CDLL, folder: str, readable: Sequence[str], forbidden: int) -> bool:
    """Close all files but these, and the network; tell whether that was done as far as this kernel can."""
    c.syscall.restype = ctypes.c_long
    version = c.syscall(_CREATE, None, 0, _VERSION)
    if version < 1:
        return False
    handled = _KNOWN.get(version, _ALL)
    size = 8 if version < 4 else 16 if version < 6 else 24  # as the structure has grown
    attributes = struct.pack("=QQQ", handled, forbidden, _SCOPES)[:size]
    rules = c.syscall(_CREATE, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for path in (*_LOOKED_UP, sys.prefix, sys.base_prefix, *readable):
            _allow(c, rules, path, _READ & handled)
        if folder:
            _allow(c, rules, folder, _RECORD & handled)
        return bool(c.syscall(_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(c: ctypes.CDLL, rules: int, path: str, access: int) -> None:
    """Allow access to what is there of a path."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        access &= ~0 if Path(path).is_dir() else _OF_FILES
        c.syscall(_ADD, rules, _BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)
