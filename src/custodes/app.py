# SPDX-License-Identifier: Apache-2.0
"""The composition root: builds every object once, from the configuration."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from custodes.config import Config
from custodes.db import Database, Vault, make_private_folder
from custodes.domain import AttributeName
from custodes.errors import Unavailable
from custodes.gallery import Collections, IndexCache, References, Retention, Subjects
from custodes.gallery.index import ExactIndex
from custodes.governance import Authoriser, Grounds, Keys, People, Registry, Replays, Restraints, Watch
from custodes.ledger import FileSigner, Log
from custodes.operations.beginning import begin
from custodes.operations.buckets import Buckets, LocalBuckets, S3Buckets
from custodes.operations.collections import CollectionOperations
from custodes.operations.engines import Engines
from custodes.operations.erasure import Eraser, ErasureOperations
from custodes.operations.faces import FaceOperations
from custodes.operations.grounds import GroundOperations
from custodes.operations.guard import Guard
from custodes.operations.identity import Identity
from custodes.operations.images import Images
from custodes.operations.ledger import LedgerOperations
from custodes.operations.oversight import OversightOperations
from custodes.operations.packs import PackOperations
from custodes.operations.people import PeopleOperations
from custodes.operations.rules import RuleOperations
from custodes.operations.subjects import SubjectOperations
from custodes.vision.engine import Engine
from custodes.vision.pack import open_pack

__all__ = ["App"]

_UNNAMED = "custodes.invalid"  # RFC 2606: nobody has this name


@dataclass(frozen=True, slots=True)
class App:
    """All use cases of one installation; make it with :meth:`open`, end it with :meth:`close`."""

    config: Config
    engines: Engines
    guard: Guard
    faces: FaceOperations
    collections: CollectionOperations
    subjects: SubjectOperations
    identity: Identity
    people: PeopleOperations
    grounds: GroundOperations
    oversight: OversightOperations
    rules: RuleOperations
    ledger: LedgerOperations
    erasure: ErasureOperations
    packs: PackOperations
    page_key: bytes
    _database: Database
    _replays: Replays

    @classmethod
    def open(
        cls,
        config: Config,
        *,
        clock: Callable[[], float] = time.time,
        notify: Callable[[str, str], None] = lambda kind, alarm: None,
    ) -> App:
        """Open the installation in ``config.data``, which is made if it isn't there.

        Args:
            config: the configuration.
            clock: seconds since 1970; by which decisions are taken and entries dated.
            notify: told of each alarm to oversight, by kind and id; custodes alarms list has them in any case.

        Raises:
            Invalid: if the configuration can't be meant, or the rules don't load.
            Unavailable: if the database or a package isn't there.
            IntegrityError: if models, keys or the ledger are not what they were, or the clock stands before the
                ledger's last entry.
        """
        make_private_folder(config.data)
        database = Database(config.database_url)
        database.migrate()
        vault = Vault.for_database(database, config.key_path)
        log = Log(
            database,
            vault,
            _signer(config),
            clock=clock,
            max_age=config.ledger.checkpoint_seconds,
        )
        log.check()
        people, grounds, restraints = People(vault.derive("person")), Grounds(), Restraints()
        watch = Watch(vault, vault.derive("sightings"))
        registry = Registry(people, grounds, restraints)
        begin(database, log, people, restraints, registry)
        collections = Collections(database, clock=clock)
        authoriser = Authoriser(registry, grounds, watch)
        guard = Guard(database, authoriser, registry, restraints, grounds, watch, log, collections, notify)
        engines = Engines(
            config.vision.pack,
            lambda pack: Engine(open_pack(config, pack), config.vision, config.limits),
        )
        cache = IndexCache(vault, ExactIndex)
        references = References(database, vault, cache, max_faces=config.limits.collection_faces, clock=clock)
        subjects = Subjects(database, vault, cache, max_references=config.limits.subject_faces, clock=clock)
        buckets: Buckets = S3Buckets(config.s3) if config.s3.endpoint else LocalBuckets(config.bucket_root)
        images = Images(buckets, config.limits, vault.derive("image-id"))
        replays = Replays(database, kept=config.auth.clock_skew, grace=config.auth.replay_grace)
        keys = Keys(database, vault, clock=clock)
        retention = Retention(database, references, subjects, clock=clock)
        eraser = Eraser(retention, log, watch, grounds)
        return cls(
            config=config,
            engines=engines,
            guard=guard,
            faces=FaceOperations(
                guard, engines, collections, references, images, eraser, config.limits, _switched_on(config)
            ),
            collections=CollectionOperations(guard, collections, cache, engines, watch, grounds),
            subjects=SubjectOperations(guard, engines, collections, references, subjects, images, config.limits),
            identity=Identity(guard, database, registry, keys, replays, config.data / "credentials"),
            people=PeopleOperations(guard, database, registry, people, keys),
            grounds=GroundOperations(guard, database, registry, grounds, watch, collections),
            oversight=OversightOperations(guard, database, registry, restraints, people, watch, keys),
            rules=RuleOperations(guard, database, registry, restraints, log),
            ledger=LedgerOperations(guard, log, grounds),
            erasure=ErasureOperations(
                guard,
                database,
                log,
                collections,
                references,
                retention,
                grounds,
                eraser,
            ),
            packs=PackOperations(config),
            page_key=vault.derive("page-token"),
            _database=database,
            _replays=replays,
        )

    def warm(self) -> None:
        """Load models and indexes, so that the first requests don't wait for them."""
        self.engines.default.warm()
        for name in self.collections.names():
            self.faces.warm(name)

    def check(self) -> None:
        """Tell whether this installation can work.

        Raises:
            Unavailable: if the database can't be reached.
        """
        self._database.check()

    def scrub(self) -> None:
        """Write the database anew, so that nothing of what was deleted is left in its files.

        Raises:
            Unavailable: if the database can't be reached, or others don't let go of it.
        """
        if not self._database.scrub(full=True):
            raise Unavailable("Another process is reading the database.", remedy="Try again.")

    def close(self) -> None:
        """Close what is open."""
        self._replays.close()
        self._database.close()


def _signer(config: Config) -> FileSigner:
    """Return what signs the ledger's checkpoints; without an origin the log is named by its key."""
    key = FileSigner.from_file(config.ledger_key_path, _UNNAMED)
    fingerprint = hashlib.sha256(str(key.verifier_key).encode()).hexdigest()[:16]
    return FileSigner.from_file(config.ledger_key_path, config.ledger.origin or f"{_UNNAMED}/{fingerprint}")


def _switched_on(config: Config) -> frozenset[AttributeName]:
    """Return the attributes that can be asked for: emotion and gender only where the operator has switched them on."""
    off = {AttributeName.GENDER: not config.vision.gender, AttributeName.EMOTIONS: not config.vision.emotion}
    return frozenset(name for name in AttributeName if not off.get(name, False))
