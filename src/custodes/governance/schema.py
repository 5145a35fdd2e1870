# SPDX-License-Identifier: Apache-2.0
"""Governance's tables. Ids are random and tell nothing; names and labels stand here and never in the ledger."""

from __future__ import annotations

import sqlalchemy as sa

from custodes.db import BIG, ERASED, metadata

__all__ = [
    "access_keys",
    "alarms",
    "attestations",
    "authorities",
    "cases",
    "consents",
    "easings",
    "evaluations",
    "governance_state",
    "invitations",
    "kept_results",
    "logins",
    "moratoria",
    "organisations",
    "people",
    "principals",
    "rule_sets",
    "rulebook_states",
    "sessions",
    "sightings",
    "stops",
    "trainings",
    "uses_by_day",
]

governance_state = sa.Table(
    "governance_state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", BIG, nullable=False),
)
"""One row, whose version rises with every change to what a decision may rest on."""

organisations = sa.Table(
    "organisations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("class", sa.Text, nullable=False),
    sa.Column("jurisdiction", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("suspended_at", sa.Double),
)

people = sa.Table(
    "people",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("identifier", sa.LargeBinary, nullable=False, unique=True),
)
"""Human beings, each known by a keyed hash of the identifier that was given (an e-mail address, a staff number)."""

principals = sa.Table(
    "principals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, sa.ForeignKey("organisations.id"), nullable=False),
    sa.Column("person", sa.Text, sa.ForeignKey("people.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("roles", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("suspended_at", sa.Double),
    info=ERASED,
)

trainings = sa.Table(
    "trainings",
    metadata,
    sa.Column("id", BIG, primary_key=True, autoincrement=True),
    sa.Column("principal", sa.Text, sa.ForeignKey("principals.id"), nullable=False, index=True),
    sa.Column("course", sa.Text, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)

access_keys = sa.Table(
    "access_keys",
    metadata,
    sa.Column("access_key_id", sa.Text, primary_key=True),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("secret_key", sa.LargeBinary, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("revoked_at", sa.Double),
    sa.Column("principal", sa.Text, nullable=False, server_default="operator"),
    sa.Column("purpose", sa.Text, nullable=False, server_default="photo-library"),
    sa.Column("case_id", sa.Text),
    sa.Column("authority_id", sa.Text),
    sa.Column("provenance", sa.Text),
    sa.Column("expires_at", sa.Double),
    info=ERASED,
)

logins = sa.Table(
    "logins",
    metadata,
    sa.Column("principal", sa.Text, sa.ForeignKey("principals.id"), primary_key=True),
    sa.Column("password", sa.Text, nullable=False),
    sa.Column("purposes", sa.Text, nullable=False),
    sa.Column("totp", sa.LargeBinary),
    sa.Column("totp_key", sa.LargeBinary),
    sa.Column("totp_since", sa.Double),
    sa.Column("totp_step", BIG, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("locked_until", sa.Double),
    sa.Column("created_at", sa.Double, nullable=False),
    info=ERASED,
)
"""How principals prove at the console who they are. ``totp_since``: when their authenticator was confirmed."""

invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("token", sa.LargeBinary, primary_key=True),
    sa.Column("principal", sa.Text, sa.ForeignKey("principals.id"), nullable=False, index=True),
    sa.Column("purposes", sa.Text, nullable=False),
    sa.Column("made_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("used_at", sa.Double),
)
"""One-time links by which principals set their password; of a token its SHA-256 alone is kept."""

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token", sa.LargeBinary, primary_key=True),
    sa.Column("principal", sa.Text, sa.ForeignKey("principals.id"), nullable=False, index=True),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("csrf", sa.Text, nullable=False),
    sa.Column("made_at", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
)
"""Who is signed in at the console; of a token its SHA-256 alone is kept."""

cases = sa.Table(
    "cases",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, sa.ForeignKey("organisations.id"), nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("opened_at", sa.Double, nullable=False),
    sa.Column("closed_at", sa.Double),
    sa.Column("paused_at", sa.Double),
)
"""Cases. ``paused_at``: since when work rests, because the case is suspended or the person is found."""

authorities = sa.Table(
    "authorities",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, sa.ForeignKey("organisations.id"), nullable=False, index=True),
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
    sa.Column("satisfies", sa.Text, index=True),
)

consents = sa.Table(
    "consents",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, sa.ForeignKey("organisations.id"), nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("external_image_id", sa.Text, nullable=False),
    sa.Column("purposes", sa.Text, nullable=False),
    sa.Column("document_hash", sa.Text, nullable=False),
    sa.Column("given_at", sa.Double, nullable=False),
    sa.Column("not_after", sa.Double, nullable=False),
    sa.Column("withdrawn_at", sa.Double),
    sa.Column("executed_at", sa.Double),
    sa.Index(None, "collection", "external_image_id"),
    info=ERASED,
)

moratoria = sa.Table(
    "moratoria",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("declared_at", sa.Double, nullable=False),
    sa.Column("declared_by", sa.Text, nullable=False),
    sa.Column("lifted_at", sa.Double),
)

stops = sa.Table(
    "stops",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("stopped_at", sa.Double, nullable=False),
    sa.Column("stopped_by", sa.Text, nullable=False),
    sa.Column("lifted_at", sa.Double),
)

easings = sa.Table(
    "easings",
    metadata,
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
"""What takes two people: proposed by the first, done when the second approves."""

attestations = sa.Table(
    "attestations",
    metadata,
    sa.Column("organisation", sa.Text, sa.ForeignKey("organisations.id"), primary_key=True),
    sa.Column("duty", sa.Text, primary_key=True),
    sa.Column("attested_by", sa.Text, nullable=False),
    sa.Column("attested_at", sa.Double, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)

rulebook_states = sa.Table(
    "rulebook_states",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("enabled", sa.Boolean, nullable=False),
)
"""Rulebooks that are not as they ship."""

rule_sets = sa.Table(
    "rule_sets",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
)
"""Every set of rules that ever decided here, for replaying."""

alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("raised_at", sa.Double, nullable=False),
    sa.Column("answered_at", sa.Double),
    sa.Column("answered_by", sa.Text),
)

uses_by_day = sa.Table(
    "uses_by_day",
    metadata,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("count", BIG, nullable=False),
)
"""Searches by day (UTC, days since 1970): of each principal and of each organisation."""

sightings = sa.Table(
    "sightings",
    metadata,
    sa.Column("id", BIG, primary_key=True, autoincrement=True),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("subject", sa.LargeBinary, nullable=False),
    sa.Column("place", sa.LargeBinary, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False, index=True),
    sa.Index(None, "organisation", "subject", "seen_at"),
    info=ERASED,
)
"""Keyed hashes of what organisations searched for and where, for as long as tracking could be made out of it."""

kept_results = sa.Table(
    "kept_results",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("authority", sa.Text, nullable=False),
    sa.Column("kept_at", sa.Double, nullable=False),
    sa.Column("results", sa.LargeBinary, nullable=False),
    sa.Column("results_key", sa.LargeBinary, nullable=False),
    info=ERASED,
)
"""What exigent searches found, until they are filed for or sealed."""

evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, sa.ForeignKey("organisations.id"), nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("pack", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("column", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text),
    sa.Column("made_at", sa.Double, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("entry", BIG),
    sa.Column("published_at", sa.Double),
    sa.Column("document", sa.LargeBinary, nullable=False),
)
"""Evaluations of what runs here. ``verdict``: what the rules ask for, as JSON; NULL for kinds that none asks for."""
