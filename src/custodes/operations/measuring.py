# SPDX-License-Identifier: Apache-2.0
"""What can be measured of the deployed engine, as jobs: tables and photos in, an evaluation and every score out.

A job needs an engine and no installation. Where there is one, :mod:`custodes.operations.evaluations` runs it as a use
that is authorised and recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from custodes.config import Config
from custodes.errors import Invalid
from custodes.evaluation.attacks import attacks, read_presentations
from custodes.evaluation.card import ModelCard, card_of
from custodes.evaluation.deployed import deployed
from custodes.evaluation.enrolling import Progress, silent
from custodes.evaluation.results import Dataset, Deployed, Evaluation, Settings
from custodes.evaluation.robustness import robustness
from custodes.evaluation.running import Run, ScoreTable, run_detection, run_identification, run_verification
from custodes.evaluation.runs import digest
from custodes.evaluation.scorefile import scores_sha256
from custodes.evaluation.tables import PairSet, read_marks, read_pairs, read_photos, read_search
from custodes.vision.engine import Engine

__all__ = [
    "Alone",
    "AttackJob",
    "DetectionJob",
    "IdentificationJob",
    "Job",
    "Rig",
    "RobustnessJob",
    "VerificationJob",
    "deployed_here",
    "evaluation_of",
    "measure_alone",
]


@dataclass(frozen=True, slots=True)
class Rig:
    """What a job is run with.

    Attributes:
        engine: the deployed one.
        most_faces: the setting ``limits.faces``.
        workers: photos that are looked at at a time.
        progress: told how far it is.
    """

    engine: Engine
    most_faces: int
    workers: int
    progress: Progress = silent

    @classmethod
    def of(cls, engine: Engine, config: Config, workers: int, progress: Progress) -> Rig:
        """Return what a job is run with here."""
        return cls(engine, config.limits.faces, workers, progress)


class Job(Protocol):
    """Something that can be measured."""

    @property
    def kind(self) -> str:
        """One of ``verification``, ``identification``, ``detection``, ``robustness``, ``attacks``."""

    @property
    def title(self) -> str:
        """The evaluator's words for the data."""

    @property
    def settings(self) -> Settings:
        """How it is measured."""

    def run(self, rig: Rig) -> Run:
        """Measure.

        Raises:
            Invalid: if tables or photos can't be meant; the message names rows or files.
        """


@dataclass(frozen=True, slots=True)
class VerificationJob:
    """One-to-one comparisons: stated pairs, or every pair of the photos of a table.

    Attributes:
        table: pairs, or photos if ``all_pairs``.
        images: folder of the photos.
        labels, by, taken: see :func:`custodes.evaluation.tables.read_pairs`.
        unlabelled: whether people without a label are taken, in no group.
        most: non-mated pairs of ``all_pairs`` at most.
    """

    table: Path
    images: Path
    settings: Settings
    title: str = ""
    all_pairs: bool = False
    labels: Path | None = None
    by: tuple[str, ...] = ()
    taken: str | None = None
    unlabelled: bool = False
    most: int = 10_000_000
    kind: str = field(default="verification", init=False)

    def data(self) -> PairSet:
        """Read the tables.

        Raises:
            Invalid: if they can't be meant; the message names rows.
        """
        if not self.all_pairs:
            if self.labels is None and (self.by or self.taken is not None):
                raise Invalid(
                    "Groups and dates (--by, --taken) need a table of labels.",
                    remedy="Name it: --labels LABELS.csv, with a column subject or image; with --all-pairs labels are "
                    "columns of the table of photos.",
                )
            return read_pairs(
                self.table,
                self.images,
                labels=self.labels,
                by=self.by,
                taken=self.taken,
                unlabelled=self.unlabelled,
            )
        if self.labels is not None:
            raise Invalid(
                "With every pair of the photos, labels are columns of the table of photos.",
                remedy="Leave --labels out, and put its columns there.",
            )
        return read_photos(
            self.table,
            self.images,
            by=self.by,
            taken=self.taken,
            most=self.most,
            seed=self.settings.seed,
            unlabelled=self.unlabelled,
        )

    def run(self, rig: Rig) -> Run:
        """Measure; see :meth:`Job.run`."""
        return run_verification(
            rig.engine,
            self.data(),
            self.settings,
            most_faces=rig.most_faces,
            workers=rig.workers,
            progress=rig.progress,
        )


@dataclass(frozen=True, slots=True)
class IdentificationJob:
    """One-to-many searches of a gallery's photos."""

    gallery: Path
    probes: Path
    images: Path
    settings: Settings
    title: str = ""
    list_length: int = 50
    kind: str = field(default="identification", init=False)

    def run(self, rig: Rig) -> Run:
        """Measure; see :meth:`Job.run`."""
        return run_identification(
            rig.engine,
            read_search(self.gallery, self.probes, self.images),
            self.settings,
            list_length=self.list_length,
            most_faces=rig.most_faces,
            workers=rig.workers,
            progress=rig.progress,
        )


@dataclass(frozen=True, slots=True)
class DetectionJob:
    """Faces that were marked, and those that are found."""

    marks: Path
    images: Path
    settings: Settings
    title: str = ""
    kind: str = field(default="detection", init=False)

    def run(self, rig: Rig) -> Run:
        """Measure; see :meth:`Job.run`."""
        return run_detection(
            rig.engine,
            read_marks(self.marks, self.images),
            self.settings,
            most_faces=rig.most_faces,
            workers=rig.workers,
            progress=rig.progress,
        )


@dataclass(frozen=True, slots=True)
class RobustnessJob:
    """Pairs whose second photo is made worse; ``pairs`` of each kind, taken evenly from the table."""

    table: Path
    images: Path
    settings: Settings
    title: str = ""
    pairs: int = 100
    kind: str = field(default="robustness", init=False)

    def run(self, rig: Rig) -> Run:
        """Measure; see :meth:`Job.run`."""
        data = read_pairs(self.table, self.images)
        mated = _evenly([i for i, m in enumerate(data.mated.tolist()) if m], self.pairs)
        others = _evenly([i for i, m in enumerate(data.mated.tolist()) if not m], self.pairs)
        paths = [(data.paths[a], data.paths[b]) for a, b in data.pairs.tolist()]
        figures = robustness(
            rig.engine,
            [paths[i] for i in mated],
            [paths[i] for i in others],
            self.settings,
            most_faces=rig.most_faces,
            workers=rig.workers,
            progress=rig.progress,
        )
        used = sorted({int(k) for i in (*mated, *others) for k in data.pairs[i]})
        photos = [hashlib.sha256(data.paths[k].read_bytes()).hexdigest() for k in used]
        people = len({int(data.subjects[k]) for k in used})
        note = f"{len(mated)} mated and {len(others)} non-mated pairs of the table's {len(paths)}, taken evenly"
        dataset = Dataset("", digest(data.sha256, photos), len(used), people, (note, *data.notes))
        return Run(figures, dataset, ScoreTable.empty(), ())


def _evenly(rows: Sequence[int], most: int) -> list[int]:
    """Return at most so many, taken at equal distances."""
    if len(rows) <= most:
        return list(rows)
    return [rows[i * len(rows) // most] for i in range(most)]


@dataclass(frozen=True, slots=True)
class AttackJob:
    """Scores of a liveness model for bona fide presentations and attacks; no photo is looked at."""

    table: Path
    threshold: float
    settings: Settings
    title: str = ""
    kind: str = field(default="attacks", init=False)

    def run(self, rig: Rig) -> Run:
        """Measure; see :meth:`Job.run`."""
        presentations = read_presentations(self.table)
        figures = attacks(presentations, self.threshold, self.settings)
        table = hashlib.sha256(self.table.read_bytes()).hexdigest()
        note = "the scores are of a model that isn't part of this"
        dataset = Dataset("", table, len(presentations), 0, (note,))
        return Run(figures, dataset, ScoreTable.empty(), ())


def deployed_here(engine: Engine, config: Config) -> Deployed:
    """Describe what runs here.

    Raises:
        NotFound: if the pack lacks a network that a score depends on.
    """
    return deployed(engine.pack, config.vision.detail)


def evaluation_of(
    job: Job,
    run: Run,
    what: Deployed,
    rules_hash: str = "",
    now: datetime | None = None,
    *,
    discloses: frozenset[str] = frozenset(),
) -> Evaluation:
    """Put an evaluation together; it tells the hash of the single scores if they are disclosed."""
    return Evaluation(
        made_at=(now or datetime.now(UTC)).replace(microsecond=0),
        deployed=what,
        dataset=replace(run.dataset, title=job.title),
        settings=job.settings,
        figures=run.figures,
        rules_hash=rules_hash,
        scores_sha256=scores_sha256(run.scores.header, run.scores.rows()) if "scores" in discloses else "",
    )


@dataclass(frozen=True, slots=True)
class Alone:
    """What was measured where there is no installation: nothing is kept."""

    evaluation: Evaluation
    run: Run
    card: ModelCard


def measure_alone(
    config: Config,
    job: Job,
    *,
    workers: int = 1,
    discloses: frozenset[str] = frozenset(),
    progress: Progress = silent,
) -> Alone:
    """Measure the configured model pack where there is no installation.

    Args:
        config: of the pack, and limits.
        job: what is measured, on what.
        workers: photos that are looked at at a time.
        discloses: what is written beyond figures; of ``scores`` the evaluation tells the hash.
        progress: told how far it is.

    Raises:
        Invalid: if tables or photos can't be meant; the message names rows or files.
    """
    engine = Engine.default(config)
    run = job.run(Rig.of(engine, config, workers, progress))
    made = evaluation_of(job, run, deployed_here(engine, config), discloses=discloses)
    return Alone(made, run, card_of(engine.pack.manifest))
