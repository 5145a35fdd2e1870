# SPDX-License-Identifier: Apache-2.0
"""The pictures of a case as people see them: re-made as JPEG without metadata, sensitive ones blurred until asked for.

Nothing of a file as it came is ever sent to a browser: what is shown is decoded and encoded anew. To ask for a
sensitive image is a use of its own, in the ledger; who has asked sees it from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from custodes.casework import CaseFile, CaseImage, CaseStatus, ReviewItem, Side, Sitting
from custodes.domain import Box
from custodes.errors import NotFound
from custodes.governance import Action, Caller
from custodes.operations.cases import CaseOperations
from custodes.operations.choosing import is_sensitive
from custodes.operations.controls import ControlOperations
from custodes.operations.desk import Desk
from custodes.operations.engines import Engines
from custodes.operations.guard import Guard
from custodes.vision import render

__all__ = ["PictureOperations", "PictureSize"]

_FULL = 2048
_FACE = 640
_TIGHT = 0.25
"""Room around a face that is judged blind, as a share of it: so little that the scene tells nothing of a pair."""


class PictureSize(StrEnum):
    """How large a picture is shown."""

    SMALL = "small"  # 320 pixels along the longer side, for lists
    FULL = "full"  # at most 2,048
    FACE = "face"  # a cut-out of one face, 640 x 640


class PictureOperations:
    """Pictures of cases.

    Args:
        guard: authorises and records.
        desk, cases: casework's.
        controls: the control photos.
        engines: decode.
    """

    def __init__(
        self, guard: Guard, desk: Desk, cases: CaseOperations, controls: ControlOperations, engines: Engines
    ) -> None:
        self._guard = guard
        self._desk = desk
        self._cases = cases
        self._controls = controls
        self._engines = engines

    def picture(self, caller: Caller, case: str, image: str, size: PictureSize, face: int = 0) -> bytes:
        """Return a picture of a case as JPEG; a sensitive one blurred, unless the caller has asked for it.

        Raises:
            NotFound: if there is no such case, photo or face.
        """
        known = self._cases.photo(caller, case, image)
        return self._shown(known, size, face, hidden=self._is_hidden(caller, case, known))

    def hidden(self, caller: Caller, case: str, images: Sequence[CaseImage]) -> frozenset[str]:
        """Return which of some photos of a case the caller sees blurred, by id; in a closed case all sensitive ones."""
        files = self._desk.files
        with self._desk.db.read() as c:
            seen = files.exposed(c, case, self._desk.principal(c, caller).person)
            if files.get(c, case).status == CaseStatus.CLOSED:
                seen = frozenset()
        return frozenset(i.id for i in images if i.sensitive and i.id not in seen)

    def reveal(self, caller: Caller, case: str, image: str) -> None:
        """Let the caller see a sensitive photo as it is; that they asked is an entry.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such case or photo.
        """
        self._cases.photo(caller, case, image)
        with self._desk.db.read() as c:
            file = self._desk.file(c, caller, case)
        self._reveal(caller, file, image)

    # --- for reviewers, who needn't work on the case ---

    def of_item(self, caller: Caller, item: str, side: Side, size: PictureSize = PictureSize.FACE) -> bytes:
        """Return a picture of a comparison to its reviewer, as JPEG; the face that is cut out is the one compared.

        Who judges blind sees the cut-out alone: the rest of two photos would tell which pairs are controls.

        Args:
            caller: the reviewer.
            item: the comparison.
            side: which of its two.
            size: how large.

        Raises:
            NotFound: if it is no comparison of the caller's that goes on.
        """
        file, sitting, compared, images = self._of_item(caller, item)
        image, face = (compared.probe, compared.probe_face) if side == Side.PROBE else (compared.image, compared.face)
        hidden = self._hides(caller, file, sitting, item, images)
        if sitting.blind:
            return self._shown(images[image], PictureSize.FACE, face, hidden=hidden, margin=_TIGHT)
        return self._shown(images[image], size, face, hidden=hidden)

    def is_hidden_of_item(self, caller: Caller, item: str) -> bool:
        """Tell whether a reviewer sees the pictures of a comparison blurred: both, if one of them is sensitive.

        In a blind sitting all are, if one of any is: a control's photo would tell itself by not being sensitive.

        Raises:
            NotFound: if it is no comparison of the caller's that goes on.
        """
        file, sitting, _, images = self._of_item(caller, item)
        return self._hides(caller, file, sitting, item, images)

    def reveal_of_item(self, caller: Caller, item: str) -> None:
        """Let a reviewer see the sensitive pictures of a comparison as they are; that they asked is an entry.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if it is no comparison of the caller's that goes on.
        """
        file, _, _, _ = self._of_item(caller, item)
        self._reveal(caller, file, item, comparison=True)

    def _of_item(self, caller: Caller, item: str) -> tuple[CaseFile, Sitting, ReviewItem, dict[str, CaseImage]]:
        """Return a comparison with its case file, its sitting, and its photos by id."""
        missing = NotFound("There is no such picture.")
        desk = self._desk
        with desk.db.read() as c:
            try:
                found = desk.reviews.item(c, item)
            except NotFound:
                raise missing from None
            sitting = desk.reviews.sitting(c, found.sitting)
            if sitting.principal != caller.principal or sitting.ended_at is not None:
                raise missing
            images = {i.id: i for i in desk.images.many(c, [found.probe, found.image])}
            if not {found.probe, found.image} <= images.keys():
                raise missing
            return desk.files.get(c, sitting.case), sitting, found, images

    def _hides(self, caller: Caller, file: CaseFile, sitting: Sitting, item: str, images: dict[str, CaseImage]) -> bool:
        """Tell whether a comparison is blurred; by comparison, for single photos would tell themselves as controls."""
        with self._desk.db.read() as c:
            seen = self._desk.files.exposed(c, file.id, self._desk.principal(c, caller).person)
            sensitive = is_sensitive(c, self._desk, file, sitting, images.values())
        return sensitive and item not in seen

    def of_control(self, caller: Caller, image: str, size: PictureSize) -> bytes:
        """Return a control photo of the caller's organisation as JPEG; who judges doesn't see them.

        Raises:
            Denied: if the caller doesn't administer the organisation.
            NotFound: if there is no such control photo.
        """
        known = next((i for i in self._controls.photos(caller) if i.id == image), None)
        if known is None:
            raise NotFound(f"There is no control photo {image}.")
        return self._shown(known, size, 0, hidden=False)

    # --- shared ---

    def _is_hidden(self, caller: Caller, case: str, image: CaseImage) -> bool:
        return image.id in self.hidden(caller, case, [image])

    def _reveal(self, caller: Caller, file: CaseFile, what: str, *, comparison: bool = False) -> None:
        desk = self._desk
        with desk.db.read() as c:
            own = desk.own_collection(c, file)
            person = desk.principal(c, caller).person
        calling = desk.calling(caller, file)
        with self._guard.using(calling, Action.VIEW_IMAGE, own) as using, using.committing() as c:
            using.part.note(image_id=None if comparison else what, comparison=what if comparison else None)
            desk.files.expose(c, file.id, person, [what], self._guard.now(c))

    def _shown(
        self, image: CaseImage, size: PictureSize, face: int, *, hidden: bool, margin: float = render.MARGIN
    ) -> bytes:
        desk = self._desk
        if size == PictureSize.SMALL or (hidden and size != PictureSize.FACE):
            with desk.db.read() as c:
                small = desk.images.small(c, image.id)
            return render.jpeg(render.blurred(render.opened(small))) if hidden else small
        with desk.db.read() as c:
            data = desk.images.original(c, image.id)
        picture = self._engines.default.decode(data)
        if size == PictureSize.FACE:
            found = next((f for f in image.faces if f.number == face), None)
            if found is None:
                raise NotFound("The photo has no such face.")
            cut = render.around(picture, Box(found.left, found.top, found.width, found.height), _FACE, margin)
            return render.jpeg(render.blurred(cut) if hidden else cut)
        return render.jpeg(render.fitted(picture, _FULL))
