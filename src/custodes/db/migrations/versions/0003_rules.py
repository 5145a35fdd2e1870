# SPDX-License-Identifier: Apache-2.0
"""Organisations, people, cases, authorities, consents, moratoria; whose a key, a collection and a reference is."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")

_PERSONAL = {
    "principals": ("name",),
    "authorities": ("issuer",),
    "consents": ("external_image_id",),
    "sightings": ("subject", "place"),
    "kept_results": ("results", "results_key"),
}
"""Columns of which PostgreSQL shall keep no samples in its statistics, where deleted values would live on."""


def upgrade() -> None:
    _people()
    _grounds()
    _rules()
    _watch()
    _indexes()
    _owners()
    _keep_no_samples()


def _people() -> None:
    op.create_table(
        "governance_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", _BIG, nullable=False),
    )
    op.create_table(
        "organisations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("class", sa.Text, nullable=False),
        sa.Column("jurisdiction", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("suspended_at", sa.Double),
    )
    op.create_table(
        "people",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("identifier", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("identifier", name="uq_people_identifier"),
    )
    op.create_table(
        "principals",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column(
            "organisation",
            sa.Text,
            sa.ForeignKey("organisations.id", name="fk_principals_organisation"),
            nullable=False,
        ),
        sa.Column("person", sa.Text, sa.ForeignKey("people.id", name="fk_principals_person"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("suspended_at", sa.Double),
    )
    op.create_table(
        "trainings",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("principal", sa.Text, sa.ForeignKey("principals.id", name="fk_trainings_principal"), nullable=False),
        sa.Column("course", sa.Text, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )


def _grounds() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column(
            "organisation", sa.Text, sa.ForeignKey("organisations.id", name="fk_cases_organisation"), nullable=False
        ),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("closed_at", sa.Double),
    )
    op.create_table(
        "authorities",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column(
            "organisation",
            sa.Text,
            sa.ForeignKey("organisations.id", name="fk_authorities_organisation"),
            nullable=False,
        ),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("document_hash", sa.Text, nullable=False),
        sa.Column("purposes", sa.Text, nullable=False),
        sa.Column("collections", sa.Text, nullable=False),
        sa.Column("subjects", sa.Text, nullable=False),
        sa.Column("not_before", sa.Double, nullable=False),
        sa.Column("not_after", sa.Double, nullable=False),
        sa.Column("filed_at", sa.Double, nullable=False),
        sa.Column("filed_by", sa.Text, nullable=False),
        sa.Column("satisfies", sa.Text),
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column(
            "organisation", sa.Text, sa.ForeignKey("organisations.id", name="fk_consents_organisation"), nullable=False
        ),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("external_image_id", sa.Text, nullable=False),
        sa.Column("purposes", sa.Text, nullable=False),
        sa.Column("document_hash", sa.Text, nullable=False),
        sa.Column("given_at", sa.Double, nullable=False),
        sa.Column("not_after", sa.Double, nullable=False),
        sa.Column("withdrawn_at", sa.Double),
        sa.Column("executed_at", sa.Double),
    )
    op.create_table(
        "attestations",
        sa.Column(
            "organisation",
            sa.Text,
            sa.ForeignKey("organisations.id", name="fk_attestations_organisation"),
            primary_key=True,
        ),
        sa.Column("duty", sa.Text, primary_key=True),
        sa.Column("attested_by", sa.Text, nullable=False),
        sa.Column("attested_at", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )


def _rules() -> None:
    op.create_table(
        "moratoria",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("declared_at", sa.Double, nullable=False),
        sa.Column("declared_by", sa.Text, nullable=False),
        sa.Column("lifted_at", sa.Double),
    )
    op.create_table(
        "stops",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("stopped_at", sa.Double, nullable=False),
        sa.Column("stopped_by", sa.Text, nullable=False),
        sa.Column("lifted_at", sa.Double),
    )
    op.create_table(
        "easings",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("proposed_at", sa.Double, nullable=False),
        sa.Column("proposed_by", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("approved_at", sa.Double),
        sa.Column("approved_by", sa.Text),
        sa.Column("withdrawn_at", sa.Double),
        sa.Column("about", sa.Text, nullable=False),
    )
    op.create_table(
        "rulebook_states",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
    )
    op.create_table(
        "rule_sets",
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )


def _watch() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("raised_at", sa.Double, nullable=False),
        sa.Column("answered_at", sa.Double),
        sa.Column("answered_by", sa.Text),
    )
    op.create_table(
        "uses_by_day",
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("count", _BIG, nullable=False),
    )
    op.create_table(
        "sightings",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("subject", sa.LargeBinary, nullable=False),
        sa.Column("place", sa.LargeBinary, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
    )
    op.create_table(
        "kept_results",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("authority", sa.Text, nullable=False),
        sa.Column("kept_at", sa.Double, nullable=False),
        sa.Column("results", sa.LargeBinary, nullable=False),
        sa.Column("results_key", sa.LargeBinary, nullable=False),
    )


def _indexes() -> None:
    op.create_index("ix_trainings_principal", "trainings", ["principal"])
    op.create_index("ix_cases_organisation", "cases", ["organisation"])
    op.create_index("ix_authorities_organisation", "authorities", ["organisation"])
    op.create_index("ix_authorities_satisfies", "authorities", ["satisfies"])
    op.create_index("ix_consents_organisation", "consents", ["organisation"])
    op.create_index("ix_consents_collection_external_image_id", "consents", ["collection", "external_image_id"])
    op.create_index("ix_sightings_seen_at", "sightings", ["seen_at"])
    op.create_index("ix_sightings_organisation_subject_seen_at", "sightings", ["organisation", "subject", "seen_at"])


def _owners() -> None:
    """Give what is there already to the first organisation."""
    key = (
        sa.Column("principal", sa.Text, nullable=False, server_default="operator"),
        sa.Column("purpose", sa.Text, nullable=False, server_default="photo-library"),
        sa.Column("case_id", sa.Text),
        sa.Column("authority_id", sa.Text),
        sa.Column("provenance", sa.Text),
        sa.Column("expires_at", sa.Double),
    )
    for column in key:
        op.add_column("access_keys", column)
    op.execute("UPDATE access_keys SET provenance = 'own'")  # as the first key of a new installation has it
    collection = (
        sa.Column("uid", sa.Text),
        sa.Column("owner", sa.Text, nullable=False, server_default="local"),
        sa.Column("purpose", sa.Text, nullable=False, server_default="photo-library"),
        sa.Column("public_space", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("retention_days", sa.Integer),
    )
    for column in collection:
        op.add_column("collections", column)
    reference = (
        sa.Column("enrolled_at", sa.Double),
        sa.Column("provenance", sa.Text),
        sa.Column("consent", sa.Text),
    )
    for column in reference:
        op.add_column("references", column)
    op.create_index("ix_collections_uid", "collections", ["uid"], unique=True)
    op.create_index("ix_references_collection_id_enrolled_at", "references", ["collection_id", "enrolled_at"])
    op.create_index("ix_references_consent", "references", ["consent"])
    c = op.get_bind()
    known = c.execute(sa.text("SELECT id FROM collections WHERE uid IS NULL")).scalars().all()
    for row in known:
        c.execute(sa.text("UPDATE collections SET uid = :uid WHERE id = :id"), {"uid": uuid.uuid4().hex, "id": row})
    c.execute(
        sa.text(
            'UPDATE "references" SET enrolled_at = (SELECT created_at FROM collections'
            " WHERE collections.id = \"references\".collection_id), provenance = 'own'"
        )
    )


def _keep_no_samples() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, columns in _PERSONAL.items():
            for column in columns:
                op.execute(f'ALTER TABLE "{table}" ALTER COLUMN {column} SET STATISTICS 0')
