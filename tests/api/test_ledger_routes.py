# SPDX-License-Identifier: Apache-2.0
"""``/ledger/``: what a C2SP tlog-tiles client gets from the running server, and what a hostile path gets instead."""

from __future__ import annotations

import re

import orjson
import pytest

from custodes.ledger import VerifierKey, verify
from custodes.ledger.checkpoint import verify_checkpoint
from custodes.ledger.merkle import Frontier, leaf_hash
from custodes.ledger.sources import Url
from custodes.ledger.tiles import decode_bundle, resources

FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture(scope="session")
def get(wire):
    """Gets a path as it is written, without a client that would tidy it."""
    return lambda path, method="GET": wire.send(
        [wire.head({"host": wire.host}, None, line=f"{method} {path} HTTP/1.1")]
    )


@pytest.fixture
def log(get, client):
    """The log's key, and what its checkpoint of now says; there is at least one entry."""
    client.list_collections()
    key = VerifierKey.parse(get("/ledger/vkey").body.decode())
    return key, verify_checkpoint(get("/ledger/checkpoint").body, key)[0]


def test_checkpoint_is_a_signed_note(get, log) -> None:
    """The checkpoint is text that nobody may keep, signed by the key that the log gives as its own."""
    key, checkpoint = log
    assert checkpoint.origin == key.name
    assert checkpoint.size > 0
    for path in ("checkpoint", "vkey"):
        answer = get(f"/ledger/{path}")
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
    assert re.fullmatch(rb"\S+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*\n", get("/ledger/vkey").body)


def test_tiles_and_bundles_are_what_the_checkpoint_covers(get, log) -> None:
    """Every file that a checkpoint covers is there, as bytes that may be kept for ever, and gives the signed root."""
    _, checkpoint = log
    frontier, hashes = Frontier(), b""
    for resource in resources(checkpoint.size):
        answer = get(f"/ledger/{resource.path}")
        assert answer.status == 200, resource.path
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["cache-control"] == FOREVER
        if resource.level is None:
            for entry in decode_bundle(answer.body, resource.width):
                frontier.append(leaf_hash(entry))
                assert {"at", "kind"} <= set(orjson.loads(entry))
        elif resource.level == 0:
            hashes += answer.body
    assert frontier.root() == checkpoint.root
    assert len(hashes) == 32 * checkpoint.size


def test_a_partial_tile_stays_when_the_log_has_grown(get, client, log) -> None:
    """What a client has seen of a tile it finds again later, byte for byte."""
    _, checkpoint = log
    partial = [r.path for r in resources(checkpoint.size) if r.width < 256]
    before = [get(f"/ledger/{path}").body for path in partial]
    client.list_collections()
    assert [get(f"/ledger/{path}").body for path in partial] == before


def test_the_verifier_reads_the_running_server(server, log) -> None:
    """The verifier that trusts nobody recomputes the log from the server's own answers."""
    key, checkpoint = log
    found = verify(Url(f"{server.endpoint_url}/ledger/"), vkey=str(key))
    assert found.origin == checkpoint.origin
    assert found.size >= checkpoint.size


HOSTILE = {
    "a folder above": "/ledger/../v1/health",
    "two folders above": "/ledger/../../etc/passwd",
    "a folder above, encoded": "/ledger/%2e%2e/v1/health",
    "a folder above, encoded wholly": "/ledger/%2e%2e%2fv1%2fhealth",
    "a folder above, encoded twice": "/ledger/%252e%252e/%252e%252e/custodes.sqlite3",
    "a folder above within": "/ledger/tile/../vkey",
    "a backslash": "/ledger/..%5c..%5ckeys%5cmaster.key",
    "an absolute path": "/ledger//etc/passwd",
    "an absolute path, encoded": "/ledger/%2fetc%2fpasswd",
    "the database": "/ledger/custodes.sqlite3",
    "the key": "/ledger/keys/ledger.key",
    "nothing": "/ledger/",
    "nothing, and no slash": "/ledger",
    "a slash behind": "/ledger/checkpoint/",
    "a zero byte": "/ledger/checkpoint%00",
    "a line": "/ledger/check%0apoint",
    "no UTF-8": "/ledger/%ff%fe",
    "capitals": "/ledger/VKEY",
    "a huge path": "/ledger/" + "x" * 30_000,
    "a path of many folders": "/ledger/" + "x000/" * 5_000,
    "a huge tile": "/ledger/tile/0/" + "x999/" * 8 + "999",
    "the last tile that a number can name": "/ledger/tile/0/x072/x057/x594/x037/x927/935",
    "the last part of a tile that a number can name": "/ledger/tile/0/x072/x057/x594/x037/x927/935.p/1",
    "the last bundle that a number can name": "/ledger/tile/entries/x072/x057/x594/x037/x927/935",
    "the last bundle that a row can have": "/ledger/tile/entries/x036/x028/x797/x018/x963/967",
    "a bundle that there isn't": "/ledger/tile/entries/x999/999",
    "a level that there isn't": "/ledger/tile/64/000",
    "a tile of no hashes": "/ledger/tile/0/000.p/0",
    "a tile of too many hashes": "/ledger/tile/0/000.p/257",
    "a full tile called partial": "/ledger/tile/0/000.p/256",
    "a negative tile": "/ledger/tile/0/-01",
    "other digits": "/ledger/tile/0/%d9%a0%d9%a0%d9%a0",
    "a query": "/ledger/?path=vkey",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_file_of_the_log_is_not_found(get, wire, case: str) -> None:
    """A path that is none of the log's is answered by a Problem with status 404, and nothing is told of the server."""
    answer = get(HOSTILE[case])
    assert answer.status == 404, (answer.status, answer.body[:300])
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.document) == {"error", "message", "remedy"}
    assert answer.document["error"] == "NotFound"
    assert len(answer.body) < 1000
    assert str(wire.server.data).encode() not in answer.body
    assert "cache-control" not in answer.headers or answer.headers["cache-control"] != FOREVER


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_ledger_is_only_read(get, method: str) -> None:
    """Nobody writes to the ledger from outside."""
    answer = get("/ledger/checkpoint", method)
    assert answer.status == 405
    assert set(answer.document) == {"error", "message", "remedy"}
