# SPDX-License-Identifier: Apache-2.0
"""What would be shared, made to be looked at: in memory, for a quarter of an hour, and then it has never been.

What its owner then shares are these very bytes. One is made at a time.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from custodes.cameras.model import Camera, Segment, Span
from custodes.errors import Conflict, CustodesError, NotFound, Throttled, Unavailable
from custodes.operations.redactor import Clip, Redactor

__all__ = ["KEPT", "Preview", "Previews", "Subject"]

KEPT = 900.0
"""Seconds for which a preview is kept."""
_MOST = 12
_MOST_OWN = 4
_MOST_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Subject:
    """What a preview is of; ``code`` and ``digest`` are the request's."""

    organisation: str
    code: str
    digest: str
    camera: Camera
    span: Span
    blurred: bool


@dataclass(eq=False, slots=True)
class Preview:
    """A preview, which may be in the making; its values change until it is ready.

    Attributes:
        id: random.
        subject: what it is of.
        segments: files of recorded video that it is made of.
        done, of: how many milliseconds of how many are done.
        still: what it looks like on the way (JPEG), or nothing yet.
        clip: what came of it, or None; None again when it isn't kept any more.
        error: why nothing came of it, or None.
    """

    subject: Subject
    segments: tuple[Segment, ...]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    made: float = field(default_factory=time.monotonic)
    done: int = 0
    of: int = 1
    still: bytes = b""
    clip: Clip | None = None
    error: CustodesError | None = None
    dropped: bool = False
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def size(self) -> int:
        """Bytes of it."""
        return 0 if self.clip is None else len(self.clip.data)

    def result(self, timeout: float | None = None) -> Clip:
        """Wait for what comes of it.

        Raises:
            CustodesError: what kept it from being made.
            Unavailable: if it takes longer than so many seconds.
            NotFound: if it isn't kept any more.
        """
        if not self.ended.wait(timeout):
            raise Unavailable("The preview isn't ready yet.", remedy="Wait a little.")
        if self.error is not None:
            raise self.error
        clip = self.clip
        if clip is None:
            raise _gone()
        return clip


class Previews:
    """Makes previews and keeps them in memory; may be shared by threads.

    Args:
        redactor: makes clips.
        clock: seconds.
    """

    def __init__(self, redactor: Redactor, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._redactor = redactor
        self._clock = clock
        self._kept: dict[str, Preview] = {}
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False

    def begin(self, subject: Subject, segments: tuple[Segment, ...]) -> Preview:
        """Begin to make a preview, unless there is one of just this already.

        Raises:
            Throttled: if too many are being made.
        """
        self.sweep()
        with self._lock:
            for known in self._kept.values():
                if known.subject == subject and known.error is None:
                    return known
            if self._closed:
                raise Unavailable("The server is closing.")
            waiting = [p for p in self._kept.values() if not p.ended.is_set()]
            own = [p for p in waiting if p.subject.organisation == subject.organisation]
            if len(own) >= _MOST_OWN or len(waiting) >= _MOST:
                raise Throttled("Too many previews are being made.", remedy="Wait for them.")
            made = Preview(subject, segments, made=self._clock())
            self._kept[made.id] = made
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="preview")
            self._pool.submit(self._make, made)
        return made

    def get(self, organisation: str, preview: str) -> Preview:
        """Return a preview of an organisation's.

        Raises:
            NotFound: if there is none of this id, or not any more.
        """
        self.sweep()
        with self._lock:
            found = self._kept.get(preview)
        if found is None or found.subject.organisation != organisation:
            raise _gone()
        return found

    def known(self, subject: Subject) -> Preview | None:
        """Return the preview of just this, if there is one."""
        self.sweep()
        with self._lock:
            return next((p for p in self._kept.values() if p.subject == subject and p.error is None), None)

    def sweep(self) -> None:
        """Forget what was kept for long enough, and the oldest if all together is too much."""
        with self._lock:
            now = self._clock()
            for old in [p for p in self._kept.values() if now - p.made >= KEPT]:
                self._drop(old)
            by_age = sorted((p for p in self._kept.values() if p.ended.is_set()), key=lambda p: p.made)
            while by_age and (len(self._kept) > _MOST or sum(p.size for p in by_age) > _MOST_BYTES):
                self._drop(by_age.pop(0))

    def _drop(self, preview: Preview) -> None:
        preview.dropped, preview.clip = True, None  # who is reading it doesn't keep it any longer
        self._kept.pop(preview.id, None)

    def _make(self, preview: Preview) -> None:
        subject = preview.subject

        def progress(done: int, of: int) -> None:
            preview.done, preview.of = done, max(1, of)

        def still(jpeg: bytes) -> None:
            preview.still = jpeg

        try:
            if preview.dropped:
                raise Conflict("Nobody wants this preview any more.")
            preview.clip = self._redactor.make(
                preview.segments,
                subject.span,
                subject.camera.masks,
                blurred=subject.blurred,
                progress=progress,
                still=still,
                stopped=lambda: preview.dropped,
            )
        except CustodesError as error:
            preview.error = error
        except Exception:  # noqa: BLE001 - whatever it is, nothing of it may be told or kept anywhere
            preview.error = Unavailable("The preview can't be made.")
        finally:
            preview.ended.set()

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._closed = True
            for preview in list(self._kept.values()):
                self._drop(preview)
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _gone() -> NotFound:
    return NotFound("This preview isn't kept any more.", remedy="Make it again.")
