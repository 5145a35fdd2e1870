# SPDX-License-Identifier: Apache-2.0
"""How the command line tells of an evaluation: sentences and tables for people, the whole of it as JSON, files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from custodes.cli.figures import print_figures
from custodes.cli.output import console, print_json, write
from custodes.errors import Invalid

if TYPE_CHECKING:
    from custodes.evaluation.card import ModelCard
    from custodes.evaluation.report import SealedBy
    from custodes.evaluation.results import Evaluation
    from custodes.evaluation.running import Run
    from custodes.governance import EvaluationRecord

__all__ = ["Written", "record_json", "tell"]


@dataclass(frozen=True, slots=True)
class Written:
    """Files that are asked for.

    Attributes:
        report: an HTML page.
        scores: a CSV of every score.
        save: JSON, sealed where there is a ledger.
    """

    report: Path | None
    scores: Path | None
    save: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that are asked for."""
        return tuple(path for path in (self.report, self.scores, self.save) if path is not None)

    @property
    def discloses(self) -> frozenset[str]:
        """What they hold beyond figures: ``scores`` of single comparisons, ``faces``."""
        asked = {"scores": self.scores, "faces": self.report}
        return frozenset(what for what, path in asked.items() if path is not None)

    def check(self) -> None:
        """See, before the work of minutes, that files can be written.

        Raises:
            Invalid: if a folder isn't there, or one file is asked for twice.
        """
        for path in self.paths:
            if path.is_dir() or not path.absolute().parent.is_dir():
                raise Invalid(f"{path} can't be written: its folder isn't there, or it is a folder itself.")
        if len({path.resolve() for path in self.paths}) < len(self.paths):
            raise Invalid("Two of the files to write are one and the same.", remedy="Give each a name of its own.")

    def write(
        self,
        evaluation: Evaluation,
        run: Run,
        card: ModelCard,
        signed: bytes | None = None,
        sealed: SealedBy | None = None,
    ) -> None:
        """Write them; ``signed`` and ``sealed`` are there where a ledger commits to the evaluation.

        Raises:
            Invalid: if one can't be written.
        """
        from custodes.evaluation.report import report, worst_pictures
        from custodes.evaluation.results import to_json
        from custodes.evaluation.scorefile import write_scores

        if self.report is not None:
            page = report(evaluation, card=card, worst=worst_pictures(run.worst), sealed=sealed)
            write(self.report, page.encode(), private=True)  # it shows faces
        if self.scores is not None:
            write_scores(self.scores, run.scores.header, run.scores.rows())
        if self.save is not None:
            write(self.save, signed or to_json(evaluation))


def record_json(record: EvaluationRecord) -> dict[str, object]:
    """Return what is on record of an evaluation, for scripts."""
    verdict = record.verdict
    return {
        "id": record.id,
        "kind": record.kind,
        "title": record.title,
        "organisation": record.organisation,
        "pack": record.pack,
        "fingerprint": record.fingerprint,
        "dataset": record.dataset,
        "by": record.column,
        "made_at": record.made_at,
        "made_by": record.made_by,
        "entry": record.entry,
        "published_at": record.published_at,
        "verdict": None
        if verdict is None
        else {
            "similarity": verdict.similarity,
            "groups": verdict.groups,
            "enough": verdict.enough,
            "false_match_ppm": verdict.false_match_ppm,
            "false_non_match_ppm": verdict.false_non_match_ppm,
        },
    }


def tell(
    evaluation: Evaluation,
    record: EvaluationRecord | None,
    written: Written,
    *,
    as_json: bool,
    faces: bool = False,
) -> None:
    """Print an evaluation; ``faces`` says whether the page that was written shows any."""
    from custodes.evaluation.results import to_json

    if as_json:
        told = orjson.loads(to_json(evaluation))
        files = [str(path) for path in written.paths]
        print_json({"record": None if record is None else record_json(record), "evaluation": told, "written": files})
        return
    from custodes.evaluation.told import summary

    for sentence in summary(evaluation):
        console.print(sentence, highlight=False, markup=False)
    for note in evaluation.dataset.notes:
        console.print(f"Note: {note}.", highlight=False, markup=False)
    print_figures(evaluation.figures)
    for path in written.paths:
        console.print(f"Written: {path}", highlight=False, markup=False, soft_wrap=True)
    if written.report is not None and faces:
        console.print("The page shows faces of the worst pairs: it isn't for publication.", highlight=False)
    if record is not None:
        console.print(
            f"Kept as {record.id}, entry {record.entry} of the ledger. "
            f"custodes evaluations publish {record.id} shows it to everybody.",
            highlight=False,
            markup=False,
        )
