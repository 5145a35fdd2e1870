# SPDX-License-Identifier: Apache-2.0
"""The gallery: collections, references and subjects, encrypted, and the exact search over them."""

from __future__ import annotations

from custodes.gallery.cache import IndexCache
from custodes.gallery.collections import Collections
from custodes.gallery.references import Deletion, NewReference, References
from custodes.gallery.retention import Due, Gone, Held, Retention
from custodes.gallery.rows import Collection
from custodes.gallery.subjects import Association, Disassociation, Subjects
from custodes.gallery.tokens import Once

__all__ = [
    "Association",
    "Collection",
    "Collections",
    "Deletion",
    "Disassociation",
    "Due",
    "Gone",
    "Held",
    "IndexCache",
    "NewReference",
    "Once",
    "References",
    "Retention",
    "Subjects",
]
