# SPDX-License-Identifier: Apache-2.0
"""``custodes evaluate``: how accurate and how fair what is deployed is, on one's own data.

Where there is an installation, an evaluation is a use of it, decided, recorded and kept; without one it is measured all
the same, and only what is written to files stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from custodes.cli.arguments import Json
from custodes.cli.measured import Written, tell
from custodes.cli.output import configuration, console, installation, is_installed
from custodes.cli.who import DataProvenance, check_data, who
from custodes.domain import QualityFilter

if TYPE_CHECKING:
    from custodes.evaluation.enrolling import Progress
    from custodes.evaluation.results import Settings
    from custodes.operations.measuring import Job

__all__ = ["program", "progress_bar", "workers_of"]

program = typer.Typer(
    help="Measure how accurate and how fair what is deployed is, on your own photos.", no_args_is_help=True
)

Images = Annotated[Path, typer.Argument(help="Folder of the photos; tables name files in it.", show_default=False)]
Title = Annotated[str, typer.Option(help="Your words for the data.")]
Similarity = Annotated[
    float, typer.Option(min=0, max=100, help="Threshold at which groups are compared and the verdict is taken.")
]
Face = Annotated[str, typer.Option(help="Which face of a photo counts: largest (as CompareFaces) or central.")]
Quality = Annotated[QualityFilter, typer.Option(help="Faces below are not enrolled.", case_sensitive=False)]
Rounds = Annotated[int, typer.Option(min=100, max=100_000, help="Rounds of the bootstrap.")]
Seed = Annotated[int, typer.Option(min=0, help="Of whatever is drawn at random.")]
LeastPeople = Annotated[int, typer.Option("--least-people", min=2, help="People that a group needs to be judged.")]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="HTML page to write; with the worst pairs' faces, so that it isn't for publication, and not for police.",
    ),
]
Page = Annotated[Path | None, typer.Option("--report", help="HTML page to write; it shows no faces.")]
Scores = Annotated[
    Path | None, typer.Option("--scores", help="CSV of every score to write, with names of photos; not for police.")
]
Save = Annotated[
    Path | None, typer.Option("--save", help="JSON to write; with the ledger's proof where there is an installation.")
]


@program.command()
def verification(
    table: Annotated[Path, typer.Argument(help="CSV: image_a,image_b,mated; or photos, with --all-pairs.")],
    images: Images,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="The table is of photos (image,subject,...): compare every pair.")
    ] = False,
    labels: Annotated[
        Path | None, typer.Option(help="CSV with a column subject or image, and labels; not with --all-pairs.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare groups by this column of --labels (or of the table, with --all-pairs); may be given again."
        ),
    ] = None,
    taken: Annotated[str | None, typer.Option(help="Column with the year or date of a photo; likewise.")] = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Take people without a label, in no group.")] = False,
    most_pairs: Annotated[int, typer.Option(min=1, help="Non-mated pairs of --all-pairs at most.")] = 10_000_000,
    similarity: Similarity = 99.0,
    face: Face = "largest",
    quality: Quality = QualityFilter.NONE,
    rounds: Rounds = 1000,
    seed: Seed = 1,
    least_people: LeastPeople = 30,
    title: Title = "",
    provenance: DataProvenance = None,
    report: Report = None,
    scores: Scores = None,
    save: Save = None,
    as_json: Json = False,
) -> None:
    """Compare pairs of photos: false matches, false non-matches, and differences between groups."""
    from custodes.operations.measuring import VerificationJob  # here, so that --help doesn't wait for models

    job = VerificationJob(
        table,
        images,
        _settings(similarity, face, quality, rounds, seed, least_people),
        title,
        all_pairs,
        labels,
        tuple(by or ()),
        taken,
        unlabelled,
        most_pairs,
    )
    _measure(job, provenance, Written(report, scores, save), as_json=as_json)


@program.command()
def identification(
    images: Images,
    gallery: Annotated[Path, typer.Option(help="CSV of who is in the gallery: image,subject.", show_default=False)],
    probes: Annotated[
        Path, typer.Option(help="CSV of who is searched for: image,subject; strangers too.", show_default=False)
    ],
    list_length: Annotated[int, typer.Option(min=1, max=4096, help="Length of candidate lists.")] = 50,
    similarity: Annotated[
        float, typer.Option(min=0, max=100, help="A threshold at which errors are told, beside 80 and 99.")
    ] = 99.0,
    face: Face = "largest",
    quality: Quality = QualityFilter.NONE,
    rounds: Rounds = 1000,
    seed: Seed = 1,
    title: Title = "",
    provenance: DataProvenance = None,
    report: Report = None,
    scores: Scores = None,
    save: Save = None,
    as_json: Json = False,
) -> None:
    """Search a gallery: how often strangers are taken for somebody in it, and how often those in it are missed."""
    from custodes.operations.measuring import IdentificationJob

    job = IdentificationJob(
        gallery, probes, images, _settings(similarity, face, quality, rounds, seed), title, list_length
    )
    _measure(job, provenance, Written(report, scores, save), as_json=as_json)


@program.command()
def detection(
    marks: Annotated[Path, typer.Argument(help="CSV: image,x,y or image,left,top,width,height.")],
    images: Images,
    quality: Annotated[
        QualityFilter, typer.Option(help="Faces below count as not found.", case_sensitive=False)
    ] = QualityFilter.NONE,
    rounds: Rounds = 1000,
    seed: Seed = 1,
    title: Title = "",
    provenance: DataProvenance = None,
    report: Page = None,
    scores: Scores = None,
    save: Save = None,
    as_json: Json = False,
) -> None:
    """Find faces that people have marked: how many are found, how many boxes hold none, by size."""
    from custodes.operations.measuring import DetectionJob

    job = DetectionJob(marks, images, _settings(99.0, "largest", quality, rounds, seed), title)
    _measure(job, provenance, Written(report, scores, save), as_json=as_json)


@program.command()
def robustness(
    table: Annotated[Path, typer.Argument(help="CSV: image_a,image_b,mated.")],
    images: Images,
    pairs: Annotated[int, typer.Option(min=10, help="Pairs of each kind, taken evenly from the table.")] = 100,
    similarity: Annotated[
        float, typer.Option(min=0, max=100, help="Threshold at which it is told who is missed.")
    ] = 80.0,
    face: Face = "largest",
    title: Title = "",
    provenance: DataProvenance = None,
    report: Page = None,
    save: Save = None,
    as_json: Json = False,
) -> None:
    """Make photos worse (blur, noise, dark, JPEG, small, masked, turned, grey) and see from where on it fails."""
    from custodes.operations.measuring import RobustnessJob

    job = RobustnessJob(table, images, _settings(similarity, face, QualityFilter.NONE, 1000, 1), title, pairs)
    _measure(job, provenance, Written(report, None, save), as_json=as_json)


@program.command()
def attacks(
    table: Annotated[
        Path, typer.Argument(help="CSV: presentation,score; 'bona fide' or the attack's instrument, empty: no answer.")
    ],
    threshold: Annotated[float, typer.Option(help="Scores of at least so much are taken for bona fide.")] = 0.5,
    title: Title = "",
    report: Page = None,
    save: Save = None,
    as_json: Json = False,
) -> None:
    """Judge the scores of a liveness model that you bring: no such model is bundled."""
    from custodes.operations.measuring import AttackJob

    job = AttackJob(table, threshold, _settings(99.0, "largest", QualityFilter.NONE, 1000, 1), title)
    _measure(job, "own", Written(report, None, save), as_json=as_json)


def _settings(
    similarity: float, face: str, quality: QualityFilter, rounds: int, seed: int, least_people: int = 30
) -> Settings:
    from custodes.evaluation.results import Settings

    if face not in ("largest", "central"):
        raise typer.BadParameter("It is largest or central.", param_hint="--face")
    return Settings(similarity, face, str(quality), rounds, seed, least_people)


def workers_of(workers: int) -> int:
    """Return how many photos are looked at at a time: as many as the server would."""
    import os

    return workers or os.cpu_count() or 1


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Progress]:
    """Show what is being done, one bar a step."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Bar(*columns, console=console, disable=quiet, transient=True) as bar:

        def show(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=of)
            bar.update(tasks[step], completed=done, total=of)

        yield show


def _measure(job: Job, provenance: str | None, written: Written, *, as_json: bool) -> None:
    from custodes.operations.measuring import measure_alone

    written.check()
    config = configuration()
    workers = workers_of(config.server.workers)
    with progress_bar(quiet=as_json) as progress:
        if is_installed(config):
            with installation() as app:
                caller = who(app, provenance=provenance)
                measured = app.evaluations.measure(
                    caller, job, workers=workers, discloses=written.discloses, progress=progress
                )
                ours, kept, run = app.evaluations, measured.kept, measured.run
                written.write(kept.evaluation, run, ours.card(kept), ours.signed(kept), ours.sealed_by(kept))
                evaluation, record = kept.evaluation, kept.record
        else:
            check_data(provenance)
            alone = measure_alone(config, job, workers=workers, discloses=written.discloses, progress=progress)
            evaluation, run, record = alone.evaluation, alone.run, None
            written.write(evaluation, run, alone.card)
    tell(evaluation, record, written, as_json=as_json, faces=bool(run.worst))
