# SPDX-License-Identifier: Apache-2.0
"""Searching for a case: what, where, how; what is wrong with poor probes before anything runs; and searches that stand.

Each face in each collection is a search of its own, counted and recorded, which the page says before it begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from custodes.api.console.pages.casedesk import AtCase, Working, casework, number_of
from custodes.api.console.pages.caseruns import runs_of
from custodes.casework import CaseImage, FaceRecord, ImageRole, Import, ItemOutcome, Run
from custodes.errors import CustodesError, Invalid
from custodes.gallery import Collection
from custodes.governance import Role
from custodes.operations.browsing import Thresholds
from custodes.operations.ranking import advice
from custodes.operations.searching import LIMIT, Watch

__all__ = ["router"]

router = APIRouter(prefix="/console/cases/{case}")

_PROBES = 2000
_CHOICES = 60
"""So many photos are offered to choose from; the others are reached from their own pages."""
_POOR = 12
"""So many poor probes are shown; of the others it is said how many there are."""
_WHAT = ("references", "photo", "import")


@dataclass(frozen=True, slots=True)
class _Poor:
    """A face that is a poor probe, and what would help."""

    image: CaseImage
    face: FaceRecord
    advice: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a form asks for.

    Attributes:
        what: ``references``, ``photo`` or ``import``.
        probes: the faces, by photo.
        places: random ids of collections.
        threshold, limit: as stated, or None.
    """

    what: str
    probes: tuple[tuple[CaseImage, tuple[FaceRecord, ...]], ...]
    places: tuple[str, ...]
    threshold: float | None
    limit: int
    image: str = ""
    import_id: str = ""
    every: bool = False

    @property
    def searches(self) -> int:
        """How many searches that makes."""
        return len(self.places) * sum(len(faces) for _, faces in self.probes)

    @property
    def poor(self) -> tuple[_Poor, ...]:
        """The faces with which something is wrong."""
        return tuple(_Poor(i, f, advice(f.reasons)) for i, faces in self.probes for f in faces if f.reasons)


# --- the form ---


@dataclass(frozen=True, slots=True)
class _Form:
    places: tuple[Collection, ...]
    own: str | None
    thresholds: Thresholds
    references: tuple[CaseImage, ...]
    choices: tuple[CaseImage, ...]
    image: CaseImage | None
    imports: tuple[Import, ...]
    runs: tuple[Run, ...]
    hidden: frozenset[str]


def _read(at: AtCase, image: str) -> _Form:
    work, case = casework(at.visit), at.file.id
    view = work.cases.view(at.visit.caller(), case)
    references, _ = work.cases.photos(at.caller, case, ImageRole.REFERENCE, limit=_PROBES)
    probes, _ = work.cases.photos(at.caller, case, ImageRole.PROBE, limit=_PROBES)
    choices = (*reversed(probes[-_CHOICES:]), *references)[:_CHOICES]
    chosen = work.cases.photo(at.caller, case, image) if image else None
    shown = (*references, *choices, *((chosen,) if chosen else ()))
    return _Form(
        places=view.collections,
        own=view.own,
        thresholds=work.browsing.thresholds(at.caller),
        references=references,
        choices=choices,
        image=chosen,
        imports=tuple(i for i in work.imports.list(at.caller, case) if i.counts.get(ItemOutcome.IMPORTED)),
        runs=work.candidates.runs(at.caller, case),
        hidden=work.pictures.hidden(at.caller, case, shown),
    )


async def _show(
    at: AtCase, what: str, image: str, face: int | None, error: CustodesError | None = None, status: int = 200
) -> Response:
    form = await at.visit.quick(lambda: _read(at, image))
    sent = at.visit.request.method == "POST"
    visit = at.visit
    values = {
        "form": form,
        "what": what,
        "face": face,
        "error": error,
        "is_reviewer": Role.REVIEWER in visit.session.roles,
        "given": {
            "places": visit.texts("collections") if sent else tuple(k.uid for k in form.places if k.face_count),
            "threshold": visit.text("threshold"),
            "limit": visit.text("limit") or str(LIMIT),
            "faces": visit.texts("faces"),
            "import": visit.text("import") or visit.request.query_params.get("import", ""),
        },
        "sensitive": at.file.sensitive or bool(form.hidden),
    }
    return at.page("cases_search.html.j2", "search", values, status=status)


@router.get("/search")
async def ask(
    at: Working,
    what: Annotated[str, Query(pattern="^(references|photo|import)$")] = "references",
    image: Annotated[str, Query(pattern="^(|img-[0-9a-f]{16})$")] = "",
    face: Annotated[int | None, Query(ge=0, le=10_000)] = None,
) -> Response:
    """Ask what to search for, and where; and list the searches that were made."""
    return await _show(at, "photo" if image else what, image, face)


# --- what it asks for ---


def _asked(at: AtCase) -> _Asked:
    """Read the form.

    Raises:
        Invalid: if it can't be meant.
        NotFound: if there is no such photo or import.
    """
    visit, work, case = at.visit, casework(at.visit), at.file.id
    what, image, import_id = visit.text("what"), visit.text("image"), visit.text("import")
    threshold = number_of(visit.text("threshold"), "The least similarity", 0, 100)
    limit = int(number_of(visit.text("limit"), "The length of the list", 1, 1000) or LIMIT)
    places = visit.texts("collections")
    if what not in _WHAT:
        raise Invalid("Choose what to search for.")
    if not places:
        raise Invalid("Choose where to search.", remedy="Tick at least one collection.")
    every = False
    if what == "references":
        photos, _ = work.cases.photos(at.caller, case, ImageRole.REFERENCE, limit=_PROBES)
        probes = tuple((p, p.faces[:1]) for p in photos)
        if not probes:
            raise Invalid("The case has no reference photo.", remedy="Add one of the person first.")
    elif what == "photo":
        if not image:
            raise Invalid("Choose a photo.")
        found, chosen = work.cases.photo(at.caller, case, image), set(visit.texts("faces"))
        every = "every" in chosen
        faces = tuple(f for f in found.faces if every or str(f.number) in chosen)
        if not faces:
            raise Invalid("Choose a face.", remedy="One of them, several, or every one.")
        probes = ((found, faces),)
    else:
        photos = work.browsing.photos(
            at.caller, case, ImageRole.IMPORTED, import_id=import_id or "none", faces=True, limit=_PROBES
        ).photos
        if not photos:
            raise Invalid("Choose an import that has brought photos with faces.")
        probes = tuple((p, p.faces) for p in photos)
    return _Asked(what, probes, places, threshold, limit, image, import_id, every)


@router.post("/search")
async def search(at: Working) -> Response:
    """Search; first say what is wrong with poor probes, and of a search in bulk how many searches it makes."""
    visit = at.visit
    try:
        asked = await visit.quick(lambda: _asked(at))
        if not visit.has("sure") and (asked.poor or asked.what == "import"):
            return await _warn(at, asked)
        run = await runs_of(visit).make(visit, _maker(at, asked), searches=asked.searches)
    except Invalid as error:
        what = visit.text("what")
        image = visit.text("image") if what == "photo" else ""
        return await _show(at, what if what in _WHAT else "references", _image(image), None, error, 400)
    return at.done(f"/runs/{run}")


def _image(text: str) -> str:
    return text if text.startswith("img-") else ""


def _maker(at: AtCase, asked: _Asked) -> Callable[[Watch], Run]:
    """Return what makes the run that is asked for."""
    work, case, places = casework(at.visit).searches, at.file.id, asked.places
    threshold, limit = asked.threshold, asked.limit

    def make(watch: Watch) -> Run:
        if asked.what == "references":
            return work.search_references(
                at.caller, case, collections=places, threshold=threshold, limit=limit, watch=watch
            )
        if asked.what == "import":
            return work.search_import(
                at.caller, case, asked.import_id, collections=places, threshold=threshold, limit=limit, watch=watch
            )
        [(photo, faces)] = asked.probes
        numbers = [f.number for f in faces]
        return work.search_images(
            at.caller,
            case,
            [photo.id],
            every_face=asked.every,
            faces=numbers,
            collections=places,
            threshold=threshold,
            limit=limit,
            watch=watch,
        )

    return make


async def _warn(at: AtCase, asked: _Asked) -> Response:
    """Show what is wrong, and ask whether to search all the same."""
    poor = asked.poor
    shown = poor[:_POOR]
    pictures = casework(at.visit).pictures
    hidden = await at.visit.quick(lambda: pictures.hidden(at.caller, at.file.id, [p.image for p in shown]))
    fields = [("what", asked.what), ("image", asked.image), ("import", asked.import_id)]
    fields += [("collections", p) for p in asked.places]
    fields += [("faces", f) for f in at.visit.texts("faces")]
    fields += [("threshold", at.visit.text("threshold")), ("limit", str(asked.limit))]
    values = {
        "asked": asked,
        "poor": shown,
        "more": len(poor) - len(shown),
        "faces": sum(len(f) for _, f in asked.probes),
        "hidden": hidden,
        "fields": fields,
        "sensitive": at.file.sensitive or bool(hidden),
    }
    return at.page("cases_search_check.html.j2", "search", values)


# --- searches that stand ---


@router.post("/standing")
async def stand(at: Working) -> Response:
    """Let the references be searched for again whenever images come in."""
    visit, work = at.visit, casework(at.visit).standing
    places = visit.texts("collections")
    try:
        threshold = number_of(visit.text("threshold"), "The least similarity", 0, 100)
        limit = int(number_of(visit.text("limit"), "The length of the list", 1, 1000) or LIMIT)
        await visit.quick(
            lambda: work.stand(at.caller, at.file.id, collections=places, threshold=threshold, limit=limit)
        )
    except Invalid as error:
        return await _show(at, "references", "", None, error, 400)
    return at.done("#standing", "From now on the photos of the person are searched for again as images come in.")


@router.post("/standing/{standing}/stop")
async def stop_standing(at: Working, standing: Annotated[str, Path(pattern="^stand-[0-9a-f]{16}$")]) -> Response:
    """End a standing search."""
    work = casework(at.visit).standing
    await at.visit.quick(lambda: work.stop_standing(at.caller, at.file.id, standing))
    return at.done("#standing", "It is not searched again any more.")
