# SPDX-License-Identifier: Apache-2.0
"""Who may work on a case, and how a use is made for it: what all operations of casework begin with.

A case file is its organisation's, and within it the members' (and the administrators', who give cases to people). To
everybody else it reads as if it weren't there. Who may change a case the rules decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from custodes.casework import (
    CaseFile,
    CaseFiles,
    CaseImage,
    CaseImages,
    FaceRecord,
    ImageRole,
    Reviews,
    Searches,
)
from custodes.casework.hashes import perceptual_hash
from custodes.db import Database
from custodes.db.sealing import new_id
from custodes.domain import Face, QualityFilter
from custodes.errors import Denied, NotFound
from custodes.gallery import Collection, Collections
from custodes.governance import Caller, Principal, Purpose, Registry, Role
from custodes.operations.images import Images
from custodes.vision import render
from custodes.vision.engine import Engine
from custodes.vision.image import Image

__all__ = ["Desk", "Origin", "Seen"]

_SMALL = 320
"""Pixels along the longer side of the picture that lists show."""
_HASHED = 512
"""Pixels along the longer side from which the perceptual hash is computed."""
_PROBE_QUALITY = QualityFilter.MEDIUM


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image comes from: provenance (see governance), legal basis and source in words, date, file's name."""

    provenance: str
    basis: str
    source: str
    name: str = ""
    taken_at: datetime | None = None
    sensitive: bool | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A decoded photo and what was found in it; ``poor``: why each face is a poor probe, nothing if it isn't."""

    data: bytes
    image: Image
    faces: tuple[Face, ...]
    poor: tuple[tuple[str, ...], ...]
    small: bytes
    perceptual: bytes


class Desk:
    """What casework's operations share.

    Args:
        database: where all is.
        registry: who is who.
        files, case_images, searches, reviews: casework's stores.
        images, collections: the photos that come in, and the gallery's collections.
        max_faces: how many faces of a photo are looked at.
    """

    def __init__(
        self,
        database: Database,
        registry: Registry,
        files: CaseFiles,
        case_images: CaseImages,
        searches: Searches,
        reviews: Reviews,
        images: Images,
        collections: Collections,
        max_faces: int,
    ) -> None:
        self.db = database
        self.registry = registry
        self.files = files
        self.images = case_images
        self.searches = searches
        self.reviews = reviews
        self._photos = images
        self._collections = collections
        self._max_faces = max_faces

    # --- who ---

    def principal(self, c: sa.Connection, caller: Caller) -> Principal:
        """Return who calls.

        Raises:
            Denied: if it is nobody.
        """
        found = self.registry.state(c, keep=False).principals.get(caller.principal)
        if found is None:
            raise Denied("The caller is nobody.", remedy="Ask the operator.")
        return found

    def file(self, c: sa.Connection, caller: Caller, case: str, *, manage: bool = False) -> CaseFile:
        """Return the file of a case that the caller works on, or with ``manage`` administers.

        Raises:
            NotFound: if there is none, it is another organisation's, or the caller doesn't work on it.
            Denied: if the caller is nobody.
        """
        who = self.principal(c, caller)
        missing = NotFound(f"There is no case {case}, or you don't work on it.", remedy="Ask the case's lead.")
        try:
            found = self.files.get(c, case)
        except NotFound:
            raise missing from None
        administers = manage and Role.ADMIN in who.roles
        if found.organisation != who.organisation or not (who.id in found.members or administers):
            raise missing
        return found

    def file_to_review(self, c: sa.Connection, caller: Caller, case: str) -> CaseFile:
        """Return the file of a case of the caller's organisation, whose reviewers needn't work on it.

        Raises:
            NotFound: if there is none, or it is another organisation's.
            Denied: if the caller is nobody.
        """
        who, missing = self.principal(c, caller), NotFound(f"There is no case {case}.")
        try:
            found = self.files.get(c, case)
        except NotFound:
            raise missing from None
        if found.organisation != who.organisation:
            raise missing
        return found

    @staticmethod
    def calling(caller: Caller, file: CaseFile, provenance: str | None = None) -> Caller:
        """Return the caller as one who acts for a case: with its purpose, authority and provenance of images.

        What a session may be used for is decided where it is made; a key's purpose stays what it is, and the rules
        compare it with the case's.
        """
        authority = caller.authority or file.authority
        return replace(caller, case=file.id, authority=authority, provenance=provenance or caller.provenance)

    @staticmethod
    def purpose(file: CaseFile) -> Purpose:
        """Return the purpose that a case serves."""
        return Purpose(file.kind)

    # --- collections ---

    def collections(self, c: sa.Connection, file: CaseFile) -> tuple[Collection, ...]:
        """Return the collections that a case may use, its own first; those that are gone are left out."""
        found = []
        for use in self.files.uses(c, file.id):
            try:
                found.append(self._collections.find(use.collection))
            except NotFound:
                continue
        return tuple(found)

    def collection(self, uid: str) -> Collection:
        """Return the collection of a random id.

        Raises:
            NotFound: if there is none any more.
        """
        return self._collections.find(uid)

    def own_collection(self, c: sa.Connection, file: CaseFile) -> Collection | None:
        """Return the collection that a case's imports are enrolled in, or None before the first, or if it is gone."""
        for use in self.files.uses(c, file.id):
            if use.own:
                try:
                    return self._collections.find(use.collection)
                except NotFound:
                    continue
        return None

    # --- photos ---

    def look(self, engine: Engine, data: bytes, image: Image | None = None) -> Seen:
        """Decode a photo, find its faces, and make what lists show of it. Opens no transaction.

        Args:
            engine: finds.
            data: the photo.
            image: the same, if it is decoded already.

        Raises:
            Invalid: if it is no photo within the limits.
        """
        image = image or engine.decode(data)
        faces = engine.detect(image, max_faces=self._max_faces)
        poor = tuple(tuple(str(r) for r in engine.quality_reasons(f, _PROBE_QUALITY)) for f in faces)
        hashed = render.fitted(image, _HASHED)
        small = render.jpeg(render.fitted(hashed, _SMALL))
        return Seen(data, image, faces, poor, small, perceptual_hash(render.rgb(hashed)))

    @staticmethod
    def perceptual(image: Image) -> bytes:
        """Return the perceptual hash of a picture; none if it is too plain to have one."""
        return perceptual_hash(render.rgb(render.fitted(image, _HASHED)))

    def keep(
        self,
        c: sa.Connection,
        file: CaseFile,
        seen: Seen,
        role: ImageRole,
        origin: Origin,
        *,
        by: str,
        now: datetime,
        references: Sequence[str | None] = (),
        import_id: str | None = None,
        image_id: str | None = None,
    ) -> CaseImage:
        """Keep a photo in a case, sealed, in a transaction.

        Args:
            c: the transaction.
            file: which case.
            seen: the photo.
            role: what it is for.
            origin: where it comes from.
            by, now: who keeps it, and when.
            references: ids of the references that were made of its faces, in their order.
            import_id: the import that brings it.
            image_id: what it is to be called, if that is settled already.

        Raises:
            Invalid: if a text is too long.
        """
        sensitive = file.sensitive if origin.sensitive is None else origin.sensitive or file.sensitive
        made = self._image(seen, role, origin, file.organisation, by, now, references)
        made = replace(made, id=image_id or made.id, case=file.id, sensitive=sensitive, import_id=import_id)
        self.images.add(c, made, seen.data, seen.small)
        return made

    def keep_control(
        self, c: sa.Connection, organisation: str, seen: Seen, origin: Origin, *, by: str, now: datetime
    ) -> CaseImage:
        """Keep a photo of people who are known to be nobody of any case of an organisation, in a transaction.

        Raises:
            Invalid: if a text is too long.
        """
        made = self._image(seen, ImageRole.CONTROL, origin, organisation, by, now)
        self.images.add(c, made, seen.data, seen.small)
        return made

    def _image(
        self,
        seen: Seen,
        role: ImageRole,
        origin: Origin,
        organisation: str,
        by: str,
        now: datetime,
        references: Sequence[str | None] = (),
    ) -> CaseImage:
        """Return what is known of a photo, as one that belongs to no case."""
        ids = list(references) or [None] * len(seen.faces)
        return CaseImage(
            id=new_id("img"),
            case=None,
            organisation=organisation,
            role=role,
            key=self.key(seen.data),
            width=seen.image.size.width,
            height=seen.image.size.height,
            provenance=origin.provenance,
            sensitive=bool(origin.sensitive),
            added_at=now,
            added_by=by,
            taken_at=origin.taken_at,
            name=origin.name,
            sha256=self._photos.digest(seen.data).decode(),
            perceptual=seen.perceptual,
            basis=origin.basis,
            source=origin.source,
            faces=tuple(record(n, f, r, i) for n, (f, r, i) in enumerate(zip(seen.faces, seen.poor, ids, strict=True))),
        )

    def key(self, data: bytes) -> bytes:
        """Return 16 bytes that the same photo always gets; the gallery calls it by the same."""
        return self._photos.identify(data)


def record(number: int, face: Face, poor: Sequence[str], reference_id: str | None = None) -> FaceRecord:
    """Return what is kept of a face in a photo."""
    return FaceRecord(
        number=number,
        left=face.box.left,
        top=face.box.top,
        width=face.box.width,
        height=face.box.height,
        confidence=face.confidence,
        yaw=face.pose.yaw,
        pitch=face.pose.pitch,
        brightness=face.quality.brightness,
        sharpness=face.quality.sharpness,
        reasons=tuple(poor),
        reference_id=reference_id,
    )
