# SPDX-License-Identifier: Apache-2.0
"""What a start notices of rows that were changed behind the log's back."""

from __future__ import annotations

import pytest

from custodes.errors import IntegrityError
from custodes.ledger.entry import encode
from custodes.ledger.merkle import leaf_hash

from .conftest import Ledger


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 600])
@pytest.mark.parametrize("signed", [False, True])
def test_an_honest_log_passes(ledger: Ledger, size: int, signed: bool) -> None:
    """Whatever its size, and whether it has signed a checkpoint, or entries since."""
    ledger.fill(size)
    if signed:
        ledger.log.checkpoint()
        ledger.fill(2, size)
    ledger.again().log.check()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ('UPDATE ledger_entries SET data = :data WHERE "index" = 590', "hash of entry 590"),
        ('UPDATE ledger_entries SET leaf = :hash WHERE "index" = 590', "hash of entry 590"),
        ('UPDATE ledger_entries SET at = at - 1 WHERE "index" = 590', "time of entry 590"),
        ('DELETE FROM ledger_entries WHERE "index" = 590', "number of entries from 512"),
        ('DELETE FROM ledger_entries WHERE "index" = 599', "number of entries: expected 600, got 599"),
        ("DELETE FROM ledger_entries", "number of entries: expected 600, got 0"),
        ("UPDATE ledger_tiles SET hashes = :hash WHERE level = 0 AND tile = 1", "root of tile 1 of level 0"),
        ("DELETE FROM ledger_tiles WHERE level = 0 AND tile = 1", "root of tile 1 of level 0"),
        ("UPDATE ledger_tiles SET hashes = :hash WHERE level = 1", "length of tile 0 of level 1"),
        ("UPDATE ledger_tiles SET hashes = :two WHERE level = 1", "root of tile 1 of level 0"),
        ("DELETE FROM ledger_tiles", "length of tile 0 of level 1"),
        ("UPDATE ledger_head SET frontier = :four", "right edge"),
        ("UPDATE ledger_head SET last_at = last_at - 1", "time of the last entry"),
        ("UPDATE ledger_head SET size = 599", "number of entries: expected 599, got 600"),
        ("DELETE FROM ledger_head", "head is gone"),
        ("UPDATE ledger_checkpoints SET note = REPLACE(note, '550', '549')", "not what it signed"),
        ("UPDATE ledger_checkpoints SET note = 'x'", "not what it signed"),
    ],
)
def test_changed_rows_are_noticed(ledger: Ledger, statement: str, says: str) -> None:
    """The message says which row, and what to do."""
    ledger.fill(550)
    ledger.log.checkpoint()
    ledger.fill(50, 550)
    values = {"data": b"{}", "hash": bytes(32), "two": bytes(64), "four": bytes(128)}
    ledger.tamper(statement, **{k: v for k, v in values.items() if f":{k}" in statement})
    with pytest.raises(IntegrityError, match=says) as e:
        ledger.log.check()
    assert "Restore the database" in e.value.remedy


def test_entries_that_cannot_be_are_noticed(ledger: Ledger) -> None:
    """An entry that was replaced together with its hash still has to be one, and no older than the one ahead."""
    ledger.fill(5)
    early = encode("test", "2020-06-10T00:00:00.000Z", {})
    change = 'UPDATE ledger_entries SET data = :data, leaf = :leaf, at = :at WHERE "index" = 3'
    for data, at, says in ((b"{}", 0, "entry 3 is malformed"), (early, 1_591_747_200_000, "entry 3 is dated before")):
        ledger.tamper(change, data=data, leaf=leaf_hash(data), at=at)
        with pytest.raises(IntegrityError, match=says):
            ledger.log.check()


def test_a_log_that_was_rewritten_as_a_whole_is_noticed(ledger: Ledger) -> None:
    """If entries, hashes and right edge were all made to agree, the checkpoint that was signed still doesn't."""
    ledger.fill(5)
    ledger.log.checkpoint()
    for table in ("ledger_entries", "ledger_tiles"):
        ledger.tamper(f"DELETE FROM {table}")
    ledger.tamper("UPDATE ledger_head SET size = 0, last_at = 0, frontier = :none", none=b"")
    with pytest.raises(IntegrityError, match="checkpoint of 5 entries was signed, and there are 0"):
        ledger.log.check()
    ledger.fill(5, 1)
    with pytest.raises(IntegrityError, match="root of the checkpoint of 5 entries"):
        ledger.log.check()


def test_a_log_without_its_head_is_not_begun_anew(ledger: Ledger) -> None:
    """Entries without a head are damage, not an empty ledger."""
    ledger.fill(1)
    ledger.tamper("DELETE FROM ledger_head")
    with pytest.raises(IntegrityError, match="its head is gone"):
        ledger.again()
    for act in (ledger.log.size, ledger.append):
        with pytest.raises(IntegrityError, match="head is gone"):
            act()
    with pytest.raises(IntegrityError, match="head is gone"), ledger.database.read() as c:
        ledger.log.now(c)


def test_a_tile_that_is_too_short_is_noticed_in_time(ledger: Ledger) -> None:
    """Neither a proof nor the next entry is built on a tile that lost hashes."""
    ledger.fill(511)
    ledger.tamper("UPDATE ledger_tiles SET hashes = :none", none=b"")
    with pytest.raises(IntegrityError, match="should have 256 hashes"):
        ledger.log.inclusion(0)
    with pytest.raises(IntegrityError, match="should have 1 hashes"):
        ledger.append()
    assert ledger.log.size() == 511
