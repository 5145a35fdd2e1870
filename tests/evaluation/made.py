# SPDX-License-Identifier: Apache-2.0
"""Evaluations that are kept as real ones are, of figures that were made up: nothing is measured, no model runs."""

from __future__ import annotations

from dataclasses import dataclass

from tests.evaluation.examples import evaluation

from custodes.evaluation.results import Dataset, Figures, Settings
from custodes.evaluation.running import Run, ScoreTable
from custodes.operations.measuring import Rig

__all__ = ["MadeUp"]


@dataclass(frozen=True)
class MadeUp:
    """A job that comes to these figures, whatever runs."""

    figures: Figures
    title: str = "Portraits of staff, 2024"
    similarity: float = 99.0

    @property
    def kind(self) -> str:
        """Return that of the figures."""
        return self.figures.kind

    @property
    def settings(self) -> Settings:
        """Return settings that fit them."""
        return Settings(self.similarity)

    def run(self, rig: Rig) -> Run:
        """Return the figures."""
        made = evaluation(self.figures).dataset
        return Run(
            self.figures, Dataset("", made.sha256, made.photos, made.subjects, made.notes), ScoreTable.empty(), ()
        )
