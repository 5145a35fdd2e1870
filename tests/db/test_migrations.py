# SPDX-License-Identifier: Apache-2.0
"""Migrations make exactly the tables that the code knows, once, whoever comes first."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import custodes.app  # noqa: F401 - every room's tables
from custodes.db import Database, engine, metadata
from custodes.errors import Unavailable


def test_migrations_make_the_tables_of_the_code(database: Database) -> None:
    """What Alembic would still change is nothing, and migrating again changes nothing."""
    database.migrate()
    database.migrate()
    with database.engine.connect() as c:
        context = MigrationContext.configure(c, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_names_of_constraints_are_those_of_the_code(database: Database) -> None:
    """A later migration finds each constraint by the name that the convention gives it."""
    database.migrate()
    with database.read() as c:
        inspector = sa.inspect(c)
        for table in metadata.sorted_tables:
            keys = {k["name"] for k in inspector.get_foreign_keys(table.name)}
            assert keys == {str(k.name) for k in table.foreign_key_constraints}
            unique = {k["name"] for k in inspector.get_unique_constraints(table.name)}
            assert unique == {str(k.name) for k in table.constraints if isinstance(k, sa.UniqueConstraint)}
            assert {i["name"] for i in inspector.get_indexes(table.name) if not i.get("duplicates_constraint")} == {
                str(i.name) for i in table.indexes
            }


def test_the_code_names_the_last_migration() -> None:
    """HEAD, by which a start knows that there is nothing to migrate, is Alembic's own."""
    config = Config()
    config.set_main_option("script_location", str(Path(engine.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == engine.HEAD


def test_a_database_of_a_later_version_is_refused(database: Database) -> None:
    """A schema that this code doesn't know is left alone."""
    database.migrate()
    with database.transaction() as c:
        c.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unavailable, match="9999"):
        database.migrate()


def test_a_migration_that_fails_leaves_nothing(database: Database) -> None:
    """Tables come all together or not at all."""
    with database.transaction() as c:
        c.execute(sa.text("CREATE TABLE tags (x INTEGER)"))  # in the way of the migration's own
    with pytest.raises((sa.exc.OperationalError, sa.exc.ProgrammingError)):
        database.migrate()
    with database.read() as c:
        assert sa.inspect(c).get_table_names() == ["tags"]


def test_threads_may_migrate_at_once(database: Database) -> None:
    """Several threads that open one empty database get along."""
    failures: list[BaseException] = []

    def migrate() -> None:
        try:
            database.migrate()
        except BaseException as e:  # noqa: BLE001 - looked at below
            failures.append(e)

    threads = [threading.Thread(target=migrate) for _ in range(5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []


_OPEN = """
import sys, time
from custodes.app import App
from custodes.config import load
config = load(environ={"CUSTODES_DATA": sys.argv[1], "CUSTODES_DATABASE": sys.argv[2]})
print("ready", flush=True)
sys.stdin.readline()
app = App.open(config)
print(app.identity.first_key("here").secret, app._database.sqlite, flush=True)
app.close()
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_may_open_an_empty_installation_at_once(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Five processes race for schema, master key and first key; all work and agree on one of each."""
    url = "" if kind == "sqlite" else request.getfixturevalue("postgres").new(empty=True)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN, str(tmp_path / "data"), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    told = [racer.communicate(timeout=60) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 5, told
    assert {out for out, _ in told} == {f"{told[0][0].split()[0]} {kind == 'sqlite'}\n"}
    names = sorted(p.name for p in (tmp_path / "data").rglob("*") if p.is_file() and "sqlite3" not in p.name)
    assert names == ["credentials", "ledger.key", "master.key"]
