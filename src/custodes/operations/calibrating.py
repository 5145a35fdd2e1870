# SPDX-License-Identifier: Apache-2.0
"""What similarities stand for: false-match rates measured on local data, and the map that is in force.

A local map can only be stricter than the pack's own, and has a knot moved only where the data are sure that more pass
there than the pack promises: a rise that may be chance would void every evaluation for nothing. To put one in force,
or to take it away, is an act of the operator, an entry of the ledger, and an alarm to oversight; it voids every
evaluation, as the scale isn't the one that was measured. To measure needs no installation, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from custodes.config import Config
from custodes.errors import Invalid, NotFound
from custodes.evaluation.calibration import Measured, Stated, measured, stricter
from custodes.evaluation.deployed import sha256_of
from custodes.evaluation.enrolling import Progress, silent
from custodes.evaluation.results import Dataset, Deployed, Settings
from custodes.evaluation.running import compare
from custodes.evaluation.tables import read_photos
from custodes.governance import ALL, Action, AlarmKind, Caller
from custodes.operations.engines import Engines
from custodes.operations.guard import Guard
from custodes.operations.measuring import deployed_here
from custodes.vision.calibrations import has_local, remove_local, write_local
from custodes.vision.engine import Engine
from custodes.vision.manifest import Calibration

__all__ = ["Calibrated", "CalibrationOperations", "Promise", "Rise", "calibrate_alone", "promise_of"]


class Promise(StrEnum):
    """What local data tell of the false-match rate that a pack promises at a similarity."""

    KEPT = "kept"
    BROKEN = "broken"
    PERHAPS_KEPT = "perhaps-kept"
    PERHAPS_BROKEN = "perhaps-broken"
    UNTOLD = "untold"


def promise_of(stated: Stated) -> Promise:
    """Return what data tell of the pack's promise at a similarity.

    It is kept or broken where the whole interval says so; by the rule of 3 it can't be told with fewer than 3 / rate
    comparisons, but for more that passed than was promised.
    """
    rate, promised = stated.false_match, stated.promised
    if promised is None or rate.value is None:
        return Promise.UNTOLD
    more = rate.value > promised
    if rate.interval is not None and rate.interval.low > promised:
        return Promise.BROKEN
    if rate.trials < 3 / promised - 1e-6 or rate.interval is None:
        return Promise.PERHAPS_BROKEN if more else Promise.UNTOLD
    if rate.interval.high <= promised:
        return Promise.KEPT
    return Promise.PERHAPS_BROKEN if more else Promise.PERHAPS_KEPT


@dataclass(frozen=True, slots=True)
class Rise:
    """A similarity that a local map puts at a higher cosine than the pack's own does."""

    similarity: float
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What similarities stand for on local data.

    Attributes:
        measured: the rates.
        stricter: the map that these data ask for, the pack's own if they ask for none; None if they allow for none.
        why: why they allow for none.
        left: similarities that would rise by less than these data can tell from chance, and stay.
        dataset: of which photos.
        deployed: what was measured.
        is_local: whether a local map was in force meanwhile; what is measured is always the pack's own.
        entry: of the ledger; None where there is no installation.
        applied: whether the map is in force; a server that runs has it when it starts anew.
    """

    measured: Measured
    stricter: Calibration | None
    why: str
    left: tuple[float, ...]
    dataset: Dataset
    deployed: Deployed
    is_local: bool
    entry: int | None = None
    applied: bool = False

    @property
    def rises(self) -> tuple[Rise, ...]:
        """Where the map lies above the pack's own."""
        if self.stricter is None:
            return ()
        pairs = zip(self.measured.base.knots, self.stricter.knots, strict=True)
        return tuple(Rise(b.similarity, b.cosine, a.cosine) for b, a in pairs if a.cosine > b.cosine)


def calibrate_alone(
    config: Config,
    table: Path,
    images: Path,
    settings: Settings,
    *,
    most: int = 10_000_000,
    workers: int = 1,
    progress: Progress = silent,
) -> Calibrated:
    """Measure false matches by the configured pack where there is no installation: nothing is kept.

    Args:
        config: which pack, and limits.
        table, images, settings, most, workers, progress: see :meth:`CalibrationOperations.calibrate`.

    Raises:
        Invalid: if the table or photos can't be meant; the message names rows or files.
    """
    return _measured(Engine.default(config), config, table, images, settings, most, workers, progress)


class CalibrationOperations:
    """Use cases around the scale of similarities.

    Args:
        guard: authorises and records.
        engines: what is measured.
        config: where local maps are.
    """

    def __init__(self, guard: Guard, engines: Engines, config: Config) -> None:
        self._guard = guard
        self._engines = engines
        self._config = config

    def calibrate(
        self,
        caller: Caller,
        table: Path,
        images: Path,
        settings: Settings,
        *,
        most: int = 10_000_000,
        workers: int = 1,
        progress: Progress = silent,
    ) -> Calibrated:
        """Measure false matches among different people's photos; nothing changes.

        Args:
            caller: who measures.
            table: photos: image, subject.
            images: their folder.
            settings: which face counts, and the seed.
            most: pairs at most.
            workers: photos that are looked at at a time.
            progress: told how far it is.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if the table or photos can't be meant; the message names rows or files.
        """
        with self._guard.using(caller, Action.EVALUATE) as using:
            found = _measured(self._engines.default, self._config, table, images, settings, most, workers, progress)
            using.part.note(
                evaluation_kind="calibration",
                fingerprint=found.deployed.fingerprint,
                model=found.deployed.pack_version,
                photos=found.dataset.photos,
                people=found.dataset.subjects,
                provenance=caller.provenance,
            )
            using.part.commit("dataset", found.dataset.sha256.encode())
        [entry] = self._guard.written
        return replace(found, entry=entry)

    def check(self, caller: Caller) -> None:
        """See, before the work of minutes, that a caller may put a map in force.

        Raises:
            Refused: if a rule forbids it.
        """
        self._guard.check(caller, Action.MANAGE_ORGANISATIONS, of=ALL)

    def apply(self, caller: Caller, made: Calibrated) -> Calibrated:
        """Put the map in force that data ask for; where they ask for none, nothing changes.

        Args:
            caller: who does.
            made: what :meth:`calibrate` has found.

        Raises:
            Refused: if a rule forbids it.
            Invalid: if the data allow for no map.
        """
        self.check(caller)
        if made.stricter is None:
            raise Invalid(f"There is no map to put in force: {made.why}")
        manifest = self._engines.default.pack.manifest
        if made.stricter == manifest.calibration:
            return made
        with self._guard.acting(caller, Action.MANAGE_ORGANISATIONS, of=ALL) as acting:
            acting.note(change="calibration-applied", target=manifest.id, calibration=sha256_of(made.stricter))
            acting.alarm(AlarmKind.CALIBRATION, acting.permit.organisation, manifest.id)
            write_local(self._config, manifest, made.stricter)  # before it commits: a stricter map lets nothing through
        return replace(made, applied=True)

    def remove(self, caller: Caller) -> None:
        """Take the local map away, so that the pack's own is in force when the server starts anew.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no local map.
        """
        pack = self._config.vision.pack  # not the engine's: a map that can't be used keeps it from opening
        with self._guard.acting(caller, Action.MANAGE_ORGANISATIONS, of=ALL) as acting:
            if not has_local(self._config, pack):
                raise NotFound(f"There is no local calibration of the pack {pack}.")
            acting.note(change="calibration-removed", target=pack)
            acting.alarm(AlarmKind.CALIBRATION, acting.permit.organisation, pack)
        remove_local(self._config, pack)  # an easier map is in force only after its entry


def _measured(
    engine: Engine,
    config: Config,
    table: Path,
    images: Path,
    settings: Settings,
    most: int,
    workers: int,
    progress: Progress,
) -> Calibrated:
    data = read_photos(table, images, most=most, seed=settings.seed)
    compared = compare(engine, data, settings, most_faces=config.limits.faces, workers=workers, progress=progress)
    own = engine.pack.manifest.calibration
    assert own is not None  # an engine has an embedder
    pairs = compared.comparisons
    others = ~pairs.mated
    found = measured(pairs.scores[others], own, subjects=pairs.subjects[others], settings=settings, progress=progress)
    made, left, why = _stricter(found)
    what = deployed_here(engine, config)
    return Calibrated(found, made, why, left, compared.dataset, what, engine.pack.is_local)


def _stricter(found: Measured) -> tuple[Calibration | None, tuple[float, ...], str]:
    """Return the map that data ask for, or None; what would rise by no more than chance; and why there is no map."""
    unsure = {s.similarity for s in found.stated if promise_of(s) != Promise.BROKEN}
    sure = [k for k in found.local if k.similarity not in unsure]
    own = {k.similarity: k.cosine for k in found.base.knots}
    left = [
        k.similarity
        for k in found.local
        if k.similarity in unsure and k.cosine is not None and k.cosine > own[k.similarity]
    ]
    try:
        made = stricter(found.base, sure, f"{found.count:,} non-mated comparisons of local photos")
    except Invalid as e:
        return None, tuple(left), e.message
    return made, tuple(left), ""
