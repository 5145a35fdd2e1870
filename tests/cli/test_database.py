# SPDX-License-Identifier: Apache-2.0
"""``custodes database``, run as a user runs it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import orjson


def test_the_database_is_written_anew(custodes_here, tmp_path: Path) -> None:
    """A scrub gives back the room of what was deleted, says so, and leaves the rest."""
    data = tmp_path / "data"
    assert custodes_here(data, "collections", "create", "town").returncode == 0
    file = data / "custodes.sqlite3"
    with sqlite3.connect(file) as c:
        c.execute("CREATE TABLE junk AS SELECT randomblob(1000000) AS it")
        c.execute("DROP TABLE junk")
    c.close()
    before = file.stat().st_size
    done = custodes_here(data, "database", "scrub")
    assert (done.returncode, done.stdout.decode()) == (0, "The database is written anew.\n"), done
    assert file.stat().st_size < before - 900_000
    done = custodes_here(data, "database", "scrub", "--json")
    assert orjson.loads(done.stdout) == {"scrubbed": True}
    assert b"town" in custodes_here(data, "collections", "list").stdout
