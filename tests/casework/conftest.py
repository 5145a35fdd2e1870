# SPDX-License-Identifier: Apache-2.0
"""Casework's stores on both kinds of database, and a case in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from custodes.casework import CaseFiles, CaseImage, CaseImages, FaceRecord, ImageRole, Imports, Reviews, Searches
from custodes.db import Database, Vault

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
CASE = "case-0000000000000001"


@dataclass
class Stores:
    """Casework's stores over one migrated database, with a case ``CASE`` led by ``p-1``."""

    database: Database

    def __post_init__(self) -> None:
        vault = Vault(bytes(range(32)))
        self.files, self.images, self.imports = CaseFiles(vault), CaseImages(vault), Imports(vault)
        self.searches, self.reviews = Searches(vault), Reviews(vault)
        self.database.migrate()
        with self.database.transaction() as c:
            self.open(c, CASE)

    def open(self, c: sa.Connection, case: str, *, lead: str = "p-1", organisation: str = "org-1") -> None:
        """Open a case."""
        self.files.open(
            c,
            case,
            organisation,
            "missing-person",
            lead=lead,
            title="Lena",
            reference="M-1",
            about="",
            authority=None,
            sensitive=False,
            keep_days=30,
            now=NOW,
        )

    def image(self, name: str, *, role: ImageRole = ImageRole.IMPORTED, reference: str | None = None) -> CaseImage:
        """Return an image with one face."""
        face = FaceRecord(0, 1.0, 2.0, 3.0, 4.0, 99.0, 1.0, 2.0, 50.0, 60.0, ("LOW_BRIGHTNESS",), reference)
        return CaseImage(
            id=name,
            case=CASE,
            organisation="org-1",
            role=role,
            key=name.encode(),
            width=10,
            height=20,
            provenance="case-file",
            sensitive=False,
            added_at=NOW,
            added_by="p-1",
            taken_at=None,
            name='"><script>.jpg',
            sha256="ab" * 32,
            perceptual=b"",
            basis="mandate",
            source="family",
            faces=(face,),
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """Casework's stores, on SQLite and on PostgreSQL."""
    url = f"sqlite:///{tmp_path}/casework.sqlite3"
    made = Stores(Database(url if request.param == "sqlite" else request.getfixturevalue("postgres").new()))
    yield made
    made.database.close()
