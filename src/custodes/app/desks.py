# SPDX-License-Identifier: Apache-2.0
"""Builds the use cases of casework; the composition root has it done here."""

from __future__ import annotations

from dataclasses import dataclass

from custodes.casework import HashLists, Imports
from custodes.config import Config
from custodes.db import Vault
from custodes.gallery import References
from custodes.governance import Grounds, Keys, Logins, Registry, Restraints
from custodes.ledger import Log
from custodes.operations.browsing import Browsing
from custodes.operations.buckets import Buckets
from custodes.operations.bundle import BundleOperations
from custodes.operations.candidates import CandidateOperations
from custodes.operations.cases import CaseOperations
from custodes.operations.controls import ControlOperations
from custodes.operations.desk import Desk
from custodes.operations.dossier import Dossier
from custodes.operations.engines import Engines
from custodes.operations.guard import Guard
from custodes.operations.hashlists import HashListOperations
from custodes.operations.images import Images
from custodes.operations.importing import Bench
from custodes.operations.imports import ImportOperations
from custodes.operations.leads import LeadOperations
from custodes.operations.pictures import PictureOperations
from custodes.operations.reviewing import ReviewOperations
from custodes.operations.searching import CaseSearches
from custodes.operations.sources import Sources
from custodes.operations.spool import Spool
from custodes.operations.standing import StandingSearches

__all__ = ["Casework", "Tools", "build"]


@dataclass(frozen=True, slots=True)
class Tools:
    """What the use cases of casework are built with."""

    config: Config
    vault: Vault
    log: Log
    registry: Registry
    restraints: Restraints
    grounds: Grounds
    keys: Keys
    logins: Logins
    guard: Guard
    desk: Desk
    engines: Engines
    references: References
    buckets: Buckets
    images: Images


@dataclass(frozen=True, slots=True)
class Casework:
    """The use cases of casework."""

    cases: CaseOperations
    pictures: PictureOperations
    searches: CaseSearches
    candidates: CandidateOperations
    standing: StandingSearches
    browsing: Browsing
    controls: ControlOperations
    review: ReviewOperations
    imports: ImportOperations
    hash_lists: HashListOperations
    leads: LeadOperations
    bundles: BundleOperations


def build(t: Tools, cases: CaseOperations, controls: ControlOperations, review: ReviewOperations) -> Casework:
    """Build the use cases of casework, each once, around those that others need, too."""
    guard, desk, engines, images, config = t.guard, t.desk, t.engines, t.images, t.config
    searches = CaseSearches(guard, desk, t.references, engines)
    pictures = PictureOperations(guard, desk, cases, controls, engines)
    dossier = Dossier(t.registry, t.restraints, t.grounds, engines, t.log)
    spool = Spool(config.spool, config.imports.upload_bytes)
    imports = Imports(t.vault)
    bench = Bench(guard, desk, t.references, engines, imports, HashLists(t.vault), config.limits)
    return Casework(
        cases=cases,
        pictures=pictures,
        searches=searches,
        candidates=CandidateOperations(guard, desk, cases, t.references, engines, images, see=review.see),
        standing=StandingSearches(guard, desk, searches, imports, t.keys, t.logins, config.casework.standing_seconds),
        browsing=Browsing(desk, engines),
        controls=controls,
        review=review,
        imports=ImportOperations(bench, cases, Sources(config, t.buckets, spool), spool),
        hash_lists=HashListOperations(guard, desk, bench.lists),
        leads=LeadOperations(guard, desk, pictures, dossier, t.log, review.see),
        bundles=BundleOperations(guard, desk, pictures, bench.store, dossier, t.log, review.see),
    )
