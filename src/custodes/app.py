# SPDX-License-Identifier: Apache-2.0
"""The composition root: builds every object once, from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from custodes.config import Config
from custodes.db import Database, Vault, make_private_folder
from custodes.errors import Unavailable
from custodes.gallery import Collections, IndexCache, References, Subjects
from custodes.gallery.index import ExactIndex
from custodes.governance import Keys, Replays
from custodes.operations.buckets import Buckets, LocalBuckets, S3Buckets
from custodes.operations.collections import CollectionOperations
from custodes.operations.engines import Engines
from custodes.operations.faces import FaceOperations
from custodes.operations.identity import Identity
from custodes.operations.images import Images
from custodes.operations.packs import PackOperations
from custodes.operations.subjects import SubjectOperations
from custodes.vision.engine import Engine
from custodes.vision.pack import open_pack

__all__ = ["App"]

_PAGE = 100


@dataclass(frozen=True, slots=True)
class App:
    """All use cases of one installation; make it with :meth:`open`, end it with :meth:`close`."""

    config: Config
    engines: Engines
    faces: FaceOperations
    collections: CollectionOperations
    subjects: SubjectOperations
    identity: Identity
    packs: PackOperations
    page_key: bytes
    _database: Database
    _replays: Replays

    @classmethod
    def open(cls, config: Config) -> App:
        """Open the installation in ``config.data``, which is made if it isn't there.

        Raises:
            Invalid: if the configuration can't be meant.
            Unavailable: if the database or a package isn't there.
            IntegrityError: if models or keys are not what they were.
        """
        make_private_folder(config.data)
        database = Database(config.database_url)
        database.migrate()
        vault = Vault.for_database(database, config.key_path)
        engines = Engines(
            config.vision.pack,
            lambda pack: Engine(open_pack(config, pack), config.vision, config.limits),
        )
        cache = IndexCache(vault, ExactIndex)
        collections = Collections(database)
        references = References(database, vault, cache, max_faces=config.limits.collection_faces)
        subjects = Subjects(database, vault, cache, max_references=config.limits.subject_faces)
        buckets: Buckets = S3Buckets(config.s3) if config.s3.endpoint else LocalBuckets(config.bucket_root)
        images = Images(buckets, config.limits, vault.derive("image-id"))
        replays = Replays(database, kept=config.auth.clock_skew, grace=config.auth.replay_grace)
        return cls(
            config=config,
            engines=engines,
            faces=FaceOperations(engines, collections, references, images, config.limits),
            collections=CollectionOperations(collections, cache, engines),
            subjects=SubjectOperations(engines, collections, references, subjects, images, config.limits),
            identity=Identity(Keys(database, vault), replays, config.data / "credentials"),
            packs=PackOperations(config),
            page_key=vault.derive("page-token"),
            _database=database,
            _replays=replays,
        )

    def warm(self) -> None:
        """Load models and indexes, so that the first requests don't wait for them."""
        self.engines.default.warm()
        position: int | None = 0
        while position is not None:
            page, position = self.collections.list(after=position, limit=_PAGE)
            for collection in page:
                self.faces.warm(collection.name)

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
