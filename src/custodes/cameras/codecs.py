# SPDX-License-Identifier: Apache-2.0
"""What browsers call an encoding: the MIME type of Media Source Extensions (RFC 6381).

It is read from a stream's parameter sets, as an MP4 file has them (ISO/IEC 14496-15: ``avcC``, ``hvcC``) or as a camera
sends them (Annex B of H.264 and H.265). Whatever can't be read is no encoding that browsers know.
"""

from __future__ import annotations

import re

__all__ = ["DECODED", "MIME", "mime_of"]

DECODED = frozenset(("h264", "hevc", "mjpeg", "mpeg4", "vp8", "vp9", "av1"))
"""What cameras use, as libavcodec calls it; whatever else that could decode isn't decoded."""
MIME = re.compile(r'(?:video/mp4; codecs="[A-Za-z0-9.]{1,64}")?')
"""What :func:`mime_of` may return."""

_START = re.compile(rb"\x00\x00\x01")
_EMULATION = re.compile(rb"\x00\x00\x03")
_AVC_SPS = 7
_HEVC_SPS = 33
_GENERAL = 12  # bytes of profile, compatibility, constraints and level in H.265


def mime_of(codec_name: str, extradata: bytes) -> str:
    """Return what Media Source Extensions call an encoding, or an empty string if browsers don't know it.

    Args:
        codec_name: as libavcodec calls it: ``h264``, ``hevc``.
        extradata: the stream's parameter sets; hostile.

    Returns:
        ``video/mp4; codecs="avc1.64001f"``, for example.
    """
    words = {"h264": _avc, "hevc": _hevc}.get(codec_name, _unknown)(extradata)
    return f'video/mp4; codecs="{words}"' if words else ""


def _unknown(_: bytes) -> str:
    return ""


def _avc(extradata: bytes) -> str:
    """Return ``avc1.PPCCLL``: profile, constraints and level."""
    if extradata[:1] == b"\x01":
        told = extradata[1:4]
    else:
        told = next((u[1:4] for u in _units(extradata) if u[0] & 0x1F == _AVC_SPS), b"")
    return f"avc1.{told.hex()}" if len(told) == 3 else ""


def _hevc(extradata: bytes) -> str:
    """Return ``hvc1.PROFILE.COMPATIBILITY.LEVEL.CONSTRAINTS`` (ISO/IEC 14496-15, annex E.3)."""
    if extradata[:1] == b"\x01":
        told = extradata[1 : 1 + _GENERAL]
    else:
        units = (u for u in _units(extradata) if u[0] >> 1 & 0x3F == _HEVC_SPS)
        told = next((u[3 : 3 + _GENERAL] for u in units), b"")
    if len(told) != _GENERAL:
        return ""
    space, tier, profile = told[0] >> 6, told[0] >> 5 & 1, told[0] & 0x1F
    compatible = int(f"{int.from_bytes(told[1:5]):032b}"[::-1], 2)
    constraints = [f".{b:X}" for b in told[5:11].rstrip(b"\x00")]
    return f"hvc1.{('', 'A', 'B', 'C')[space]}{profile}.{compatible:X}.{'LH'[tier]}{told[11]}{''.join(constraints)}"


def _units(extradata: bytes) -> list[bytes]:
    """Return the units of a byte stream without the bytes that keep start codes out of them."""
    units = (u.rstrip(b"\x00") for u in _START.split(extradata)[1:])
    return [_EMULATION.sub(b"\x00\x00", u) for u in units if u]
