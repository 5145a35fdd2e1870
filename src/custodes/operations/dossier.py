# SPDX-License-Identifier: Apache-2.0
"""What a report has to say beside searches and reviews: by which model, by which rules, on which authority.

The false-match rate of a similarity is that of the highest knot of the model's calibration at or below it: at most so
many comparisons of two different people reached it, among the pictures that it was measured on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from custodes.errors import Denied, NotFound, Unavailable
from custodes.governance import Authority, Grounds, Organisation, Registry, Restraints
from custodes.ledger import Log, parse
from custodes.operations.caserows import Searched
from custodes.operations.engines import Engines
from custodes.operations.ledger import is_sealed
from custodes.vision.manifest import Knot, ModelSpec
from custodes.vision.pack import Pack

__all__ = ["Book", "Dossier", "Meaning", "ModelFacts", "RulesFacts"]

_USED = ("detector", "landmarks", "embedder")
"""Networks that a search needs, in the order in which they are used."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a similarity means, as far as the model's manifest says.

    Attributes:
        from_similarity, false_match_rate: at most such a share of comparisons of two different people reached so much.
        measured_on: in which comparisons; nothing while the scale is provisional.
        comparisons: how many comparisons of two faces the run made, if that is known.
    """

    from_similarity: float
    false_match_rate: float
    measured_on: str
    comparisons: int | None

    @property
    def by_chance(self) -> float | None:
        """How many of them other people's faces would reach it in by chance, at that rate."""
        return None if self.comparisons is None else self.comparisons * self.false_match_rate

    def to_json(self) -> dict[str, object]:
        """Return the row."""
        return {
            "from_similarity": self.from_similarity,
            "false_match_rate": self.false_match_rate,
            "measured_on": self.measured_on,
            "comparisons": self.comparisons,
            "expected_by_chance": self.by_chance,
        }


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model that compared: its pack with version, networks and calibration, or its version alone if it is gone."""

    version: str
    pack: str = ""
    licence: str = ""
    description: str = ""
    networks: tuple[ModelSpec, ...] = ()
    knots: tuple[Knot, ...] = ()
    measured_on: str = ""

    @classmethod
    def of(cls, pack: Pack) -> ModelFacts:
        """Read a pack, with the calibration that is in force."""
        manifest, calibration = pack.manifest, pack.calibration
        specs = tuple(s for s in map(manifest.spec, _USED) if s is not None)
        return cls(
            version=manifest.version,
            pack=manifest.id,
            licence=manifest.licence,
            description=manifest.description,
            networks=specs,
            knots=calibration.knots,
            measured_on=calibration.measured_on,
        )

    def meaning(self, similarity: float, comparisons: int | None) -> Meaning | None:
        """Return what a similarity means, or None where nothing was measured.

        Args:
            similarity: 0..100.
            comparisons: how many comparisons of two faces the run made, if that is known.
        """
        below = [k for k in self.knots if k.similarity <= similarity and k.false_match_rate is not None]
        if not below or below[-1].false_match_rate is None:
            return None
        return Meaning(below[-1].similarity, below[-1].false_match_rate, self.measured_on, comparisons)

    def to_json(self) -> dict[str, object]:
        """Return the row."""
        return {
            "version": self.version,
            "pack": self.pack,
            "licence": self.licence,
            "description": self.description,
            "networks": [
                {
                    "role": s.role,
                    "kind": s.kind,
                    "licence": s.licence,
                    "origin": s.origin,
                    "package": s.package,
                    "package_version": s.package_version,
                    "source_sha256": s.source_sha256,
                    "sha256": s.sha256,
                }
                for s in self.networks
            ],
            "calibration": [
                {"cosine": k.cosine, "similarity": k.similarity, "false_match_rate": k.false_match_rate}
                for k in self.knots
            ],
            "measured_on": self.measured_on,
        }


@dataclass(frozen=True, slots=True)
class Book:
    """One rulebook of a set: its id, the SHA-256 of its policies, and its title if it ships with Custodes."""

    id: str
    sha256: str
    title: str


@dataclass(frozen=True, slots=True)
class RulesFacts:
    """A set of rules that decided: its hash, its text (empty if it isn't kept any more), and its rulebooks."""

    hash: str
    text: str
    books: tuple[Book, ...]

    def to_json(self) -> dict[str, object]:
        """Return the row, without the text."""
        return {
            "hash": self.hash,
            "rulebooks": [{"id": b.id, "sha256": b.sha256, "title": b.title} for b in self.books],
        }


class Dossier:
    """Reads what reports have to say of models, rules and authorities.

    Args:
        registry, restraints, grounds: governance.
        engines: whose packs say what they are.
        log: the ledger.
    """

    def __init__(
        self, registry: Registry, restraints: Restraints, grounds: Grounds, engines: Engines, log: Log
    ) -> None:
        self._registry = registry
        self._restraints = restraints
        self._grounds = grounds
        self._engines = engines
        self._log = log

    def organisation(self, c: sa.Connection, organisation: str) -> Organisation:
        """Return an organisation."""
        return self._registry.state(c, keep=False).organisations[organisation]

    def entry(self, index: int) -> Mapping[str, object]:
        """Return an entry of the ledger."""
        return parse(self._log.entry(index))

    def models(self, packs: Mapping[str, str]) -> dict[str, ModelFacts]:
        """Return the models of some versions.

        Args:
            packs: by version the pack that it should be.
        """
        return {version: self._model(version, pack) for version, pack in packs.items()}

    def _model(self, version: str, pack: str) -> ModelFacts:
        try:
            found = (self._engines.of(pack) if pack else self._engines.default).pack
        except Unavailable:  # it was taken away; what it was called is all that is left
            return ModelFacts(version, pack)
        return ModelFacts.of(found) if found.manifest.version == version else ModelFacts(version, pack)

    def rules(self, c: sa.Connection, hashes: Iterable[str]) -> tuple[RulesFacts, ...]:
        """Return sets of rules by their hashes."""
        titles = {hashlib.sha256(b.text.encode()).hexdigest(): b.title for b in self._registry.shipped}
        return tuple(self._rules(c, h, titles) for h in sorted(set(hashes)))

    def _rules(self, c: sa.Connection, digest: str, titles: Mapping[str, str]) -> RulesFacts:
        try:
            text = self._restraints.rules(c, digest)
        except NotFound:
            return RulesFacts(digest, "", ())
        books = []
        for name, policies in json.loads(text)["rulebooks"]:
            own = hashlib.sha256(policies.encode()).hexdigest()
            books.append(Book(name, own, titles.get(own, "")))
        return RulesFacts(digest, text, tuple(books))

    def authorities(self, c: sa.Connection, ids: Iterable[str | None]) -> tuple[Authority, ...]:
        """Return authorities by their ids; those that aren't there are left out."""
        found = []
        for one in sorted({i for i in ids if i is not None}):
            try:
                found.append(self._grounds.authority(c, one))
            except NotFound:  # the entry says "unknown", or names one that never was
                continue
        return tuple(found)

    def sealed(self, c: sa.Connection, searches: Iterable[Searched], now: datetime) -> frozenset[int]:
        """Return which searches found what is sealed by now: exigent ones without an authority, after 48 hours."""
        exigent = {s.entry: self.entry(s.entry) for s in searches if s.exigent}
        return frozenset(i for i, entry in exigent.items() if is_sealed(self._grounds, c, entry, now))

    def refuse_sealed(self, c: sa.Connection, searches: Sequence[Searched], now: datetime) -> None:
        """Refuse to tell what is sealed.

        Raises:
            Denied: if one of the searches found what is sealed.
        """
        if self.sealed(c, searches, now):
            raise Denied(
                "What one of the searches found is sealed: no authority was filed for it within 48 hours.",
                remedy="File the authority first: custodes authority file --for.",
                code="base.results-sealed",
            )
