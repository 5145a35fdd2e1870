# SPDX-License-Identifier: Apache-2.0
"""An evaluation's scores are production's: to the last bit those of a search in a collection."""

from __future__ import annotations

from pathlib import Path

from tests.operations.conftest import ME

from custodes.app import App
from custodes.domain import QualityFilter
from custodes.evaluation.results import Settings
from custodes.evaluation.running import run_identification
from custodes.evaluation.tables import read_search


def test_a_search_scores_as_one_in_a_collection_does(app: App, photos: dict[str, bytes], tmp_path: Path) -> None:
    """For each probe the best reference of each person, with the cosine and the similarity that the service tells."""
    gallery, probes = {"obama_1": "obama", "biden": "biden"}, {"obama_2": "obama", "group": "somebody"}
    for name in (*gallery, *probes):
        (tmp_path / f"{name}.jpg").write_bytes(photos[name])
    for kind, people in (("gallery", gallery), ("probes", probes)):
        rows = "".join(f"{name}.jpg,{person}\n" for name, person in people.items())
        (tmp_path / f"{kind}.csv").write_text(f"image,subject\n{rows}")
    for name in gallery:
        app.faces.index(ME, "people", photos[name], external_image_id=f"{name}.jpg", max_faces=1)
    data = read_search(tmp_path / "gallery.csv", tmp_path / "probes.csv", tmp_path)
    table = run_identification(app.engines.default, data, Settings(80.0, rounds=20)).scores
    told = [dict(zip(table.header, row, strict=True)) for row in table.rows()]
    for name in probes:
        found = app.faces.search_by_image(
            ME, "people", photos[name], limit=10, threshold=0.0, quality=QualityFilter.NONE
        )
        assert [
            (r["candidate_image"], float(r["cosine"]), float(r["similarity"]))
            for r in told
            if r["probe"] == f"{name}.jpg"
        ] == [(c.reference.external_image_id, c.score.cosine, c.score.similarity) for c in found.candidates]
