# SPDX-License-Identifier: Apache-2.0
"""The verifier: an honest log passes, and every kind of tampering is found and named."""

from __future__ import annotations

import functools
import gzip
import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from custodes.errors import IntegrityError, Invalid, NotFound, Unavailable
from custodes.ledger import FileSigner, Note, open_source, verify
from custodes.ledger import sources as module
from custodes.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from custodes.ledger.entry import encode
from custodes.ledger.merkle import Frontier, leaf_hash
from custodes.ledger.tiles import decode_bundle, encode_bundle, resources

from .conftest import KEY, ORIGIN, Ledger

SIZE = 700
SIGNER = FileSigner(ORIGIN, KEY)
VKEY = str(SIGNER.verifier_key)


def _write(folder: Path, entries: list[bytes], signer: FileSigner = SIGNER) -> None:
    """Publish entries as an operator with the log's key can, whatever they are."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    edge, levels = Frontier(), [[] for _ in range(3)]
    for e in entries:
        made = edge.append(leaf_hash(e))
        for level, h in enumerate(made[::8]):
            levels[level].append(h)
    for r in resources(len(entries)):
        path = folder / r.path
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = slice(r.n * 256, r.n * 256 + r.width)
        path.write_bytes(encode_bundle(entries[rows]) if r.level is None else b"".join(levels[r.level][rows]))
    note = sign_checkpoint(signer, Checkpoint(signer.name, len(entries), edge.root()))
    (folder / "checkpoint").write_text(str(note))
    (folder / "vkey").write_text(str(signer.verifier_key))


@pytest.fixture(scope="module")
def honest() -> list[bytes]:
    """The entries of an honest log."""
    return [encode("test", f"2026-11-22T10:00:{i // 20:02d}.{i % 20:03d}Z", {"n": i}) for i in range(SIZE)]


@pytest.fixture
def folder(honest: list[bytes], tmp_path: Path) -> Path:
    """An honest log, published."""
    _write(tmp_path / "log", honest)
    return tmp_path / "log"


def _verify(folder: Path, **given: object):
    return verify(open_source(str(folder)), **{"vkey": VKEY, **given})


def test_an_honest_log_verifies(folder: Path) -> None:
    """What was found is told, and progress on the way."""
    seen: list[tuple[int, int]] = []
    found = _verify(folder, progress=lambda done, of: seen.append((done, of)))
    assert (found.origin, found.size, found.vkey, found.since, found.witnesses) == (ORIGIN, SIZE, VKEY, None, ())
    assert (found.first_at.isoformat(), found.last_at.isoformat()) == (
        "2026-11-22T10:00:00+00:00",
        "2026-11-22T10:00:34.019000+00:00",
    )
    assert seen == [(256, SIZE), (512, SIZE), (SIZE, SIZE)]
    assert verify(open_source(str(folder))) == found


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512])
def test_logs_of_every_shape_verify_and_continue(honest: list[bytes], tmp_path: Path, size: int) -> None:
    """With an older checkpoint of any size, a log that continues it verifies."""
    _write(tmp_path / "old", honest[:size])
    old = (tmp_path / "old" / "checkpoint").read_bytes()
    assert _verify(tmp_path / "old").size == size
    for later in {size, 256, 600}:
        if later >= size:
            _write(tmp_path / "new", honest[:later])
            assert _verify(tmp_path / "new", since=old).since == size


def test_our_own_publisher_makes_what_an_operator_would(sqlite: Ledger, tmp_path: Path) -> None:
    """The files of a log are exactly those that its entries determine."""
    sqlite.fill(600)
    sqlite.log.publish(tmp_path / "one")
    _write(tmp_path / "two", list(sqlite.log.entries()))
    names = {p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file()}
    assert names == {p.relative_to(tmp_path / "two") for p in (tmp_path / "two").rglob("*") if p.is_file()}
    for name in names:
        assert (tmp_path / "one" / name).read_bytes().strip() == (tmp_path / "two" / name).read_bytes().strip()


def _edit_entry(folder: Path) -> None:
    path = folder / "tile/entries/001"
    path.write_bytes(path.read_bytes().replace(b'"n":300', b'"n":301'))


def _edit_entry_and_tile(folder: Path) -> None:
    _edit_entry(folder)
    entries = decode_bundle((folder / "tile/entries/001").read_bytes(), 256)
    (folder / "tile/0/001").write_bytes(b"".join(map(leaf_hash, entries)))


def _edit_entry_and_tiles(folder: Path) -> None:
    _edit_entry_and_tile(folder)
    hashes = (folder / "tile/0/001").read_bytes()
    edge = Frontier()
    for i in range(256):
        edge.append(hashes[32 * i : 32 * i + 32])
    path = folder / "tile/1/000.p/2"
    path.write_bytes(path.read_bytes()[:32] + edge.root())


def _swap_entries(folder: Path) -> None:
    path = folder / "tile/entries/001"
    entries = decode_bundle(path.read_bytes(), 256)
    entries[4], entries[5] = entries[5], entries[4]
    path.write_bytes(encode_bundle(entries))


def _rewrite(path: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        (folder / path).write_bytes(change((folder / path).read_bytes()))

    return act


def _unlink(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (_edit_entry, r"tile/0/001 doesn't agree .* \(entry 300\): computed \w{64}, published \w{64}"),
        (_edit_entry_and_tile, r"tile/1/000\.p/2 doesn't agree .* \(tile of level 0, 1\)"),
        (_edit_entry_and_tiles, r"700 entries are not those that were signed"),
        (_swap_entries, r"tile/0/001 doesn't agree .* \(entry 260\)"),
        (_rewrite("tile/0/002.p/188", lambda d: bytes(32) + d[32:]), r"tile/0/002\.p/188 .* \(entry 512\)"),
        (_rewrite("tile/0/001", lambda d: d[:-1]), r"tile/0/001 has 8191 bytes"),
        (_rewrite("tile/0/001", lambda d: d + b"x"), r"more than 8192 bytes"),
        (_rewrite("tile/1/000.p/2", lambda d: d[32:] + d[:32]), r"tile/1/000\.p/2"),
        (_rewrite("tile/entries/001", lambda d: d[:-1]), r"tile/entries/001: A bundle of 256 entries ends"),
        (_rewrite("tile/entries/001", lambda d: d + b"\0\0"), r"tile/entries/001: .* should have"),
        (_rewrite("tile/entries/002.p/188", lambda d: b""), r"tile/entries/002\.p/188: .* ends"),
        (_unlink("tile/0/001"), r"not whole.*tile/0/001"),
        (_unlink("tile/entries/002.p/188"), r"not whole.*tile/entries/002"),
        (_unlink("tile/1/000.p/2"), r"not whole.*tile/1/000"),
        (_unlink("checkpoint"), r"not whole.*checkpoint"),
        (_rewrite("checkpoint", lambda d: d.replace(b"\n700\n", b"\n699\n")), r"not the key's own"),
        (_rewrite("checkpoint", lambda d: b"x" * 70_000), r"not whole.*more than"),
        (_rewrite("checkpoint", lambda d: b"\xff"), r"UTF-8"),
    ],
)
def test_tampering_is_found_and_named(folder: Path, tamper: Callable[[Path], None], says: str) -> None:
    """The message says which file and which entry, with both hashes."""
    tamper(folder)
    with pytest.raises(IntegrityError, match=says):
        _verify(folder)


@pytest.mark.parametrize("path", ["tile/0/001", "tile/entries/001", "tile/1/000.p/2", "tile/0/002.p/188", "checkpoint"])
def test_no_flipped_bit_escapes(folder: Path, path: str) -> None:
    """Wherever one bit of a published file is flipped, the log doesn't verify."""
    whole = (folder / path).read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 25)):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        (folder / path).write_bytes(changed)
        with pytest.raises(IntegrityError):
            _verify(folder)


def test_a_log_that_was_rewritten_and_signed_anew_is_caught_by_an_old_checkpoint(
    folder: Path, honest: list[bytes], witness: FileSigner, tmp_path: Path
) -> None:
    """A dropped, edited or inserted entry verifies by itself, and not against an older checkpoint, nor a witness's."""
    since = (folder / "checkpoint").read_bytes()
    edited = honest[100].replace(b'"n":100', b'"n":101')
    forged = tmp_path / "forged"
    for entries in (
        honest[:100] + honest[101:] + honest[-1:],
        honest[:100] + honest[101:] + honest[-1:] * 50,
        [*honest[:100], edited, *honest[101:]],
        [*honest[:100], honest[100], *honest[100:]],
    ):
        _write(forged, entries)
        assert _verify(forged).size == len(entries)
        with pytest.raises(IntegrityError, match=r"first 700 entries are not those.*dropped, changed or put in"):
            _verify(forged, since=since)
    _write(forged, honest[:100] + honest[101:])
    with pytest.raises(IntegrityError, match="shrunk from 700 entries to 699"):
        _verify(forged, since=since)
    witnesses = [str(witness.verifier_key)]
    cosigned = str(cosign(Note.parse(since), witness, 1_800_000_000))
    (folder / "checkpoint").write_text(cosigned)
    assert _verify(folder, witnesses=witnesses, need=1).witnesses == (witness.name,)
    with pytest.raises(IntegrityError, match="cosignatures by 1 of 1 witnesses, got 0"):
        _verify(forged, witnesses=witnesses, need=1)
    note = (forged / "checkpoint").read_text()
    (forged / "checkpoint").write_text(note + cosigned.splitlines()[-1] + "\n")  # the line under another checkpoint
    with pytest.raises(IntegrityError, match="not the key's own"):
        _verify(forged, witnesses=witnesses, need=1)


def test_entries_that_are_none_are_found(honest: list[bytes], tmp_path: Path) -> None:
    """An operator can sign anything; what isn't an entry, or is dated backwards, doesn't verify."""
    for wrong, says in (
        (b"{}", "Entry 600 is malformed"),
        (b"", "Entry 600 is malformed"),
        (honest[600] + b" ", "Entry 600 is malformed"),
        (honest[500], "Entry 600 is dated .* before"),
    ):
        _write(tmp_path / "log", [*honest[:600], wrong, *honest[601:]])
        with pytest.raises(IntegrityError, match=says):
            _verify(tmp_path / "log")


def test_another_key_is_noticed(folder: Path, honest: list[bytes], tmp_path: Path) -> None:
    """A log signed with another key, or an older checkpoint that is, isn't this log."""
    other = FileSigner(ORIGIN, bytes(32))
    with pytest.raises(IntegrityError, match="not signed by"):
        _verify(folder, vkey=str(other.verifier_key))
    with pytest.raises(IntegrityError, match="another log"):
        _verify(folder, vkey=str(FileSigner("elsewhere.example", KEY).verifier_key))
    with pytest.raises(Invalid):
        _verify(folder, vkey="nonsense")
    _write(tmp_path / "other", honest, other)
    with pytest.raises(IntegrityError, match="older checkpoint can't be relied on"):
        _verify(folder, since=(tmp_path / "other" / "checkpoint").read_bytes())
    with pytest.raises(IntegrityError, match="older checkpoint can't be relied on"):
        _verify(folder, since="nonsense")
    (folder / "vkey").write_text("nonsense")
    with pytest.raises(IntegrityError, match="vkey holds no verifier key"):
        verify(open_source(str(folder)))


def test_a_partial_tile_may_have_given_way_to_the_full_one(folder: Path, honest: list[bytes], tmp_path: Path) -> None:
    """An older checkpoint verifies with the files of the log as it is now."""
    _write(tmp_path / "old", honest[:400])
    (folder / "checkpoint").write_bytes((tmp_path / "old" / "checkpoint").read_bytes())
    path = folder / "tile/1/000.p"
    path.mkdir(exist_ok=True)
    (path / "1").write_bytes((path / "2").read_bytes()[:32])
    assert _verify(folder).size == 400
    (folder / "tile/0/001").write_bytes(bytes(8192))
    with pytest.raises(IntegrityError, match=r"tile/0/001.* \(entry 256\)"):
        _verify(folder)


def test_places_that_are_no_logs_are_refused(tmp_path: Path) -> None:
    """What isn't there, or isn't read here, is a typed error."""
    with pytest.raises(NotFound):
        open_source(str(tmp_path / "nowhere"))
    for place in ("file:///etc", "ftp://example.com/"):
        with pytest.raises(Invalid):
            open_source(place)
    os.mkfifo(tmp_path / "checkpoint")
    with pytest.raises(IntegrityError, match="no checkpoint"):
        _verify(tmp_path)


# --- over the network ---


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; its paths may misbehave as a test says."""

    odd: dict[str, str]
    protocol_version = "HTTP/1.0"

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        odd = self.odd.get(self.path, "")
        if odd == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"x")
        elif odd == "gzip":
            data = gzip.compress((Path(self.directory) / self.path.lstrip("/")).read_bytes())
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        elif odd == "bomb":
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(gzip.compress(bytes(50_000_000)))
        elif odd == "no gzip":
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(b"plain")
        elif odd.startswith("to "):
            self.send_response(302)
            self.send_header("Location", odd[3:])
            self.end_headers()
        elif odd:
            self.send_error(int(odd))
        else:
            super().do_GET()


@pytest.fixture
def web(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The honest log on a web server, and what its paths do instead."""
    odd: dict[str, str] = {}
    handler = functools.partial(type("Handler", (_Handler,), {"odd": odd}), directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/", odd
        running.shutdown()
        thread.join()


def test_a_log_verifies_over_http(web: tuple[str, dict[str, str]]) -> None:
    """A web server's files are as good as a folder's, compressed or not."""
    url, odd = web
    odd |= {"/tile/entries/000": "gzip", "/tile/0/001": "to /tile/0/001?again"}
    assert verify(open_source(url), vkey=VKEY).size == SIZE


@pytest.mark.parametrize(
    ("path", "does", "error", "says"),
    [
        ("/tile/0/001", "404", IntegrityError, "not whole"),
        ("/checkpoint", "410", IntegrityError, "not whole"),
        ("/tile/0/001", "500", Unavailable, "HTTP status 500"),
        ("/tile/entries/001", "cut", Unavailable, "cut off"),
        ("/tile/entries/001", "bomb", IntegrityError, "more than"),
        ("/tile/entries/001", "no gzip", Unavailable, "can't be fetched"),
        ("/tile/0/001", "to file:///etc/passwd", Unavailable, "302"),
        ("/tile/0/001", "to ftp://127.0.0.1/x", Unavailable, "can't be fetched"),
        ("/tile/0/001", "to /tile/0/001", Unavailable, "302"),
    ],
)
def test_a_server_that_misbehaves_is_survived(
    web: tuple[str, dict[str, str]], path: str, does: str, error: type[Exception], says: str
) -> None:
    """Whatever a server answers ends in one of our own errors, in time and within memory."""
    url, odd = web
    odd[path] = does
    with pytest.raises(error, match=says):
        verify(open_source(url), vkey=VKEY)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """A refused connection is a typed error."""
    with pytest.raises(Unavailable):
        verify(open_source("http://127.0.0.1:9/"), vkey=VKEY)


class _Dribble:
    def read(self, _: int, /) -> bytes:
        """Return a little, for ever."""
        return b"x"


def test_a_server_that_dribbles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer as a whole has its time, however often a little of it comes."""
    monkeypatch.setattr(module, "_TIMEOUT", -1.0)
    with pytest.raises(Unavailable, match="takes more than"):
        module._within(_Dribble(), "x", 100)
