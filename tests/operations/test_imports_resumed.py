# SPDX-License-Identifier: Apache-2.0
"""How imports are stopped and go on, by people, by rules and by whatever else; and who may see and do what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.operations.conftest import World
from tests.operations.importroom import TOLD, Room, plain

from custodes.app import App
from custodes.casework import CaseEvent, Import, ImportState, ItemOutcome
from custodes.errors import Conflict, NotFound, Unavailable
from custodes.governance import Purpose, Role, StopScope
from custodes.operations.imports import SourceKind


@pytest.fixture
def room(world: World, tmp_path: Path) -> Room:
    """A case in an installation of the test's own."""
    return Room(world, tmp_path / "photos")


# --- stopping and going on --------------------------------------------------------------------------------------------


def _stop_all(room: Room) -> Callable[[], object]:
    stop = room.world.app.oversight.stop(room.world.olga, StopScope.ALL, "", "for a test")

    def restart() -> None:
        easing = room.world.app.oversight.propose(room.world.olga, "restart", stop.id, "for a test")
        room.world.app.oversight.approve(room.world.otto, easing.id)

    return restart


def _suspend_case(room: Room) -> Callable[[], object]:
    cases = room.world.app.casework.cases
    cases.happen(room.cara, room.case, CaseEvent.SUSPEND)
    return lambda: cases.happen(room.cara, room.case, CaseEvent.RESUME)


@pytest.mark.parametrize(("forbid", "rule"), [(_stop_all, "overseer"), (_suspend_case, "suspended")])
def test_a_rule_that_denies_in_the_middle_stops_it(
    room: Room, forbid: Callable[[Room], Callable[[], object]], rule: str
) -> None:
    """With the reason; nothing is brought in meanwhile, and when the rule lets it, it goes on where it was."""
    room.put(**{f"p{n:02}": plain(n) for n in range(12)})
    made = room.begin(SourceKind.FOLDER, room.folder)
    allow: list[Callable[[], object]] = []

    def tell(done: int, total: int) -> None:
        if done == 5 and not allow:
            allow.append(forbid(room))

    stopped = room.imports.work(room.cara, made.id, progress=tell)
    assert stopped.state == ImportState.STOPPED
    assert rule in stopped.why
    brought = stopped.counts[ItemOutcome.IMPORTED]
    assert 5 <= brought < 12
    assert len(room.kept()) == brought
    assert room.imports.pending() == ()
    room.imports.resume(room.cara, made.id)
    again = room.imports.work(room.cara, made.id)
    assert (again.state, again.counts[ItemOutcome.IMPORTED]) == (ImportState.STOPPED, brought)
    assert rule in again.why
    allow[0]()
    room.imports.resume(room.cara, made.id)
    done = room.imports.work(room.cara, made.id)
    assert (done.state, done.counts, done.why) == (ImportState.DONE, {ItemOutcome.IMPORTED: 12}, "")
    room.check()


def test_somebody_stops_it_and_somebody_goes_on(room: Room) -> None:
    """Whoever works on it ends quietly; both are in the ledger, without what it is of."""
    room.put(**{f"p{n:02}": plain(n) for n in range(9)})
    made = room.begin(SourceKind.FOLDER, room.folder)
    dora = room.world.rescuer_called("dora", Role.USER)
    room.world.app.casework.cases.add_member(room.cara, room.case, dora.principal)

    def tell(done: int, total: int) -> None:
        if done == 3:
            room.imports.stop(dora, made.id)

    stopped = room.imports.work(room.cara, made.id, progress=tell)
    assert stopped.state == ImportState.STOPPED
    assert "stopped by somebody" in stopped.why
    assert 3 <= stopped.counts[ItemOutcome.IMPORTED] < 9
    for wrong in (lambda: room.imports.stop(dora, made.id), lambda: room.imports.work(dora, made.id)):
        with pytest.raises(Conflict):
            wrong()
    assert room.imports.resume(dora, made.id).state == ImportState.WAITING
    events = [e for _, e in room.world.app.ledger.entries() if str(e.get("event", "")).startswith("import-")]
    assert [(e["event"], e["principal"], e["import"]) for e in events] == [
        ("import-stopped", dora.principal, made.id),
        ("import-resumed", dora.principal, made.id),
    ]
    done = room.imports.work(dora, made.id)
    assert done.counts == {ItemOutcome.IMPORTED: 9}
    assert {i.added_by for i in room.kept()} == {room.cara.principal, dora.principal}
    for late in (room.imports.stop, room.imports.resume):
        with pytest.raises(Conflict, match="done"):
            late(room.cara, made.id)


def test_an_import_that_is_halted_waits(room: Room) -> None:
    """As when the server ends."""
    room.put(**{f"p{n:02}": plain(n) for n in range(6)})
    made = room.begin(SourceKind.FOLDER, room.folder)
    asked: list[bool] = []

    def halted() -> bool:
        asked.append(True)
        return len(asked) > 3

    assert room.imports.work(room.cara, made.id, halted=halted).state == ImportState.WAITING
    assert room.imports.pending() == (made.id,)
    assert 2 <= len(room.kept()) <= 3  # what was being looked at
    assert room.imports.work(room.cara, made.id).counts == {ItemOutcome.IMPORTED: 6}


def test_another_takes_over_when_the_time_is_over(room: Room) -> None:
    """Whoever slept finds out before it keeps anything, and nothing is there twice."""
    room.put(**{f"p{n:02}": plain(n) for n in range(10)})
    made = room.begin(SourceKind.FOLDER, room.folder, at_once=True)
    other = App.open(room.world.config, clock=room.world.clock)
    imports = other.casework.imports
    assert imports.pending() == ()
    with pytest.raises(Conflict, match="being worked on"):
        imports.work(room.cara, made.id)
    seen: list[Import] = []

    def tell(done: int, total: int) -> None:
        if done == 4 and not seen:
            with pytest.raises(Conflict):
                imports.work(room.cara, made.id)
            with pytest.raises(Conflict):
                room.imports.work(room.cara, made.id)  # nor twice in one process
            room.world.clock.forward(seconds=121)
            assert imports.pending() == (made.id,)
            seen.append(imports.work(room.cara, made.id))

    done = room.imports.work(room.cara, made.id, progress=tell)
    assert seen[0].counts == {ItemOutcome.IMPORTED: 10}
    assert (done.state, done.counts) == (ImportState.DONE, seen[0].counts)
    room.check()
    ends = [e for _, e in room.world.app.ledger.entries() if e.get("event") == "import-done"]
    assert len(ends) == 1
    other.close()


def test_an_import_goes_on_for_whoever_began_it(room: Room) -> None:
    """As the server does it; when they don't work on the case any more, it is stopped."""
    room.put(a=plain(1))
    dora = room.world.rescuer_called("dora", Role.USER)
    cases = room.world.app.casework.cases
    cases.add_member(room.cara, room.case, dora.principal)
    first = room.imports.begin(dora, room.case, SourceKind.FOLDER, str(room.folder), **TOLD)
    assert room.imports.go_on(first.id).state == ImportState.DONE
    assert {i.added_by for i in room.kept()} == {dora.principal}
    second = room.imports.begin(dora, room.case, SourceKind.FOLDER, str(room.folder), **TOLD)
    cases.remove_member(room.cara, room.case, dora.principal)
    room.imports.go_on(second.id)
    stopped = room.imports.get(room.cara, second.id)
    assert stopped.state == ImportState.STOPPED
    assert "don't work on" in stopped.why
    assert room.imports.go_on("imp-0000000000000000") is None


def test_what_has_other_entries_than_before_does_not_go_on(room: Room) -> None:
    """Their numbers would mean something else; another import takes what is new."""
    room.put(b=plain(1), c=plain(2))
    made = room.begin(SourceKind.FOLDER, room.folder)
    room.imports.work(room.cara, made.id, halted=iter([False, True]).__next__)
    room.put(a=plain(3))
    stopped = room.imports.work(room.cara, made.id)
    assert stopped.state == ImportState.STOPPED
    assert "other entries" in stopped.why
    assert room.bring(SourceKind.FOLDER, room.folder).counts == {ItemOutcome.IMPORTED: 2, ItemOutcome.DUPLICATE: 1}


def test_a_place_that_is_gone_stops_it_and_one_that_does_not_answer_lets_it_wait(room: Room, monkeypatch) -> None:
    """The first needs somebody; the second is tried again when its time is over."""
    made = room.begin(SourceKind.FOLDER, room.put(a=plain(1)))
    (room.folder / "a.jpg").unlink()
    room.folder.rmdir()
    assert room.imports.work(room.cara, made.id).state == ImportState.STOPPED

    def failing(*_: object) -> tuple[str, ...]:
        raise Unavailable("The S3 service didn't answer.")

    bucket = room.begin(SourceKind.BUCKET, "b")
    monkeypatch.setattr(type(room.imports._sources._buckets), "list", failing)
    with pytest.raises(Unavailable):
        room.imports.work(room.cara, bucket.id)
    assert room.imports.get(room.cara, bucket.id).state == ImportState.RUNNING
    assert room.imports.pending() == ()
    room.world.clock.forward(seconds=121)
    assert room.imports.pending() == (bucket.id,)


def test_a_server_does_not_try_for_ever_what_is_not_there(room: Room, monkeypatch) -> None:
    """An upload that is gone is stopped at once, a bucket that never answers after five tries."""
    spooled = room.imports.spool(room.cara, room.case, [plain(1)], name="a.png", **TOLD)
    room.imports._spool.remove(spooled.id)
    room.imports.go_on(spooled.id)
    gone = room.imports.get(room.cara, spooled.id)
    assert (gone.state, gone.why) == (ImportState.STOPPED, "The upload is gone.")

    def failing(*_: object) -> tuple[str, ...]:
        raise Unavailable("The S3 service didn't answer.")

    bucket = room.begin(SourceKind.BUCKET, "b")
    monkeypatch.setattr(type(room.imports._sources._buckets), "list", failing)
    for _ in range(2):
        for _ in range(4):
            with pytest.raises(Unavailable):
                room.imports.go_on(bucket.id)
        room.imports.go_on(bucket.id)
        stopped = room.imports.get(room.cara, bucket.id)
        assert (stopped.state, stopped.why) == (ImportState.STOPPED, "The S3 service didn't answer.")
        room.imports.resume(room.cara, bucket.id)


def test_what_nobody_has_foreseen_stops_it_and_is_told(room: Room, monkeypatch) -> None:
    """It isn't tried for ever."""
    made = room.begin(SourceKind.FOLDER, room.put(a=plain(1)))
    monkeypatch.setattr("custodes.operations.importing.check_content", lambda data: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        room.imports.work(room.cara, made.id)
    stopped = room.imports.get(room.cara, made.id)
    assert (stopped.state, "ZeroDivisionError" in stopped.why) == (ImportState.STOPPED, True)


def test_a_case_that_is_erased_takes_its_imports_along(room: Room) -> None:
    """Whoever works on one keeps nothing from then on."""
    room.put(**{f"p{n:02}": plain(n) for n in range(6)})
    made = room.begin(SourceKind.FOLDER, room.folder)
    cases = room.world.app.casework.cases

    def tell(done: int, total: int) -> None:
        if done == 2:
            with room.world.app.guard.transaction() as c:
                cases._desk.files.erase(c, room.case)

    with pytest.raises(NotFound):
        room.imports.work(room.cara, made.id, progress=tell)
    with room.world.app._database.read() as c:
        assert cases._desk.images.ids(c, room.case) == ()


def test_who_does_not_work_on_the_case_finds_none(room: Room) -> None:
    """A colleague, the police and oversight get the same answer as for an import that there isn't."""
    made = room.begin(SourceKind.FOLDER, room.put(a=plain(1)))
    dora = room.world.rescuer_called("dora", Role.USER)
    imports = room.imports
    for stranger in (dora, room.world.officer, room.world.olga):
        for id_ in (made.id, "imp-0000000000000000"):
            for ask in (imports.get, imports.items, imports.stop, imports.resume, imports.work):
                with pytest.raises(NotFound) as caught:
                    ask(stranger, id_)
                assert caught.value.message == "There is no such import, or you don't work on its case."
        with pytest.raises(NotFound):
            imports.list(stranger, room.case)
        with pytest.raises(NotFound):
            imports.begin(stranger, room.case, SourceKind.FOLDER, str(room.folder), **TOLD)
        with pytest.raises(NotFound):
            imports.spool(stranger, room.case, [plain(1)], name="x", **TOLD)
    assert imports.get(room.cara, made.id).state == ImportState.WAITING


def test_a_key_of_another_purpose_is_refused_by_rule(room: Room) -> None:
    """Whoever is a member may still only bring images for what the case is for."""
    room.put(a=plain(1))
    other = replace(room.cara, purpose=Purpose.VICTIM_IDENTIFICATION)
    begin = lambda: room.imports.begin(other, room.case, SourceKind.FOLDER, str(room.folder), **TOLD)  # noqa: E731
    assert "base.case-purpose" in room.world.denied(begin)
