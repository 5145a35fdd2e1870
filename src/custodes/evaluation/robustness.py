# SPDX-License-Identifier: Apache-2.0
"""How much damage photos bear: the second photo of each pair is made worse step by step, and enrolled as the API would.

The first photo of a pair stays as it is, as a reference in a gallery does; the second is the probe. A photo that shows
no face before anything was done to it says nothing about damage: its pairs are left out at all levels, and told. From
there on nothing is left out: a worse photo without a template makes its mated comparisons misses. Intervals are
Clopper and Pearson's, and take comparisons for independent of one another. With fewer than 30 mated comparisons the
table is told, and no level is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from custodes.domain import Face, Float32, QualityFilter, UInt8, cosines
from custodes.errors import Conflict, Invalid, NotFound
from custodes.evaluation.enrolling import Outcome, Progress, Template, enrol, silent
from custodes.evaluation.metrics import rate, threshold_score
from custodes.evaluation.results import LEAST_MATED, Rate, Robustness, Settings, Strain, StrainLimit
from custodes.evaluation.strains import KINDS, Kind, Level, size
from custodes.evaluation.worn import glasses, longer_side, mask
from custodes.vision.engine import Engine
from custodes.vision.image import Image

__all__ = ["limit", "robustness"]

Pairs = Sequence[tuple[Path, Path]]
_Photo = TypeVar("_Photo")
_Result = TypeVar("_Result")

_MOST_LEFT_OUT = 0.10
"""Share of pairs that may show no face; with more, the rest isn't the data that was given."""


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """What became of one photo at one level: its template or none, and whether ``AUTO`` refuses it."""

    vector: Float32 | None
    refused: bool


def robustness(
    engine: Engine,
    mated: Pairs,
    non_mated: Pairs,
    settings: Settings,
    *,
    kinds: Sequence[Kind] | None = None,
    most_missed: float = 0.10,
    most_faces: int = 100,
    workers: int = 1,
    progress: Progress = silent,
) -> Robustness:
    """Measure what damage to the second photo of each pair does to false non-matches and false matches.

    Args:
        engine: the deployed one.
        mated: pairs of photos of one person; which is the first matters.
        non_mated: pairs of photos of two people; there may be none.
        settings: the threshold, which face counts, the quality filter, and the seed of noise.
        kinds: of damage; all there are by default.
        most_missed: FNMR above which a photo is not to be searched with, 0..1.
        most_faces: the setting ``limits.faces``.
        workers: how many photos are looked at at a time.
        progress: told of both steps.

    Raises:
        Invalid: if there are no mated pairs, or more than a tenth of the pairs have a photo without a face.
        NotFound: if a photo can't be read; which, is in the message.
        Conflict: if a file was changed meanwhile and is no photo any more.
    """
    if not mated:
        raise Invalid("There are no mated pairs: how often a person is missed can't be measured.")
    if not 0 < most_missed < 1:
        raise Invalid(f"The share that may be missed lies between 0 and 1, got {most_missed}.")
    bench = _Bench(engine, settings, KINDS if kinds is None else tuple(kinds), most_faces)
    photos = list(dict.fromkeys(p for pair in (*mated, *non_mated) for p in pair))
    plain = dict(zip(photos, _all(bench.plain, photos, workers, progress, "Photos"), strict=True))
    pairs, others = _with_faces(mated, plain), _with_faces(non_mated, plain)
    of = len(mated) + len(non_mated)
    left_out = of - len(pairs) - len(others)
    _check_left_out(left_out, of, pairs)
    seconds = [(path, plain[path]) for path in dict.fromkeys(second for _, second in (*pairs, *others))]
    made = _all(bench.damaged, seconds, workers, progress, "Photos made worse")
    cosine = engine.pack.calibration.cosine(settings.similarity)
    table = _Table(plain, {path: m for (path, _), m in zip(seconds, made, strict=True)}, pairs, others, cosine)
    strains = _strains(bench.kinds, table)
    judged = zip(bench.kinds, strains, strict=True) if len(pairs) >= LEAST_MATED else ()
    return Robustness(
        kind="robustness",
        mated=len(pairs),
        non_mated=len(others),
        similarity=settings.similarity,
        cosine=cosine,
        most_missed=most_missed,
        strains=tuple(s for of_kind in strains for s in of_kind),
        limits=tuple(limit(kind, of_kind, most_missed) for kind, of_kind in judged),
        notes=(
            *_left_out_note(left_out, of),
            *_kind_notes(bench.kinds, [t.face for _, t in seconds if t.face is not None]),
            *_number_notes(len(pairs), len(others), most_missed),
        ),
    )


# --- Photos -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Bench:
    """What photos are looked at with."""

    engine: Engine
    settings: Settings
    kinds: tuple[Kind, ...]
    most_faces: int

    def plain(self, path: Path) -> Template:
        """Return what is made of a photo as it is."""
        image = self._read(path)
        return Template(Outcome.UNREADABLE) if image is None else self._enrol(image)

    def damaged(self, photo: tuple[Path, Template]) -> list[_Made]:
        """Return what is made of a photo as it is, and at every level of every kind but the first.

        Raises:
            Conflict: if the file isn't a photo any more.
        """
        path, before = photo
        image = self._read(path)
        if image is None or before.face is None:
            raise Conflict(f"{path} was a photo with a face a moment ago, and is none now.")
        made = [self._made(before)]
        pixels = np.ascontiguousarray(image.pixels[:, :, ::-1])
        for kind in self.kinds:
            for level in kind.levels[1:]:
                made.append(self._made(self._enrol(kind.worse(pixels, before.face, level, self.settings.seed))))
        return made

    def _enrol(self, picture: Image | UInt8) -> Template:
        return enrol(self.engine, picture, self.settings, self.most_faces)

    def _made(self, template: Template) -> _Made:
        face = template.face
        return _Made(template.vector, face is None or bool(self.engine.quality_reasons(face, QualityFilter.AUTO)))

    def _read(self, path: Path) -> Image | None:
        """Return a photo, or None if it can't be decoded; of a huge JPEG, those of its pixels that are looked at."""
        try:
            data = path.read_bytes()
        except OSError as e:
            raise NotFound(f"{path}: {e.strerror}.") from e
        try:
            return Image(self.engine.load(data).pixels)
        except Invalid:
            return None


def _all(
    look: Callable[[_Photo], _Result], photos: Sequence[_Photo], workers: int, progress: Progress, step: str
) -> list[_Result]:
    """Look at photos, several at a time; what is left of them isn't looked at after an error."""
    done: list[_Result] = []
    pool = ThreadPoolExecutor(max(1, workers))
    try:
        for found in pool.map(look, photos):
            done.append(found)
            progress(step, len(done), len(photos))
    finally:
        pool.shutdown(cancel_futures=True)
    return done


def _with_faces(pairs: Pairs, plain: dict[Path, Template]) -> list[tuple[Path, Path]]:
    return [pair for pair in pairs if all(plain[photo].face is not None for photo in pair)]


def _check_left_out(left_out: int, of: int, mated: Pairs) -> None:
    if left_out > _MOST_LEFT_OUT * of:
        raise Invalid(
            f"{left_out} of {of} pairs have a photo in which no face is found before anything was done to it; at most "
            f"{_MOST_LEFT_OUT:.0%} may be left out.".replace("%", " %"),
            remedy="custodes evaluate verification tells which photos those are (failure to enrol).",
        )
    if not mated:
        raise Invalid("In no mated pair both photos show a face.")


# --- Figures ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Templates of all photos at all levels; ``worse[path][0]`` is the photo as it is."""

    plain: dict[Path, Template]
    worse: dict[Path, list[_Made]]
    mated: Pairs
    non_mated: Pairs
    cosine: float

    def at(self, kind: Kind, level: Level, place: int) -> Strain:
        """Return the figures at one level, which stands at a place in ``worse``."""
        made = [levels[place] for levels in self.worse.values()]
        matches, others = self._matches(self.mated, place), self._matches(self.non_mated, place)
        return Strain(
            kind=kind.name,
            level=level.value,
            unit=kind.unit,
            false_non_match=rate(len(self.mated) - matches, len(self.mated)),
            false_match=rate(others, len(self.non_mated), of="non-mated comparisons"),
            failure=rate(sum(m.vector is None for m in made), len(made)),
            refused=rate(sum(m.refused for m in made), len(made)),
            label=level.words,
        )

    def _matches(self, pairs: Pairs, place: int) -> int:
        found = [(self.plain[a].vector, self.worse[b][place].vector) for a, b in pairs]
        both = [(a, b) for a, b in found if a is not None and b is not None]
        if not both:
            return 0  # failures are no matches
        scores = cosines(np.array([a for a, _ in both]), np.array([b for _, b in both]))
        return int((scores >= threshold_score(self.cosine)).sum())


def _strains(kinds: Iterable[Kind], table: _Table) -> list[list[Strain]]:
    """Return the table, kind by kind; the first level is the same for all."""
    strains, place = [], 1
    for kind in kinds:
        first, *others = kind.levels
        of_kind = [table.at(kind, first, 0)]
        of_kind += [table.at(kind, level, place + i) for i, level in enumerate(others)]
        place += len(others)
        strains.append(of_kind)
    return strains


# --- Words ------------------------------------------------------------------------------------------------------------


def limit(kind: Kind, strains: Sequence[Strain], most_missed: float) -> StrainLimit:
    """Say from where on one kind of damage makes searching senseless, and whether the quality filter sees it.

    Args:
        kind: of the damage.
        strains: its levels, the photo as it is first.
        most_missed: FNMR above which a photo is not to be searched with, 0..1.
    """
    missed = [s.false_non_match.events > most_missed * s.false_non_match.trials for s in strains]
    refused = [s.refused.events * 2 > s.refused.trials for s in strains]
    first = missed.index(True) if True in missed else None
    filtered = refused.index(True) if True in refused else None
    said = [_missed(strains, missed, most_missed), _filtered(strains, refused, first), _false_matches(strains)]
    return StrainLimit(
        kind=kind.name,
        unit=kind.unit,
        dont_search=None if first is None else strains[first].level,
        refused_from=None if filtered is None else strains[filtered].level,
        words=" ".join(filter(None, said)),
    )


def _missed(strains: Sequence[Strain], missed: Sequence[bool], most_missed: float) -> str:
    if missed[0]:
        told = _told(strains[0].false_non_match)
        return f"Of photos as they are, {told} of mated comparisons are missed already: no level can be judged."
    if True not in missed:
        worst = max(strains, key=lambda s: s.false_non_match.events)
        told = _told(worst.false_non_match) + ("" if worst is strains[0] else f", {_with(worst.label)}")
        return f"At no level more than {_percent(most_missed)} of mated comparisons are missed; at most {told}."
    first = missed.index(True)
    told = _told(strains[first].false_non_match)
    return f"{_capital(_from(strains, missed))}, {told} of mated comparisons are missed: don't search."


def _filtered(strains: Sequence[Strain], refused: Sequence[bool], dont_search: int | None) -> str:
    """Say whether the quality filter sees it, and in time."""
    if True not in refused:
        return "" if dont_search is None else "The quality filter AUTO lets most of them pass: it doesn't see this."
    told = f"The quality filter AUTO refuses most photos {_from(strains, refused)}"
    if dont_search is None or refused.index(True) <= dont_search:
        return f"{told}."
    return f"{told}; milder damage it lets pass."


def _false_matches(strains: Sequence[Strain]) -> str:
    """Say so if damage makes different people look alike, beyond chance."""
    before = strains[0].false_match.interval
    for s in strains[1:]:
        now = s.false_match.interval
        if before and now and now.low > before.high:
            return f"False matches rise: {_told(s.false_match)} of non-mated comparisons, {_with(s.label)}."
    return ""


def _from(strains: Sequence[Strain], holds: Sequence[bool]) -> str:
    """Return from which level on something holds, in words."""
    first = holds.index(True)
    label = strains[first].label
    if first == 0:
        return "as they are"
    if first == len(strains) - 1:
        return _with(label)
    return f"from {label} on" if all(holds[first:]) else f"{_with(label)}, though not at every level beyond"


def _with(label: str) -> str:
    return f"with {label}"


def _told(share: Rate) -> str:
    """Return ``23 % (95 %: 15 to 33 %)``."""
    assert share.value is not None  # there are trials wherever it is told
    assert share.interval is not None
    ends = f"{_percent(share.interval.low).removesuffix(' %')} to {_percent(share.interval.high)}"
    return f"{_percent(share.value)} (95 %: {ends})"


def _percent(value: float) -> str:
    return f"{100 * value:.{0 if value >= 0.1 else 1}f} %".replace(".0 %", " %")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _left_out_note(left_out: int, of: int) -> tuple[str, ...]:
    if not left_out:
        return ()
    return (f"{left_out} of {of} pairs count at no level: a photo shows no face before anything was done to it.",)


def _kind_notes(kinds: Sequence[Kind], faces: Sequence[Face]) -> tuple[str, ...]:
    """Say what the levels of some kinds can't be taken for."""
    said = []
    for kind in kinds:
        most = max(level.value for level in kind.levels)
        small = sum(longer_side(face) < most for face in faces)
        if kind.change is size and small:
            said.append(
                f"{small} of {len(faces)} faces have less than {most:g} px: where more is asked for, they stay as they "
                "are."
            )
    if any(kind.change in (mask, glasses) for kind in kinds):
        said.append("Masks and glasses are drawn on: that is a hint, and no measurement of people who wear them.")
    return tuple(said)


def _number_notes(mated: int, non_mated: int, most_missed: float) -> tuple[str, ...]:
    """Say what so few comparisons can't show (rule of 3: with N trials no rate below 3/N)."""
    said = []
    if mated < LEAST_MATED:
        said.append(
            f"Not enough data: {mated} mated comparisons, {LEAST_MATED} are needed. From where on not to search isn't "
            "judged."
        )
    elif mated * most_missed < 3:
        need = round(3 / most_missed)
        said.append(
            f"Not enough data: that fewer than {_percent(most_missed)} are missed needs at least {need} mated "
            f"comparisons to show, there are {mated}."
        )
    if non_mated:
        said.append(f"{non_mated} non-mated comparisons can't show a false match rate below {_percent(3 / non_mated)}.")
    return tuple(said)
