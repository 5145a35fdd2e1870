# SPDX-License-Identifier: Apache-2.0
"""Searches that go on after their page has been answered: how far each is, and how to end it.

A run is made in a thread: one of few searches in the gate's, where inference belongs; one of more, whatever it searches
for, in a thread of its own, one at a time, so that pictures and other people's requests have their turn. What it finds
is in the database, whoever looks at it; what is known here of its progress is this process's alone, and goes with it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from custodes.api.console.frame import Console
from custodes.api.console.visits import Visit
from custodes.casework import Run
from custodes.errors import Conflict, Throttled
from custodes.operations.searching import Watch

__all__ = ["SHORT", "Progress", "Runs", "runs_of"]

SHORT = 20
"""So many searches a run makes at most that holds one of the gate's threads."""

_PATIENCE = 4.0
"""Seconds for which a page waits for the end of a run; then it shows how far it is."""


@dataclass(slots=True)
class Progress:
    """How far a run is: ``made`` searches ``of`` so many; ``ends``: somebody has asked for its end."""

    made: int = 0
    of: int = 0
    ends: bool = False


class Runs:
    """The runs that this server makes."""

    def __init__(self) -> None:
        self._going: dict[str, Progress] = {}
        self._tasks: set[asyncio.Future[Run]] = set()
        self._bulk = threading.Semaphore(1)

    def progress(self, run: str) -> Progress | None:
        """Return how far a run is, or None if this server doesn't make it (any more)."""
        return self._going.get(run)

    def end(self, run: str) -> bool:
        """Ask for the end of a run after the search that it is at; False if it isn't made here."""
        found = self._going.get(run)
        if found is not None:
            found.ends = True
        return found is not None

    async def make(self, visit: Visit, work: Callable[[Watch], Run], *, searches: int) -> str:
        """Make a run, wait for a moment whether it ends, and return its id.

        Args:
            visit: whose.
            work: makes it.
            searches: how many it makes; more than :data:`SHORT` take long.

        Raises:
            Throttled: if too many wait, or another run in bulk goes on.
            CustodesError: what the run raises, if that is at once.
        """
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[str] = loop.create_future()

        def tell(run: str) -> None:
            if not begun.done():
                begun.set_result(run)

        def watch(run: Run, made: int, of: int) -> None:
            if run.id not in self._going:
                self._going[run.id] = Progress()
                loop.call_soon_threadsafe(tell, run.id)
            progress = self._going[run.id]
            progress.made, progress.of = made, of
            if progress.ends:
                raise Conflict("Somebody has stopped it.")

        task: asyncio.Future[Run] = asyncio.ensure_future(
            self._in_bulk(lambda: work(watch)) if searches > SHORT else visit.inference(lambda: work(watch))
        )
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._over(task, begun))
        await asyncio.wait((task,), timeout=_PATIENCE)
        if not task.done():
            await asyncio.wait((task, begun), return_when=asyncio.FIRST_COMPLETED)
        return task.result().id if task.done() else begun.result()

    def _over(self, task: asyncio.Future[Run], begun: asyncio.Future[str]) -> None:
        self._tasks.discard(task)
        if begun.done() and not begun.cancelled():
            self._going.pop(begun.result(), None)
        if not task.cancelled():
            task.exception()  # the run's own row says it, for whoever looks

    async def _in_bulk(self, work: Callable[[], Run]) -> Run:
        if not self._bulk.acquire(blocking=False):
            raise Throttled(
                f"Another run of more than {SHORT} searches goes on.",
                remedy="Wait until it is done, then search again.",
            )
        made: Future[Run] = Future()

        def go() -> None:
            try:
                made.set_result(work())
            except Exception as error:  # noqa: BLE001 (whatever it is, it is raised where the run is waited for)
                made.set_exception(error)
            finally:
                self._bulk.release()

        threading.Thread(target=go, name="bulk-search", daemon=True).start()
        return await asyncio.wrap_future(made)


_RUNS: WeakKeyDictionary[Console, Runs] = WeakKeyDictionary()


def runs_of(visit: Visit) -> Runs:
    """Return the runs that the visit's server makes."""
    return _RUNS.setdefault(visit.console, Runs())
