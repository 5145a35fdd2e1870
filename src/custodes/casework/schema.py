# SPDX-License-Identifier: Apache-2.0
"""Casework's tables. Ids are random and tell nothing; words and pictures are sealed, each row under its own key.

``secret`` and ``secret_key`` are JSON, sealed by :class:`~custodes.db.sealing.Sealer`. Rows of other rooms are
named by their ids: cases and principals of governance, collections (random id) and references of the gallery.
"""

from __future__ import annotations

import sqlalchemy as sa

from custodes.db import BIG, ERASED, metadata
from custodes.db.sealing import secret_columns

__all__ = [
    "case_collections",
    "case_faces",
    "case_files",
    "case_images",
    "case_members",
    "case_pictures",
    "case_sightings",
    "exposures",
    "found_candidates",
    "hash_lists",
    "import_items",
    "imports",
    "leads",
    "review_items",
    "review_outcomes",
    "search_records",
    "search_runs",
    "sittings",
    "standing_searches",
]


def _case() -> sa.Column[str]:
    return sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), nullable=False, index=True)


case_files = sa.Table(
    "case_files",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("lead", sa.Text, nullable=False),
    sa.Column("authority", sa.Text),
    sa.Column("sensitive", sa.Boolean, nullable=False),
    sa.Column("keep_days", sa.Integer, nullable=False),
    sa.Column("opened_at", sa.Double, nullable=False),
    sa.Column("closed_at", sa.Double),
    sa.Column("erase_at", sa.Double, index=True),
    *secret_columns(),
    info=ERASED,
)

case_members = sa.Table(
    "case_members",
    metadata,
    sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("principal", sa.Text, primary_key=True, index=True),
)

case_collections = sa.Table(
    "case_collections",
    metadata,
    sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("collection", sa.Text, primary_key=True),
    sa.Column("own", sa.Boolean, nullable=False),
)
"""Collections that a case may use, by random id; ``own``: the one that its imports are enrolled in."""

case_sightings = sa.Table(
    "case_sightings",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _case(),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("added_at", sa.Double, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
    *secret_columns(),
    info=ERASED,
)

case_images = sa.Table(
    "case_images",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE")),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("provenance", sa.Text, nullable=False),
    sa.Column("sensitive", sa.Boolean, nullable=False),
    sa.Column("taken_at", sa.Double),
    sa.Column("import_id", sa.Text, index=True),
    sa.Column("added_at", sa.Double, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
    *secret_columns(),
    sa.Index(None, "case_id", "role", "added_at", "id"),
    sa.Index(None, "case_id", "key"),
    sa.Index(None, "organisation", "role"),
    info=ERASED,
)

case_pictures = sa.Table(
    "case_pictures",
    metadata,
    sa.Column("image_id", sa.Text, sa.ForeignKey("case_images.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("original", sa.LargeBinary, nullable=False),
    sa.Column("original_key", sa.LargeBinary, nullable=False),
    sa.Column("small", sa.LargeBinary, nullable=False),
    sa.Column("small_key", sa.LargeBinary, nullable=False),
    info=ERASED,
)
"""The bytes as they came, and a small JPEG for lists; apart from the rest, so that lists don't read them."""

case_faces = sa.Table(
    "case_faces",
    metadata,
    sa.Column("image_id", sa.Text, sa.ForeignKey("case_images.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("left", sa.Double, nullable=False),
    sa.Column("top", sa.Double, nullable=False),
    sa.Column("width", sa.Double, nullable=False),
    sa.Column("height", sa.Double, nullable=False),
    sa.Column("confidence", sa.Double, nullable=False),
    sa.Column("yaw", sa.Double, nullable=False),
    sa.Column("pitch", sa.Double, nullable=False),
    sa.Column("brightness", sa.Double, nullable=False),
    sa.Column("sharpness", sa.Double, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False),
    sa.Column("reference_id", sa.Text, index=True),
    info=ERASED,
)

imports = sa.Table(
    "imports",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _case(),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("made_at", sa.Double, nullable=False),
    sa.Column("done_at", sa.Double),
    sa.Column("total", sa.Integer),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("holder", sa.Text),
    sa.Column("held_until", sa.Double),
    *secret_columns(),
    info=ERASED,
)
"""``holder`` works on it until ``held_until``; then another may take it over."""

import_items = sa.Table(
    "import_items",
    metadata,
    sa.Column("import_id", sa.Text, sa.ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("image_id", sa.Text),
    *secret_columns(),
    info=ERASED,
)

hash_lists = sa.Table(
    "hash_lists",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("added_at", sa.Double, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
    *secret_columns(),
    sa.Column("hashes", sa.LargeBinary, nullable=False),
    sa.Column("hashes_key", sa.LargeBinary, nullable=False),
    info=ERASED,
)

search_runs = sa.Table(
    "search_runs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _case(),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("standing", sa.Text),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("searches", sa.Integer, nullable=False),
    sa.Column("candidates", sa.Integer, nullable=False),
    sa.Column("held_until", sa.Double, nullable=False),
)
"""Somebody makes a run until ``held_until``, which each of its searches puts off; then nobody does any more."""

search_records = sa.Table(
    "search_records",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False, index=True),
    _case(),
    sa.Column("probe", sa.Text, nullable=False),
    sa.Column("face", sa.Integer, nullable=False),
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("collection_name", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("threshold", sa.Double, nullable=False),
    sa.Column("candidates", sa.Integer, nullable=False),
    sa.Column("entry", BIG, nullable=False),
    sa.Column("pack_version", sa.Text, nullable=False),
    sa.Column("rules", sa.Text, nullable=False),
)

found_candidates = sa.Table(
    "found_candidates",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, sa.ForeignKey("search_runs.id", ondelete="CASCADE"), nullable=False),
    _case(),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("reference_id", sa.Text, nullable=False, index=True),
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("image_id", sa.Text),
    sa.Column("face", sa.Integer, nullable=False),
    sa.Column("person", sa.Integer, nullable=False),
    sa.Column("folded_into", sa.Text),
    *secret_columns(),
    sa.Index(None, "run_id", "rank"),
    sa.Index(None, "case_id", "state"),
    info=ERASED,
)

standing_searches = sa.Table(
    "standing_searches",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _case(),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("threshold", sa.Double),
    sa.Column("limit", sa.Integer, nullable=False),
    sa.Column("collections", sa.Text, nullable=False),
    sa.Column("seen", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("made_at", sa.Double, nullable=False),
    sa.Column("last_run_at", sa.Double),
    sa.Column("why", sa.Text, nullable=False),
)

sittings = sa.Table(
    "sittings",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _case(),
    sa.Column("principal", sa.Text, nullable=False, index=True),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("begun_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
)

review_items = sa.Table(
    "review_items",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sitting_id", sa.Text, sa.ForeignKey("sittings.id", ondelete="CASCADE"), nullable=False, index=True),
    _case(),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("candidate_id", sa.Text, index=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("probe", sa.Text, nullable=False),
    sa.Column("probe_face", sa.Integer, nullable=False),
    sa.Column("image_id", sa.Text, nullable=False),
    sa.Column("face", sa.Integer, nullable=False),
    sa.Column("shown_at", sa.Double),
    sa.Column("answered_at", sa.Double),
    sa.Column("answer", sa.Text),
    sa.Column("entry", BIG),
    sa.Column("secret", sa.LargeBinary),
    sa.Column("secret_key", sa.LargeBinary),
    info=ERASED,
)

review_outcomes = sa.Table(
    "review_outcomes",
    metadata,
    sa.Column("principal", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("reviews", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("controls", sa.Integer, nullable=False),
    sa.Column("control_errors", sa.Integer, nullable=False),
    sa.Column("inconclusive", sa.Integer, nullable=False),
    sa.Column("decided", sa.Integer, nullable=False),
    sa.Column("agreed", sa.Integer, nullable=False),
)
"""What reviewers did, by day: it outlives the cases, which are erased, and tells of no candidate."""

exposures = sa.Table(
    "exposures",
    metadata,
    sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("person", sa.Text, primary_key=True),
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
)
"""Who has seen the scores of a run or the answers to a candidate (``what`` is its id), or a sensitive image."""

leads = sa.Table(
    "leads",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _case(),
    sa.Column("candidate_id", sa.Text, nullable=False, unique=True),
    sa.Column("made_at", sa.Double, nullable=False),
    sa.Column("entry", BIG, nullable=False),
)
