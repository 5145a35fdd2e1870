# SPDX-License-Identifier: Apache-2.0
"""Review: what waits, sittings, the side-by-side viewer, and how reviewers do.

In a blind sitting neither these pages nor what they request tell a score, a rank, an earlier answer, whether two faces
are a control, or which candidate it is: they get no more than :class:`~custodes.operations.comparing.ItemView` has.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from custodes.api.console.visits import Visit, Visitor
from custodes.casework import CHECKLIST, Answer, Side
from custodes.casework.reviews import SEEN
from custodes.errors import CustodesError, Invalid, NotFound
from custodes.governance import Role
from custodes.operations.comparing import ItemView, SittingView
from custodes.operations.pictures import PictureSize
from custodes.operations.ranking import advice

__all__ = ["router"]

router = APIRouter(prefix="/console/review")

ItemId = Annotated[str, Path(pattern=r"^[a-z]{1,8}-[0-9a-f]{16}$")]
ANSWERS = (
    (Answer.SUPPORTS_STRONGLY, "One person, strongly", "Many details agree, and nothing speaks against it."),
    (Answer.SUPPORTS, "One person", "More speaks for it than against it."),
    (Answer.INCONCLUSIVE, "Inconclusive", "The pictures don't allow an answer. That is an answer."),
    (Answer.CONTRADICTS, "Two people", "More speaks against it than for it."),
    (Answer.CONTRADICTS_STRONGLY, "Two people, strongly", "A difference that neither age nor picture explains."),
)
"""The scale, in the order of its keys 1 to 5."""
_LIMIT = 20


@router.get("")
async def review(visit: Visitor) -> Response:
    """Show what waits for the reviewer, and how they did so far."""
    return await _show(visit)


async def _show(visit: Visit, error: CustodesError | None = None, status: int = 200) -> Response:
    reviews, caller = visit.console.app.casework.review, visit.caller()
    queue = await visit.quick(lambda: reviews.queue(caller))
    figures = await visit.quick(lambda: reviews.figures(caller))
    values = {"queue": queue, "figures": figures, "administers": _administers(visit), "error": error}
    return visit.page("review.html.j2", values, status=status)


def _administers(visit: Visit) -> bool:
    return Role.ADMIN in visit.session.roles


@router.post("/begin")
async def begin(visit: Visitor) -> Response:
    """Begin a sitting, or go on with one, and show its first comparison."""
    reviews, caller, blind = visit.console.app.casework.review, visit.caller(), visit.text("kind") == "blind"
    try:
        made = await visit.inference(lambda: reviews.begin(caller, blind=blind, limit=_LIMIT))
    except NotFound as error:
        return await _show(visit, error, 404)
    return visit.done(_next(made))


def _next(sitting: SittingView) -> str:
    """Return where a sitting goes on: its next comparison, or what came of it."""
    if sitting.next is None:
        return f"/console/review/sittings/{sitting.id}"
    return f"/console/review/items/{sitting.next}"


@router.get("/items/{item}")
async def show_item(visit: Visitor, item: ItemId) -> Response:
    """Show a comparison."""
    return await _show_item(visit, item)


async def _show_item(
    visit: Visit,
    item: str,
    error: CustodesError | None = None,
    *,
    answer: str = "",
    checklist: dict[str, str] | None = None,
    note: str = "",
    status: int = 200,
) -> Response:
    app, caller = visit.console.app.casework, visit.caller()
    shown: ItemView = await visit.quick(lambda: app.review.item(caller, item))
    if shown.answer is not None:
        sitting = await visit.quick(lambda: app.review.sitting(caller, shown.sitting))
        return visit.done(_next(sitting))
    hidden = shown.sensitive and await visit.quick(lambda: app.pictures.is_hidden_of_item(caller, item))
    values = {
        "item": shown,
        "hidden": hidden,
        "answers": ANSWERS,
        "features": CHECKLIST,
        "seen": sorted(SEEN, reverse=True),
        "hard": {side.value: advice(getattr(shown, side.value).reasons) for side in Side},
        "error": error,
        "answer": answer,
        "checklist": checklist or {},
        "note": note,
    }
    return visit.page("review_item.html.j2", values, status=status)


@router.get("/items/{item}/{side}/{size}.jpg")
async def picture(visit: Visitor, item: ItemId, side: Side, size: PictureSize) -> Response:
    """Show one of the two pictures of a comparison."""
    app, caller = visit.console.app.casework, visit.caller()
    data = await visit.inference(lambda: app.pictures.of_item(caller, item, side, size))
    return Response(data, media_type="image/jpeg")


@router.post("/items/{item}/reveal")
async def reveal(visit: Visitor, item: ItemId) -> Response:
    """Show the sensitive pictures of a comparison as they are."""
    app, caller = visit.console.app.casework, visit.caller()
    await visit.quick(lambda: app.pictures.reveal_of_item(caller, item))
    return visit.done(f"/console/review/items/{item}")


@router.post("/items/{item}")
async def answer(visit: Visitor, item: ItemId) -> Response:
    """Answer a comparison, and show the next."""
    told = visit.text("answer")
    checklist = {name: visit.text(f"feature.{name}") for name in CHECKLIST if visit.text(f"feature.{name}")}
    note = visit.text("note")
    try:
        chosen = _answer(told)
        reviews, caller = visit.console.app.casework.review, visit.caller()
        sitting = await visit.quick(lambda: reviews.answer(caller, item, chosen, checklist, note))
    except Invalid as error:
        return await _show_item(visit, item, error, answer=told, checklist=checklist, note=note, status=400)
    return visit.done(_next(sitting))


def _answer(text: str) -> Answer:
    """Read an answer.

    Raises:
        Invalid: if it is none.
    """
    if text not in set(Answer):
        raise Invalid("Choose one of the five answers.", remedy="If the pictures don't allow one, it is inconclusive.")
    return Answer(text)


@router.get("/sittings/{sitting}")
async def show_sitting(visit: Visitor, sitting: ItemId) -> Response:
    """Show what came of a sitting, or go on with it."""
    reviews, caller = visit.console.app.casework.review, visit.caller()
    shown = await visit.quick(lambda: reviews.sitting(caller, sitting))
    if shown.ended_at is None:
        return visit.done(_next(shown))
    result = await visit.quick(lambda: reviews.result(caller, sitting))
    queue = await visit.quick(lambda: reviews.queue(caller))
    return visit.page("review_sitting.html.j2", {"sitting": shown, "result": result, "queue": queue})
