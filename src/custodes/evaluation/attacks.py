# SPDX-License-Identifier: Apache-2.0
"""Presentation attack detection, in the terms of ISO/IEC 30107-3:2023.

Whoever has a model that tells a live face from a picture of one brings its scores in a table; no photo is looked at
here, and the bundled pack has no such model (:data:`NO_MODEL`). A score of at least the threshold is taken for bona
fide. APCER is told for each kind of instrument (PAI species) and never as a mean over them: the standard judges by the
worst. APCER and BPCER are shares of the presentations that got an answer; those without one are APNRR and BPNRR.

Presentations are taken as independent: intervals are Clopper and Pearson's, and too narrow where many presentations are
of one person or one instrument. Where the threshold is itself found in the data (BPCER at an APCER) presentations are
drawn with replacement too, each round finds its own threshold, and the interval is the wider of both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from custodes.errors import Invalid
from custodes.evaluation.bootstrap import Int64, resample
from custodes.evaluation.metrics import Float64, carried, clopper_pearson, percentiles, rate
from custodes.evaluation.results import AtRate, Attack, Attacks, Interval, Rate, Settings
from custodes.evaluation.sheets import NO_VALUES, Fault, Problems, number, open_sheet, shown
from custodes.evaluation.told import percent

__all__ = ["BONA_FIDE", "NO_MODEL", "TARGETS", "Presentation", "attacks", "read_presentations"]

BONA_FIDE = "bona fide"
"""What a table calls a presentation that is no attack."""
TARGETS = (0.1, 0.05, 0.01)
"""APCER at which BPCER is told."""
NO_MODEL = (
    "The bundled model pack has no model that tells a live face from a picture of one, and none is claimed: a printed "
    "photo or a screen held to a camera is taken for a face. The free models that were tried for it reached an area "
    "under the ROC curve of 0.46 to 0.78 on simulated screens and prints, where 0.5 is chance, and were fooled by a "
    "real screen that was photographed again."
)
"""The honest verdict on liveness of what is deployed."""

_NO_ATTACKS = "no attack with an answer"
_NO_BONA_FIDE = "no bona fide presentation with an answer"
_ROUGH = "rough: fewer than 30 attacks are expected to pass (rule of 30)"
_SPECIES = 100  # letters
_PLAIN = "bonafide"

_NO_SPECIES = Fault("no presentation is named", f"Write '{BONA_FIDE}' or the instrument of the attack in each row.")
_NOT_SPECIES = Fault("a presentation is no name", f"Write '{BONA_FIDE}', or what was presented in at most 100 letters.")
_ALIKE = Fault("one kind of attack is written in two ways", "Write each kind the same in all its rows.")
_NO_SCORE = Fault("a score is no number", "Write a decimal number, or leave the cell empty if there was no answer.")


@dataclass(frozen=True, slots=True)
class Presentation:
    """One presentation.

    Attributes:
        species: kind of instrument of an attack; empty if it is bona fide.
        score: the higher the more bona fide; None if there was no answer.
    """

    species: str
    score: float | None

    def __post_init__(self) -> None:
        if self.score is not None and not math.isfinite(self.score):
            raise Invalid(f"A score is a finite number, got {self.score}.")


def read_presentations(path: Path) -> tuple[Presentation, ...]:
    """Read a table with the columns ``presentation`` (``bona fide``, or the kind of instrument) and ``score``.

    An empty score says that there was no answer.

    Raises:
        NotFound: if there is no such table.
        Invalid: if anything in it is wrong; which rows, is in the message.
    """
    sheet, problems, found = open_sheet(path, needed=("presentation", "score")), Problems(), []
    written: dict[str, str] = {}  # as it was first, by what it comes to
    for row, cells in sheet.rows(problems):
        name, text = cells[sheet.at("presentation")], cells[sheet.at("score")]
        score, plain = number(text) if text else None, "".join(filter(str.isalnum, name.lower()))
        if not name:
            problems.add(sheet.name, _NO_SPECIES, row)
        elif name.lower() in NO_VALUES or len(name) > _SPECIES or shown(name) != name:
            problems.add(sheet.name, _NOT_SPECIES, row, name)
        elif text and score is None:
            problems.add(sheet.name, _NO_SCORE, row, text)
        elif plain == _PLAIN:
            found.append(Presentation("", score))
        elif written.setdefault(plain, name) != name:
            problems.add(sheet.name, _ALIKE, row, f"{name}, and {written[plain]}")
        else:
            found.append(Presentation(name, score))
    problems.check()
    if not found:
        raise Invalid(f"{sheet.name} has no rows.", remedy="Write a row for each presentation.")
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Scores:
    """Scores of presentations of one kind that got an answer.

    Attributes:
        values: ``(n,)`` float64, falling.
        which: ``(n,)`` their numbers among all presentations.
        silent: how many got no answer.
    """

    values: Float64
    which: Int64
    silent: int

    @classmethod
    def of(cls, presentations: Sequence[Presentation], species: str) -> _Scores:
        """Gather the presentations of one kind."""
        own = [(p.score, i) for i, p in enumerate(presentations) if p.species == species]
        told = sorted(((s, i) for s, i in own if s is not None), reverse=True)
        values = np.array([s for s, _ in told], np.float64)
        return cls(values, np.array([i for _, i in told], np.int64), len(own) - len(told))

    def __len__(self) -> int:
        return len(self.values)

    def reaching(self, threshold: float) -> int:
        """Return how many scores are at least the threshold."""
        return int((self.values >= threshold).sum())

    def bar(self, target: float, weights: Int64) -> float:
        """Return the score that has to fail for at most ``target`` of all to pass, presentations counted so often.

        Minus infinity where all may pass, NaN where there are none.
        """
        counted = weights[self.which]
        if not counted.any():
            return math.nan
        at = int(np.searchsorted(np.cumsum(counted) / counted.sum(), target, side="right"))
        return float(self.values[at]) if at < len(self) else -math.inf

    def upto(self, bar: float, weights: Int64) -> float:
        """Return the share of scores that aren't above ``bar``, presentations counted so often; NaN without either."""
        counted = weights[self.which]
        if math.isnan(bar) or not counted.any():
            return math.nan
        return float(counted[self.values <= bar].sum() / counted.sum())


def attacks(presentations: Sequence[Presentation], threshold: float, settings: Settings) -> Attacks:
    """Measure how attacks are noticed, and bona fide presentations taken for attacks.

    Args:
        presentations: of both kinds.
        threshold: least score that is taken for bona fide.
        settings: rounds and seed of the bootstrap.

    Raises:
        Invalid: if there are no presentations, or the threshold is no finite number.
    """
    if not presentations:
        raise Invalid("There are no presentations.")
    if not math.isfinite(threshold):
        raise Invalid(f"A threshold is a finite number, got {threshold}.")
    names = sorted({p.species for p in presentations} - {""})
    species = {name: _Scores.of(presentations, name) for name in names}
    honest = _Scores.of(presentations, "")
    told = tuple(_attack(name, scores, threshold) for name, scores in species.items())
    worst = max((a for a in told if a.apcer.value is not None), key=_badness, default=None)
    bpcer = rate(len(honest) - honest.reaching(threshold), len(honest), of="bona fide presentation with an answer")
    answered = {name: scores for name, scores in species.items() if len(scores)}
    return Attacks(
        kind="attacks",
        threshold=threshold,
        attacks=told,
        worst=worst.species if worst else "",
        bpcer=bpcer,
        bona_fide_non_response=rate(honest.silent, honest.silent + len(honest), of="bona fide presentation"),
        bpcer_at=_at_targets(answered, honest, len(presentations), settings),
        equal_error=_equal_error(tuple(answered.values()), honest),
        verdict=_verdict(answered, worst, bpcer),
    )


def _attack(species: str, scores: _Scores, threshold: float) -> Attack:
    return Attack(
        species=species,
        apcer=rate(scores.reaching(threshold), len(scores), of="attack with an answer"),
        non_response=rate(scores.silent, scores.silent + len(scores), of="attack"),
    )


def _badness(attack: Attack) -> tuple[float, float]:
    """Return what attacks are compared by: their APCER, then how bad it may be."""
    found = attack.apcer
    return found.value or 0.0, found.interval.high if found.interval else 1.0


def _at_targets(
    species: Mapping[str, _Scores], honest: _Scores, presentations: int, settings: Settings
) -> tuple[AtRate, ...]:
    """Return BPCER at fixed APCER of the worst species, as far as the fewest presentations of one carry it."""
    if not species or not len(honest):
        why = _NO_BONA_FIDE if species else _NO_ATTACKS
        return tuple(AtRate(target, None, Rate(0, len(honest), None, note=why)) for target in TARGETS)

    def refused(weights: Int64) -> Float64:
        bars = np.max([[s.bar(target, weights) for target in TARGETS] for s in species.values()], axis=0)
        return np.array([honest.upto(bar, weights) for bar in bars.tolist()])

    [rounds] = resample(presentations, [refused], settings)
    fewest, once = min(map(len, species.values())), np.ones(presentations, np.int64)
    seen = np.unique(np.concatenate([honest.values, *(s.values for s in species.values())]))
    found = []
    for i, target in enumerate(TARGETS):
        enough, note = carried(target, fewest, "presentations of each kind of attack with an answer")
        if not enough:
            found.append(AtRate(target, None, Rate(0, len(honest), None, note=note)))
            continue
        bar = max(s.bar(target, once) for s in species.values())
        above = seen[seen > bar]
        threshold = float(above[0]) if len(above) else math.nextafter(bar, math.inf)
        events = int((honest.values < threshold).sum())
        found.append(AtRate(target, threshold, _widened(events, len(honest), rounds[:, i], note and _ROUGH)))
    return tuple(found)


def _widened(events: int, trials: int, rounds: Float64, note: str) -> Rate:
    """Return a share whose interval is the wider of the rounds' and Clopper and Pearson's."""
    exact, drawn = clopper_pearson(events, trials), percentiles(rounds)
    if drawn is not None:
        exact = Interval(min(exact.low, drawn.low), max(exact.high, drawn.high))
    return Rate(events, trials, events / trials, exact, note)


def _equal_error(species: Sequence[_Scores], honest: _Scores) -> float | None:
    """Return the rate at which the worst APCER and BPCER meet, as :func:`custodes.evaluation.metrics.equal_error_rate`.

    None without attacks or bona fide presentations.
    """
    if not species or not len(honest):
        return None
    seen = np.unique(np.concatenate([honest.values, *(s.values for s in species)]))
    passed = [(len(s) - np.searchsorted(s.values[::-1], seen, side="left")) / len(s) for s in species]
    falling = np.append(np.max(passed, axis=0), 0.0)
    rising = np.append(np.searchsorted(honest.values[::-1], seen, side="left") / len(honest), 1.0)
    after = int(np.argmax(rising >= falling))  # never the first: there all pass
    gap = falling[after - 1] - rising[after - 1]
    share = gap / (gap + rising[after] - falling[after])
    return float(falling[after - 1] + share * (falling[after] - falling[after - 1]))


def _verdict(species: Mapping[str, _Scores], worst: Attack | None, bpcer: Rate) -> str:
    """Return what may be concluded, in sentences."""
    if worst is None or worst.apcer.value is None or worst.apcer.interval is None:
        return "No attack got an answer, so nothing can be said of how attacks are noticed."
    if bpcer.value is None:
        return "No bona fide presentation got an answer, so nothing can be said of what noticing attacks costs."
    least = min(species, key=lambda name: len(species[name]))
    count = len(species[least])
    said = []
    if worst.apcer.value + bpcer.value >= 1.0:
        said.append(f"Of attacks with the worst instrument, {worst.species}, it tells no more than a coin would.")
    else:
        high = percent(worst.apcer.interval.high)
        said.append(f"Up to {high} of attacks with the worst instrument, {worst.species}, may pass (95 % interval).")
    said.append(
        "ISO/IEC 30107-3 judges by the worst instrument, and nothing follows for instruments that weren't tried."
    )
    if count < 3 / TARGETS[-1]:
        limit = "nothing can be shown" if count <= 3 else f"no APCER below {percent(3 / count)} can be shown"
        many = "presentation" if count == 1 else "presentations"
        said.append(f"With {count:,} {many} of {least} {limit} (rule of 3).")
    return " ".join(said)
