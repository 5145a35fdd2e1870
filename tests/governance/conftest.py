# SPDX-License-Identifier: Apache-2.0
"""Both kinds of database, with this version's tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import custodes.app  # noqa: F401 - every room's tables
from custodes.db import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.sqlite3'}"
    return str(request.getfixturevalue("postgres").new())


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A database with its tables."""
    opened = Database(url)
    opened.migrate()
    yield opened
    opened.close()
