# SPDX-License-Identifier: Apache-2.0
"""What similarities stand for: false-match rates measured on local data, and the map that is in force.

A local map can only be stricter than the pack's own. To put one in force, or to take it away, is an act of the
operator, an entry of the ledger, and an alarm to oversight; it voids every evaluation, as the scale isn't the one that
was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from custodes.config import Config
from custodes.errors import Invalid, NotFound
from custodes.evaluation.calibration import Measured, measured
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
from custodes.vision.manifest import Calibration

__all__ = ["Calibrated", "CalibrationOperations"]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What similarities stand for on local data.

    Attributes:
        measured: the rates.
        stricter: the map that these data ask for; None if they allow for none.
        why: why they allow for none.
        dataset: of which photos.
        deployed: what was measured.
        entry: of the ledger.
        applied: whether the map is in force; a server that runs has it when it starts anew.
    """

    measured: Measured
    stricter: Calibration | None
    why: str
    dataset: Dataset
    deployed: Deployed
    entry: int
    applied: bool = False


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
        apply: bool = False,
        progress: Progress = silent,
    ) -> Calibrated:
        """Measure false matches among different people's photos, and put a stricter map in force if that is asked for.

        Args:
            caller: who measures.
            table: photos: image, subject.
            images: their folder.
            settings: which face counts, and the seed.
            most: pairs at most.
            workers: photos that are looked at at a time.
            apply: whether the map is put in force.
            progress: told how far it is.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if the table or photos can't be meant, or the data are too few to make a map of.
        """
        if apply:
            self._guard.check(caller, Action.MANAGE_ORGANISATIONS, of=ALL)
        with self._guard.using(caller, Action.EVALUATE) as using:
            engine = self._engines.default
            data = read_photos(table, images, most=most, seed=settings.seed)
            compared = compare(
                engine,
                data,
                settings,
                most_faces=self._config.limits.faces,
                workers=workers,
                progress=progress,
            )
            own, what = engine.pack.manifest.calibration, deployed_here(engine, self._config)
            assert own is not None  # an engine has an embedder
            pairs = compared.comparisons
            others = ~pairs.mated
            found = measured(
                pairs.scores[others],
                own,
                subjects=pairs.subjects[others],
                settings=settings,
                progress=progress,
            )
            using.part.note(
                evaluation_kind="calibration",
                fingerprint=what.fingerprint,
                model=what.pack_version,
                photos=compared.dataset.photos,
                people=compared.dataset.subjects,
                provenance=caller.provenance,
            )
            using.part.commit("dataset", compared.dataset.sha256.encode())
        [entry] = self._guard.written
        stricter, why = _stricter(found)
        made = Calibrated(found, stricter, why, compared.dataset, what, entry)
        return self._applied(caller, made) if apply else made

    def _applied(self, caller: Caller, made: Calibrated) -> Calibrated:
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


def _stricter(found: Measured) -> tuple[Calibration | None, str]:
    """Return the map that data ask for, or None and why they allow for none."""
    try:
        return found.stricter, ""
    except Invalid as e:
        return None, e.message
