# SPDX-License-Identifier: Apache-2.0
"""Known non-mates that are mixed into blind reviews, so that nobody agrees out of habit; and where they come from.

A control is two faces that are known to be two people's: one of a case's and one of a photo that administrators keep
for this alone; or, only where there are none of these, two in one photo, which its scene might tell. The harder to tell
the two apart, the better the control: how alike they are is computed for each sitting and kept nowhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence, Set
from dataclasses import dataclass

from custodes.casework import CaseImage, FaceRecord
from custodes.domain import Box, Template
from custodes.errors import Conflict, Denied, Invalid, NotFound
from custodes.governance import Action, Caller, Provenance, Role
from custodes.ledger import Log, commit
from custodes.operations.desk import Desk, Origin
from custodes.operations.engines import Engines
from custodes.operations.guard import Guard
from custodes.operations.images import Images, ImageSource
from custodes.operations.owners import owner_of_image
from custodes.operations.verdicts import end_sitting

__all__ = ["Control", "ControlOperations"]

_LOOKED_AT = 40
"""So many control photos are looked at for one sitting; each costs about as much as a search."""
_FACES = 12
"""So many faces of a photo, the largest, may become controls."""
_FEW = 3
"""One of so many, the hardest, is taken by chance."""
_TOO_ALIKE = 99.0
"""Similarity from which on it is doubtful that two faces are two people's: a mirror, a collage, a mistake."""
_SAME_FACE = 0.5
_GIVEN = frozenset({str(Provenance.CONSENTED), str(Provenance.PUBLIC_RECORD)})

_random = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class Control:
    """A face of a case and another one, known to be two people's: numbers of faces in images."""

    probe: str
    probe_face: int
    image: str
    face: int


@dataclass(frozen=True, slots=True)
class _Face:
    image: str
    face: int
    poor: bool
    template: Template


class ControlOperations:
    """Control photos, and the choice of controls.

    Args:
        guard: authorises and records.
        desk: casework's.
        engines, images: models and photos.
        log: lets go of what the ledger's openings tell.
    """

    def __init__(self, guard: Guard, desk: Desk, engines: Engines, images: Images, log: Log) -> None:
        self._guard = guard
        self._desk = desk
        self._engines = engines
        self._images = images
        self._log = log

    # --- photos that administrators keep ---

    def add(self, caller: Caller, source: ImageSource, origin: Origin, *, organisation: str | None = None) -> CaseImage:
        """Keep a photo of people who are known to be nobody of any case; no template is made of their faces.

        Args:
            caller: an administrator.
            source: the photo.
            origin: where it comes from; the people agreed, or it is a public record.
            organisation: whose it is to be; the caller's own unless another is named.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such organisation.
            Invalid: if the photo can't be read or shows no face, or it comes from elsewhere.
            Conflict: if the organisation keeps it already.
        """
        if origin.provenance not in _GIVEN:
            raise Invalid(f"A control photo is {' or '.join(sorted(_GIVEN))}.", remedy="Take one of people who agreed.")
        desk, owner = self._desk, self._owner(caller, organisation)
        seen = desk.look(self._engines.default, self._images.read(source))  # before the transaction that decides
        if not seen.faces:
            raise Invalid("The photo shows no face that is found.", remedy="Take one that shows the face.")
        with self._guard.acting(caller, Action.MANAGE_CASES, of=owner) as acting:
            c = acting.connection
            if desk.key(seen.data) in {i.key for i in desk.images.controls(c, owner)}:
                raise Conflict("The organisation keeps this control photo already.")
            made = desk.keep_control(c, owner, seen, origin, by=caller.principal, now=acting.now)
            acting.note(change="control-added", target=made.id, in_organisation=owner)
            acting.note(faces=len(made.faces), provenance=origin.provenance)
            acting.openings.append(commit("image", made.sha256.encode(), owner_of_image(made.id)))
            return made

    def photos(self, caller: Caller, *, organisation: str | None = None) -> tuple[CaseImage, ...]:
        """List the control photos of an organisation, the caller's own unless another is named.

        Reviewers don't see them: they would know them again.

        Raises:
            Denied: if the caller doesn't administer it.
            NotFound: if there is no such organisation.
        """
        owner = self._owner(caller, organisation)
        with self._desk.db.read() as c:
            who = self._desk.principal(c, caller)
            if not (Role.OPERATOR in who.roles or (Role.ADMIN in who.roles and owner == who.organisation)):
                raise Denied(
                    "Control photos are for administrators: whoever judges would know them again.",
                    remedy="Ask your administrator.",
                    code="base.administer-role",
                )
            return self._desk.images.controls(c, owner)

    def remove(self, caller: Caller, image: str) -> None:
        """Destroy a control photo; sittings that go on with it end, and what waits in them goes to others.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such control photo.
        """
        desk = self._desk
        with desk.db.read() as c:
            known = {i.id: i for i in desk.images.many(c, [image]) if i.case is None}
        if image not in known:
            raise NotFound(f"There is no control photo {image}.", remedy="custodes review controls list shows all.")
        owner = known[image].organisation
        with self._guard.acting(caller, Action.MANAGE_CASES, of=owner) as acting:
            c = acting.connection
            going_on = desk.reviews.open_sittings(c, organisation=owner)
            affected = [s for s in going_on if any(i.image == image and i.answer is None for i in s.items)]
            for sitting in affected:
                end_sitting(c, self._guard, desk, sitting)
            desk.images.remove(c, image)
            self._log.forget(c, [owner_of_image(image)])
            acting.note(change="control-removed", target=image, in_organisation=owner, sittings_ended=len(affected))
        desk.db.scrub()

    def _owner(self, caller: Caller, organisation: str | None) -> str:
        with self._desk.db.read() as c:
            if organisation is None:
                return self._desk.principal(c, caller).organisation
            if organisation not in self._desk.registry.state(c).organisations:
                raise NotFound(f"There is no organisation {organisation}.", remedy="custodes org list shows all.")
            return organisation

    # --- the choice ---

    def pick(
        self, person: str, organisation: str, probes: Sequence[tuple[str, int]], count: int
    ) -> tuple[Control, ...]:
        """Choose controls for a blind sitting. Opens no transaction while models run.

        Args:
            person: who is to judge; what they were given before comes last.
            organisation: whose control photos.
            probes: faces of the case that are judged in the sitting, as image and number.
            count: how many.

        Returns:
            Controls, each with another face; fewer than asked for if there are no more, none if there is nothing.
        """
        with self._desk.db.read() as c:
            mine = {i.id: i for i in self._desk.images.many(c, {image for image, _ in probes})}
            kept = list(self._desk.images.controls(c, organisation))
            given = self._desk.reviews.controls_of(c, person)
        _random.shuffle(kept)
        beside = {i.id: self._faces(i, {n for image, n in probes if image == i.id}) for i in mine.values()}
        others = [f for image in kept[:_LOOKED_AT] for f in self._faces(image)]
        pools = {p: self._pool(p, beside.get(p[0], ()), others, given) for p in dict.fromkeys(probes)}
        chosen: list[Control] = []
        taken: set[tuple[str, int]] = set()
        for _ in range(count):
            pools = {p: [f for f in pool if (f.image, f.face) not in taken] for p, pool in pools.items()}
            usable = [p for p in probes if pools[p]]
            if not usable:
                break
            probe = _random.choice(usable)
            best = [f for f in pools[probe] if f.image != probe[0]] or pools[probe]  # the same scene shows itself
            face = _random.choice(best[:_FEW])
            taken.add((face.image, face.face))
            chosen.append(Control(*probe, face.image, face.face))
        return tuple(chosen)

    def _pool(
        self,
        probe: tuple[str, int],
        beside: Sequence[_Face],
        others: Sequence[_Face],
        given: frozenset[tuple[str, int]],
    ) -> list[_Face]:
        """Return the faces that may stand beside a probe, the hardest first: such as the reviewer hasn't had yet."""
        own = next((f for f in beside if f.face == probe[1]), None)
        if own is None:
            return []
        engine = self._engines.default
        scored = [(engine.compare(own.template, f.template).similarity, f) for f in (*beside, *others) if f is not own]
        far = [(s, f) for s, f in scored if s < _TOO_ALIKE]
        far.sort(key=lambda pair: ((pair[1].image, pair[1].face) in given, pair[1].poor, -pair[0]))
        return [f for _, f in far]

    def _faces(self, image: CaseImage, also: Set[int] = frozenset()) -> tuple[_Face, ...]:
        """Find the faces of a kept photo again, and make templates of the largest, for this moment alone."""
        try:
            with self._desk.db.read() as c:
                data = self._desk.images.original(c, image.id)
        except NotFound:  # it was removed meanwhile
            return ()
        engine = self._engines.default
        found = self._desk.look(engine, data).faces
        records = {f.number: f for f in image.faces if f.number < _FACES or f.number in also}
        same = [(n, f) for n, f in enumerate(found) if n in records and _box(records[n]).overlap(f.box) >= _SAME_FACE]
        templates = engine.embed([f for _, f in same])
        return tuple(_Face(image.id, n, bool(records[n].reasons), t) for (n, _), t in zip(same, templates, strict=True))


def _box(face: FaceRecord) -> Box:
    return Box(face.left, face.top, face.width, face.height)
