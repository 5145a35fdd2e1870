# SPDX-License-Identifier: Apache-2.0
"""An installation of the tests' own, in this process, and photos for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from custodes.app import App
from custodes.config import Config, Limits
from custodes.errors import Denied
from custodes.governance import (
    OPERATOR,
    AuthorityKind,
    Caller,
    EasingKind,
    EvaluationRecord,
    Evaluations,
    OrgClass,
    Purpose,
    Role,
    Verdict,
    new_id,
)

START = datetime(2027, 1, 15, 8, tzinfo=UTC)
ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
DOCUMENT = "ab" * 32

PHOTOS = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def photos() -> dict[str, bytes]:
    """The photos of ``tests/data``, at most 640 pixels a side, as JPEG; and ``nobody``, which shows no face."""
    made = {}
    for name in ("obama_1.jpg", "obama_2.jpg", "biden.jpg", "group.jpg"):
        picture = cv2.imread(str(PHOTOS / name))
        scale = 640 / max(picture.shape)
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        made[name.removesuffix(".jpg")] = cv2.imencode(".jpg", small)[1].tobytes()
    made["nobody"] = cv2.imencode(".jpg", np.full((200, 200, 3), 128, np.uint8))[1].tobytes()
    return made


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An installation that all tests of the room share, so that its models are opened once."""
    config = Config(data=tmp_path_factory.mktemp("installation"), limits=Limits(faces=50, subject_faces=3))
    app = App.open(config)
    yield app
    app.close()


@pytest.fixture
def app(installation: App) -> Iterator[App]:
    """The installation with an empty collection ``people``, which the test may do with what it likes."""
    installation.collections.create(ME, "people", {})
    yield installation
    installation.collections.delete(ME, "people")


class Clock:
    """Stands until it is turned."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now.timestamp()

    def forward(self, **by: float) -> None:
        """Turn it forward (or back)."""
        self.now += timedelta(**by)


@dataclass
class World:
    """An installation, its clock, and who is in it."""

    app: App
    clock: Clock
    config: Config
    police: str
    rescue: str
    officer: Caller
    rescuer: Caller
    olga: Caller
    otto: Caller

    def entry(self, index: int = -1) -> Mapping[str, Any]:
        """Return an entry of the ledger; the newest by default."""
        return self.app.ledger.entry(index if index >= 0 else self.app.ledger.size() + index)

    def rescuer_called(self, name: str, *roles: Role) -> Caller:
        """Add a person to the rescue organisation; an administrator who may also search unless roles are named."""
        granted = roles or (Role.ADMIN, Role.USER)
        made = self.app.people.add(ME, self.rescue, f"{name}@rescue.example", name, granted)
        return Caller(made.id, Purpose.MISSING_PERSON, provenance="case-file")

    def lift_moratorium(self) -> None:
        """Let the two overseers lift it."""
        easing = self.app.oversight.propose(self.olga, EasingKind.LIFT, "until-further-notice", "for a test")
        self.app.oversight.approve(self.otto, easing.id)

    def evaluated(self, organisation: str = "", fingerprint: str = "", **verdict: Any) -> str:
        """Keep an evaluation of what runs here now, as if it was measured: one that passes, but for what is given.

        It is one at so low a similarity that no search is refused for it, but by rules that a test is about.
        """
        told = {"similarity": 50.0, "groups": 2, "enough": True, "false_match_ppm": 300, "false_non_match_ppm": 20_000}
        made = EvaluationRecord(
            id=new_id("eval"),
            organisation=organisation or self.police,
            kind="verification",
            pack=self.config.vision.pack,
            fingerprint=fingerprint or self.app.engines.fingerprint(""),
            title="Bookings of 2026",
            column="sex",
            dataset=DOCUMENT,
            verdict=Verdict(**(told | verdict)),
            made_at=self.clock.now,
            made_by=self.officer.principal,
        )
        with self.app._database.transaction() as c:
            Evaluations().keep(c, made, b"{}")
        return made.id

    def train(self) -> None:
        """Let the officer be trained, the police measure, and attest to what Washington asks."""
        self.evaluated()
        now = self.clock.now
        self.app.people.train(ME, self.officer.principal, "face comparison", now, now + timedelta(days=900))
        for duty in ("us-wa.accountability-report", "us-wa.operational-testing"):
            self.app.grounds.attest(ME, duty, 900, self.police)

    def warrant(self, collection: str, *, days: int = 20, **more: Any) -> str:
        """File a warrant of the police for a collection."""
        return self.app.grounds.file(
            ME,
            more.pop("kind", AuthorityKind.WARRANT),
            issuer="King County Superior Court",
            document_hash=DOCUMENT,
            purposes=more.pop("purposes", [Purpose.CRIMINAL_INVESTIGATION]),
            collections=[collection],
            not_before=more.pop("begins", self.clock.now),
            not_after=self.clock.now + timedelta(days=days),
            organisation=more.pop("organisation", self.police),
            **more,
        ).id

    def police_may_search(self, collection: str) -> Caller:
        """Lift the moratorium and file a warrant; return the officer with it."""
        self.lift_moratorium()
        return replace(self.officer, authority=self.warrant(collection))

    def denied(self, call: Callable[[], object]) -> list[str]:
        """Return the rules by which a call is denied."""
        with pytest.raises(Denied) as caught:
            call()
        decision = getattr(caught.value, "decision", None)
        return [rule.id for rule in decision.rules] if decision else [caught.value.code]

    def reopen(self) -> None:
        """Close the installation and open it again, as a restart does."""
        self.app.close()
        self.app = App.open(self.config, clock=self.clock)


def open_world(folder: Path, database: str = "") -> World:
    """Make an installation with a police department (US-WA), a rescue organisation (US-CA) and a board of oversight."""
    clock = Clock()
    config = Config(data=folder, database=database, limits=Limits(faces=50, subject_faces=3))
    app = App.open(config, clock=clock)
    police = app.people.add_organisation(ME, "Seattle PD", OrgClass.LAW_ENFORCEMENT, "US-WA").id
    rescue = app.people.add_organisation(ME, "Rescue", OrgClass.VICTIM_RESCUE, "US-CA").id
    board = app.people.add_organisation(ME, "Board", OrgClass.OVERSIGHT, "US").id

    def person(organisation: str, name: str, *roles: Role) -> str:
        return app.people.add(ME, organisation, f"{name}@example.org", name, roles).id

    made = World(
        app,
        clock,
        config,
        police,
        rescue,
        officer=Caller(person(police, "bob", Role.USER), Purpose.CRIMINAL_INVESTIGATION, provenance="public-record"),
        rescuer=Caller(person(rescue, "ann", Role.USER), Purpose.MISSING_PERSON, provenance="case-file"),
        olga=Caller(person(board, "olga", Role.OVERSIGHT), Purpose.OVERSIGHT),
        otto=Caller(person(board, "otto", Role.OVERSIGHT), Purpose.OVERSIGHT),
    )
    made.train()
    return made


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An installation of the test's own."""
    made = open_world(tmp_path / "data")
    yield made
    made.app.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def both_worlds(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """An installation of the test's own, on SQLite and on PostgreSQL."""
    database = "" if request.param == "sqlite" else request.getfixturevalue("postgres").new()
    made = open_world(tmp_path / "data", database)
    yield made
    made.app.close()
