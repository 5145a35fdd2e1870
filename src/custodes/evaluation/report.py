# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: one page that needs nothing else, for people who decide and for people who check.

It holds no script and asks for nothing from outside: it works under ``default-src 'none'; style-src 'unsafe-inline';
img-src data:``, and says so itself. What is published holds no faces; faces of the worst pairs are shown to the
evaluator alone, and a page that has them says that it isn't for publication.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from custodes.config import Limits
from custodes.domain import Box, UInt8
from custodes.errors import Invalid, NotFound
from custodes.evaluation import plots
from custodes.evaluation.card import ModelCard
from custodes.evaluation.results import Attacks, Evaluation, Identification, Settings, Verification
from custodes.evaluation.runs import Worst
from custodes.evaluation.sections import sections
from custodes.evaluation.told import in_words, summary
from custodes.vision.image import read

__all__ = ["BROUGHT", "SealedBy", "WorstPicture", "report", "settings_used", "unbroken", "worst_pictures"]

BROUGHT = "of a liveness model that was brought along, not part of this server"
"""Of what an evaluation of attacks is: its scores come in a table, and nothing that runs here made them."""

_SIDE = 144
"""Pixels of a thumbnail's side: enough to see whether two faces are one person's."""
_MARGIN = 0.35
"""How much of the face's longer side is shown around it."""
_QUALITY = 82
_KINDS = {
    "verification": "comparisons of two faces",
    "identification": "searches in a gallery",
    "detection": "finding faces",
    "robustness": "photos that were made worse",
    "attacks": "presentation attacks",
}
_BOOTSTRAP = (
    "are drawn anew (bootstrap, {rounds:,} rounds); with few errors or none the interval of Clopper and Pearson is "
    "told, where it is wider."
)
_DRAWN = {
    "verification": f"People {_BOOTSTRAP}",
    "identification": f"People {_BOOTSTRAP}",
    "detection": f"Photos {_BOOTSTRAP}",
    "robustness": "It is Clopper and Pearson's, which takes comparisons for independent of one another.",
    "attacks": "It is Clopper and Pearson's, which takes presentations for independent of one another; where the "
    "threshold is found in the data, presentations are drawn anew too (bootstrap, {rounds:,} rounds), and the wider "
    "interval is told.",
}
"""How the intervals of each kind are made."""
_PERCENT = re.compile(r"(?<=\d) (?=%)")


@dataclass(frozen=True, slots=True)
class SealedBy:
    """Where the ledger commits to an evaluation.

    Attributes:
        origin, vkey: the log, and its verifier key.
        entry: index of the entry.
    """

    origin: str
    vkey: str
    entry: int


@dataclass(frozen=True, slots=True)
class WorstPicture:
    """A comparison to look at, as thumbnails.

    Attributes:
        kind: why it is shown.
        first, second: JPEG in base64; empty where the photo can't be shown.
        names: the files' names.
        similarity: of the two.
    """

    kind: str
    first: str
    second: str
    names: tuple[str, str]
    similarity: float


def report(
    evaluation: Evaluation,
    *,
    card: ModelCard,
    worst: Sequence[WorstPicture] = (),
    sealed: SealedBy | None = None,
    published: bool = False,
) -> str:
    """Return the report as a page.

    Args:
        evaluation: what is told of.
        card: of the models that were measured.
        worst: what to look at; left out of what is published.
        sealed: which entry of the ledger commits to it.
        published: whether everybody may see the page.
    """
    shown = () if published else tuple(worst)
    figures = evaluation.figures
    fair = isinstance(figures, Verification) and bool(figures.differentials)
    brought = isinstance(figures, Attacks)
    scale = [(k.similarity, in_words(k.false_match_rate)) for k in card.knots if k.false_match_rate]
    page = _template().render(
        evaluation=evaluation,
        brought=BROUGHT if brought else "",
        settings=settings_used(evaluation),
        drawn=_DRAWN[figures.kind].format(rounds=evaluation.settings.rounds),
        asked="How accurate, and how fair" if fair else "How accurate",
        what=_KINDS[figures.kind],
        compares=isinstance(figures, Verification | Identification),
        summary=summary(evaluation),
        sections=sections(figures),
        card=card,
        scale=scale,
        scale_plot=plots.calibration(card.knots, prefix="scale") if scale and not brought else "",
        worst={kind: [w for w in shown if w.kind == kind] for kind in dict.fromkeys(w.kind for w in shown)},
        sealed=sealed,
        published=published,
    )
    return unbroken(page)


def unbroken(page: str) -> str:
    """Return a page on which no number stands on another line than its percent sign."""
    return _PERCENT.sub("\u00a0", page)


def settings_used(evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
    """Return the settings on which figures of this kind depend, by name, and no others."""
    figures, settings = evaluation.figures, evaluation.settings
    if isinstance(figures, Attacks):
        told = [("Threshold", f"scores of at least {figures.threshold:g} are taken for honest presentations")]
        return (*told, _bootstrap(settings))
    told = [("Quality filter", settings.quality)]
    if figures.kind == "detection":
        return (*told, _bootstrap(settings))
    told = [("Similarity", f"{settings.similarity:g}"), ("Face of a photo that counts", settings.face), *told]
    if figures.kind == "robustness":
        return (*told, ("Noise", f"drawn with seed {settings.seed}"))
    told.append(_bootstrap(settings))
    if isinstance(figures, Verification) and figures.differentials:
        told.append(("A group is judged from", f"{settings.least_subjects:,} people on"))
    return tuple(told)


def _bootstrap(settings: Settings) -> tuple[str, str]:
    return "Bootstrap", f"{settings.rounds:,} rounds, seed {settings.seed}"


@cache
def _template() -> jinja2.Template:
    text = files("custodes.evaluation").joinpath("report.html.j2").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = Markup  # written by custodes.evaluation.drawing, which escapes what is from outside
    return environment.from_string(text)


# --- Faces -------------------------------------------------------------------------------------------------------


def worst_pictures(worst: Sequence[Worst]) -> tuple[WorstPicture, ...]:
    """Return thumbnails of the faces that were compared; of a photo that is gone, none."""
    made = []
    for w in worst:
        first, second = (_thumbnail(photo, box) for photo, box in zip(w.photos, w.boxes, strict=True))
        made.append(WorstPicture(w.kind, first, second, (w.photos[0].name, w.photos[1].name), w.similarity))
    return tuple(made)


def _thumbnail(photo: Path, box: Box | None) -> str:
    """Return a JPEG in base64, or nothing where the photo can't be read any more."""
    try:
        image = read(photo, Limits())
    except (Invalid, NotFound):
        return ""
    pixels = _cropped(image.pixels, box, 1 / image.scale)
    _, encoded = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return base64.b64encode(encoded.tobytes()).decode("ascii")


def _cropped(pixels: UInt8, box: Box | None, scale: float) -> UInt8:
    """Return a square around a face, or around the middle where there is none, at the size of a thumbnail.

    Args:
        pixels: ``(h, w, 3)`` uint8.
        box: in pixels of the whole picture.
        scale: pixels here for each of the whole picture's.
    """
    height, width = pixels.shape[:2]
    if box is None:
        x, y, half = width / 2, height / 2, max(width, height) / 2
    else:
        x, y = (box.left + box.width / 2) * scale, (box.top + box.height / 2) * scale
        half = max(box.width, box.height) * scale * (0.5 + _MARGIN)
    by = _SIDE / (2 * half)
    matrix = np.array([[by, 0, _SIDE / 2 - x * by], [0, by, _SIDE / 2 - y * by]], np.float64)
    if by < 1:  # averaging what falls into one pixel, so that a face in a large photo isn't jagged
        size = (max(1, round(width * by)), max(1, round(height * by)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        matrix[:, :2] = np.eye(2)
    grey = (128, 128, 128)
    made = cv2.warpAffine(pixels, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderValue=grey)
    return np.asarray(made, np.uint8)
