# SPDX-License-Identifier: Apache-2.0
"""Clips that are encoded anew hide faces and places, in a process that has no keys."""

from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import cv2
import numpy as np
import orjson
import pytest
import structlog
from tests.cameras.footage import Visit, pictures
from tests.cameras.kernel import landlock
from tests.operations.sharingroom import record, walk

from custodes.app import App
from custodes.cameras.model import Segment, Span, Spot, Zone
from custodes.domain import UInt8
from custodes.errors import Conflict, NotFound, Unavailable
from custodes.operations import redactor, redactorwork
from custodes.operations.redacting import Derivative, black_out, hide, redact
from custodes.operations.redactor import Redactor

START = 1_800_000_000_000
CAMERA = "cam-" + "0" * 16
SPAN = Span(START + 2000, START + 3000)
LEFT = Zone("left", ((0, 0), (0.25, 0), (0.25, 1), (0, 1)), Spot.MASK)


def times(frames: Iterator[UInt8], fps: int) -> Iterator[tuple[int, UInt8]]:
    """Date pictures."""
    return ((START + round(n * 1000 / fps), picture) for n, picture in enumerate(frames))


def decoded(clip: io.BytesIO | bytes) -> list[np.ndarray]:
    """Return the pictures of a clip."""
    with av.open(io.BytesIO(clip if isinstance(clip, bytes) else clip.getvalue())) as container:
        return [f.to_ndarray(format="bgr24") for f in container.decode(video=0)]


@dataclass
class Forgetful:
    """An engine that sees faces in every third picture alone."""

    engine: object
    seen: int = field(default=0)

    def glance(self, pixels: UInt8, *, side: int = 640, max_faces: int = 20):
        self.seen += 1
        return self.engine.glance(pixels, side=side, max_faces=max_faces) if self.seen % 3 == 0 else ()


# --- what is hidden ---------------------------------------------------------------------------------------------------


def test_no_face_is_found_in_what_was_blurred(installation: App) -> None:
    """People of many sizes walk through 720p; of all faces that the engine finds before, it finds none after."""
    visits = (
        Visit("obama_1.jpg", 0.0, 2.0, 0.35, top=0.1),
        Visit("biden.jpg", 0.0, 1.5, 0.25, leftwards=True, top=0.5),
        Visit("collins.png", 0.2, 2.4, 0.16, top=0.7),
        Visit("group.jpg", 0.3, 2.2, 0.3, leftwards=True, top=0.4),
    )
    engine = installation.engines.default
    before = list(pictures((1280, 720), 5, 1.8, visits, noise=4))
    out = io.BytesIO()
    made = redact(times(iter(before), 5), out, engine, (), Span(START, START + 2000))
    after = decoded(out)
    assert len(after) == made.pictures == len(before)
    shown = [len(engine.detect(np.ascontiguousarray(p[..., ::-1]))) for p in before[1::2]]
    left = [len(engine.detect(np.ascontiguousarray(p[..., ::-1]))) for p in after[1::2]]
    assert sum(shown) >= 8
    assert sum(left) == 0


def test_a_face_that_is_missed_in_some_pictures_stays_hidden(installation: App) -> None:
    """What was found five pictures before or after hides it."""
    engine = installation.engines.default
    visits = (Visit("obama_1.jpg", -2.0, 5.0, 0.9, top=0.05),)
    before = list(pictures((640, 360), 10, 2.0, visits))
    out = io.BytesIO()
    made = redact(times(iter(before), 10), out, Forgetful(engine), (), Span(START, START + 2000))
    assert made.hidden == made.pictures == 20
    assert not any(engine.detect(np.ascontiguousarray(p[..., ::-1])) for p in decoded(out)[::4])


def test_what_is_hidden_has_four_cells_from_side_to_side() -> None:
    """However fine a face is, two that differ in nothing but details become the same; around it nothing changes."""
    random = np.random.default_rng(1)
    coarse = np.kron(random.integers(0, 255, (12, 12, 3)), np.ones((40, 40, 1))).astype(np.uint8)
    fine = coarse.copy()
    fine[::2, ::2] = np.clip(fine[::2, ::2].astype(int) + 60, 0, 255)
    fine[1::2, 1::2] = np.clip(fine[1::2, 1::2].astype(int) - 60, 0, 255)
    box = np.array([[140, 140, 340, 340]], np.float32)
    one, other = hide(coarse, box), hide(fine, box)
    middle = (slice(170, 310), slice(170, 310))
    assert np.abs(coarse[middle].astype(int) - fine[middle]).mean() > 20
    assert np.abs(one[middle].astype(int) - other[middle]).mean() < 6
    values = np.unique(cv2.resize(one[middle], (4, 4), interpolation=cv2.INTER_AREA).reshape(-1, 3), axis=0)
    assert len(values) <= 16
    assert np.array_equal(one[:90], coarse[:90])


def test_a_small_face_beside_a_large_one_makes_no_finer_cells() -> None:
    """Where places that are hidden touch, the largest decides."""
    random = np.random.default_rng(2)
    picture = cv2.GaussianBlur(random.integers(0, 255, (400, 400, 3), dtype=np.uint8), (0, 0), 4)
    large = np.array([[100, 100, 300, 300]], np.float32)
    both = np.concatenate([large, np.array([[290, 190, 310, 210]], np.float32)])
    inside = (slice(150, 250), slice(150, 250))
    detail = [float(np.abs(np.diff(hide(picture, b)[inside].astype(int), axis=1)).mean()) for b in (large, both)]
    assert detail[1] < 1.5 * detail[0]


def test_masks_are_black_before_anybody_looks(installation: App) -> None:
    """In the clip, and in what the engine is given."""

    class Watchful:
        def glance(self, pixels: UInt8, *, side: int = 640, max_faces: int = 20):
            assert pixels[:, : pixels.shape[1] // 4].max() == 0
            return ()

    out = io.BytesIO()
    before = list(pictures((320, 180), 5, 1.0, ()))
    redact(times(iter(before), 5), out, Watchful(), (LEFT,), Span(START, START + 1000))
    for picture in decoded(out):
        assert picture[:, :75].max() < 12
        assert picture[:, 90:].mean() > 50
    assert before[0][:, :75].mean() > 50  # what was given stays as it is
    assert black_out(before[0], ()) is before[0]


def test_times_and_sizes_are_kept() -> None:
    """Gaps stay gaps; what is odd or wider than 1920 is made to fit, what changes its size too."""
    frames = [
        (START + at, np.full((h, w, 3), 90, np.uint8))
        for at, (w, h) in zip((0, 100, 2000), ((2001, 1001), (2001, 1001), (640, 360)), strict=True)
    ]
    told: list[tuple[int, int]] = []
    out = io.BytesIO()
    made = redact(iter(frames), out, None, (), Span(START, START + 3000), progress=lambda *p: told.append(p))
    assert (made.width, made.height) == (1920, 960)
    with av.open(io.BytesIO(out.getvalue())) as container:
        assert [round(float(p.pts * p.time_base) * 1000) for p in container.demux(video=0) if p.size] == [0, 100, 2000]
    assert told[-1] == (3000, 3000)
    with pytest.raises(NotFound):
        redact(iter(frames), io.BytesIO(), None, (), Span(START + 5000, START + 6000))


# --- the process ------------------------------------------------------------------------------------------------------


@pytest.fixture
def recorded(installation: App, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> tuple[Redactor, Segment]:
    """A redactor, and something that was recorded."""
    config = replace(installation.config, data=tmp_path)
    return Redactor(config), record(config.video, CAMERA, START, walk(tmp_path_factory.getbasetemp() / "footage"))


def test_a_process_of_its_own_makes_clips(recorded) -> None:
    """Blurred, with pictures on the way; or cut out as it was recorded; or the last picture alone."""
    made, stills, told = recorded[0], [], []
    clip = made.make(
        [recorded[1]], SPAN, (LEFT,), blurred=True, still=stills.append, progress=lambda *p: told.append(p)
    )
    assert isinstance(clip.derivative, Derivative)
    assert (clip.codec, clip.asked, clip.derivative.pictures) == ("h264", SPAN, 10)
    assert clip.derivative.hidden == 10
    assert told[-1] == (1000, 1000)
    assert cv2.imdecode(np.frombuffer(stills[0], np.uint8), cv2.IMREAD_COLOR).shape == (360, 640, 3)
    plain = made.make([recorded[1]], SPAN, (), blurred=False)
    assert (plain.derivative, plain.packets_sha256) == (None, clip.packets_sha256)
    assert len(decoded(plain.data)) == plain.packets
    still = made.still(recorded[1], (LEFT,))
    assert cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_COLOR)[:, :150].max() < 20


def test_what_the_process_does_is_what_it_says(recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: a clip with masks, as it was recorded, and a picture; from the first decoding on no file."""
    limits: list[tuple[int, object]] = []
    monkeypatch.setattr(redactorwork.resource, "setrlimit", lambda *words: limits.append(words))
    monkeypatch.setattr(redactorwork, "confine", lambda *_, **__: False)
    made, segment = recorded
    for kind, masks in (("plain", (LEFT,)), ("plain", ()), ("still", (LEFT,))):
        out = io.BytesIO()
        redactorwork._work(orjson.loads(made._job([segment], SPAN, masks, kind)), out)
        out.seek(0)
        if kind == "still":
            assert redactor._heard(out, _Patient())[1].startswith(b"\xff\xd8")
            continue
        clip = redactor._result(out, _Patient(), lambda *_: None, lambda _: None, lambda: False)
        assert (clip.derivative is not None) == bool(masks)
        assert len(decoded(clip.data)) == 10
    assert limits == [(redactorwork.resource.RLIMIT_FSIZE, (0, 0))] * 3


def test_what_goes_wrong_in_the_process_is_told(recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing recorded, a damaged file, nobody who wants it any more, a process that falls silent or lies."""
    made, segment = recorded
    with pytest.raises(NotFound):
        made.make([segment], Span(START + 20_000, START + 30_000), (), blurred=False)
    with pytest.raises(Conflict, match="Nobody wants"):
        made.make([segment], SPAN, (LEFT,), blurred=False, stopped=lambda: True)
    monkeypatch.setattr(redactor, "_PATIENCE", 0.05)
    with pytest.raises(Unavailable, match="took too long"):
        made.make([segment], SPAN, (), blurred=False)
    for lie in (b"", b"V\x00\x00\x00\x00", b"R\x00\x00\x00\x02{}V\x00\x00\x00\x00", b"E\x00\x00\x00\x02[]"):
        with pytest.raises(Unavailable):
            redactor._result(io.BytesIO(lie), _Patient(), print, print, lambda: False)


class _Patient:
    def alive(self) -> None:
        """Wait for ever."""


NOSY = """
import socket
from pathlib import Path
from custodes.errors import Conflict
from custodes.operations import redactorwork
def nosy(*_, **__):
    told = []
    for what in (lambda: Path({key!r}).read_bytes(), lambda: list(Path({key!r}).parent.iterdir()),
                 lambda: socket.create_connection(("127.0.0.1", {port})),
                 lambda: Path({key!r}).with_name("new").write_bytes(b"x"), lambda: bytearray(12 << 30)):
        try:
            told.append(len(what() or "") * 0)
        except (OSError, MemoryError) as e:
            told.append(type(e).__name__)
    raise Conflict(" ".join(str(t) for t in told))
redactorwork.cut = nosy
redactorwork.main()
"""


def test_who_decodes_has_nothing_but_the_video(recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No keys, no other files, no network, not all memory, for whoever takes the process over."""
    if landlock() < 4:
        pytest.skip("this kernel's Landlock closes less")
    (tmp_path / "keys").mkdir()
    key = tmp_path / "keys" / "master"
    key.write_bytes(b"secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = NOSY.format(key=str(key), port=server.getsockname()[1])
        monkeypatch.setattr(redactor, "_COMMAND", [sys.executable, "-B", "-c", script])
        with pytest.raises(Conflict, match="PermissionError PermissionError PermissionError PermissionError Memory"):
            recorded[0].make([recorded[1]], SPAN, (), blurred=False)


def test_a_kernel_that_closes_nothing_is_told_of_once(recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips are made all the same, with faces hidden, too."""
    script = "from custodes.operations import redactorwork as w; w.confine = lambda *_, **__: False; w.main()"
    monkeypatch.setattr(redactor, "_COMMAND", [sys.executable, "-B", "-c", script])
    redactor._warn.cache_clear()
    with structlog.testing.capture_logs() as told:
        for _ in range(2):
            assert recorded[0].still(recorded[1], ()).startswith(b"\xff\xd8")
    assert [e["log_level"] for e in told] == ["warning"]


def test_the_process_gets_no_secrets(recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the variables of the server it has those that a program needs to run, and no others."""
    seen: dict[str, object] = {}

    class Process:
        def __init__(self, words: list[str], **more: object) -> None:
            seen.update(more, words=words)
            raise OSError(1, "not begun")

    monkeypatch.setenv("CUSTODES_MASTER_KEY_FILE", "/secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(redactor.subprocess, "Popen", Process)
    with pytest.raises(Unavailable):
        recorded[0].still(recorded[1], ())
    assert seen["words"][0] == sys.executable
    assert not [k for k in seen["env"] if k.startswith(("CUSTODES_", "AWS_"))]
    assert seen["env"]["PATH"] == os.environ["PATH"]
    assert seen["close_fds"] is True
