# SPDX-License-Identifier: Apache-2.0
"""Casework: cases, images, imports, searches, candidates, reviews and leads, as nouns, state machines and stores.

Nothing here recognises a face, decides on a rule or writes to the ledger: that is for ``operations``.
"""

from custodes.casework.files import CaseFiles, CaseUse
from custodes.casework.hashes import HashKind, HashList, HashLists, KnownHashes
from custodes.casework.images import CaseImages, Forgotten, Resting
from custodes.casework.imports import Imports, Lost
from custodes.casework.judging import CHECKLIST, Answer, Lead, Pending, ReviewItem, Side, Sitting
from custodes.casework.model import (
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
    Run,
    RunKind,
    RunState,
    SearchRecord,
    Sighting,
    Similar,
    Standing,
)
from custodes.casework.reviews import ReviewerFigures, Reviews
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
    "Forgotten",
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
    "Resting",
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
