# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from tests.cameras.footage import Visit, footage
from tests.cameras.taken import BEGUN, Tape

from custodes.cameras import gate as module
from custodes.cameras.gate import Frames, Gate
from custodes.cameras.motion import Masks, MotionDetector
from custodes.cameras.stream import Picture
from custodes.cameras.wire import Frame, Motion, Still, Trouble

_VISIT = Visit("obama_1.jpg", 2.3, 3.8)


@pytest.fixture(scope="module")
def passing(videos: Path) -> Path:
    """Ten seconds at ten pictures a second, a key picture each second; somebody passes from 2.3 to 3.8."""
    return footage(videos, size=(320, 180), seconds=10.0, visits=(_VISIT,))


class Looker:
    """A gate, and all that comes out of it; it gives credit for each frame."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, credit: int = 1000, most: int = 1 << 30) -> None:
        self.said: list[Motion | Still | Trouble] = []
        self.frames: list[Frame] = []
        self.pixels: list[np.ndarray] = []
        self.decoded: list[int] = []
        self.at = 0
        self.masks: list[list[list[float]]] = []
        self._sender = Frames(Masks([[[0.0, 0.0], [0.1, 0.0], [0.1, 1.0], [0.0, 1.0]]]), 5.0, self._take)
        self._sender.credit(credit)
        self.gate = Gate(MotionDetector([], []), self._sender, most, self.said.append, lambda: self.at)
        made = module.decoder_for

        def counting(shape: object, pixels: int, *, rough: bool = False) -> object:
            decoder = made(shape, pixels, rough=rough)
            return decoder and Counting(decoder, self.decoded)

        monkeypatch.setattr(module, "decoder_for", counting)

    def _take(self, frame: Frame, pixels: memoryview) -> None:
        self.frames.append(frame)
        self.pixels.append(np.frombuffer(pixels, np.uint8).reshape(frame.height, frame.width, 3))

    def show(self, pictures: Iterable[Picture], late: int = 0) -> None:
        for picture in pictures:
            self.at = picture.at + late
            self.gate.take(picture)

    @property
    def troubles(self) -> list[str]:
        return [m.code for m in self.said if isinstance(m, Trouble)]

    @property
    def motions(self) -> list[Motion | Still]:
        return [m for m in self.said if not isinstance(m, Trouble)]


class Counting:
    """A decoder that counts what it is given."""

    def __init__(self, decoder: av.VideoCodecContext, counted: list[int]) -> None:
        self._decoder, self._counted = decoder, counted
        self.flush_buffers = decoder.flush_buffers

    def decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        if packet is not None:
            self._counted.append(packet.size)
        return self._decoder.decode(packet)


def test_only_key_pictures_are_decoded_while_nothing_moves(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A still picture costs a decoded picture a second, and nothing is sent."""
    looker = Looker(monkeypatch)
    with Tape(passing) as tape:
        looker.show(tape.pictures[:20])
    assert len(looker.decoded) == 2
    assert looker.said == []
    assert looker.frames == []


def test_what_came_before_the_key_picture_is_replayed(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a key picture shows somebody, the pictures before it are looked at: motion begins where it began."""
    looker = Looker(monkeypatch)
    with Tape(passing) as tape:
        looker.show(tape.pictures[:31])
    [motion] = looker.motions
    assert isinstance(motion, Motion)
    assert 2300 <= motion.at - BEGUN <= 2600
    assert all(0 <= a < b <= 1 for a, b in ((motion.box[0], motion.box[2]), (motion.box[1], motion.box[3])))
    assert len(looker.decoded) == 4 + 11  # key pictures, and the group with what followed
    assert [f.at - motion.at for f in looker.frames] == [0, 200, 400, 600]


def test_all_is_decoded_until_it_is_still_again(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While something moves, five frames a second are sent; two and a half seconds later, key pictures do again."""
    looker = Looker(monkeypatch)
    with Tape(passing) as tape:
        looker.show(tape.pictures)
    motion, still = looker.motions
    assert isinstance(still, Still)
    assert still.start == motion.at
    assert 3600 <= still.end - BEGUN <= 4800
    until = still.end - BEGUN + 2500
    assert len(looker.decoded) <= 4 + (until - 2000) // 100 + 2 + (10_000 - until) // 1000 + 1
    assert all(b.at - a.at == 200 for a, b in zip(looker.frames, looker.frames[1:], strict=False))
    assert len(looker.frames) >= (still.end - still.start) // 200
    assert {(f.width, f.height, f.dropped) for f in looker.frames} == {(320, 180, 0)}


def test_masks_are_black_in_what_is_sent(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame is a picture in colours, with masks black."""
    looker = Looker(monkeypatch)
    with Tape(passing) as tape:
        looker.show(tape.pictures[:40])
    assert looker.pixels
    assert not any(p[:, :33].any() for p in looker.pixels)
    assert all(p[:, 40:].mean() > 40 for p in looker.pixels)


def test_without_credit_nothing_is_sent(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames for which there is no credit are dropped and counted; what moves is told all the same."""
    monkeypatch.setattr(module, "_WAIT", 0.0)
    looker = Looker(monkeypatch, credit=1)
    with Tape(passing) as tape:
        looker.show(tape.pictures[:40])
        assert len(looker.frames) == 1
        looker._sender.credit(1)
        looker.show(tape.pictures[40:50])
    assert len(looker.frames) == 2
    assert looker.frames[1].dropped >= 3
    assert len(looker.motions) == 1


def test_long_groups_of_pictures_are_looked_into(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who comes and goes between two key pictures that lie far apart is seen."""
    path = footage(videos, size=(320, 180), seconds=10.0, visits=(Visit("obama_1.jpg", 5.0, 7.0),), key_seconds=10.0)
    looker = Looker(monkeypatch)
    with Tape(path) as tape:
        assert [p.key for p in tape.pictures].count(True) == 1
        looker.show(tape.pictures)
    motion, still = looker.motions
    assert isinstance(motion, Motion)
    assert 5000 <= motion.at - BEGUN <= 5400
    assert isinstance(still, Still)


def test_who_is_late_goes_on_with_key_pictures(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that can't keep up decodes key pictures, and all again once it has caught up."""
    looker = Looker(monkeypatch)
    with Tape(passing) as tape:
        looker.show(tape.pictures[:31])
        before = len(looker.decoded)
        looker.show(tape.pictures[31:45], late=6000)
        assert len(looker.decoded) == before + 1
        looker.show(tape.pictures[45:51])
        assert len(looker.decoded) == before + 2  # nothing until the next key picture
        looker.show(tape.pictures[51:55])
        assert len(looker.decoded) == before + 6


def test_large_pictures_are_never_decoded(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures with more pixels than allowed are told of, once, and not decoded."""
    looker = Looker(monkeypatch, most=320 * 180 - 1)
    with Tape(passing) as tape:
        looker.show(tape.pictures)
    assert looker.troubles == ["too-large"]
    assert looker.decoded == []


def test_a_picture_that_lies_about_its_size_is_not_decoded(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder itself keeps to the limit, whatever was read from the headers before."""
    looker = Looker(monkeypatch, most=320 * 180 - 1)
    with Tape(passing) as tape:
        small = replace(tape.pictures[0].shape, width=32, height=32)
        looker.show(replace(p, shape=small) for p in tape.pictures[:40])
    assert looker.troubles == ["undecodable"]
    assert looker.frames == []


def test_what_cannot_be_decoded_is_told_and_got_over(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that are noise are a trouble, told once; when they can be decoded again, that is told, too."""
    looker = Looker(monkeypatch)
    with Tape(passing) as tape:
        noise = av.Packet(b"\x00\x00\x00\x20" + bytes(range(32)))
        looker.show(replace(p, packet=noise) for p in tape.pictures[:60])
        assert looker.troubles == ["undecodable"]
        looker.show(tape.pictures[60:80])
    assert looker.troubles == ["undecodable", "decodable"]


def test_an_encoding_that_is_not_decoded_here_is_told(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what cameras use is decoded; anything else is left alone."""
    looker = Looker(monkeypatch)
    with Tape(passing) as tape:
        other = replace(tape.pictures[0].shape, codec="theora")
        looker.show(replace(p, shape=other) for p in tape.pictures)
    assert looker.troubles == ["undecodable"]
    assert looker.decoded == []


def test_a_substream_decides_when_there_is_one(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a substream the main stream isn't decoded until something moves there; its last group is replayed then."""
    looker = Looker(monkeypatch)
    box = (0.1, 0.2, 0.3, 0.9)
    with Tape(passing) as tape:
        looker.gate.notice(BEGUN, None)
        looker.show(tape.pictures[:26])
        assert looker.decoded == []
        looker.gate.notice(BEGUN + 2550, box)
        assert looker.motions == [Motion(BEGUN + 2550, list(box))]
        assert len(looker.decoded) == 6
        looker.show(tape.pictures[26:40])
        assert [f.at - BEGUN for f in looker.frames] == list(range(2100, 4000, 200))
        assert {tuple(f.box) for f in looker.frames} == {box}
        looker.gate.notice(BEGUN + 6000, None)
        assert looker.motions[1:] == [Still(BEGUN + 2550, BEGUN + 2551)]
        count = len(looker.decoded)
        looker.show(tape.pictures[40:70])
        assert len(looker.decoded) == count
        looker.gate.alone()
        looker.show(tape.pictures[70:])
    assert len(looker.decoded) == count + 3


def test_an_interruption_ends_a_motion(passing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the camera is gone, or its clock is set, what moved is over; a resolution that changes is no motion."""
    looker = Looker(monkeypatch)
    with Tape(passing) as tape:
        looker.show(tape.pictures[:35])
        looker.gate.interrupt()
        assert [type(m) for m in looker.motions] == [Motion, Still]
        looker.show(tape.pictures[35:])
    assert [type(m) for m in looker.motions[:2]] == [Motion, Still]
    assert looker.troubles == []
