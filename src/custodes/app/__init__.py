# SPDX-License-Identifier: Apache-2.0
"""The composition root: builds every object once, from the configuration; desks and cameras in rooms of their own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from custodes.app import desks, filming
from custodes.app.desks import Casework
from custodes.cameras.events import EventStore
from custodes.cameras.model import Camera
from custodes.casework import CaseFiles, CaseImages, Reviews, Searches
from custodes.config import Config
from custodes.db import Database, Vault, make_private_folder
from custodes.domain import AttributeName
from custodes.errors import Unavailable
from custodes.evaluation.deployed import deployed
from custodes.gallery import Collections, IndexCache, References, Retention, Subjects
from custodes.gallery.index import ExactIndex
from custodes.governance import (
    Authoriser,
    Evaluations,
    Grounds,
    Keys,
    Logins,
    People,
    Registry,
    Replays,
    Restraints,
    Watch,
)
from custodes.ledger import FileSigner, Log
from custodes.operations.accounts import Accounts
from custodes.operations.admission import Admission
from custodes.operations.announcing import Announcer
from custodes.operations.beginning import begin
from custodes.operations.boards import BoardReader
from custodes.operations.browsers import Browsers
from custodes.operations.buckets import Buckets, LocalBuckets, S3Buckets
from custodes.operations.calibrating import CalibrationOperations
from custodes.operations.camerakeeping import CameraKeeping
from custodes.operations.cameralive import LiveHub
from custodes.operations.camerarun import CameraRun
from custodes.operations.cameras import CameraOperations
from custodes.operations.caseerasure import CaseErasure
from custodes.operations.cases import CaseOperations
from custodes.operations.collections import CollectionOperations
from custodes.operations.controls import ControlOperations
from custodes.operations.desk import Desk
from custodes.operations.engines import Engines
from custodes.operations.erasure import Eraser, ErasureOperations
from custodes.operations.evaluations import EvaluationOperations
from custodes.operations.exporting import ExportOperations
from custodes.operations.faces import FaceOperations
from custodes.operations.footage import FootageOperations
from custodes.operations.grounds import GroundOperations
from custodes.operations.guard import Guard
from custodes.operations.hooks import HookOperations
from custodes.operations.identity import Identity
from custodes.operations.images import Images
from custodes.operations.invitations import Invitations
from custodes.operations.ledger import LedgerOperations
from custodes.operations.library import LibraryOperations
from custodes.operations.managing import Managing
from custodes.operations.oversight import OversightOperations
from custodes.operations.overview import Overview
from custodes.operations.packs import PackOperations
from custodes.operations.people import PeopleOperations
from custodes.operations.previews import Previews
from custodes.operations.process import ProcessOperations
from custodes.operations.processors import ProcessorOperations
from custodes.operations.recognising import Watching
from custodes.operations.releasing import Releasing
from custodes.operations.requests import RequestInbox
from custodes.operations.reviewing import ReviewOperations
from custodes.operations.rules import RuleOperations
from custodes.operations.sharing import ShareOperations
from custodes.operations.sightings import SightingOperations
from custodes.operations.signin import SignIn
from custodes.operations.subjects import SubjectOperations
from custodes.operations.testing import TestingOperations
from custodes.operations.watching import Watcher
from custodes.vision.engine import Engine
from custodes.vision.pack import open_pack

__all__ = ["App", "Casework"]

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
    sign_in: SignIn
    accounts: Accounts
    invitations: Invitations
    people: PeopleOperations
    grounds: GroundOperations
    oversight: OversightOperations
    rules: RuleOperations
    ledger: LedgerOperations
    erasure: ErasureOperations
    packs: PackOperations
    managing: Managing
    overview: Overview
    testing: TestingOperations
    evaluations: EvaluationOperations
    calibration: CalibrationOperations
    casework: Casework
    footage: FootageOperations
    cameras: CameraOperations
    keeping: CameraKeeping
    live: LiveHub
    sightings: SightingOperations
    library: LibraryOperations
    exports: ExportOperations
    announcer: Announcer
    hooks: HookOperations
    watching: Watching
    processors: ProcessorOperations
    boards: BoardReader
    previews: Previews
    requests: RequestInbox
    sharing: ShareOperations
    releasing: Releasing
    process: ProcessOperations
    page_key: bytes
    door_key: bytes
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
        log = Log(database, vault, _signer(config), clock=clock, max_age=config.ledger.checkpoint_seconds)
        log.check()
        people, grounds, restraints = People(vault.derive("person")), Grounds(), Restraints()
        watch = Watch(vault, vault.derive("sightings"))
        evaluations = Evaluations()
        registry = Registry(people, grounds, restraints, evaluations)
        begin(database, log, people, restraints, registry)
        collections = Collections(database, clock=clock)
        engines = Engines(
            config.vision.pack,
            lambda pack: open_pack(config, pack),
            lambda pack: Engine(pack, config.vision, config.limits),
            lambda pack: deployed(pack, config.vision.detail).fingerprint,
        )
        authoriser = Authoriser(registry, grounds, watch, engines.fingerprint)
        guard = Guard(database, authoriser, registry, restraints, grounds, watch, log, collections, notify)
        cache = IndexCache(vault, ExactIndex)
        references = References(database, vault, cache, max_faces=config.limits.collection_faces, clock=clock)
        subjects = Subjects(database, vault, cache, max_references=config.limits.subject_faces, clock=clock)
        buckets: Buckets = S3Buckets(config.s3) if config.s3.endpoint else LocalBuckets(config.bucket_root)
        images = Images(buckets, config.limits, vault.derive("image-id"))
        replays = Replays(database, kept=config.auth.clock_skew, grace=config.auth.replay_grace)
        keys = Keys(database, vault, clock=clock)
        logins = Logins(database, vault)
        retention = Retention(database, references, subjects, clock=clock)
        searches = Searches(vault)
        files, kept = CaseFiles(vault), CaseImages(vault)
        events = EventStore(vault)
        eraser = Eraser(retention, log, watch, grounds, searches, kept, events)
        on_which_ground = GroundOperations(guard, database, registry, grounds, watch, collections)
        desk = Desk(database, registry, files, kept, searches, Reviews(vault), images, collections, config.limits.faces)
        browsers = Browsers(vault.derive("browsers"))
        sign_in = SignIn(guard, database, registry, people, logins, browsers)
        controls = ControlOperations(guard, desk, engines, images, log)
        review = ReviewOperations(guard, desk, controls)
        admission = Admission(database, files, collections, review.see_alike)
        shelves = CollectionOperations(guard, collections, cache, engines, watch, grounds, eraser, admission)
        cases = CaseOperations(
            guard,
            desk,
            on_which_ground,
            shelves,
            collections,
            engines,
            images,
            eraser,
            log,
            admission,
            CaseErasure(guard, desk, collections, references, eraser, log),
        )
        cases.adopt()
        identity = Identity(guard, database, registry, keys, logins, replays, config.data / "credentials")
        invitations = Invitations(guard, database, registry, people, keys, logins)
        staff = PeopleOperations(guard, database, registry, people, keys, logins)
        faces = FaceOperations(
            guard, admission, engines, references, images, eraser, config.limits, _switched_on(config)
        )
        people_of = SubjectOperations(guard, admission, engines, references, subjects, images, events, config.limits)
        film = filming.build(
            filming.Ground(
                config=config,
                clock=clock,
                database=database,
                vault=vault,
                log=log,
                registry=registry,
                guard=guard,
                engines=engines,
                collections=collections,
                references=references,
                subjects=subjects,
                retention=retention,
                grounds=grounds,
                events=events,
                eraser=eraser,
                admission=admission,
                shelves=shelves,
                faces=faces,
                people_of=people_of,
                on_which_ground=on_which_ground,
            )
        )
        return cls(
            config=config,
            engines=engines,
            guard=guard,
            faces=faces,
            collections=shelves,
            subjects=people_of,
            identity=identity,
            sign_in=sign_in,
            accounts=Accounts(guard, database, people, logins, sign_in),
            invitations=invitations,
            people=staff,
            grounds=on_which_ground,
            oversight=OversightOperations(guard, database, registry, restraints, people, watch, keys, logins),
            rules=RuleOperations(guard, database, registry, restraints, log),
            ledger=LedgerOperations(guard, log, grounds, review.see_entry),
            erasure=ErasureOperations(
                guard,
                database,
                log,
                admission,
                collections,
                references,
                retention,
                grounds,
                files,
                kept,
                eraser,
            ),
            packs=PackOperations(config),
            managing=Managing(guard, database, registry, staff, identity, invitations, on_which_ground),
            overview=Overview(guard, database, registry, watch, collections, log),
            testing=TestingOperations(guard, admission, engines, references, faces, log, config),
            evaluations=EvaluationOperations(guard, database, registry, evaluations, log, engines, config),
            calibration=CalibrationOperations(guard, engines, config),
            casework=desks.build(
                desks.Tools(
                    config=config,
                    vault=vault,
                    log=log,
                    registry=registry,
                    restraints=restraints,
                    grounds=grounds,
                    keys=keys,
                    logins=logins,
                    guard=guard,
                    desk=desk,
                    engines=engines,
                    references=references,
                    buckets=buckets,
                    images=images,
                ),
                cases,
                controls,
                review,
            ),
            footage=film.footage,
            cameras=film.cameras,
            keeping=film.keeping,
            live=film.live,
            sightings=film.sightings,
            library=film.library,
            exports=film.exports,
            announcer=film.announcer,
            hooks=film.hooks,
            watching=film.watching,
            processors=film.processors,
            boards=film.boards,
            previews=film.previews,
            requests=film.requests,
            sharing=film.sharing,
            releasing=film.releasing,
            process=ProcessOperations(guard, database, registry, vault, film.announcer.tell),
            page_key=vault.derive("page-token"),
            door_key=vault.derive("console"),
            _database=database,
            _replays=replays,
        )

    def warm(self) -> None:
        """Load models and indexes, so that the first requests don't wait for them."""
        self.engines.default.warm()
        for name in self.collections.names():
            self.faces.warm(name)

    def camera_run(self, camera: Camera, credit: Callable[[], None]) -> CameraRun:
        """Return what handles a camera's messages; ``credit`` lets its process send one more frame."""
        watcher = Watcher(self.watching, camera, self.announcer.tell, (self.processors.runs,))
        return CameraRun(camera, self.keeping, watcher, self.live, self.announcer.tell, credit)

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
        self.live.close()
        self.previews.close()
        self.announcer.close()
        self.hooks.close()
        self.processors.sinks.close()
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
