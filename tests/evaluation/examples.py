# SPDX-License-Identifier: Apache-2.0
"""Made-up evaluations of every kind, whole ones and ones that lack all that may be lacking."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

from custodes.evaluation.results import (
    Accuracy,
    AgeGap,
    AtRate,
    Attack,
    Attacks,
    CrossFigures,
    Curve,
    Dataset,
    Deployed,
    Detection,
    Differential,
    Enrolment,
    Evaluation,
    Figures,
    GroupFigures,
    Identification,
    IdentificationPoint,
    Interval,
    Network,
    Point,
    Rank,
    Rate,
    Robustness,
    Settings,
    SizeBin,
    Spread,
    Strain,
    StrainLimit,
    Verification,
)

NONE = Rate(0, 0, None, note="not enough data: there are no comparisons")
ROUGH = "rough: fewer than 30 false matches are expected (rule of 30)"
TOO_FEW = "not enough data: FNMR at FMR 1e-05 needs at least 300,000 non-mated comparisons, there are 298,000"


def rate(events: int, trials: int, note: str = "") -> Rate:
    """Return a share with an interval that looks like one."""
    value = events / trials
    wide = 1.96 * math.sqrt(max(value * (1 - value), 1 / trials) / trials)
    low = 0.0 if events == 0 else max(value / 2, value - wide)
    return Rate(events, trials, value, Interval(low, min(1.0, value + wide if events else 3.7 / trials)), note)


def curve(worse: float = 1.0) -> Curve:
    """Return a trade-off as real networks have it."""
    thresholds = tuple(0.15 + 0.005 * i for i in range(80))
    false = tuple(min(1.0, 10 ** (0.6 - 13 * (t - 0.1))) for t in thresholds)
    misses = tuple(min(1.0, worse * 0.002 * math.exp(9 * (t - 0.15))) for t in thresholds)
    return Curve(thresholds, false, misses, tuple(0.6 * m for m in misses), tuple(min(1.0, 1.5 * m) for m in misses))


EMPTY = Curve((), (), (), (), ())
ENROLMENT = Enrolment(rate(3, 3300), no_face=2, refused=0, unreadable=1, several_faces=17)


def differential(column: str = "sex") -> Differential:
    """Return two groups with enough data and one without."""
    lone = Rate(0, 3, None, note="not enough data: 12 people, 30 are needed")
    women = GroupFigures("women", 410, 900, True, "", rate(53, 66_000), rate(9, 520), rate(1, 900), 400)
    men = GroupFigures("men", 1290, 2300, True, "", rate(63, 200_000), rate(12, 980), rate(1, 2300), 900)
    few = GroupFigures("not stated", 12, 27, False, "12 people; 30 are needed", lone, lone, rate(0, 7), 12)
    false = Spread(
        "false match rate", "women", "men", 2.55, Interval(1.4, 4.2), 1.6, Interval(1.2, 2.05), note="of two groups"
    )
    missed = Spread("false non-match rate", "women", "men", 1.41, Interval(0.6, 3.1), 1.2, Interval(0.8, 1.8))
    between = (
        CrossFigures("men", "women", rate(1, 230_000)),
        CrossFigures("men", "not stated", lone),
        CrossFigures("not stated", "women", lone),
    )
    return Differential(column, 80.0, 0.4265, (men, few, women), between, (false, missed), unlabelled=4)


def many_groups(count: int = 4) -> Differential:
    """Return many groups, of hostile names too."""
    names = [
        "<script>alert(1)</script>",
        "$x$ _under",
        "日本の名前",
        "\x00 \u202ebad",
        *(f"country {i}" for i in range(count)),
    ]
    made = tuple(
        GroupFigures(n, 90 - i, 200, True, "", rate(5 + i, 90_000), rate(2 + i % 7, 400), rate(0, 200), 80)
        for i, n in enumerate(names)
    )
    note = "the lowest rate is 0"
    spreads = (Spread("false match rate", "a", "b", None, None, None, None, note),)
    return Differential("country of birth", 80.0, 0.4265, made, (), spreads)


def verification() -> Verification:
    """Return one with everything."""
    misses = [rate(8, 1500), rate(14, 1500), rate(31, 1500, ROUGH)]
    return Verification(
        kind="verification",
        mated=1500,
        non_mated=298_000,
        enrolment=ENROLMENT,
        points=(
            Point("the default, 80", 80.0, 0.4265, rate(24, 298_000), rate(21, 1500)),
            Point("the public-safety floor, 99", 99.0, 0.4828, rate(0, 298_000), rate(52, 1500)),
        ),
        at_rates=(
            *(AtRate(10.0**-k, 0.28 + 0.05 * k, m) for k, m in zip((2, 3, 4), misses, strict=True)),
            AtRate(1e-5, None, Rate(0, 1500, None, note=TOO_FEW)),
        ),
        equal_error=0.0061,
        curve=curve(),
        accuracy=Accuracy(0.9953, 0.0012, (0.995, 0.9967, 0.9933, 0.9983, 0.9933), 0.331, "5 folds"),
        differentials=(differential(),),
        age_gaps=(
            AgeGap(0, 1, rate(4, 700)),
            AgeGap(1, 5, rate(6, 500)),
            AgeGap(5, 10, rate(9, 200)),
            AgeGap(10, None, NONE),
        ),
    )


def bare_verification() -> Verification:
    """Return one that lacks what may be lacking: there are no mated comparisons, and few others."""
    few = rate(0, 40)
    return Verification(
        kind="verification",
        mated=0,
        non_mated=40,
        enrolment=Enrolment(rate(0, 20), 0, 0),
        points=(Point("the default, 80", 80.0, 0.4265, few, NONE),),
        at_rates=(AtRate(1e-2, None, Rate(0, 0, None, note="not enough data: FMR 0.01 needs 300, there are 40")),),
        equal_error=None,
        curve=EMPTY,
        differentials=(many_groups(),),
    )


def identification() -> Identification:
    """Return one with everything."""
    points = [
        ("without a threshold", 0.0, -1.0, rate(500, 500), rate(3, 600)),
        ("the default, 80", 80.0, 0.4265, rate(61, 500), rate(8, 600)),
        ("the public-safety floor, 99", 99.0, 0.4828, rate(6, 500, ROUGH), rate(21, 600)),
    ]
    return Identification(
        kind="identification",
        gallery_subjects=5000,
        gallery_photos=5600,
        mated=600,
        non_mated=500,
        list_length=20,
        gallery_enrolment=ENROLMENT,
        probe_enrolment=Enrolment(rate(0, 1100), 0, 0),
        ranks=tuple(Rank(r, rate(570 + min(27, 9 * i), 600)) for i, r in enumerate((1, 2, 3, 5, 10, 20))),
        points=tuple(IdentificationPoint(n, s, c, f, m, 1000 * (f.value or 0)) for n, s, c, f, m in points),
        at_rates=(AtRate(1e-2, 0.47, rate(20, 600)), AtRate(1e-3, None, Rate(0, 600, None, note=TOO_FEW))),
        curve=curve(4.0),
    )


def detection() -> Detection:
    """Return one with everything."""
    bins = [(0, 20, 40, 90), (20, 32, 120, 150), (32, 48, 190, 200), (48, 112, 399, 400), (112, None, 310, 310)]
    return Detection(
        kind="detection",
        images=220,
        marked_by="boxes",
        recall=rate(1059, 1150),
        false_positives=9,
        per_image=9 / 220,
        per_image_interval=Interval(0.018, 0.068),
        sizes=tuple(SizeBin(a, b, rate(e, t), i) for i, (a, b, e, t) in enumerate(bins)),
    )


def detection_by_points() -> Detection:
    """Return one in which points mark faces, so that those that weren't found have no size."""
    boxes, counts = detection(), (0, 3, 15, 3, 0)
    why = "a face that is marked by a point and not found has no size, so there is no share by size"
    sizes = tuple(
        SizeBin(s.least, s.most, Rate(n, n, None, note=why), s.false_positives)
        for s, n in zip(boxes.sizes, counts, strict=True)
    )
    return replace(boxes, marked_by="points", recall=rate(21, 23), sizes=sizes)


def robustness() -> Robustness:
    """Return one with everything."""
    kinds: list[tuple[str, str, str, tuple[float, ...], float]] = [
        ("blur", "px of a face of 112 px (sigma)", "a blur of {:g} px", (0, 1, 2, 3, 4, 6), 0.4),
        ("noise", "of 255 (sigma)", "noise of {:g}", (0, 5, 10, 20, 30), 0.3),
        ("low light", "% of the light", "{:g} % of the light", (100, 50, 25, 12, 6), 0.15),
        ("JPEG", "quality", "JPEG quality {:g}", (100, 90, 50, 30, 20, 10, 5), 0.2),
        ("size", "px, longer side of the face", "a face of {:g} px", (0, 112, 80, 64, 48, 32, 20), 0.5),
        ("mask", "% of the face's height, from the chin", "", (0, 43), 0.9),
        ("rotation", "degrees", "a turn by {:g} degrees", (0, 15, 30, 45, 90), 0.02),
    ]
    strains, limits = [], []
    for kind, unit, words, levels, harm in kinds:
        shares = [min(0.98, 0.014 + harm * (i / (len(levels) - 1)) ** 2) for i in range(len(levels))]
        for i, (level, share) in enumerate(zip(levels, shares, strict=True)):
            refused = rate(round(900 * min(1.0, i * 0.22)), 900)
            strains.append(
                Strain(
                    kind,
                    level,
                    unit,
                    rate(round(share * 900), 900),
                    rate(i, 9000),
                    rate(i, 900),
                    refused,
                    words.format(level) if i else "as it is",
                )
            )
        bad = next((level for level, share in zip(levels, shares, strict=True) if share > 0.1), None)
        late = levels[3] if len(levels) > 3 else None
        verdict = (
            f"Don't search from {bad:g} {unit} on." if bad is not None else "At no level more than 10 % are missed."
        )
        limits.append(StrainLimit(kind, unit, bad, late, verdict))
    notes = ("3 of 903 pairs were left out: a photo of theirs shows no face.",)
    return Robustness("robustness", 900, 9000, 80.0, 0.4265, 0.1, tuple(strains), tuple(limits), notes)


def attacks() -> Attacks:
    """Return one with everything."""
    return Attacks(
        kind="attacks",
        threshold=0.5,
        attacks=(
            Attack("printed photo", rate(90, 200), rate(2, 202)),
            Attack("screen", rate(130, 180), rate(0, 180)),
            Attack("mask of silicone", NONE, rate(0, 4)),
        ),
        worst="screen",
        bpcer=rate(12, 300),
        bona_fide_non_response=rate(1, 301),
        bpcer_at=(AtRate(0.1, 0.93, rate(160, 300)), AtRate(0.05, None, NONE)),
        equal_error=0.31,
        verdict="This model doesn't tell attacks from honest presentations well enough to be relied on.",
    )


def evaluation(figures: Figures) -> Evaluation:
    """Return an evaluation with these figures."""
    return Evaluation(
        made_at=datetime(2026, 11, 25, 9, 30, tzinfo=UTC),
        deployed=Deployed(
            pack="custodes-1",
            pack_version="1.0",
            networks=(Network("detector", "2c" * 32), Network("landmarks", "fb" * 32), Network("embedder", "62" * 32)),
            calibration="ca" * 32,
            thresholds="7e" * 32,
            provider="cpu",
            detail=1920,
            runtime="1.32.0",
            software="0.1.0",
            fingerprint="f1" * 32,
        ),
        dataset=Dataset(
            "Portraits of staff, 2024 <b>",
            "da" * 32,
            3300,
            1703,
            ("Subjects are the folders' names.", "People agreed in writing."),
        ),
        settings=Settings(80.0),
        figures=figures,
        rules_hash="4e" * 32,
    )


def all_kinds() -> dict[str, Evaluation]:
    """Return evaluations of every kind by name."""
    made: dict[str, Figures] = {
        "verification": verification(),
        "bare": bare_verification(),
        "identification": identification(),
        "detection": detection(),
        "robustness": robustness(),
        "attacks": attacks(),
    }
    return {name: evaluation(figures) for name, figures in made.items()}
