# SPDX-License-Identifier: Apache-2.0
"""What browsers call an encoding."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custodes.cameras.codecs import mime_of

HEVC = bytes.fromhex("01 60000000 b00000000000 5d")
"""Profile Main, compatible with Main and Main 10, progressive, level 3.1: ISO/IEC 14496-15's own example."""


@pytest.mark.parametrize(
    ("codec", "extradata", "words"),
    [
        ("h264", "01 64001f ffe1", "avc1.64001f"),
        ("h264", "00000001 67 42c01e 95a8 00000001 68 ce3c80", "avc1.42c01e"),
        ("h264", "000001 0910 000001 68 ce 000001 27 4d0028 88", "avc1.4d0028"),
        ("h264", "00000001 67 64000003 00 28", "avc1.640000"),
        ("hevc", "01" + HEVC.hex() + "f000", "hvc1.1.6.L93.B0"),
        ("hevc", "00000001 4001 0c01 00000001 4201 01" + "0160000003 00b0000003 0000030 05d a0", "hvc1.1.6.L93.B0"),
        ("hevc", "01 a1 80000000 000000000000 7b", "hvc1.B1.1.H123"),
    ],
)
def test_an_encoding_is_read_from_its_parameters(codec: str, extradata: str, words: str) -> None:
    """As MP4 files have them and as cameras send them, with the bytes between that keep start codes out."""
    assert mime_of(codec, bytes.fromhex(extradata.replace(" ", ""))) == f'video/mp4; codecs="{words}"'


@pytest.mark.parametrize("codec", ["mjpeg", "vp9", "", "h263"])
def test_what_browsers_do_not_play_has_no_name(codec: str) -> None:
    """Whatever its parameters look like."""
    assert mime_of(codec, b"\x01\x64\x00\x1f") == ""


@given(st.sampled_from(["h264", "hevc"]), st.binary(max_size=60))
def test_hostile_parameters_give_a_name_or_none(codec: str, extradata: bytes) -> None:
    """They never raise, and nothing but letters, digits and dots comes of them."""
    told = mime_of(codec, extradata)
    assert told == "" or told.removeprefix('video/mp4; codecs="').removesuffix('"').replace(".", "").isalnum()


@pytest.mark.parametrize(("encoder", "codec"), [("libx264", "h264"), ("libx265", "hevc")])
def test_a_stream_has_the_same_name_before_and_after_it_is_recorded(encoder: str, codec: str) -> None:
    """Its parameters are told in two forms, and mean the same."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream(encoder, rate=5)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.options = {"x265-params": "log-level=none"} if codec == "hevc" else {}
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((96, 160, 3), np.uint8), "bgr24")))
        file.mux(stream.encode(None))
        sent = mime_of(codec, stream.codec_context.extradata)
    with av.open(io.BytesIO(out.getvalue())) as file:
        kept = mime_of(codec, file.streams.video[0].codec_context.extradata)
    assert sent == kept != ""
