# SPDX-License-Identifier: Apache-2.0
"""What an outsider runs: everything that a log has published, recomputed, with no database and no trust.

The order is: checkpoint and its signature; cosignatures; then bundle by bundle the entries' hashes against the tile of
level 0, their form and their times; the tiles of the higher levels as they fill; in the end the root. With an older
checkpoint, the root that the log had then must come up on the way. Memory holds the right edge and one tile of each
level, whatever the log's size. Everything that is read is hostile until it has been checked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from custodes.errors import IntegrityError, Invalid, NotFound
from custodes.ledger import entry as form
from custodes.ledger.checkpoint import MAX_NOTE, Checkpoint, Note, VerifierKey, verify_checkpoint, verify_cosignatures
from custodes.ledger.disclosure import Disclosure
from custodes.ledger.merkle import EMPTY, HASH, Frontier, leaf_hash, verify_inclusion
from custodes.ledger.sources import Source, Url
from custodes.ledger.tiles import CHECKPOINT, MAX_ENTRY, VKEY, WIDTH, Resource, decode_bundle

__all__ = ["Disclosed", "Verified", "check_disclosure", "verify"]

_AHEAD = 4  # bundles that are asked for over the network before they are needed
_BUNDLE = WIDTH * (MAX_ENTRY + 2)
_VKEY = 1_024


@dataclass(frozen=True, slots=True)
class Verified:
    """A log that is what its checkpoint says.

    Attributes:
        origin: which log.
        size: number of entries.
        root: of the tree.
        first_at, last_at: when the first and the last entry were made; None in an empty log.
        vkey: the key that signed it; if it wasn't given, who publishes the log chose it.
        since: number of entries of the older checkpoint that this one continues, or None.
        witnesses: names of those who cosigned.
    """

    origin: str
    size: int
    root: bytes
    first_at: datetime | None
    last_at: datetime | None
    vkey: str
    since: int | None
    witnesses: tuple[str, ...]


def verify(
    source: Source,
    *,
    vkey: str | None = None,
    since: str | bytes | None = None,
    witnesses: Sequence[str] = (),
    need: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Verified:
    """Recompute a log from its published files.

    Args:
        source: where they are.
        vkey: the log's key, from someone one trusts; the published one if omitted.
        since: an older checkpoint of the log, which it must continue.
        witnesses: keys of witnesses one trusts.
        need: how many of them must have cosigned.
        progress: told how many entries of how many are done.

    Raises:
        IntegrityError: if anything is not what it should be; the message says which file or entry.
        Invalid: if a key is malformed.
        Unavailable: if a file can't be read.
    """
    key = VerifierKey.parse(vkey) if vkey is not None else _own_key(source)
    now, note = _newest(source, key)
    seen = verify_cosignatures(note, [VerifierKey.parse(w) for w in witnesses], need)
    old = None
    if since is not None:
        old = _older(since, key)
        if old.size > now.size:
            raise IntegrityError(
                f"The log has shrunk from {old.size} entries to {now.size}: some were dropped, and it was signed anew."
            )
    run = _Run(source, old)
    for part in _fetch(source, now.size):
        run.take(part)
        if progress is not None:
            progress(run.frontier.size, now.size)
    run.finish(now)
    first, last = (datetime.fromisoformat(at) if at else None for at in (run.first_at, run.last_at))
    return Verified(now.origin, now.size, now.root, first, last, str(key), old.size if old else None, seen)


def _own_key(source: Source) -> VerifierKey:
    try:
        return VerifierKey.parse(_read(source, VKEY, _VKEY).decode("utf-8", "replace"))
    except Invalid as e:
        raise IntegrityError(f"{VKEY} holds no verifier key. {e.message}") from e


def _newest(source: Source, key: VerifierKey) -> tuple[Checkpoint, Note]:
    raw = _read(source, CHECKPOINT, MAX_NOTE)
    try:
        return verify_checkpoint(raw, key)
    except IntegrityError as e:
        raise IntegrityError(f"{CHECKPOINT}: {e.message}", remedy=e.remedy) from e


def _older(note: str | bytes, key: VerifierKey) -> Checkpoint:
    try:
        return verify_checkpoint(note, key)[0]
    except IntegrityError as e:
        raise IntegrityError(f"The older checkpoint can't be relied on. {e.message}") from e


def _read(source: Source, path: str, limit: int) -> bytes:
    """Read a file that a log must have.

    Raises:
        IntegrityError: if there is none.
    """
    try:
        return source.read(path, limit)
    except NotFound as e:
        raise IntegrityError(f"The log is not whole. {e.message}") from e


def _tile(source: Source, resource: Resource) -> bytes:
    """Read a tile's hashes; a partial one may have given way to the full one."""
    path, size = resource.path, resource.width * HASH
    try:
        data = source.read(path, size)
    except NotFound:
        path = resource.full_path
        data = _read(source, path, WIDTH * HASH)
    if len(data) != (size if path == resource.path else WIDTH * HASH):
        raise IntegrityError(f"{path} has {len(data)} bytes, which is not what its name says.")
    return data[:size]


def _bundle(source: Source, resource: Resource) -> list[bytes]:
    """Read a bundle's entries; a partial one may have given way to the full one."""
    path, count = resource.path, resource.width
    try:
        data = source.read(path, _BUNDLE)
    except NotFound:
        path, count = resource.full_path, WIDTH
        data = _read(source, path, _BUNDLE)
    try:
        return decode_bundle(data, count)[: resource.width]
    except IntegrityError as e:
        raise IntegrityError(f"{path}: {e.message}") from e


class _Part(NamedTuple):
    """A bundle of entries and the tile of their hashes."""

    n: int
    entries: list[bytes]
    hashes: bytes


def _fetch(source: Source, size: int) -> Iterator[_Part]:
    """Read bundle by bundle; from a web server some are on their way while one is looked at."""

    def read(n: int) -> _Part:
        bundle = Resource(None, n, min(WIDTH, size - n * WIDTH))
        return _Part(n, _bundle(source, bundle), _tile(source, bundle._replace(level=0)))

    numbers = range(-(-size // WIDTH))
    if not isinstance(source, Url):
        yield from map(read, numbers)
        return
    with ThreadPoolExecutor(_AHEAD) as pool:
        coming: deque[Future[_Part]] = deque()
        try:
            for n in numbers:
                coming.append(pool.submit(read, n))
                if len(coming) > _AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for one in coming:
                one.cancel()


class _Run:
    """What is known of a log after some of its bundles."""

    def __init__(self, source: Source, old: Checkpoint | None) -> None:
        self._source = source
        self._old = old
        self._tiles: list[list[bytes]] = []  # hashes of the tile that fills, of level 1, 2, ...
        self.frontier = Frontier()
        self.first_at = self.last_at = ""
        if old is not None and old.size == 0:
            self._compare_old(old)

    def take(self, part: _Part) -> None:
        """Check one bundle and what it completes.

        Raises:
            IntegrityError: if something is not what it should be.
        """
        start = self.frontier.size
        leaves = list(map(leaf_hash, part.entries))
        self._compare_tile(Resource(0, part.n, len(leaves)), leaves, part.hashes, "entry")
        self._read_entries(start, part.entries)
        made: list[bytes] = []
        stop = self._old.size if self._old is not None else -1
        for leaf in leaves:
            made = self.frontier.append(leaf)
            if self.frontier.size == stop and self._old is not None:
                self._compare_old(self._old)
        for level, root in enumerate(made[8::8], 1):
            if level > len(self._tiles):
                self._tiles.append([])
            self._tiles[level - 1].append(root)
            if len(self._tiles[level - 1]) == WIDTH:
                self._compare_level(level)

    def _read_entries(self, start: int, entries: list[bytes]) -> None:
        last = self.last_at
        for index, data in enumerate(entries, start):
            try:
                at = str(form.parse(data)["at"])
            except IntegrityError as e:
                raise IntegrityError(f"Entry {index} is malformed. {e.message}") from e
            if at < last:
                raise IntegrityError(f"Entry {index} is dated {at}, before the entry ahead of it, {last}.")
            last = at
        self.first_at = self.first_at or str(form.parse(entries[0])["at"])
        self.last_at = last

    def _compare_tile(self, tile: Resource, hashes: list[bytes], published: bytes, what: str) -> None:
        if b"".join(hashes) == published:
            return
        for i, expected in enumerate(hashes):
            got = published[i * HASH : (i + 1) * HASH]
            if expected != got:
                place = tile.n * WIDTH + i
                raise IntegrityError(
                    f"{tile.path} doesn't agree with what it stands for at its hash {i} ({what} {place}): "
                    f"computed {expected.hex()}, published {got.hex()}."
                )

    def _compare_level(self, level: int) -> None:
        """Compare a tile of a higher level with its file, and begin the next one."""
        hashes = self._tiles[level - 1]
        tile = Resource(level, ((self.frontier.size >> 8 * level) - 1) // WIDTH, len(hashes))
        self._compare_tile(tile, hashes, _tile(self._source, tile), f"tile of level {level - 1},")
        hashes.clear()

    def _compare_old(self, old: Checkpoint) -> None:
        root = self.frontier.root()
        if root != old.root:
            raise IntegrityError(
                f"The first {old.size} entries are not those of the older checkpoint: an entry was dropped, changed or "
                f"put in, and the log signed anew. Expected root {old.root.hex()}, got {root.hex()}."
            )

    def finish(self, now: Checkpoint) -> None:
        """Check what the checkpoint says.

        Raises:
            IntegrityError: if a tile or the root is not what it should be.
        """
        for level in range(1, len(self._tiles) + 1):
            if self._tiles[level - 1]:
                self._compare_level(level)
        root = self.frontier.root() if now.size else EMPTY
        if root != now.root:
            raise IntegrityError(
                f"The {now.size} entries are not those that were signed: the checkpoint's root is {now.root.hex()}, "
                f"theirs {root.hex()}."
            )


@dataclass(frozen=True, slots=True)
class Disclosed:
    """An entry that was proven to be in a log.

    Attributes:
        index: its place.
        entry: what it says.
        values: what those of its commitments stand for that were opened.
        size, root: of the log's checkpoint.
    """

    index: int
    entry: Mapping[str, object]
    values: Mapping[str, bytes]
    size: int
    root: bytes


def check_disclosure(raw: str | bytes, vkey: str) -> Disclosed:
    """Check a disclosure, or a receipt, offline.

    Args:
        raw: the JSON that was handed out.
        vkey: the log's key, from someone one trusts.

    Raises:
        IntegrityError: if anything in it is not proven.
        Invalid: if the key is malformed.
    """
    told = Disclosure.from_json(raw)
    checkpoint, _ = verify_checkpoint(told.checkpoint, VerifierKey.parse(vkey))
    leaf = leaf_hash(told.entry)
    verify_inclusion(leaf, told.index, checkpoint.size, told.proof, checkpoint.root)
    entry = form.parse(told.entry)
    values: dict[str, bytes] = {}
    for opening in told.openings:
        stated, got = entry.get(opening.name), opening.digest.hex()
        if stated != got or opening.name in values:
            raise IntegrityError(
                f"The entry doesn't commit to what is shown as {opening.name}: it states {stated}, got {got}."
            )
        values[opening.name] = opening.value
    return Disclosed(told.index, entry, values, checkpoint.size, checkpoint.root)
