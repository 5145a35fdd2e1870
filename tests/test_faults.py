# SPDX-License-Identifier: Apache-2.0
"""Faults between deciding, doing and recording: nothing is done that isn't in the ledger, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from custodes.app import App
from custodes.config import Config
from custodes.db import Database
from custodes.errors import IntegrityError, Unavailable
from custodes.governance import OPERATOR, Caller, Purpose
from custodes.ledger import FileSigner, Log

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
PHOTO = Path(__file__).parent / "data" / "obama_1.jpg"

pytestmark = pytest.mark.usefixtures("as_shipped")

_KILLED = """
import os, signal, sys
from pathlib import Path
from custodes.app import App
from custodes.config import Config
from custodes.governance import OPERATOR, Caller, Purpose
from custodes.ledger import Log

me = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
app = App.open(Config(data=Path(sys.argv[1])))
append = Log.append

def dying(self, c, kind, body, *more):
    done = append(self, c, kind, body, *more)
    os.kill(os.getpid(), signal.SIGKILL)
    return done

if sys.argv[2] == "enrol":
    app.collections.create(me, "album", {})
    Log.append = dying
    app.faces.index(me, "album", Path(sys.argv[3]).read_bytes(), external_image_id="x")
else:
    Log.append = dying
    app.faces.delete(me, "album", [sys.argv[3]])
"""


def _killed(data: Path, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(data), *arguments], timeout=120, check=False)
    assert done.returncode == -9


def test_a_kill_between_act_and_commit_leaves_neither(tmp_path: Path) -> None:
    """An enrolment and a deletion whose entry was written but not committed did not happen; the ledger is whole."""
    _killed(tmp_path, "enrol", str(PHOTO))
    app = App.open(Config(data=tmp_path))
    assert app.collections.describe(ME, "album").face_count == 0
    assert [e.get("enrolled") for _, e in app.ledger.entries() if "enrolled" in e] == []
    face = app.faces.index(ME, "album", PHOTO.read_bytes(), external_image_id="x").enrolled[0][0].reference_id
    app.close()
    _killed(tmp_path, "delete", face)
    app = App.open(Config(data=tmp_path))
    assert app.collections.describe(ME, "album").face_count == 1
    assert [e for _, e in app.ledger.entries() if "erased" in e] == []
    assert len(app.faces.search(ME, "album", face, limit=1, threshold=0.0).candidates) == 0
    assert app.rules.replay().differences == ()
    app.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes of the test's own."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a file system takes root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(file: Path) -> None:
    """Write until there is no room."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(descriptor, bytes(4096))
    os.close(descriptor)


def _asked_until_refused(app: App) -> int:
    """Use what is left of the write-ahead log's last pages; return how many requests were answered."""
    for told in range(5000):
        try:
            app.collections.describe(ME, "album")
        except Unavailable:
            return told
    raise AssertionError("the disk isn't full")


def test_on_a_full_disk_nothing_is_done_and_nothing_is_told(small_disk: Path) -> None:
    """What can't be recorded is refused; when there is room again it goes on, with all that was answered."""
    app = App.open(Config(data=small_disk))
    app.collections.create(ME, "album", {})
    ballast = small_disk / "ballast"
    _fill(ballast)
    told = _asked_until_refused(app)
    before = app.ledger.size()
    for ask in (
        lambda: app.collections.create(ME, "other", {}),
        lambda: app.collections.describe(ME, "album"),
        lambda: app.collections.delete(ME, "album"),
    ):
        with pytest.raises(Unavailable, match="no room"):
            ask()
    assert app.ledger.size() == before
    ballast.unlink()
    assert app.collections.describe(ME, "album").name == "album"
    assert [c.name for c in app.collections.list(ME, after=0, limit=9)[0]] == ["album"]
    described = [e for _, e in app.ledger.entries() if e.get("request", {}).get("action") == "DescribeCollection"]
    assert len(described) == told + 1
    app.close()


def _entries_file(data: Path) -> sqlite3.Connection:
    c = sqlite3.connect(data / "custodes.sqlite3")
    for [name] in c.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        c.execute(f"DROP TRIGGER {name}")
    return c


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE ledger_entries SET data = CAST(replace(data, 'permit', 'refuse') AS BLOB) WHERE \"index\" = {last}",
        "UPDATE ledger_entries SET data = replace(CAST(data AS TEXT), 'permit', 'refuse') WHERE \"index\" = {last}",
        'DELETE FROM ledger_entries WHERE "index" = {last}',
        "UPDATE ledger_head SET size = size - 1",
        "UPDATE ledger_head SET last_at = last_at + 3600000000",
    ],
)
def test_a_start_on_a_tampered_ledger_is_refused(tmp_path: Path, tampering: str) -> None:
    """The message says what doesn't agree; nothing is decided on such a ledger."""
    app = App.open(Config(data=tmp_path))
    app.collections.create(ME, "album", {})
    last = app.ledger.size() - 1
    app.ledger.checkpoint(fresh=True)
    app.close()
    with _entries_file(tmp_path) as c:
        c.execute(tampering.format(last=last))
    with pytest.raises(IntegrityError) as caught:
        App.open(Config(data=tmp_path))
    assert caught.value.remedy


def test_another_signing_key_or_origin_is_refused(tmp_path: Path) -> None:
    """The log is begun once."""
    App.open(Config(data=tmp_path)).close()
    database = Database(f"sqlite:///{tmp_path / 'custodes.sqlite3'}")
    try:
        with pytest.raises(IntegrityError, match="begun as"):
            Log(database, None, FileSigner("elsewhere.example/log", bytes(32)))  # type: ignore[arg-type]
    finally:
        database.close()
    (tmp_path / "keys" / "ledger.key").unlink()
    with pytest.raises(IntegrityError):
        App.open(Config(data=tmp_path))


def test_an_installation_of_the_first_version_goes_on(tmp_path: Path) -> None:
    """Its keys and collections belong to the operator, its faces are found, and the moratorium holds from now on."""
    from alembic import command
    from alembic.config import Config as Alembic

    from custodes.db import engine

    old = Database(f"sqlite:///{tmp_path / 'custodes.sqlite3'}")
    config = Alembic()
    config.set_main_option("script_location", str(Path(engine.__file__).parent / "migrations"))
    with old.transaction() as c:
        config.attributes["connection"] = c
        command.upgrade(config, "0001")
        c.execute(
            sa.text(
                "INSERT INTO collections (name, pack, pack_version, dimension, created_at, change, pruned, face_count,"
                " subject_count) VALUES ('album', 'custodes-1', '1.0', 128, 1.0, 0, 0, 0, 0)"
            )
        )
        c.execute(
            sa.text(
                "INSERT INTO access_keys (access_key_id, secret, secret_key, label, created_at)"
                " VALUES ('CUSTOLD', x'00', x'00', 'old', 1.0)"
            )
        )
    old.close()
    app = App.open(Config(data=tmp_path))
    assert app.collections.describe(ME, "album").purpose == "photo-library"
    assert len(app.collections.describe(ME, "album").uid) == 32
    assert [(k.principal, k.purpose, k.provenance) for k in app.identity.list_keys()] == [
        (OPERATOR, Purpose.PHOTO_LIBRARY, "own")
    ]
    assert app.faces.index(ME, "album", PHOTO.read_bytes()).enrolled
    assert [m.id for m in app.oversight.moratoria()] == ["until-further-notice"]
    app.close()
