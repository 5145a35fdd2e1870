# SPDX-License-Identifier: Apache-2.0
"""A case whose images are brought in, and what they are brought from."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
from tests.operations.conftest import World

from custodes.casework import CaseImage, ImageRole, Import
from custodes.governance import Purpose
from custodes.operations.imports import ImportOperations, SourceKind

TOLD = {"provenance": "case-file", "basis": "Art. 9(2)(g) GDPR", "source": "Mr Meyer, father"}


def plain(number: int, side: int = 96) -> bytes:
    """Return a small picture that shows nothing, another one for each number."""
    colour = (number % 256, number // 256 % 256, 77)
    return cv2.imencode(".png", np.full((side, side, 3), colour, np.uint8))[1].tobytes()


def archive(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries:
            file.writestr(name, data)
    return made.getvalue()


class Room:
    """A case of Cara's, its imports, and a folder to bring images from."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.cara = world.rescuer_called("cara")
        self.case = world.app.casework.cases.open(self.cara, Purpose.MISSING_PERSON, "Lena").id
        self.folder = folder
        folder.mkdir()

    @property
    def imports(self) -> ImportOperations:
        return self.world.app.casework.imports

    def put(self, **files: bytes) -> Path:
        """Put files into the folder; two underscores stand for a slash, and one at the end for the dot of .jpg."""
        for name, data in files.items():
            path = self.folder / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".jpg").write_bytes(data)
        return self.folder

    def zip(self, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
        path = self.folder.with_suffix(".zip")
        path.write_bytes(archive(*entries))
        return path

    def begin(self, kind: SourceKind, where: object, **more: object) -> Import:
        return self.imports.begin(self.cara, self.case, kind, str(where), **(TOLD | more))

    def bring(self, kind: SourceKind, where: object, **more: object) -> Import:
        """Begin an import and work on it."""
        return self.imports.work(self.cara, self.begin(kind, where, **more).id)

    def outcomes(self, import_id: str) -> list[tuple[str, str]]:
        """Return of each entry its name, and its reason or what became of it."""
        items, _ = self.imports.items(self.cara, import_id)
        return [(i.name, i.reason or str(i.outcome)) for i in items]

    def kept(self) -> tuple[CaseImage, ...]:
        return self.world.app.casework.cases.photos(self.cara, self.case, ImageRole.IMPORTED, limit=1000)[0]

    def references(self) -> dict[str, str]:
        """Return the references of the case's own collection: ids and labels."""
        name = self.world.app.casework.cases.collection_of(self.cara, self.case).name
        page, _ = self.world.app.faces._references.list(name, after=0, limit=1000)
        return {r.reference_id: r.external_image_id for r in page}

    def check(self) -> None:
        """Check that each image is there once, and that the references are those of its faces."""
        kept = self.kept()
        assert len({i.key for i in kept}) == len(kept)
        faces = {f.reference_id: i.id for i in kept for f in i.faces if f.reference_id}
        assert faces == self.references()


def everything(data: Path) -> bytes:
    """Return all bytes of an installation's files."""
    return b"".join(p.read_bytes() for p in sorted(data.rglob("*")) if p.is_file())
