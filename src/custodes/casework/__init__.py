# SPDX-License-Identifier: Apache-2.0
"""Casework: cases, images, imports, searches, candidates, reviews and leads, as nouns, state machines and stores.

Nothing here recognises a face, decides on a rule or writes to the ledger: that is for ``operations``.
"""

from custodes.casework.files import CaseFiles, CaseUse
from custodes.casework.hashes import HashKind, HashList, HashLists, KnownHashes
from custodes.casework.images import CaseImages
from custodes.casework.imports import Imports, Lost
from custodes.casework.model import (
    CHECKLIST,
    Answer,
    CandidateState,
    CaseEvent,
    CaseFile,
    CaseImage,
    CaseStatus,
    FaceRecord,
    FoundCandidate,
    ImageRole,
    Import,
    ImportItem,
    ImportState,
    ItemOutcome,
    Lead,
    ReviewItem,
    Run,
    RunKind,
    RunState,
    SearchRecord,
    Side,
    Sighting,
    Similar,
    Sitting,
    Standing,
)
from custodes.casework.reviews import Pending, ReviewerFigures, Reviews
from custodes.casework.searches import Searches

__all__ = [
    "CHECKLIST",
    "Answer",
    "CandidateState",
    "CaseEvent",
    "CaseFile",
    "CaseFiles",
    "CaseImage",
    "CaseImages",
    "CaseStatus",
    "CaseUse",
    "FaceRecord",
    "FoundCandidate",
    "HashKind",
    "HashList",
    "HashLists",
    "ImageRole",
    "Import",
    "ImportItem",
    "ImportState",
    "Imports",
    "ItemOutcome",
    "KnownHashes",
    "Lead",
    "Lost",
    "Pending",
    "ReviewItem",
    "ReviewerFigures",
    "Reviews",
    "Run",
    "RunKind",
    "RunState",
    "SearchRecord",
    "Searches",
    "Side",
    "Sighting",
    "Similar",
    "Sitting",
    "Standing",
]
