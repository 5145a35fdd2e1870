# SPDX-License-Identifier: Apache-2.0
"""Measure the default pack's map from cosine to similarity, and print it as the manifest has it.

    python scripts/measure_calibration.py ../shared/data/lfw-dev

Similarity stands for a false-match rate (FMR, ISO/IEC 19795-1): that of all pairs of photos of different people in the
folds 0 to 2, through the whole engine. The folds 3 and 4, whose people are others, then say how well the map holds.
The pairs are famous people in good light, mostly of different sex and age: people who look more alike match more often.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from custodes.vision.engine import Engine

KNOTS = ((10.0, 1e-1), (50.0, 1e-2), (70.0, 1e-3), (80.0, 1e-4), (99.0, 1e-5))
"""Similarity, and the false-match rate that it stands for."""


def templates(root: Path, folds: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the templates ``(n, d)`` of all photos in these folds, and whose they are ``(n,)``."""
    engine = Engine.default()
    names = set()
    for pair in csv.DictReader((root / "pairs.csv").open()):
        if pair["fold"] in folds:
            names |= {pair["image_a"], pair["image_b"]}
    vectors, people = [], []
    for name in sorted(names):
        image = engine.decode((root / "images" / name).read_bytes())
        cx, cy = image.size.width / 2, image.size.height / 2
        faces = sorted(
            engine.detect(image),
            key=lambda f: (f.box.left + f.box.width / 2 - cx) ** 2 + (f.box.top + f.box.height / 2 - cy) ** 2,
        )
        if faces:
            vectors.append(engine.embed(faces[:1])[0].vector)
            people.append(name.split("/")[0])
    return np.array(vectors), np.unique(people, return_inverse=True)[1]


def impostors(vectors: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Return the cosines of all pairs of different people, sorted."""
    upper = np.triu(people[:, None] != people[None, :], 1)
    return np.sort((vectors @ vectors.T)[upper])


def main() -> None:
    """Measure, print the knots, and check them on other people."""
    root = Path(sys.argv[1])
    scores = impostors(*templates(root, {"0", "1", "2"}))
    print(f'measured_on = "{len(scores):,} impostor pairs of LFW, folds 0 to 2"')
    print("knots = [\n  { cosine = -1.0, similarity = 0.0 },")
    for similarity, rate in KNOTS:
        cosine = float(scores[-max(1, round(rate * len(scores)))])
        print(f"  {{ cosine = {cosine:.4f}, similarity = {similarity}, false_match_rate = {rate:g} }},")
    print("  { cosine = 1.0, similarity = 100.0 },\n]")
    vectors, people = templates(root, {"3", "4"})
    others = impostors(vectors, people)
    same = (vectors @ vectors.T)[np.triu(people[:, None] == people[None, :], 1)]
    print(f"\n# folds 3 and 4: {len(others):,} impostor pairs, {len(same):,} mated pairs")
    for similarity, rate in KNOTS:
        cosine = float(scores[-max(1, round(rate * len(scores)))])
        missed = np.mean(same < cosine)
        print(f"# {similarity:g}: FMR {np.mean(others >= cosine):.2g} (meant {rate:g}), FNMR {missed:.3f}")


if __name__ == "__main__":
    main()
