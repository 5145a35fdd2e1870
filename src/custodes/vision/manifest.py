# SPDX-License-Identifier: Apache-2.0
"""What a model pack says of itself: a ``manifest.toml``, read strictly into frozen values.

A pack is a folder with a manifest and, for networks that no installed package carries, ONNX files. It is data: no
code of it is ever run. A manifest that has an unknown key, a wrong type or a path that leaves the folder is
refused. ``docs/models.md`` explains every key.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from custodes.errors import Invalid

__all__ = [
    "KINDS",
    "PACK_ID",
    "ROLES",
    "Calibration",
    "InputSpec",
    "Knot",
    "Manifest",
    "ModelSpec",
    "Thresholds",
    "calibration",
    "read",
]

MANIFEST = "manifest.toml"

KINDS: dict[str, tuple[str, ...]] = {
    "detector": ("yunet", "scrfd", "retinaface"),
    "embedder": ("arcface", "sface"),
    "landmarks": ("facemesh",),
    "eyes": ("facemesh-attention",),
    "age": ("dlib-age",),
    "gender": ("dlib-gender",),
    "expression": ("face-api-expression",),
}
"""The roles of a pack, and how the outputs of a network in each role may be read."""

ROLES = tuple(KINDS)

PACK_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""What a pack may be called; it is the name of a folder and of files."""

_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MANIFEST_BYTES = 256_000
_ROUNDING = 1e-9
"""Similarity by which two maps may differ at a cosine and be the same: far less than a float32 cosine tells apart."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How pixels become a network's input: ``(pixel - mean) / std`` for each channel, pixels 0..255.

    Attributes:
        layout: ``"NCHW"`` or ``"NHWC"``.
        colour: ``"RGB"`` or ``"BGR"``, the order of channels, of ``mean`` and of ``std``.
        mean, std: three numbers.
        size: (width, height) in pixels, or None where any size is taken.
        multiple: width and height must be multiples of this.
    """

    layout: str
    colour: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: tuple[int, int] | None
    multiple: int

    def shape(self, width: int, height: int, count: int = 1) -> tuple[int, int, int, int]:
        """Return the shape of an array of ``count`` pictures."""
        return (count, 3, height, width) if self.layout == "NCHW" else (count, height, width, 3)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One network of a pack.

    Attributes:
        role: what it is for, one of :data:`ROLES`.
        kind: how its outputs are read, one of ``KINDS[role]``.
        licence: SPDX expression.
        origin: where it comes from and who made it.
        package, package_version: the installed Python package that carries it; empty for a file of the pack.
        file: path in the package or in the pack's folder.
        source_sha256: hash of that file.
        steps: conversion steps, see :data:`custodes.vision.convert.STEPS`; empty runs the file as it is.
        sha256: hash of what the steps make; of the file itself when there are none.
        input: how pixels go in.
        pack: id of the pack that brought it (another one's when it is inherited).
        folder: that pack's folder.
    """

    role: str
    kind: str
    licence: str
    origin: str
    package: str
    package_version: str
    file: str
    source_sha256: str
    steps: tuple[str, ...]
    sha256: str
    input: InputSpec
    pack: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Scores that decide, each 0..1.

    Attributes:
        detection: least score of a face.
        overlap: intersection over union from which two boxes are one face.
        mesh: least probability that the landmark network looks at a face.
    """

    detection: float = 0.6
    overlap: float = 0.3
    mesh: float = 0.5


@dataclass(frozen=True, slots=True)
class Knot:
    """A point of the calibration: at this cosine the similarity is so much, and so many impostors pass.

    ``false_match_rate`` is the share of comparisons of two different persons that reach the cosine, or None where
    it wasn't measured.
    """

    cosine: float
    similarity: float
    false_match_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """From cosine to similarity (0..100): piecewise linear between knots, never falling.

    Attributes:
        knots: at least two; the first at cosine -1 and similarity 0, the last at cosine 1 and similarity 100.
        measured_on: the data behind the false-match rates; empty while the map is provisional.
    """

    knots: tuple[Knot, ...]
    measured_on: str

    def __post_init__(self) -> None:
        first, last = self.knots[0], self.knots[-1]
        ends = ((first.cosine, first.similarity), (last.cosine, last.similarity))
        if ends != ((-1.0, 0.0), (1.0, 100.0)):
            raise Invalid(f"A calibration goes from (-1, 0) to (1, 100), got {ends[0]} to {ends[1]}.")
        for a, b in itertools.pairwise(self.knots):
            if not (a.cosine < b.cosine and a.similarity <= b.similarity):
                raise Invalid(f"A calibration rises, got {a} before {b}.")

    def similarity(self, cosine: float) -> float:
        """Return the similarity, 0..100, at a cosine; what lies outside -1..1 counts as the end."""
        for a, b in itertools.pairwise(self.knots):
            if cosine < b.cosine:
                share = max(0.0, cosine - a.cosine) / (b.cosine - a.cosine)
                return a.similarity + share * (b.similarity - a.similarity)
        return self.knots[-1].similarity

    def cosine(self, similarity: float) -> float:
        """Return the least cosine whose similarity is at least ``similarity``.

        Raises:
            Invalid: if the similarity lies outside 0..100.
        """
        if not 0.0 <= similarity <= 100.0:
            raise Invalid(f"A similarity lies in 0..100, got {similarity}.")
        for a, b in itertools.pairwise(self.knots):
            if similarity <= a.similarity:
                return a.cosine
            if similarity <= b.similarity:
                share = (similarity - a.similarity) / (b.similarity - a.similarity)
                return (1 - share) * a.cosine + share * b.cosine  # in this form a knot that rises lowers nothing
        return self.knots[-1].cosine

    def easier_at(self, base: Calibration) -> float | None:
        """Return a cosine at which this map gives a higher similarity than ``base`` does, or None if there is none."""
        for cosine in sorted({k.cosine for k in self.knots + base.knots}):
            if self.similarity(cosine) > base.similarity(cosine) + _ROUNDING:
                return cosine
        return None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model pack's description, with what it inherits.

    Attributes:
        id: the pack's name, also its folder's.
        version: digits and dots; Rekognition's FaceModelVersion of collections made with the pack.
        licence: SPDX expression that covers all its own networks.
        description: a sentence.
        extends: id of the pack whose networks fill the roles that this one lacks, or empty.
        models: one for each role that is filled.
        thresholds: scores that decide.
        calibration: of the embedder.
        folder: where it was read from.
    """

    id: str
    version: str
    licence: str
    description: str
    extends: str
    models: tuple[ModelSpec, ...]
    thresholds: Thresholds
    calibration: Calibration | None
    folder: Path

    def spec(self, role: str) -> ModelSpec | None:
        """Return the network of a role, or None when the role isn't filled."""
        return next((m for m in self.models if m.role == role), None)

    def inherit(self, base: Manifest) -> Manifest:
        """Return this manifest with the roles that it lacks filled from ``base``.

        The calibration comes with the embedder, the thresholds come with the detector.
        """
        own = {m.role for m in self.models}
        return replace(
            self,
            models=self.models + tuple(m for m in base.models if m.role not in own),
            thresholds=self.thresholds if "detector" in own else base.thresholds,
            calibration=self.calibration if "embedder" in own else base.calibration,
        )


class _Table:
    """A TOML table that knows its name, and which of its keys were asked for."""

    def __init__(self, values: object, name: str) -> None:
        if not isinstance(values, dict):
            raise Invalid(f"{name} must be a table.")
        self._values: dict[str, object] = values
        self._name = name
        self._asked: set[str] = set()

    def _take(self, key: str) -> object:
        self._asked.add(key)
        return self._values.get(key)

    def has(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str, pattern: re.Pattern[str] | None = None, default: str | None = None) -> str:
        value = self._take(key)
        if default is not None and value in (None, ""):
            return default
        if not isinstance(value, str) or not value.strip() or (pattern and not pattern.fullmatch(value)):
            wanted = f"text like {pattern.pattern}" if pattern else "text"
            raise Invalid(f"{self._name}.{key} must be {wanted}, got {value!r}.")
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in choices:
            raise Invalid(f"{self._name}.{key} must be one of {', '.join(choices)}, got {value!r}.")
        return value

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        value = self._take(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise Invalid(f"{self._name}.{key} must be a number in {low}..{high}, got {value!r}.")
        return float(value)

    def whole(self, key: str, low: int, high: int, default: int) -> int:
        value = self.number(key, low, high, default)
        if value != int(value):
            raise Invalid(f"{self._name}.{key} must be a whole number, got {value}.")
        return int(value)

    def numbers(self, key: str, count: int, low: float, high: float) -> tuple[float, ...]:
        values = self.items(key)
        found = tuple(float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool))
        if len(values) != count or len(found) != count or not all(low <= v <= high for v in found):
            raise Invalid(f"{self._name}.{key} must be {count} numbers in {low}..{high}, got {values!r}.")
        return found

    def items(self, key: str) -> list[object]:
        value = self._take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Invalid(f"{self._name}.{key} must be a list, got {value!r}.")
        return value

    def table(self, key: str) -> _Table:
        value = self._take(key)
        return _Table({} if value is None else value, f"{self._name}.{key}")

    def besides(self, known: tuple[str, ...]) -> list[str]:
        return [key for key in self._values if key not in known]

    def end(self) -> None:
        """Refuse keys that nobody asked for: a misspelt one would be ignored in silence."""
        strays = sorted(set(self._values) - self._asked)
        if strays:
            raise Invalid(f"{self._name} has unknown keys: {', '.join(strays)}.")


def _input(table: _Table) -> InputSpec:
    size = table.numbers("size", 2, 16, 4096) if table.has("size") else None
    mean, std = table.numbers("mean", 3, -1e6, 1e6), table.numbers("std", 3, 1e-6, 1e6)
    made = InputSpec(
        layout=table.choice("layout", ("NCHW", "NHWC")),
        colour=table.choice("colour", ("RGB", "BGR")),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        size=(int(size[0]), int(size[1])) if size else None,
        multiple=table.whole("multiple", 1, 256, 1),
    )
    table.end()
    return made


def _relative_path(text: str, name: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or ":" in text:
        raise Invalid(f"{name}.file must be a path inside the folder, got {text!r}.")
    return str(path)


def _model(table: _Table, role: str, pack: str, folder: Path) -> ModelSpec:
    steps = table.items("steps")
    if not all(isinstance(s, str) for s in steps):
        raise Invalid(f"models.{role}.steps must be a list of texts, got {steps!r}.")
    source = table.text("source_sha256", _SHA256)
    sha256 = table.text("sha256", _SHA256, source)
    if not steps and sha256 != source:
        raise Invalid(f"models.{role} has no steps, so sha256 must be equal to source_sha256.")
    made = ModelSpec(
        role=role,
        kind=table.choice("kind", KINDS[role]),
        licence=table.text("licence"),
        origin=table.text("origin"),
        package=table.text("package", default=""),
        package_version=table.text("package_version", _VERSION, default=""),
        file=_relative_path(table.text("file"), f"models.{role}"),
        source_sha256=source,
        steps=tuple(str(s) for s in steps),
        sha256=sha256,
        input=_input(table.table("input")),
        pack=pack,
        folder=folder,
    )
    table.end()
    if role == "embedder" and made.input.size != (112, 112):
        raise Invalid(f"An embedder takes aligned faces of 112x112 pixels, got {made.input.size}.")
    return made


def _calibration(table: _Table) -> Calibration:
    knots = []
    for i, item in enumerate(table.items("knots")):
        row = _Table(item, f"calibration.knots[{i}]")
        rate = row.number("false_match_rate", 0.0, 1.0) if row.has("false_match_rate") else None
        knots.append(Knot(row.number("cosine", -1, 1), row.number("similarity", 0, 100), rate))
        row.end()
    if len(knots) < 2:
        raise Invalid("A calibration has at least two knots.")
    made = Calibration(tuple(knots), table.text("measured_on", default=""))
    table.end()
    return made


def calibration(values: object) -> Calibration:
    """Read a calibration written as a manifest has it, from parsed TOML or JSON.

    Raises:
        Invalid: if it can't be meant.
    """
    return _calibration(_Table(values, "calibration"))


def read(folder: Path) -> Manifest:
    """Read the manifest of the pack in a folder, without what it inherits.

    Raises:
        Invalid: if there is none, or it can't be meant.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _MANIFEST_BYTES:
            raise Invalid(f"A manifest has at most {_MANIFEST_BYTES} bytes, got {path.stat().st_size}.")
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else e  # an OSError's own words name the whole path
        raise Invalid(f"The folder {folder.name} has no {MANIFEST} that can be read: {why}.") from e
    table = _Table(values, "manifest")
    pack = table.text("id", PACK_ID)
    models = table.table("models")
    strays = models.besides(ROLES)
    if strays:
        raise Invalid(f"A model's role is one of {', '.join(ROLES)}; got {', '.join(strays)}.")
    scores, usual = table.table("thresholds"), Thresholds()
    made = Manifest(
        id=pack,
        version=table.text("version", _VERSION),
        licence=table.text("licence"),
        description=table.text("description"),
        extends=table.text("extends", PACK_ID, default=""),
        models=tuple(_model(models.table(role), role, pack, folder) for role in ROLES if models.has(role)),
        thresholds=Thresholds(
            detection=scores.number("detection", 0, 1, usual.detection),
            overlap=scores.number("overlap", 0, 1, usual.overlap),
            mesh=scores.number("mesh", 0, 1, usual.mesh),
        ),
        calibration=_calibration(table.table("calibration")) if table.has("calibration") else None,
        folder=folder,
    )
    scores.end()
    table.end()
    if (made.spec("embedder") is None) != (made.calibration is None):
        raise Invalid(f"Pack {pack} must bring a calibration exactly if it brings an embedder.")
    return made
