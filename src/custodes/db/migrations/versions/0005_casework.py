# SPDX-License-Identifier: Apache-2.0
"""Casework: case files, images, imports, searches, candidates, reviews, leads; and cases that are paused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")

_PERSONAL = {
    "case_files": (
        "secret",
        "secret_key",
    ),
    "case_sightings": (
        "secret",
        "secret_key",
    ),
    "case_images": (
        "key",
        "secret",
        "secret_key",
    ),
    "case_pictures": (
        "original",
        "original_key",
        "small",
        "small_key",
    ),
    "imports": (
        "secret",
        "secret_key",
    ),
    "import_items": (
        "secret",
        "secret_key",
    ),
    "hash_lists": (
        "secret",
        "secret_key",
        "hashes",
        "hashes_key",
    ),
    "found_candidates": (
        "secret",
        "secret_key",
    ),
    "review_items": (
        "secret",
        "secret_key",
    ),
}
"""Columns of which PostgreSQL shall keep no samples in its statistics, where deleted values would live on."""


def upgrade() -> None:
    op.add_column("cases", sa.Column("paused_at", sa.Double))
    _cases()
    _imports()
    _searches()
    _reviews()
    _indexes()
    _keep_no_samples()


def _cases() -> None:
    op.create_table(
        "case_files",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("lead", sa.Text, nullable=False),
        sa.Column("authority", sa.Text),
        sa.Column("sensitive", sa.Boolean, nullable=False),
        sa.Column("keep_days", sa.Integer, nullable=False),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("closed_at", sa.Double),
        sa.Column("erase_at", sa.Double),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "case_members",
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("principal", sa.Text, primary_key=True),
    )
    op.create_table(
        "case_collections",
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("collection", sa.Text, primary_key=True),
        sa.Column("own", sa.Boolean, nullable=False),
    )
    op.create_table(
        "case_sightings",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("added_at", sa.Double, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "case_images",
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
        sa.Column("import_id", sa.Text),
        sa.Column("added_at", sa.Double, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "case_pictures",
        sa.Column("image_id", sa.Text, sa.ForeignKey("case_images.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("original", sa.LargeBinary, nullable=False),
        sa.Column("original_key", sa.LargeBinary, nullable=False),
        sa.Column("small", sa.LargeBinary, nullable=False),
        sa.Column("small_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "case_faces",
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
        sa.Column("reference_id", sa.Text),
    )


def _imports() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("done_at", sa.Double),
        sa.Column("total", sa.Integer),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("holder", sa.Text),
        sa.Column("held_until", sa.Double),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "import_items",
        sa.Column("import_id", sa.Text, sa.ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("image_id", sa.Text),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "hash_lists",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("added_at", sa.Double, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
        sa.Column("hashes_key", sa.LargeBinary, nullable=False),
    )


def _searches() -> None:
    op.create_table(
        "search_runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), nullable=False),
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
    op.create_table(
        "search_records",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), nullable=False),
        sa.Column("probe", sa.Text, nullable=False),
        sa.Column("face", sa.Integer, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("collection_name", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("threshold", sa.Double, nullable=False),
        sa.Column("candidates", sa.Integer, nullable=False),
        sa.Column("entry", _BIG, nullable=False),
        sa.Column("pack_version", sa.Text, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
    )
    op.create_table(
        "found_candidates",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, sa.ForeignKey("search_runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("reference_id", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("image_id", sa.Text),
        sa.Column("face", sa.Integer, nullable=False),
        sa.Column("person", sa.Integer, nullable=False),
        sa.Column("folded_into", sa.Text),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "standing_searches",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), nullable=False),
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


def _reviews() -> None:
    op.create_table(
        "sittings",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("begun_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
    )
    op.create_table(
        "review_items",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sitting_id", sa.Text, sa.ForeignKey("sittings.id", ondelete="CASCADE"), nullable=False),
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("candidate_id", sa.Text),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("probe", sa.Text, nullable=False),
        sa.Column("probe_face", sa.Integer, nullable=False),
        sa.Column("image_id", sa.Text, nullable=False),
        sa.Column("face", sa.Integer, nullable=False),
        sa.Column("shown_at", sa.Double),
        sa.Column("answered_at", sa.Double),
        sa.Column("answer", sa.Text),
        sa.Column("entry", _BIG),
        sa.Column("secret", sa.LargeBinary),
        sa.Column("secret_key", sa.LargeBinary),
    )
    op.create_table(
        "review_outcomes",
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
    op.create_table(
        "exposures",
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("person", sa.Text, primary_key=True),
        sa.Column("what", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "leads",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, sa.ForeignKey("case_files.id", ondelete="CASCADE"), nullable=False),
        sa.Column("candidate_id", sa.Text, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("entry", _BIG, nullable=False),
        sa.UniqueConstraint("candidate_id", name="uq_leads_candidate_id"),
    )


def _indexes() -> None:
    op.create_index("ix_case_files_erase_at", "case_files", ["erase_at"])
    op.create_index("ix_case_files_organisation", "case_files", ["organisation"])
    op.create_index("ix_case_members_principal", "case_members", ["principal"])
    op.create_index("ix_case_sightings_case_id", "case_sightings", ["case_id"])
    op.create_index("ix_case_images_case_id_key", "case_images", ["case_id", "key"])
    op.create_index("ix_case_images_case_id_role_added_at_id", "case_images", ["case_id", "role", "added_at", "id"])
    op.create_index("ix_case_images_import_id", "case_images", ["import_id"])
    op.create_index("ix_case_images_organisation_role", "case_images", ["organisation", "role"])
    op.create_index("ix_case_faces_reference_id", "case_faces", ["reference_id"])
    op.create_index("ix_imports_case_id", "imports", ["case_id"])
    op.create_index("ix_imports_state", "imports", ["state"])
    op.create_index("ix_hash_lists_organisation", "hash_lists", ["organisation"])
    op.create_index("ix_search_runs_case_id", "search_runs", ["case_id"])
    op.create_index("ix_search_records_case_id", "search_records", ["case_id"])
    op.create_index("ix_search_records_run_id", "search_records", ["run_id"])
    op.create_index("ix_found_candidates_case_id", "found_candidates", ["case_id"])
    op.create_index("ix_found_candidates_case_id_state", "found_candidates", ["case_id", "state"])
    op.create_index("ix_found_candidates_reference_id", "found_candidates", ["reference_id"])
    op.create_index("ix_found_candidates_run_id_rank", "found_candidates", ["run_id", "rank"])
    op.create_index("ix_standing_searches_case_id", "standing_searches", ["case_id"])
    op.create_index("ix_sittings_case_id", "sittings", ["case_id"])
    op.create_index("ix_sittings_principal", "sittings", ["principal"])
    op.create_index("ix_review_items_candidate_id", "review_items", ["candidate_id"])
    op.create_index("ix_review_items_case_id", "review_items", ["case_id"])
    op.create_index("ix_review_items_sitting_id", "review_items", ["sitting_id"])
    op.create_index("ix_leads_case_id", "leads", ["case_id"])


def _keep_no_samples() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, columns in _PERSONAL.items():
            for column in columns:
                op.execute(f'ALTER TABLE "{table}" ALTER COLUMN {column} SET STATISTICS 0')
