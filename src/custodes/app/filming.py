# SPDX-License-Identifier: Apache-2.0
"""Builds everything about cameras and what is shared of their video; the composition root has it done here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from custodes.cameras.courier import Courier
from custodes.cameras.events import EventStore
from custodes.cameras.footagestore import FootageStore
from custodes.cameras.hooks import HookStore
from custodes.cameras.index import SegmentIndex
from custodes.cameras.processors import ProcessorStore
from custodes.cameras.reach import Reach
from custodes.cameras.shares import ShareStore
from custodes.cameras.store import CameraStore
from custodes.config import Config
from custodes.db import Database, Vault
from custodes.gallery import Collections, References, Retention, Subjects
from custodes.governance import Grounds, Registry
from custodes.ledger import Log
from custodes.operations.admission import Admission
from custodes.operations.announcing import Announcer
from custodes.operations.boards import BoardReader
from custodes.operations.camerakeeping import CameraKeeping
from custodes.operations.cameralive import LiveHub
from custodes.operations.cameras import CameraOperations
from custodes.operations.collections import CollectionOperations
from custodes.operations.engines import Engines
from custodes.operations.erasure import Eraser
from custodes.operations.exporting import ExportOperations
from custodes.operations.faces import FaceOperations
from custodes.operations.footage import FootageOperations
from custodes.operations.grounds import GroundOperations
from custodes.operations.guard import Guard
from custodes.operations.hooks import HookOperations
from custodes.operations.library import LibraryOperations
from custodes.operations.previews import Previews
from custodes.operations.processors import ProcessorOperations
from custodes.operations.recognising import Watching
from custodes.operations.redactor import Redactor
from custodes.operations.releasing import Releasing
from custodes.operations.requests import RequestInbox
from custodes.operations.sharing import ShareOperations
from custodes.operations.sightings import SightingOperations
from custodes.operations.streamchecks import ProcessorChecks
from custodes.operations.streamruns import StreamRuns
from custodes.operations.streamsinks import PictureBuckets, StreamSinks
from custodes.operations.subjects import SubjectOperations

__all__ = ["Filming", "Ground", "build"]


@dataclass(frozen=True, slots=True)
class Ground:
    """What the use cases of cameras stand on."""

    config: Config
    clock: Callable[[], float]
    database: Database
    vault: Vault
    log: Log
    registry: Registry
    guard: Guard
    engines: Engines
    collections: Collections
    references: References
    subjects: Subjects
    retention: Retention
    grounds: Grounds
    events: EventStore
    eraser: Eraser
    admission: Admission
    shelves: CollectionOperations
    faces: FaceOperations
    people_of: SubjectOperations
    on_which_ground: GroundOperations


@dataclass(frozen=True, slots=True)
class Filming:
    """The use cases of cameras and of what is shared; each is an attribute of the application's, of the same name."""

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


def build(on: Ground) -> Filming:
    """Build the use cases of cameras, each once."""
    config, guard, database = on.config, on.guard, on.database
    index, camera_store, live = SegmentIndex(), CameraStore(on.vault), LiveHub()
    library = LibraryOperations(
        guard,
        database,
        on.admission,
        on.collections,
        on.references,
        on.subjects,
        on.grounds,
        on.events,
        on.eraser,
        on.shelves,
        on.faces,
        on.people_of,
        on.on_which_ground,
    )
    footage_store, share_store = FootageStore(), ShareStore(on.vault)
    footage = FootageOperations(guard, database, on.registry, footage_store, on.log)
    boards = BoardReader(config.sharing.boards, footage.board, clock=on.clock)
    redactor = Redactor(config)
    previews = Previews(redactor)
    requests = RequestInbox(guard, database, camera_store, index, boards, footage_store.trusted, previews)
    sharing = ShareOperations(
        guard,
        database,
        share_store,
        footage_store,
        requests,
        on.log,
        config.shares,
        config.endpoint_url,
        boards.offset,
    )
    keeping = CameraKeeping(database, camera_store, index, on.events, config, sharing.holds)
    cameras = CameraOperations(guard, database, camera_store, index, on.events, on.admission, config, keeping)
    announcer = Announcer()
    reach = Reach(config.server.port)
    hooks = HookOperations(guard, database, HookStore(on.vault), Courier(reach), reach, announcer.tell)
    announcer.add_sink("webhooks", hooks.tell)
    watching = Watching(
        guard,
        database,
        on.admission,
        on.engines,
        on.references,
        on.retention,
        on.grounds,
        on.events,
        config.cameras,
    )
    return Filming(
        footage=footage,
        cameras=cameras,
        keeping=keeping,
        live=live,
        sightings=SightingOperations(guard, database, camera_store, on.events, on.subjects, library),
        library=library,
        exports=ExportOperations(guard, database, index, cameras, redactor, config.video),
        announcer=announcer,
        hooks=hooks,
        watching=watching,
        processors=_processors(on, watching, cameras, camera_store, live, reach),
        boards=boards,
        previews=previews,
        requests=requests,
        sharing=sharing,
        releasing=Releasing(guard, database, share_store, footage_store, config.shares, announcer.tell),
    )


def _processors(
    on: Ground, watching: Watching, cameras: CameraOperations, camera_store: CameraStore, live: LiveHub, reach: Reach
) -> ProcessorOperations:
    """Build what stream processors need."""
    config, store = on.config, ProcessorStore(on.vault)
    sinks = StreamSinks(config, Courier(reach))
    pictures = PictureBuckets(None if config.s3.endpoint else config.bucket_root)
    return ProcessorOperations(
        on.guard,
        on.database,
        store,
        cameras,
        camera_store,
        live,
        ProcessorChecks(on.guard, cameras, on.admission, sinks, pictures),
        sinks,
        StreamRuns(watching, store, camera_store, sinks, pictures),
    )
