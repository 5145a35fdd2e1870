# SPDX-License-Identifier: Apache-2.0
"""What those get who test this installation from outside (RCW 43.386.050): raw scores, signed.

Testers are organisations of class ``tester``, with keys for ``testing``. They enrol into collections of their own as
anybody does, and what they get here beyond that comes out of the same code as everybody's answers, so that the scores
are the same to the last bit: no threshold, and the cosine beside the similarity. Each answer is a document that its
entry of the ledger commits to (``signed``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import orjson

from custodes.config import Config
from custodes.domain import Box, Face, Float32, ImageSize, QualityFilter, cosines
from custodes.errors import Invalid
from custodes.evaluation.deployed import deployed
from custodes.gallery import References
from custodes.governance import Action, Caller, Held, OrgClass, Purpose
from custodes.ledger import Log
from custodes.ledger.entry import stamp, to_ms
from custodes.operations.admission import Admission
from custodes.operations.engines import Engines
from custodes.operations.faces import FaceOperations, FaceSearch, ImageSearch
from custodes.operations.guard import Guard, Using
from custodes.operations.images import Images
from custodes.operations.owners import owner_of
from custodes.operations.photos import Comparison
from custodes.operations.scores import score
from custodes.operations.signed import RESULT, digest, signed
from custodes.vision.pack import Pack

__all__ = ["FORM", "MOST_CANDIDATES", "MOST_PAIRS", "PAIRS_OF_A_USE", "TestingOperations"]

FORM = "custodes-testing/1"
"""What a document is; another number, another form."""
MOST_PAIRS = 100_000
"""Pairs of one request."""
PAIRS_OF_A_USE = 1_000
"""So many count as one comparison against the day's cap."""
MOST_CANDIDATES = 4_096
"""Length of a candidate list; Rekognition's own."""

_NONE = "none"
_PIECE = 10_000  # pairs that are widened to float64 at a time

Pair = tuple[str, str]
Told = dict[str, object]


class TestingOperations:
    """Use cases of testers; each returns a signed document.

    Args:
        guard: authorises and records.
        admission: finds collections as callers may know of them.
        engines, references, faces: what is tested.
        log: the ledger.
        config: limits, and how small a face is looked for.
    """

    def __init__(
        self,
        guard: Guard,
        admission: Admission,
        engines: Engines,
        references: References,
        faces: FaceOperations,
        log: Log,
        config: Config,
    ) -> None:
        self._guard = guard
        self._admission = admission
        self._engines = engines
        self._references = references
        self._faces = faces
        self._log = log
        self._config = config

    def check(self, caller: Caller) -> None:
        """Refuse whoever tests nothing, before anything of what they ask is read; a tester is judged by what it asks.

        Raises:
            Denied: if a rule forbids it.
        """
        if self._guard.class_of(caller) != OrgClass.TESTER or caller.purpose != Purpose.TESTING:
            self._check(caller)

    def describe(self, caller: Caller) -> bytes:
        """Tell what runs here: models, calibration, rules, limits, and the ledger's key.

        Raises:
            Denied: if a rule forbids it.
        """
        self._check(caller)
        with self._guard.using(caller, Action.LIST_COLLECTIONS) as using:  # to read, and nobody's faces
            pack, limits = self._engines.default.pack, self._config.limits
            told: Told = {
                "calibration": {"measured_on": pack.calibration.measured_on, "knots": pack.calibration.knots},
                "limits": {
                    "pairs": MOST_PAIRS,
                    "pairs_of_a_use": PAIRS_OF_A_USE,
                    "candidates": MOST_CANDIDATES,
                    "body_bytes": limits.body_bytes,
                    "image_pixels": limits.image_pixels,
                    "image_side": limits.image_side,
                    "min_side": limits.min_side,
                    "faces_of_an_image": limits.faces,
                    "faces_of_a_collection": limits.collection_faces,
                },
                "ledger": {"origin": self._log.origin, "vkey": self._log.vkey},
            }
            document = self._tell(using, "describe", pack, told)
        return self._signed(document)

    def scores(self, caller: Caller, name: str, pairs: Sequence[Pair]) -> bytes:
        """Compare pairs of references of one collection.

        Args:
            caller: who asks.
            name: the collection.
            pairs: ids of references, 1 to :data:`MOST_PAIRS`; a thousand count as one comparison.

        Raises:
            NotFound: if there is no such collection, or it lacks references; the message says how many and which first.
            Denied: if a rule forbids it.
            Invalid: if there are too few or too many pairs.
        """
        collection = self._admission.get(caller, name)
        with self._guard.using(caller, Action.SCORE_PAIRS, collection) as using:
            if not 1 <= len(pairs) <= MOST_PAIRS:
                raise Invalid(f"A request has 1 to {MOST_PAIRS} pairs, got {len(pairs)}.", remedy="Ask in parts.")
            using.weight = -(-len(pairs) // PAIRS_OF_A_USE)
            ids = list(dict.fromkeys(i for pair in pairs for i in pair))
            held, templates = self._references.templates(name, ids)
            pack = self._engines.of(held.pack).pack
            scored = (score(pack, c) for c in _cosines(templates, ids, pairs))
            rows = [[a, b, s.cosine, s.similarity] for (a, b), s in zip(pairs, scored, strict=True)]
            self._admission.show(caller, collection, ids)
            using.part.note(pairs=len(pairs), faces=len(ids), model=held.pack_version)
            using.part.mentions.extend(owner_of(i) for i in ids)
            told: Told = {
                "collection": name,
                "pairs": len(pairs),
                "columns": ["face_id", "face_id", "cosine", "similarity"],
                "scores": rows,
            }
            document = self._tell(using, "scores", pack, told)
        return self._signed(document)

    def compare(self, caller: Caller, source: bytes, target: bytes) -> bytes:
        """Compare the largest face of one photo with every face of another, as CompareFaces does; without a threshold.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if a photo can't be read, or shows no face (code ``no-face``).
        """
        self._check(caller)
        pack, documents = self._engines.default.pack, list[bytes]()

        def tell(using: Using, found: Comparison) -> None:
            told: Told = {
                "source": {
                    **_photo(source, found.source_size),
                    "faces": found.source_count,
                    "face": _face(found.source),
                },
                "target": {
                    **_photo(target, found.target_size),
                    "faces": [_face(f) | {"cosine": s.cosine, "similarity": s.similarity} for f, s in found.matches],
                },
            }
            documents.append(self._tell(using, "compare", pack, told))

        self._faces.compare(caller, source, target, threshold=0.0, tell=tell)
        return self._signed(documents[0])

    def search(self, caller: Caller, name: str, probe: str | bytes, limit: int) -> bytes:
        """Search a collection, as SearchFaces and SearchFacesByImage do; without a threshold.

        Args:
            caller: who asks.
            name: the collection.
            probe: id of one of its references, which is left out, or a photo, whose largest face is looked for.
            limit: length of the candidate list, 1 to :data:`MOST_CANDIDATES`.

        Raises:
            NotFound: if there is no such collection, or no such reference in it.
            Denied: if a rule forbids it.
            Invalid: if the photo can't be read or shows no face (code ``no-face``), or the limit is out of bounds.
        """
        collection = self._admission.get(caller, name)
        self._guard.check_use(caller, Action.SCORE_PAIRS, collection)
        if not 1 <= limit <= MOST_CANDIDATES:
            raise Invalid(f"A candidate list has 1 to {MOST_CANDIDATES} lines, got {limit}.")
        pack, documents = self._engines.of(collection.pack).pack, list[bytes]()

        def keep(using: Using, found: FaceSearch | ImageSearch, searched: Told) -> None:
            lines = [
                {
                    "face_id": k.reference.reference_id,
                    "external_image_id": k.reference.external_image_id,
                    "cosine": k.score.cosine,
                    "similarity": k.score.similarity,
                }
                for k in found.candidates
            ]
            told: Told = {"collection": name, "probe": searched, "limit": limit, "candidates": lines}
            documents.append(self._tell(using, "search", pack, told))

        def tell(using: Using, found: FaceSearch) -> None:
            keep(using, found, {"face_id": probe})

        def tell_image(using: Using, found: ImageSearch) -> None:
            assert isinstance(probe, bytes)
            keep(using, found, _photo(probe, found.size) | {"faces": found.faces, "face": _face(found.probe)})

        if isinstance(probe, str):
            self._faces.search(caller, name, probe, limit=limit, threshold=0.0, tell=tell)
        else:
            self._faces.search_by_image(
                caller, name, probe, limit=limit, threshold=0.0, quality=QualityFilter.NONE, tell=tell_image
            )
        return self._signed(documents[0])

    def _check(self, caller: Caller) -> None:
        """Refuse who may not have raw scores; what is in no collection counts as if it were in one of the caller's own.

        Raises:
            Denied: if a rule forbids it.
        """
        own = Held(_NONE, self._guard.organisation_of(caller), str(caller.purpose))
        self._guard.check_use(caller, Action.SCORE_PAIRS, own)

    def _tell(self, using: Using, operation: str, pack: Pack, told: Mapping[str, object]) -> bytes:
        """Return the document of a use, and let its entry commit to it."""
        what = deployed(pack, self._config.vision.detail)
        state, facts = using.permit.state, using.permit.request.facts
        head = {
            "form": FORM,
            "operation": operation,
            "at": stamp(to_ms(facts.now)),
            "organisation": using.permit.organisation,
            "rules_hash": state.rules.hash,
            "deployed": what,
        }
        document = bytes(orjson.dumps(head | dict(told)))
        using.part.note(testing=operation, fingerprint=what.fingerprint)
        using.part.commit(RESULT, digest(document))
        return document

    def _signed(self, document: bytes) -> bytes:
        [entry] = self._guard.written
        return signed(self._log, entry, document)


def _cosines(templates: Float32, ids: Sequence[str], pairs: Sequence[Pair]) -> list[float]:
    """Compute the score of each pair of the references whose templates these are."""
    place = {i: n for n, i in enumerate(ids)}
    rows = np.array([(place[a], place[b]) for a, b in pairs], np.int64)
    found: list[float] = []
    for some in (rows[n : n + _PIECE] for n in range(0, len(rows), _PIECE)):
        found += cosines(templates[some[:, 0]], templates[some[:, 1]]).tolist()
    return found


def _photo(data: bytes, size: ImageSize) -> Told:
    return {"sha256": Images.digest(data).decode(), "width": size.width, "height": size.height}


def _face(face: Face) -> Told:
    box: Box = face.box
    return {
        "box": {"left": box.left, "top": box.top, "width": box.width, "height": box.height},
        "confidence": face.confidence,
    }
