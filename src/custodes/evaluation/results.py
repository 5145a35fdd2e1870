# SPDX-License-Identifier: Apache-2.0
"""What an evaluation comes to, as values that are written down and read again without loss.

Terms are those of ISO/IEC 2382-37, ISO/IEC 19795-1 (rates, rule of 3, rule of 30) and 19795-10 (differences between
groups). Every share is a :class:`Rate`: how many of how many, the value where there is one, its interval, and in words
why there is none or why it is rough. A photo without a template is never left out of a denominator: a mated comparison
that it spoils is a false non-match, a non-mated one no false match, as NIST counts them. Results hold no names of
people, no names of files and no faces; names of groups and columns are the evaluator's own words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from custodes.errors import Invalid

__all__ = [
    "FORM",
    "LEAST_MATED",
    "Accuracy",
    "AgeGap",
    "AtRate",
    "Attack",
    "Attacks",
    "CrossFigures",
    "Curve",
    "Dataset",
    "Deployed",
    "Detection",
    "Differential",
    "Enrolment",
    "Evaluation",
    "Figures",
    "GroupFigures",
    "Identification",
    "IdentificationPoint",
    "Interval",
    "Network",
    "Point",
    "Rank",
    "Rate",
    "Robustness",
    "Settings",
    "SizeBin",
    "Spread",
    "Strain",
    "StrainLimit",
    "Verification",
    "from_json",
    "to_json",
]

FORM = "custodes-evaluation/1"

LEAST_MATED = 30
"""With fewer mated comparisons at a level of damage it isn't judged."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval, both ends 0..1 (ratios: any from 0)."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A share: ``events`` of ``trials``.

    Attributes:
        events, trials: how many of how many.
        value: 0..1, or None where there are no trials, or too few for what was asked.
        interval: see :mod:`custodes.evaluation.bootstrap`; None where there is no value.
        note: why there is no value, or why it is a rough one; empty otherwise.
    """

    events: int
    trials: int
    value: float | None
    interval: Interval | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """A network by its role, with the SHA-256 of what is run."""

    role: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Deployed:
    """What is evaluated: that which runs here.

    Attributes:
        pack, pack_version: the model pack.
        networks: those that a score depends on.
        calibration: SHA-256 of the map from cosine to similarity that is in force.
        thresholds: SHA-256 of the pack's thresholds.
        provider: what runs the networks (``cpu``, ``cuda``, ``openvino``).
        detail: the setting ``vision.detail``.
        runtime: version of ONNX Runtime; told, and not part of the fingerprint.
        software: version of Custodes, likewise.
        fingerprint: SHA-256 of all above but ``runtime`` and ``software``.
    """

    pack: str
    pack_version: str
    networks: tuple[Network, ...]
    calibration: str
    thresholds: str
    provider: str
    detail: int
    runtime: str
    software: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """On what it was evaluated.

    Attributes:
        title: the evaluator's own words for it; empty if there are none.
        sha256: of the tables and of all photos, in their order; hexadecimal.
        photos, subjects: how many photos and people.
        notes: what the reader should know (``subjects are the folders' names``).
    """

    title: str
    sha256: str
    photos: int
    subjects: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """How it was evaluated.

    Attributes:
        similarity: 0..100, the threshold at which groups are compared.
        face: which face of a photo counts: ``largest`` or ``central``.
        quality: the quality filter (``NONE``, ``LOW``, ``AUTO``, ``MEDIUM``, ``HIGH``).
        rounds, seed: of the bootstrap.
        least_subjects: people that a group needs to be judged.
    """

    similarity: float
    face: str = "largest"
    quality: str = "NONE"
    rounds: int = 1000
    seed: int = 1
    least_subjects: int = 30


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What became of photos.

    Attributes:
        failure: failure to enrol: photos of which no template was made, of all photos.
        no_face: how many showed no face.
        refused: how many showed one that the quality filter refused.
        unreadable: how many couldn't be decoded.
        several_faces: how many showed more than one; a remark, no failure.
    """

    failure: Rate
    no_face: int
    refused: int
    unreadable: int = 0
    several_faces: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """Errors at one threshold.

    Attributes:
        name: what the threshold is (``the default, 80``).
        similarity, cosine: the threshold on both scales.
        false_match, false_non_match: FMR and FNMR there.
    """

    name: str
    similarity: float
    cosine: float
    false_match: Rate
    false_non_match: Rate


@dataclass(frozen=True, slots=True)
class AtRate:
    """Misses (FNMR, or FNIR of searches) at the threshold at which false positives (FMR, FPIR) are at most ``target``.

    Attributes:
        target: 1e-2, 1e-3 ...
        cosine: the least threshold at which the target is kept; None where the data can't carry it.
        misses: FNMR or FNIR there.
    """

    target: float
    cosine: float | None
    misses: Rate


@dataclass(frozen=True, slots=True)
class Curve:
    """A detection error trade-off curve: at most some hundreds of its points, thresholds rising.

    Attributes:
        thresholds: cosines.
        false_positives: FMR or FPIR at each, falling.
        misses: FNMR or FNIR at each, rising.
        low, high: 95 % band of ``misses`` at each threshold.
    """

    thresholds: tuple[float, ...]
    false_positives: tuple[float, ...]
    misses: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy by LFW's protocol: each fold judged at the threshold that is best on the others.

    Attributes:
        mean: over folds; a comparison without two templates is an error.
        error: standard error of the mean over folds.
        folds: accuracy of each.
        threshold: mean of the folds' thresholds, a cosine.
        note: what the reader should know.
    """

    mean: float
    error: float
    folds: tuple[float, ...]
    threshold: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """One group at the one threshold.

    Attributes:
        name: value of the column.
        subjects, photos: how many people and photos.
        compared: people of whom two photos with templates were compared; there must be enough of these.
        enough: whether it has enough data to be judged.
        note: why not.
        false_match: FMR among non-mated comparisons within the group.
        false_non_match: FNMR among its mated comparisons.
        failure: failure to enrol.
    """

    name: str
    subjects: int
    photos: int
    enough: bool
    note: str
    false_match: Rate
    false_non_match: Rate
    failure: Rate
    compared: int = 0


@dataclass(frozen=True, slots=True)
class CrossFigures:
    """FMR of non-mated comparisons between two groups, ``first`` before ``second`` in the alphabet."""

    first: str
    second: str
    false_match: Rate


@dataclass(frozen=True, slots=True)
class Spread:
    """How far groups lie apart in one rate (NIST IR 8280 and 8429), among groups with enough data.

    Attributes:
        measure: ``false match rate`` or ``false non-match rate``.
        most, least: names of the groups with the highest and the lowest rate.
            Empty where fewer than two can be judged, or all rates are 0; two different ones if all are equal.
        max_min: highest over lowest; None where the lowest is 0, or fewer than two groups can be judged.
        max_geometric_mean: highest over the groups' geometric mean, likewise.
        max_min_interval, max_geometric_mean_interval: by bootstrap.
        note: why a ratio is missing.
    """

    measure: str
    most: str
    least: str
    max_min: float | None
    max_min_interval: Interval | None
    max_geometric_mean: float | None
    max_geometric_mean_interval: Interval | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Differential:
    """Differences between the groups of one column (ISO/IEC 19795-10: differential performance) at one threshold.

    Attributes:
        column: of the labels.
        similarity, cosine: the threshold, the same for all groups.
        groups: by name.
        crosses: between groups.
        spreads: for both rates.
        unlabelled: people without a label, who are in no group.
    """

    column: str
    similarity: float
    cosine: float
    groups: tuple[GroupFigures, ...]
    crosses: tuple[CrossFigures, ...]
    spreads: tuple[Spread, ...]
    unlabelled: int = 0


@dataclass(frozen=True, slots=True)
class AgeGap:
    """Mated comparisons whose photos lie ``least`` to ``most`` years apart (the end left out; None: no end)."""

    least: float
    most: float | None
    false_non_match: Rate


@dataclass(frozen=True, slots=True)
class Verification:
    """One-to-one comparison.

    Attributes:
        mated, non_mated: comparisons of each kind.
        enrolment: see there.
        points: at the thresholds that are in use.
        at_rates: FNMR at fixed FMR.
        equal_error: rate at which FMR and FNMR meet.
        curve: DET.
        accuracy: by folds, where the data has them.
        differentials: one for each column that was asked for.
        age_gaps: where the data tells when photos were taken.
    """

    kind: Literal["verification"]
    mated: int
    non_mated: int
    enrolment: Enrolment
    points: tuple[Point, ...]
    at_rates: tuple[AtRate, ...]
    equal_error: float | None
    curve: Curve
    accuracy: Accuracy | None = None
    differentials: tuple[Differential, ...] = ()
    age_gaps: tuple[AgeGap, ...] = ()


@dataclass(frozen=True, slots=True)
class Rank:
    """Share of mated searches whose person is among the first ``rank`` candidates, whatever the score."""

    rank: int
    hits: Rate


@dataclass(frozen=True, slots=True)
class IdentificationPoint:
    """Errors of searches at one threshold: FPIR(N, T) and FNIR(N, T) (NIST FRTE 1:N).

    Attributes:
        name: what the threshold is; without one it is similarity 0.
        similarity, cosine: the threshold.
        false_positive: searches of people who aren't in the gallery that return anybody.
        false_negative: searches of people who are, that don't return them at or above the threshold within the list.
        found_of_1000: of 1,000 searches of people who are not in this gallery about so many return somebody; None where
            nothing was measured.
    """

    name: str
    similarity: float
    cosine: float
    false_positive: Rate
    false_negative: Rate
    found_of_1000: float | None


@dataclass(frozen=True, slots=True)
class Identification:
    """One-to-many search.

    Attributes:
        gallery_subjects, gallery_photos: N people, of so many photos.
        mated, non_mated: searches of people who are in the gallery, and of people who aren't.
        list_length: how long candidate lists are.
        gallery_enrolment, probe_enrolment: see there.
        ranks: cumulative match characteristic.
        points: without a threshold, at the default, at the floor, at the evaluation's own where it is another.
        at_rates: FNIR at fixed FPIR.
        curve: DET of FPIR and FNIR.
    """

    kind: Literal["identification"]
    gallery_subjects: int
    gallery_photos: int
    mated: int
    non_mated: int
    list_length: int
    gallery_enrolment: Enrolment
    probe_enrolment: Enrolment
    ranks: tuple[Rank, ...]
    points: tuple[IdentificationPoint, ...]
    at_rates: tuple[AtRate, ...]
    curve: Curve


@dataclass(frozen=True, slots=True)
class SizeBin:
    """Faces whose longer side has ``least`` to ``most`` pixels (the end left out; None: no end)."""

    least: float
    most: float | None
    recall: Rate
    false_positives: int


@dataclass(frozen=True, slots=True)
class Detection:
    """Finding faces.

    Attributes:
        images: how many.
        marked_by: ``boxes`` (a face is found at an intersection over union of 0.5) or ``points`` (found where a box
            holds the point).
        recall: marked faces that were found.
        false_positives: boxes that hold no marked face.
        per_image: those for each image.
        per_image_interval: by bootstrap over images.
        sizes: by the size of the marked box, or of the found box where points are marked; faces that are marked by a
            point and not found have no size and are in ``recall`` alone.
    """

    kind: Literal["detection"]
    images: int
    marked_by: str
    recall: Rate
    false_positives: int
    per_image: float
    per_image_interval: Interval
    sizes: tuple[SizeBin, ...]


@dataclass(frozen=True, slots=True)
class Strain:
    """Mated comparisons of which the second photo was made worse.

    Attributes:
        kind: ``blur``, ``noise``, ``low light``, ``JPEG``, ``size``, ``mask``, ``glasses``, ``rotation``, ``grey``.
        level: how much, in ``unit``; the first level of a kind leaves the photo as it is, whatever its number.
        unit: of the level.
        false_non_match: FNMR at the threshold; photos without a template count.
        false_match: FMR of non-mated comparisons with the same photos.
        failure: of the worse photos.
        refused: share of the worse photos that the quality filter ``AUTO`` refuses, or in which no face is found.
        label: the level in words (``a mask up to the tip of the nose``).
    """

    kind: str
    level: float
    unit: str
    false_non_match: Rate
    false_match: Rate
    failure: Rate
    refused: Rate
    label: str = ""


@dataclass(frozen=True, slots=True)
class StrainLimit:
    """Where searching stops making sense for one kind of damage.

    Attributes:
        kind, unit: see :class:`Strain`.
        dont_search: first level at which more than ``Robustness.most_missed`` of mated comparisons are missed; None if
            there is none.
        refused_from: first level at which the quality filter refuses most photos; None if none.
        words: the verdict in a sentence.
    """

    kind: str
    unit: str
    dont_search: float | None
    refused_from: float | None
    words: str


@dataclass(frozen=True, slots=True)
class Robustness:
    """What damage to photos does.

    Attributes:
        mated, non_mated: comparisons for each level.
        similarity, cosine: the threshold.
        most_missed: FNMR above which a photo is not to be searched with.
        strains: the table.
        limits: one for each kind; none where there are fewer than :data:`LEAST_MATED` mated comparisons.
        notes: what the reader should know (how many pairs were left out, and why).
    """

    kind: Literal["robustness"]
    mated: int
    non_mated: int
    similarity: float
    cosine: float
    most_missed: float
    strains: tuple[Strain, ...]
    limits: tuple[StrainLimit, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attack:
    """Presentation attacks with one kind of instrument (ISO/IEC 30107-3: PAI species).

    Attributes:
        species: name of the instrument (``printed photo``).
        apcer: attack presentation classification error rate: taken for bona fide, of those that got an answer.
        non_response: APNRR: presentations without an answer.
    """

    species: str
    apcer: Rate
    non_response: Rate


@dataclass(frozen=True, slots=True)
class Attacks:
    """Presentation attack detection (ISO/IEC 30107-3).

    Attributes:
        threshold: scores of at least so much are taken for bona fide.
        attacks: by species.
        worst: the species with the highest APCER; 30107-3 judges by it, not by a mean.
        bpcer: bona fide presentation classification error rate.
        bona_fide_non_response: BPNRR.
        bpcer_at: BPCER where the worst APCER is at most ``target``: 0.1, 0.05, 0.01.
        equal_error: rate at which the worst APCER and BPCER meet.
        verdict: in words.
    """

    kind: Literal["attacks"]
    threshold: float
    attacks: tuple[Attack, ...]
    worst: str
    bpcer: Rate
    bona_fide_non_response: Rate
    bpcer_at: tuple[AtRate, ...]
    equal_error: float | None
    verdict: str


Figures = Annotated[
    Verification | Identification | Detection | Robustness | Attacks,
    Field(discriminator="kind"),
]


@checked(frozen=True, slots=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Evaluation:
    """One evaluation: what was measured, on what, how, and what it came to.

    Attributes:
        form: :data:`FORM`.
        made_at: when it was finished.
        deployed, dataset, settings, figures: see there.
        rules_hash: of the rules that were in force; empty where there is no installation.
        scores_sha256: of the CSV of every score (:mod:`custodes.evaluation.scorefile`), hexadecimal, so that figures
            can be computed anew from what they were made of; empty if nobody asked for it.
    """

    made_at: datetime
    deployed: Deployed
    dataset: Dataset
    settings: Settings
    figures: Figures
    rules_hash: str = ""
    scores_sha256: str = ""
    form: Literal["custodes-evaluation/1"] = field(default="custodes-evaluation/1")


_ADAPTER: TypeAdapter[Evaluation] = TypeAdapter(Evaluation)


def to_json(evaluation: Evaluation) -> bytes:
    """Return an evaluation as JSON; floats keep every bit."""
    return _ADAPTER.dump_json(evaluation)


def from_json(raw: bytes | str) -> Evaluation:
    """Read what :func:`to_json` wrote.

    Raises:
        Invalid: if it is no evaluation.
    """
    try:
        return _ADAPTER.validate_json(raw)
    except ValidationError as e:
        first = e.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Invalid(f"That is no evaluation ({FORM}): {where or 'it'}: {first['msg']}.") from e
