# SPDX-License-Identifier: Apache-2.0
"""Where stream processors send what they find: files of JSON lines, webhooks, a broker, and buckets for pictures.

Rekognition sends to Kinesis, SNS and S3. Here nothing leaves the machine but by what its operator has set up: URLs are
those of the configuration alone, the broker is the installation's, and topics lie below its prefix. Names are hostile:
none leads out of its folder, and no link is followed. A line is whole or isn't there, and is on the disk when
:meth:`StreamSinks.send` returns; what goes by webhook or broker waits in memory, bounded, and is lost with the process.

Every organisation has a folder of files of its own. A file has the lines of one day (UTC), and is put aside with the
first line of the next or when it is full; it is deleted when its day was long enough ago, whoever is named in it.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from custodes.cameras.courier import Courier
from custodes.cameras.hooks import Hook
from custodes.cameras.processors import Bucket, Sink, SinkKind
from custodes.cameras.reach import check_url
from custodes.cameras.webhooks import Message
from custodes.config import Config
from custodes.db import make_private_folder
from custodes.errors import Code, Invalid, Unavailable

__all__ = ["PictureBuckets", "StreamSinks"]

_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,3}")
_OURS = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}\.ndjson(\.[0-9]{8}T[0-9]{6}Z(-[0-9]+)?)?")
"""How a file is called; what is called otherwise isn't ours to delete."""
_FULL = 100_000_000
"""Bytes from which on a file is put aside."""
_DAY = 86_400
_PRIVATE = 0o600
_PARTS = 16
_PART = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")

Publish = Callable[[str, str, bytes], None]
"""Sends to the broker: of which organisation, to which topic below the prefix, what."""


def _not_offered(why: str, remedy: str) -> Unavailable:
    return Unavailable(why, remedy=remedy, code=Code.NOT_OFFERED)


class StreamSinks:
    """Sends records.

    Args:
        config: the folder, the URLs and the broker.
        courier: carries what goes to URLs; closed with this.
    """

    def __init__(self, config: Config, courier: Courier) -> None:
        self._folder = config.stream_folder
        self._days = config.streams.retention_days
        self._urls = frozenset(config.streams.webhooks)
        self._secret = config.streams.webhook_secret
        self._mqtt = config.mqtt
        self._courier = courier
        self._publish: Publish | None = None
        self._lock = threading.Lock()

    def connect(self, publish: Publish) -> None:
        """Send to the broker by this from now on; it must not wait long."""
        self._publish = publish

    def check(self, organisation: str, sink: Sink) -> None:
        """Check that an organisation's records may be sent somewhere.

        Raises:
            Invalid: if its name can't be meant.
            Unavailable: if this installation doesn't send there (code ``not-offered``).
        """
        match sink.kind:
            case SinkKind.FILE:
                if not _FILE.fullmatch(sink.name):
                    raise Invalid(
                        "A stream's name has 1 to 128 letters, digits, hyphens, underscores and dots, and doesn't "
                        "begin with a dot."
                    )
            case SinkKind.WEBHOOK:
                check_url(sink.name)
                if sink.name not in self._urls:
                    raise _not_offered(
                        "This installation sends no data streams to that URL.",
                        "Its operator lists URLs in [streams] webhooks.",
                    )
            case SinkKind.MQTT:
                self._check_topic(organisation, sink.name)

    def _check_topic(self, organisation: str, topic: str) -> None:
        if not self._mqtt.host:
            raise _not_offered("This installation has no MQTT broker.", "Its operator names one in [mqtt] host.")
        if self._mqtt.organisation not in ("", organisation):
            raise _not_offered(
                "The MQTT broker of this installation is another organisation's.", "Write to a file: stream/NAME."
            )
        if not _TOPIC.fullmatch(topic):
            raise Invalid(
                "A topic has 1 to 4 parts of letters, digits, hyphens and underscores.",
                remedy=f"mqtt/door is published as {self._mqtt.prefix}/streams/door.",
            )

    def send(self, organisation: str, sink: Sink, record: bytes) -> None:
        """Send a record, which is JSON without line breaks.

        Raises:
            Invalid, Unavailable: as :meth:`check`, for the configuration may have changed; or if a file can't be
                written.
        """
        self.check(organisation, sink)
        match sink.kind:
            case SinkKind.FILE:
                self._append(self._folder / organisation, sink.name, record)
            case SinkKind.WEBHOOK:
                which = hashlib.sha256(sink.name.encode()).hexdigest()[:16]
                message = Message(f"msg_{secrets.token_hex(16)}", record)
                self._courier.send(Hook(f"stream-{which}", organisation, sink.name, self._secret), message)
            case SinkKind.MQTT:
                if self._publish is not None:
                    self._publish(organisation, f"streams/{sink.name}", record)

    def close(self) -> None:
        """Let what is on its way arrive, for some seconds."""
        self._courier.close()

    def _append(self, folder: Path, name: str, record: bytes) -> None:
        """Append a line to a file; the whole of it, or nothing."""
        try:
            with self._lock:
                make_private_folder(self._folder)
                make_private_folder(folder)
                if folder.is_symlink():
                    raise OSError(0, "its folder is a link")
                path = folder / f"{name}.ndjson"
                if path.is_file() and _is_over(path.stat(), time.time()):
                    _put_aside(path)
                _append_line(path, record)
        except OSError as e:
            raise Unavailable(f"The data stream can't be written: {e.strerror}.") from None

    def run_retention(self, now: float | None = None) -> int:
        """Delete the files whose last line was written long enough ago, and return how many.

        Raises:
            Unavailable: if one can't be deleted.
        """
        before = (time.time() if now is None else now) - self._days * _DAY
        try:
            with self._lock:  # nobody writes meanwhile
                due = [path for path in self._files() if path.lstat().st_mtime < before]
                for path in due:
                    path.unlink()
        except OSError as e:
            raise Unavailable(f"A data stream can't be deleted: {e.strerror}.") from None
        return len(due)

    def _files(self) -> Iterator[Path]:
        """Yield the files of all organisations; nothing that lies behind a link."""
        if not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            if folder.is_dir() and not folder.is_symlink():
                yield from (p for p in folder.iterdir() if _OURS.fullmatch(p.name) and not p.is_dir())


def _is_over(about: os.stat_result, now: float) -> bool:
    """Tell whether a file is full, or of a day that is over."""
    return about.st_size >= _FULL or about.st_mtime // _DAY < now // _DAY


def _append_line(path: Path, record: bytes) -> None:
    """Append a line and wait for the disk.

    Raises:
        OSError: if that isn't possible; then the file is as it was.
    """
    fresh = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(0, "it is no file")
        line = memoryview(record + b"\n")
        try:
            while line:
                line = line[os.write(handle, line) :]
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, about.st_size)
            raise
    finally:
        os.close(handle)
    if fresh:
        _sync_folder(path.parent)


def _put_aside(path: Path) -> None:
    """Give a file that is full another name, which tells when; it never takes another's place."""
    when, number = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), 0
    while True:
        aside = path.with_name(f"{path.name}.{when}{f'-{number}' if number else ''}")
        if not os.path.lexists(aside):
            break
        number += 1
    path.rename(aside)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class PictureBuckets:
    """Writes pictures to buckets that are folders of this machine.

    Args:
        root: whose subfolders are buckets; None where buckets are a service's.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def check(self, bucket: Bucket) -> None:
        """Check that pictures can be written to a bucket.

        Raises:
            Invalid: if there is no such bucket, or keys can't begin so.
            Unavailable: if buckets are a service's (code ``not-offered``).
        """
        self._folder(bucket, ())

    def write(self, bucket: Bucket, parts: tuple[str, ...], data: bytes) -> str:
        """Write an object that isn't there yet, and return its URI.

        Args:
            bucket: where.
            parts: of its key, after the prefix.
            data: its bytes.

        Raises:
            Invalid, Unavailable: as :meth:`check`, or if it can't be written.
        """
        folder, keys = self._folder(bucket, parts[:-1])
        path = folder / parts[-1]
        try:
            at = self._top(bucket)
            for key in keys:
                at = at / key
                at.mkdir(mode=0o700, exist_ok=True)
                if at.is_symlink():
                    raise Invalid("The bucket has a link where the pictures should be.")
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
            with os.fdopen(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(handle)
        except OSError as e:
            raise Unavailable(f"The bucket can't be written: {e.strerror}.") from None
        return f"s3://{bucket.name}/{'/'.join((*keys, parts[-1]))}"

    def _top(self, bucket: Bucket) -> Path:
        if self._root is None:
            raise _not_offered(
                "Pictures are written to buckets that are folders of this machine alone, and this installation's are a "
                "service's.",
                "Leave S3Destination out: notifications tell the same without pictures.",
            )
        unknown = Invalid("There is no such bucket.", remedy="Buckets are the subfolders of [s3] buckets.")
        if bucket.name in ("", ".", "..") or "/" in bucket.name or "\x00" in bucket.name:
            raise unknown
        top = self._root.resolve() / bucket.name
        if top.is_symlink() or not top.is_dir():
            raise unknown
        return top

    def _folder(self, bucket: Bucket, parts: tuple[str, ...]) -> tuple[Path, tuple[str, ...]]:
        """Return the folder of an object, and its path below the bucket.

        Raises:
            Invalid, Unavailable: as :meth:`check`.
        """
        top = self._top(bucket)
        prefix = bucket.prefix.strip("/")
        keys = (*(prefix.split("/") if prefix else ()), *parts)
        fine = all(_PART.fullmatch(key) and key not in (".", "..") for key in keys)
        if len(keys) > _PARTS or not fine:
            raise Invalid(
                f"A prefix has at most {_PARTS - 2} parts between slashes, none of which is empty or dots alone."
            )
        return top.joinpath(*keys), keys
