# SPDX-License-Identifier: Apache-2.0
"""How the ledger's openings and mentions know whom they are about."""

from __future__ import annotations

import uuid

__all__ = ["owner_of", "owner_of_case", "owner_of_image"]


def owner_of(reference_id: str) -> bytes:
    """Return how the ledger's openings know a reference: the 16 bytes of its id, or nothing that a reference has."""
    try:
        return uuid.UUID(reference_id).bytes
    except ValueError:
        return b""


def owner_of_case(case: str) -> bytes:
    """Return how the ledger's openings know a case, with which answers to its candidates go."""
    return case.encode()


def owner_of_image(image: str) -> bytes:
    """Return how the ledger's openings know a photo that a case keeps."""
    return image.encode()
