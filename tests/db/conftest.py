# SPDX-License-Identifier: Apache-2.0
"""Both kinds of database, empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from custodes.db import Database


@pytest.fixture(autouse=True)
def _as_shipped(as_shipped: None) -> None:
    """Migrations run here each time."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    url = f"sqlite:///{tmp_path / 'test.sqlite3'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new(empty=True)
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite database."""
    opened = Database(f"sqlite:///{tmp_path / 'test.sqlite3'}")
    yield opened
    opened.close()
