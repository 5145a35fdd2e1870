# SPDX-License-Identifier: Apache-2.0
"""The tables of cameras. Ids are random and tell nothing; words and pictures are sealed, each row under its own key.

``secret`` and ``secret_key`` are JSON, sealed by :class:`~custodes.cameras.sealing.Sealer`. Times of video are
milliseconds since 1970, others seconds. The video itself lies in files, which are the truth of ``segments``.
"""

from __future__ import annotations

import sqlalchemy as sa

from custodes.db import BIG, ERASED, metadata
from custodes.db.sealing import secret_columns

__all__ = [
    "agencies",
    "camera_events",
    "camera_floors",
    "camera_hooks",
    "camera_motions",
    "camera_segments",
    "camera_sightings",
    "cameras",
    "footage_requests",
    "legal_processes",
    "officers",
    "share_nonces",
    "shares",
    "stream_processors",
]


def _camera(*, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(
        "camera", sa.Text, sa.ForeignKey("cameras.id", ondelete="CASCADE"), nullable=False, primary_key=primary_key
    )


cameras = sa.Table(
    "cameras",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False, index=True),
    sa.Column("name_hash", sa.LargeBinary, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("created", BIG, nullable=False),
    *secret_columns(),
    sa.UniqueConstraint("organisation", "name_hash"),
    info=ERASED,
)
"""``name_hash`` is a keyed hash of the name in lower case; all settings are in ``secret``."""

camera_segments = sa.Table(
    "camera_segments",
    metadata,
    _camera(primary_key=True),
    sa.Column("start", BIG, primary_key=True),
    sa.Column("end", BIG, nullable=False),
    sa.Column("bytes", BIG, nullable=False),
    sa.Column("sha256", sa.LargeBinary, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("mime", sa.Text, nullable=False),
)

camera_motions = sa.Table(
    "camera_motions",
    metadata,
    _camera(primary_key=True),
    sa.Column("start", BIG, primary_key=True),
    sa.Column("end", BIG, nullable=False),
)

camera_events = sa.Table(
    "camera_events",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _camera(),
    sa.Column("start", BIG, nullable=False),
    sa.Column("end", BIG, nullable=False),
    sa.Column("open", sa.Boolean, nullable=False),
    *secret_columns(),
    sa.Column("picture", sa.LargeBinary),
    sa.Column("picture_key", sa.LargeBinary),
    sa.Index(None, "camera", "start"),
    info=ERASED,
)
"""``secret``: the zone, why nobody was looked for; ``picture``: a JPEG, sealed."""

camera_sightings = sa.Table(
    "camera_sightings",
    metadata,
    sa.Column("event", sa.Text, sa.ForeignKey("camera_events.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("subject_hash", sa.LargeBinary, index=True),
    *secret_columns(),
    sa.Column("picture", sa.LargeBinary),
    sa.Column("picture_key", sa.LargeBinary),
    info=ERASED,
)
"""A person in an event: ``subject_hash`` is a keyed hash of collection and subject, null for unknown people."""

camera_floors = sa.Table(
    "camera_floors",
    metadata,
    sa.Column("collection", sa.Text, primary_key=True),
    sa.Column("subject_hash", sa.LargeBinary, primary_key=True),
    sa.Column("similarity", sa.Double, nullable=False),
)
"""Above which similarity somebody is recognised, after "not this person"; no face is kept for it."""

camera_hooks = sa.Table(
    "camera_hooks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False, index=True),
    *secret_columns(),
    info=ERASED,
)
"""Webhooks: ``secret`` has the URL and the key that signs."""

agencies = sa.Table(
    "agencies",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("enrolled_at", sa.Double, nullable=False),
    sa.Column("enrolled_by", sa.Text, nullable=False),
    sa.Column("removed_at", sa.Double),
)
"""Agencies whose officers' requests are shown here: the operator has checked whose key it is."""

officers = sa.Table(
    "officers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False, index=True),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("certified_at", sa.Double, nullable=False),
    sa.Column("revoked_at", sa.Double),
)
"""Certificates that an agency of this installation gave its officers; their private keys are with them."""

footage_requests = sa.Table(
    "footage_requests",
    metadata,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False, index=True),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("made_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("published_at", sa.Double),
)
"""Requests of an agency of this installation, which are public once two others have approved them."""

shares = sa.Table(
    "shares",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False, index=True),
    sa.Column("made_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("revoked_at", sa.Double),
    sa.Column("fetched_at", sa.Double),
    *secret_columns(),
    info=ERASED,
)
"""Clips that an owner shares: ``secret`` tells which, with whom, and the share's own key; the package is a file."""

share_nonces = sa.Table(
    "share_nonces",
    metadata,
    sa.Column("share", sa.Text, sa.ForeignKey("shares.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("nonce", sa.Text, primary_key=True),
    sa.Column("seen_at", sa.Double, nullable=False),
)
"""By which random numbers shares were fetched in the last minutes: a request that is copied isn't answered again."""

legal_processes = sa.Table(
    "legal_processes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("document_hash", sa.Text, nullable=False),
    sa.Column("recorded_at", sa.Double, nullable=False),
    sa.Column("recorded_by", sa.Text, nullable=False),
    sa.Column("seen_at", sa.Double),
    *secret_columns(),
    info=ERASED,
)
"""Warrants and other orders that a household was served with: recorded, and the owner told; nothing is released."""

stream_processors = sa.Table(
    "stream_processors",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    *secret_columns(),
    sa.UniqueConstraint("organisation", "name"),
    info=ERASED,
)
"""Rekognition's stream processors: ``secret`` has their settings."""
