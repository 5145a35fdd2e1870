# SPDX-License-Identifier: Apache-2.0
"""Where video comes from: URLs of cameras, checked, and what libav is told when it opens them.

Three kinds, and nothing else: RTSP (over TCP, with or without TLS), RTMP that a camera pushes to us, and video files
below one folder. libav gets the name of the one format, and of the protocols beneath it, that a kind needs: no
playlist, no ``concat``, no HTTP, no other file can be reached through what a camera sends, and where RTSP answers with
a redirection, it isn't followed (``rtsp`` itself isn't on the list of protocols beneath it). Its prober may not decode
anything (``codec_whitelist``): what it must know of a stream stands in headers, and pictures are decoded only by the
code that looks at them, within its limits.

Certificates of ``rtsps`` aren't checked, as cameras make their own: who only listens hears nothing, but who answers is
not proved.

A camera may be anywhere but at a link-local address or this server's own port, and one that pushes pushes to an address
of this machine. That is looked at whenever a URL is read, so each time before a connection is made. libav looks the
name up once more, and a name that changes its address in that moment gets an RTSP greeting there, of which nobody is
told more than that no video came. The server's port is known where a camera is set up, and not in its process.

A URL may hold a user, a password or a stream key. It is a secret: :func:`redacted` is what may be shown of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from custodes.cameras.addresses import is_barred, is_of_this_machine, looked_up
from custodes.errors import Invalid

__all__ = ["Source", "SourceKind", "parse_source", "redacted"]

_LONGEST = 2048
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\\<>\"]|%[01][0-9A-Fa-f]|%7[Ff]")
_WRITE = "Write special characters of a password as % and two hexadecimal digits: %40 for @."
_KEY = re.compile(r"/([A-Za-z0-9_-]{1,64})/([A-Za-z0-9_-]{8,128})")
_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska", ".ts": "mpegts"}
_DEMUXERS = {"mp4": "mov,mp4,m4a,3gp,3g2,mj2", "mov": "mov,mp4,m4a,3gp,3g2,mj2", "matroska": "matroska,webm"}
_SMALL = {"probesize": "32", "analyzeduration": "500000", "fpsprobesize": "0"}
"""A connection is open as soon as the first picture is there: nothing is guessed from many."""


class SourceKind(StrEnum):
    """How video comes in."""

    RTSP = "rtsp"
    RTMP = "rtmp"  # the camera connects to us
    FILE = "file"  # over and over, as fast as it was taken


@dataclass(frozen=True, slots=True)
class Source:
    """What libav is given to open.

    Attributes:
        kind: how video comes in.
        url: for libav; of a file its absolute path.
        options: libav's, for the format and all that lies below.
        format: libav's name of the format, which it doesn't guess.
    """

    kind: SourceKind
    url: str = field(repr=False)
    options: dict[str, str]
    format: str


def parse_source(url: str, file_root: str, own_port: int = 0) -> Source:
    """Check the URL of a camera, and say how to open it.

    Args:
        url: ``rtsp://user:password@host:port/path`` (or ``rtsps``; special characters of user and password are
            percent-encoded), ``rtmp://address:port/app/key`` for a camera that pushes to this address, or
            ``file:///absolute/path`` or ``file:path/below/the/folder``.
        file_root: folder below which files may be read; empty for none.
        own_port: at which this server answers; 0 if that isn't known.

    Raises:
        Invalid: if it is of another kind, names no host, holds spaces or control characters, a place where no camera
            may be, or a file that isn't a regular one below the folder.
    """
    if len(url) > _LONGEST or _UNPRINTABLE.search(url):
        raise Invalid(
            f"A camera's URL has at most {_LONGEST} characters, without spaces, quotes and control characters.",
            remedy=_WRITE,
        )
    try:
        parts = urlsplit(url)
        _ = parts.port  # checks it
    except ValueError as e:
        raise Invalid(
            "A camera's URL can't be read.", remedy=f"It is like rtsp://192.0.2.7:554/stream1. {_WRITE}"
        ) from e
    if parts.scheme in ("rtsp", "rtsps"):
        return _rtsp(url, parts, own_port)
    if parts.scheme == "rtmp":
        return _rtmp(url, parts)
    if parts.scheme == "file":
        return _file(parts, file_root)
    raise Invalid(
        "A camera's URL begins with rtsp://, rtsps://, rtmp:// (the camera pushes to this machine) or file:.",
        remedy="Look in the camera's settings for its RTSP address.",
    )


def redacted(url: str) -> str:
    """Return what may be shown of a camera's URL: no user, no password, no stream key, no query."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "(a URL that can't be read)"
    if parts.scheme == "file":
        return f"file:{parts.path}"
    place = f"[{host}]" if ":" in host else host
    place = f"{place}:{port}" if port else place
    path = parts.path
    if parts.scheme == "rtmp" or re.search(r"[=&;@]|%", path):  # some cameras want the password in the path
        path = f"{path[: path.find('/', 1)]}/…" if path.find("/", 1) > 0 and parts.scheme == "rtmp" else "/…"
    return f"{parts.scheme}://{place}{path}"


def _host(parts: SplitResult) -> str:
    if not parts.hostname:
        raise Invalid("A camera's URL names a host.", remedy="It is like rtsp://192.0.2.7:554/stream1.")
    return parts.hostname


def _addresses(host: str, port: int) -> tuple[str, ...]:
    """Return a host's addresses; none if it isn't known here now."""
    try:
        return looked_up(host, port)
    except (OSError, UnicodeError):
        return ()


def _rtsp(url: str, parts: SplitResult, own_port: int) -> Source:
    port = parts.port or (322 if parts.scheme == "rtsps" else 554)
    if any(is_barred(address, port, own_port) for address in _addresses(_host(parts), port)):
        raise Invalid(
            "No camera is at a link-local address (169.254..., fe80...) or at this server itself.",
            remedy="Give the camera an address of your network.",
        )
    options = {
        "rtsp_transport": "tcp",
        "allowed_media_types": "video",
        "protocol_whitelist": "tcp" if parts.scheme == "rtsp" else "tcp,tls",
        "format_whitelist": "rtsp",
        "codec_whitelist": "none",
        **_SMALL,
    }
    return Source(SourceKind.RTSP, url.partition("#")[0], options, "rtsp")


def _rtmp(url: str, parts: SplitResult) -> Source:
    host = _host(parts)
    if parts.username is not None or parts.query or parts.fragment or not _KEY.fullmatch(parts.path):
        raise Invalid(
            "An address for a camera to push to is like rtmp://192.0.2.1:1935/live/KEY: an address of this machine, a "
            "word, and a key of 8 to 128 letters, digits, hyphens and underscores, known to the camera alone.",
            remedy="Make up a long random key: whoever knows it can send video in the camera's name.",
        )
    if not all(is_of_this_machine(address) for address in _addresses(host, parts.port or 1935) or (host,)):
        raise Invalid(
            "A camera pushes to an address of this machine, and that is none.",
            remedy="Use one of this machine's addresses in the network of the camera.",
        )
    options = {
        "rtmp_listen": "1",
        "protocol_whitelist": "rtmp,tcp",
        "format_whitelist": "flv",
        "codec_whitelist": "none",
        **_SMALL,
    }
    return Source(SourceKind.RTMP, url, options, "flv")


def _file(parts: SplitResult, file_root: str) -> Source:
    if not file_root:
        raise Invalid(
            "Files may not stand in for cameras here.", remedy="Set [cameras] files to the folder where they lie."
        )
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise Invalid("A file's URL is like file:///srv/footage/door.mp4.")
    root = Path(file_root).resolve()
    named = unquote(parts.path)
    if not named or "\x00" in named:
        raise Invalid("A file's URL names a file.")
    path = (root / named).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise Invalid("There is no such file below the folder of files that may stand in for cameras.")
    name = _FORMATS.get(path.suffix.lower())
    if name is None:
        raise Invalid(f"A video file's name ends with one of {', '.join(sorted(_FORMATS))}.")
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": _DEMUXERS.get(name, name),
        "codec_whitelist": "none",
        "enable_drefs": "0",
        "use_absolute_path": "0",
    }
    return Source(SourceKind.FILE, str(path), options, name)
