# SPDX-License-Identifier: Apache-2.0
"""Reading hostile ZIP archives (PKWARE, APPNOTE.TXT 6.3.10) entry by entry, in memory, within limits.

The central directory says what there is; nothing is extracted to a disk, and names are told, never followed. Its
size and the number of its entries are bounded before they are believed, and an entry is read by itself: what it
declares is checked before a byte of it is unpacked, unpacking stops one byte beyond what is declared, and length and
check sum have to agree. Entries that share bytes (as in the bombs of Fifield, "A better zip bomb", 2019) are refused.

Python's ``zipfile`` reads the whole directory into memory at once and doesn't tell an entry that holds more than it
declares from one that doesn't; otherwise this reads what that reads, which tests compare.
"""

from __future__ import annotations

import io
import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from custodes.errors import Invalid, Unavailable
from custodes.operations.refusals import Reason, unfit

__all__ = ["ZipEntry", "ZipFile", "is_zip"]

_END = struct.Struct("<4s4H2LH")  # 4.3.16
_LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
_END_64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_CENTRAL = struct.Struct("<4s6H3L5H2L")  # 4.3.12
_LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7
_LONGEST_COMMENT = 65_535
_NARROW, _SHORT = 0xFFFF_FFFF, 0xFFFF  # "see the ZIP64 extra field"
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000  # 4.4.4: bits 0, 6 and 13
_UTF8 = 0x0800
_STORED, _DEFLATED = 0, 8
_ZIP64 = 0x0001
_PIECE = 65_536
_NAME = 2000  # bytes of a name that are told


def is_zip(head: bytes) -> bool:
    """Tell whether a file's first bytes are an archive's."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """An entry as the central directory has it.

    Attributes:
        name: hostile.
        size, packed: bytes that it declares to unpack to, and those that it takes.
        crc: CRC-32 of what it unpacks to.
        method, flags, mode: how it is packed, general purpose flags, and the Unix mode or 0.
        start, end: where its header begins, and where another one's or the directory does.
        refused: why it isn't read, whatever it holds; or None.
    """

    name: str
    size: int
    packed: int
    crc: int
    method: int
    flags: int
    mode: int
    start: int
    end: int = 0
    refused: Reason | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, and nothing else."""
        return self.name.endswith("/") and not self.size and not stat.S_ISLNK(self.mode)


class ZipFile:
    """An archive.

    Args:
        file: its bytes, seekable.
        entries: it has at most so many.
        entry_bytes, total_bytes: one entry, and all of them together, unpack to at most so many.
        ratio: an entry unpacks to at most so many times its size.

    Raises:
        Invalid: if it is none, or has too many entries.
    """

    def __init__(self, file: BinaryIO, *, entries: int, entry_bytes: int, total_bytes: int, ratio: int) -> None:
        self._file = file
        self._entry_bytes = entry_bytes
        self._total_bytes = total_bytes
        self._ratio = ratio
        try:
            found = list(self._directory(entries))
        except (struct.error, EOFError, OverflowError) as e:
            raise _no_zip() from e
        self.entries: Sequence[ZipEntry] = self._judged(_placed(found, self._start))

    # --- the directory ---

    def _directory(self, most: int) -> Iterator[ZipEntry]:
        """Walk the central directory."""
        end, size, offset = self._end()
        shift = end - size - offset  # bytes that stand before the archive, as in one that unpacks itself
        if shift < 0:
            raise _no_zip()
        self._start = end - size
        self._file.seek(self._start)
        left, count = size, 0
        while left:
            count += 1
            if count > most:
                raise Invalid(f"The archive has more than {most} entries.", remedy="Import it in parts.")
            fields = _CENTRAL.unpack(self._exactly(_CENTRAL.size))
            lengths = fields[10:13]  # name, extra field, comment
            left -= _CENTRAL.size + sum(lengths)
            if fields[0] != b"PK\x01\x02" or left < 0:
                raise _no_zip()
            name, extra, _ = (self._exactly(n) for n in lengths)
            yield _entry(fields, name, extra, shift)

    def _end(self) -> tuple[int, int, int]:
        """Find the end of the central directory: where that is, the directory's size, and its offset."""
        length = self._file.seek(0, io.SEEK_END)
        tail_at = max(0, length - _END.size - _LONGEST_COMMENT)
        self._file.seek(tail_at)
        tail = self._exactly(length - tail_at)
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or at + _END.size > len(tail):
            raise _no_zip()
        _, disk, first, here, count, size, offset, comment = _END.unpack_from(tail, at)
        if at + _END.size + comment > len(tail):
            raise _no_zip()
        end = tail_at + at
        if _NARROW in (size, offset) or _SHORT in (here, count):
            wide = self._end_64(end)
            if wide is not None:
                return wide
        if disk or first or here != count:
            raise Invalid("The archive is split into several files.", remedy="Join them first.")
        return end, size, offset

    def _end_64(self, end: int) -> tuple[int, int, int] | None:
        if end < _LOCATOR.size + _END_64.size:
            return None
        self._file.seek(end - _LOCATOR.size)
        sign, _, _, disks = _LOCATOR.unpack(self._exactly(_LOCATOR.size))
        if sign != b"PK\x06\x07":
            return None
        at = end - _LOCATOR.size - _END_64.size  # where it is, whatever stands before the archive
        self._file.seek(at)
        sign, _, _, _, disk, first, here, count, size, offset = _END_64.unpack(self._exactly(_END_64.size))
        if sign != b"PK\x06\x06":
            raise _no_zip()
        if disks > 1 or disk or first or here != count:
            raise Invalid("The archive is split into several files.", remedy="Join them first.")
        return at, size, offset

    def _exactly(self, count: int) -> bytes:
        """Read so many bytes.

        Raises:
            EOFError: if there are fewer.
            Unavailable: if the disk doesn't give them.
        """
        try:
            data = self._file.read(count)
        except OSError as e:
            raise Unavailable(f"The archive can't be read: {e.strerror}.", remedy="Try again.") from e
        if len(data) != count:
            raise EOFError
        return data

    def _judged(self, entries: Sequence[ZipEntry]) -> tuple[ZipEntry, ...]:
        """Say of each entry why it isn't read, if it isn't."""
        judged, total = [], 0
        for entry in entries:
            total += entry.size
            reason = entry.refused or self._reason(entry) or (Reason.TOTAL if total > self._total_bytes else None)
            judged.append(replace(entry, refused=reason) if reason else entry)
        return tuple(judged)

    def _reason(self, entry: ZipEntry) -> Reason | None:
        if _leads_out(entry.name):
            return Reason.PATH
        if stat.S_ISLNK(entry.mode):
            return Reason.LINK
        if stat.S_IFMT(entry.mode) and not stat.S_ISREG(entry.mode) and not stat.S_ISDIR(entry.mode):
            return Reason.SPECIAL
        if entry.flags & _ENCRYPTED:
            return Reason.ENCRYPTED
        if entry.method not in (_STORED, _DEFLATED):
            return Reason.METHOD
        if entry.size > self._ratio * max(entry.packed, 1):
            return Reason.RATIO
        return Reason.BYTES if entry.size > self._entry_bytes else None

    # --- an entry ---

    def read(self, entry: ZipEntry) -> bytes:
        """Unpack an entry.

        Raises:
            Invalid: if it isn't taken, or is damaged; the code is the reason.
        """
        if entry.refused:
            raise unfit(entry.refused)
        try:
            self._file.seek(entry.start)
            fields = _LOCAL.unpack(self._exactly(_LOCAL.size))
            self._exactly(fields[9] + fields[10])  # name and extra field
        except (struct.error, EOFError) as e:
            raise _damaged() from e
        if fields[0] != b"PK\x03\x04":
            raise _damaged()
        if fields[2] & _ENCRYPTED:
            raise unfit(Reason.ENCRYPTED)
        if self._file.tell() + entry.packed > entry.end:
            raise unfit(Reason.OVERLAP)
        data = self._stored(entry) if entry.method == _STORED else self._inflated(entry)
        if len(data) != entry.size or zlib.crc32(data) != entry.crc:
            raise _damaged()
        return data

    def _stored(self, entry: ZipEntry) -> bytes:
        if entry.packed != entry.size:
            raise unfit(Reason.BEYOND) if entry.packed > entry.size else _damaged()
        try:
            return self._exactly(entry.size)
        except EOFError as e:
            raise _damaged() from e

    def _inflated(self, entry: ZipEntry) -> bytes:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        made, left = bytearray(), entry.packed
        try:
            while not unpacker.eof:
                piece = unpacker.unconsumed_tail or self._exactly(min(left, _PIECE))
                left -= 0 if unpacker.unconsumed_tail else len(piece)
                if not piece:
                    raise _damaged()
                made += unpacker.decompress(piece, entry.size + 1 - len(made))
                if len(made) > entry.size:
                    raise unfit(Reason.BEYOND)
        except (zlib.error, EOFError) as e:
            raise _damaged() from e
        if left or unpacker.unused_data:
            raise _damaged()
        return bytes(made)


def _entry(fields: Sequence[int], name: bytes, extra: bytes, shift: int) -> ZipEntry:
    """Read an entry of the directory.

    Raises:
        struct.error: if its ZIP64 field is cut.
    """
    _, made_by, _, flags, method, _, _, crc, packed, size, _, _, _, _, _, attributes, start = fields
    size, packed, start = _widened(extra, size, packed, start)
    told = name[:_NAME].decode("utf-8" if flags & _UTF8 else "cp437", "backslashreplace")
    unix = made_by >> 8 in (3, 19)  # 4.4.2: UNIX, macOS
    return ZipEntry(
        name=told,
        size=size,
        packed=packed,
        crc=crc,
        method=method,
        flags=flags,
        mode=attributes >> 16 if unix else 0,
        start=start + shift,
    )


def _widened(extra: bytes, *values: int) -> tuple[int, ...]:
    """Return size, packed size and offset; those that don't fit stand in the ZIP64 field, in this order (4.5.3)."""
    if _NARROW not in values:
        return values
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == _ZIP64:
            field = memoryview(extra)[at + 4 : at + 4 + length]
            wide = iter(struct.unpack_from(f"<{sum(v == _NARROW for v in values)}Q", field))
            return tuple(next(wide) if v == _NARROW else v for v in values)
        at += 4 + length
    return values


def _placed(entries: Sequence[ZipEntry], directory: int) -> list[ZipEntry]:
    """Say of each entry where it ends at the latest, and refuse those that share bytes."""
    order = sorted(range(len(entries)), key=lambda i: entries[i].start)
    placed = list(entries)
    reach, holder = 0, -1  # how far the entries so far reach, and which of them reaches so far
    for rank, i in enumerate(order):
        entry = entries[i]
        following = entries[order[rank + 1]].start if rank + 1 < len(order) else directory
        least = entry.start + _LOCAL.size + entry.packed
        shared = entry.start < reach
        if shared:
            placed[holder] = replace(placed[holder], refused=Reason.OVERLAP)
        refused = Reason.OVERLAP if shared or least > directory else placed[i].refused
        placed[i] = replace(entry, end=following, refused=refused)
        if least > reach:
            reach, holder = least, i
    return placed


def _leads_out(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    absolute = parts[0] == "" or (len(parts[0]) >= 2 and parts[0][1] == ":")
    return absolute or ".." in parts or "\0" in name


def _no_zip() -> Invalid:
    return Invalid("It is no ZIP archive, or its directory is damaged.", remedy="Make the archive anew.")


def _damaged() -> Invalid:
    return unfit(Reason.CORRUPT, "The archive is damaged where it lies.")
