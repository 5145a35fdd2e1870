# SPDX-License-Identifier: Apache-2.0
"""The store of the images that cases keep: sealed bytes, what is known of them, and the faces in them.

Every method works in the transaction that it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import sqlalchemy as sa

from custodes.casework.model import CandidateState, CaseImage, FaceRecord, ImageRole
from custodes.casework.schema import case_faces, case_images, case_pictures, found_candidates, search_records
from custodes.db import Vault
from custodes.db.sealing import Sealer, moment, seconds, time_of, words
from custodes.errors import NotFound

__all__ = ["CaseImages", "Forgotten", "Resting"]

_IN = 500
_SAME = (
    sa.select(case_images.c.id)
    .where(case_images.c.case_id == sa.bindparam("case"), case_images.c.key == sa.bindparam("bytes"))
    .limit(1)
)
"""Made once, as an import asks it of every entry."""


_FOUND_IN = (str(ImageRole.IMPORTED), str(ImageRole.ATTACHED))
"""What people were found in; what else a case keeps is what it searches with."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Candidates that are gone with their references.

    Attributes:
        candidates: how many.
        faces: what showed them, image and number.
        answers: by case, the ledger's entries of the answers to them.
    """

    candidates: int
    faces: frozenset[tuple[str, int]]
    answers: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Resting:
    """What rests on an image: whether it was searched with, and where the candidates stand that it shows."""

    searched: bool
    states: frozenset[CandidateState]


class CaseImages:
    """The store of case images.

    Args:
        vault: seals them.
    """

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)

    def add(self, c: sa.Connection, image: CaseImage, original: bytes, small: bytes) -> None:
        """Keep an image.

        Args:
            c: the transaction.
            image: what is known of it, with its faces.
            original: its bytes as they came.
            small: a small JPEG of it without metadata.

        Raises:
            Invalid: if a text is too long or unprintable.
        """
        told = {
            "name": words(image.name, "A file's name", 1000),
            "sha256": image.sha256,
            "perceptual": image.perceptual.hex(),
            "basis": words(image.basis, "A legal basis", 500),
            "source": words(image.source, "A source", 500),
        }
        c.execute(
            sa.insert(case_images).values(
                id=image.id,
                case_id=image.case,
                organisation=image.organisation,
                role=str(image.role),
                key=image.key,
                width=image.width,
                height=image.height,
                provenance=image.provenance,
                sensitive=image.sensitive,
                taken_at=seconds(image.taken_at),
                import_id=image.import_id,
                added_at=image.added_at.timestamp(),
                added_by=image.added_by,
                **self._sealer.seal_words(image.id, told),
            )
        )
        pictures = self._sealer.seal(image.id, original, "original") | self._sealer.seal(image.id, small, "small")
        c.execute(sa.insert(case_pictures).values(image_id=image.id, **pictures))
        if image.faces:
            c.execute(sa.insert(case_faces), [_face_row(image.id, f) for f in image.faces])

    def get(self, c: sa.Connection, image: str) -> CaseImage:
        """Read what is known of an image, with its faces.

        Raises:
            NotFound: if there is none of this id.
        """
        found = self.many(c, [image])
        if not found:
            raise NotFound(f"There is no image {image}.")
        return found[0]

    def many(self, c: sa.Connection, images: Iterable[str]) -> tuple[CaseImage, ...]:
        """Read what is known of images, with their faces, by the order of their ids; what is gone is left out."""
        ids = sorted(set(images))
        rows: list[sa.Row[Any]] = []
        for start in range(0, len(ids), _IN):
            rows += c.execute(sa.select(case_images).where(case_images.c.id.in_(ids[start : start + _IN]))).all()
        return self._with_faces(c, sorted(rows, key=lambda r: str(r.id)))

    def list(
        self,
        c: sa.Connection,
        case: str,
        role: ImageRole | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
        import_id: str | None = None,
        with_faces: bool = False,
    ) -> tuple[tuple[CaseImage, ...], str | None]:
        """Read a page of a case's images in the order in which they came, and where to go on (None at the end)."""
        query = sa.select(case_images).where(case_images.c.case_id == case)
        if role is not None:
            query = query.where(case_images.c.role == str(role))
        if import_id is not None:
            query = query.where(case_images.c.import_id == import_id)
        if with_faces:
            query = query.where(sa.exists().where(case_faces.c.image_id == case_images.c.id))
        return self._page(c, query, after, limit)

    def controls(self, c: sa.Connection, organisation: str) -> tuple[CaseImage, ...]:
        """Read the images of people who are known to be nobody of any case of an organisation."""
        query = sa.select(case_images).where(
            case_images.c.organisation == organisation, case_images.c.role == str(ImageRole.CONTROL)
        )
        return self._with_faces(c, c.execute(query.order_by(case_images.c.id)).all())

    def _page(
        self, c: sa.Connection, query: sa.Select[Any], after: str | None, limit: int
    ) -> tuple[tuple[CaseImage, ...], str | None]:
        order = case_images.c.added_at, case_images.c.id
        if after is not None:
            last = c.execute(sa.select(*order).where(case_images.c.id == after)).one_or_none()
            if last is not None:
                query = query.where(sa.tuple_(*order) > sa.tuple_(sa.literal(last[0]), sa.literal(last[1])))
        rows = c.execute(query.order_by(*order).limit(limit + 1)).all()
        page = self._with_faces(c, rows[:limit])
        return page, page[-1].id if len(rows) > limit else None

    def count(self, c: sa.Connection, case: str) -> dict[ImageRole, int]:
        """Count a case's images by what they are for."""
        query = (
            sa.select(case_images.c.role, sa.func.count())
            .where(case_images.c.case_id == case)
            .group_by(case_images.c.role)
        )
        return {ImageRole(role): n for role, n in c.execute(query)}

    def ids(self, c: sa.Connection, case: str) -> tuple[str, ...]:
        """Read the ids of all images of a case."""
        return tuple(c.execute(sa.select(case_images.c.id).where(case_images.c.case_id == case)).scalars())

    def has(self, c: sa.Connection, case: str, key: bytes, role: ImageRole | None = None) -> str | None:
        """Return the id of the image that a case keeps of the same bytes, or None."""
        query = _SAME if role is None else _SAME.where(case_images.c.role == str(role))
        return c.execute(query, {"case": case, "bytes": key}).scalar_one_or_none()

    def behind(self, c: sa.Connection, case: str, reference_ids: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Return which face of which image of a case each reference was made of: image and number."""
        ids = list(reference_ids)
        found: dict[str, tuple[str, int]] = {}
        for start in range(0, len(ids), _IN):
            rows = c.execute(
                sa.select(case_faces.c.reference_id, case_faces.c.image_id, case_faces.c.number)
                .join(case_images, case_images.c.id == case_faces.c.image_id)
                .where(case_faces.c.reference_id.in_(ids[start : start + _IN]), case_images.c.case_id == case)
            )
            found |= {r.reference_id: (r.image_id, r.number) for r in rows}
        return found

    def resting(self, c: sa.Connection, image: str) -> Resting:
        """Read what rests on an image."""
        searched = c.execute(sa.select(search_records.c.id).where(search_records.c.probe == image).limit(1)).first()
        states = sa.select(found_candidates.c.state).where(found_candidates.c.image_id == image).distinct()
        return Resting(searched is not None, frozenset(CandidateState(s) for s in c.execute(states).scalars()))

    def showing(self, c: sa.Connection, reference_ids: Iterable[str]) -> dict[str, frozenset[str]]:
        """Return the images of each case that show what references were made of, or that were attached to them."""
        ids, found = list(reference_ids), dict[str, set[str]]()
        for start in range(0, len(ids), _IN):
            some = ids[start : start + _IN]
            made = sa.select(case_faces.c.image_id).where(case_faces.c.reference_id.in_(some))
            attached = sa.select(found_candidates.c.image_id).where(found_candidates.c.reference_id.in_(some))
            for images in (made, attached):
                mine = case_images.c.id.in_(images) & case_images.c.case_id.is_not(None)
                for r in c.execute(sa.select(case_images.c.case_id, case_images.c.id).where(mine)):
                    found.setdefault(r.case_id, set()).add(r.id)
        return {case: frozenset(images) for case, images in found.items()}

    def forget(
        self, c: sa.Connection, reference_ids: Iterable[str], shown: Iterable[tuple[str, int]] = ()
    ) -> tuple[str, ...]:
        """Destroy what cases keep of faces whose references are erased: each record, and the photo if that was all.

        A photo stays if it shows another face that is enrolled or a candidate, or if a case searches with it.

        Args:
            c: the transaction.
            reference_ids: the references that are erased.
            shown: faces, image and number, that showed candidates which are gone with them.

        Returns:
            Ids of the photos that are destroyed.
        """
        ids, faces = list(reference_ids), set(shown)
        for start in range(0, len(ids), _IN):
            made = case_faces.c.reference_id.in_(ids[start : start + _IN])
            faces |= {(r.image_id, r.number) for r in c.execute(sa.select(case_faces).where(made))}
        gone = []
        for image in sorted({i for i, _ in faces}):
            mine = (case_images.c.id == image) & case_images.c.role.in_(_FOUND_IN)
            if not c.execute(sa.select(case_images.c.id).where(mine)).all():
                continue
            numbers = [n for i, n in faces if i == image]
            c.execute(sa.delete(case_faces).where(case_faces.c.image_id == image, case_faces.c.number.in_(numbers)))
            if not self._is_needed(c, image):
                self.remove(c, image)
                gone.append(image)
        return tuple(gone)

    @staticmethod
    def _is_needed(c: sa.Connection, image: str) -> bool:
        """Tell whether an image shows anybody else who is enrolled or a candidate."""
        enrolled = (case_faces.c.image_id == image) & case_faces.c.reference_id.is_not(None)
        for query in (
            sa.select(case_faces.c.number).where(enrolled),
            sa.select(found_candidates.c.id).where(found_candidates.c.image_id == image),
        ):
            if c.execute(query.limit(1)).first() is not None:
                return True
        return False

    def original(self, c: sa.Connection, image: str) -> bytes:
        """Open an image's bytes as they came.

        Raises:
            NotFound: if there is none of this id.
        """
        return self._picture(c, image, "original")

    def small(self, c: sa.Connection, image: str) -> bytes:
        """Open an image's small JPEG.

        Raises:
            NotFound: if there is none of this id.
        """
        return self._picture(c, image, "small")

    def _picture(self, c: sa.Connection, image: str, name: str) -> bytes:
        columns = case_pictures.c[name], case_pictures.c[f"{name}_key"]
        row = c.execute(sa.select(*columns).where(case_pictures.c.image_id == image)).one_or_none()
        if row is None:
            raise NotFound(f"There is no image {image}.")
        return self._sealer.open(image, row[0], row[1], name)

    def remove(self, c: sa.Connection, image: str) -> None:
        """Destroy an image.

        Raises:
            NotFound: if there is none of this id.
        """
        if not c.execute(sa.delete(case_images).where(case_images.c.id == image)).rowcount:
            raise NotFound(f"There is no image {image}.")

    def _with_faces(self, c: sa.Connection, rows: Sequence[sa.Row[Any]]) -> tuple[CaseImage, ...]:
        faces: dict[str, list[FaceRecord]] = {}
        ids = [r.id for r in rows]
        for start in range(0, len(ids), _IN):
            query = sa.select(case_faces).where(case_faces.c.image_id.in_(ids[start : start + _IN]))
            for f in c.execute(query.order_by(case_faces.c.image_id, case_faces.c.number)):
                faces.setdefault(f.image_id, []).append(_to_face(f))
        return tuple(replace(self._read(r), faces=tuple(faces.get(r.id, ()))) for r in rows)

    def _read(self, r: sa.Row[Any]) -> CaseImage:
        told = self._sealer.open_words(r.id, r.secret, r.secret_key)
        return CaseImage(
            id=r.id,
            case=r.case_id,
            organisation=r.organisation,
            role=ImageRole(r.role),
            key=r.key,
            width=r.width,
            height=r.height,
            provenance=r.provenance,
            sensitive=bool(r.sensitive),
            added_at=time_of(r.added_at),
            added_by=r.added_by,
            taken_at=moment(r.taken_at),
            name=told["name"],
            sha256=told["sha256"],
            perceptual=bytes.fromhex(told["perceptual"]),
            basis=told["basis"],
            source=told["source"],
            import_id=r.import_id,
        )


def _face_row(image: str, f: FaceRecord) -> dict[str, object]:
    return {
        "image_id": image,
        "number": f.number,
        "left": f.left,
        "top": f.top,
        "width": f.width,
        "height": f.height,
        "confidence": f.confidence,
        "yaw": f.yaw,
        "pitch": f.pitch,
        "brightness": f.brightness,
        "sharpness": f.sharpness,
        "reasons": orjson.dumps(list(f.reasons)).decode(),
        "reference_id": f.reference_id,
    }


def _to_face(r: sa.Row[Any]) -> FaceRecord:
    return FaceRecord(
        number=r.number,
        left=r.left,
        top=r.top,
        width=r.width,
        height=r.height,
        confidence=r.confidence,
        yaw=r.yaw,
        pitch=r.pitch,
        brightness=r.brightness,
        sharpness=r.sharpness,
        reasons=tuple(orjson.loads(r.reasons)),
        reference_id=r.reference_id,
    )
