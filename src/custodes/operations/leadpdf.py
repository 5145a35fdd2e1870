# SPDX-License-Identifier: Apache-2.0
"""The report of a lead for people to read, as PDF/A-3 with the JSON attached: what holds is the JSON.

The statement that it is a lead and nothing more stands first, the two faces side by side next; then everything that
was searched, found and judged, and how to check it. Texts of anybody are shown as :func:`~.paper.visible` makes them,
long ones cut; the attached JSON has them whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC
from io import BytesIO

from fpdf.enums import Align, XPos, YPos

from custodes.casework import CHECKLIST, CaseImage, FoundCandidate, Similar
from custodes.operations.caserows import Reviewed, Searched
from custodes.operations.comparing import wilson
from custodes.operations.dossier import ModelFacts
from custodes.operations.leadcheck import ATTACHED
from custodes.operations.leadform import FOLLOWS, LIMITS, STATEMENT, LeadReport
from custodes.operations.leadwords import (
    ANSWERS,
    KINDS,
    NAME,
    at_of,
    chance,
    counted,
    one_in,
    or_dash,
    when_of,
    words_of,
)
from custodes.operations.paper import DEEP, LINE, MARK, SOFT, WASH, Paper, visible

__all__ = ["to_pdf"]

_FACE = 62.0  # millimetres
_PAIRS = 3
"""So many probes are shown beside the candidate; the rest are in the table."""


def to_pdf(report: LeadReport) -> bytes:
    """Draw a report; twice, as only then it is known how many pages it has."""
    with closing(_drawn(report, 0)) as paper:
        pages = paper.pages_count
    with closing(_drawn(report, pages)) as paper:
        return bytes(paper.output())


def _drawn(report: LeadReport, pages: int) -> Paper:
    paper = Paper(f"Lead report {report.lead.id}", STATEMENT, report.made_at, pages)
    paper.embed_file(
        bytes=report.to_json(),
        basename=ATTACHED,
        desc="The report as JSON, with proofs; check it with: custodes leads verify",
        mime_type="application/json",
        associated_file_relationship="Source",
        modification_date=report.made_at.astimezone(UTC).replace(microsecond=0),
        compress=True,
    )
    paper.add_page()
    _front(paper, report)
    _faces(paper, report)
    _searches(paper, report)
    _candidates(paper, report)
    _reviews(paper, report)
    _images(paper, report)
    _model(paper, report)
    paper.heading("What this report doesn't say")
    paper.points(LIMITS, 8.5)
    _proofs(paper, report)
    return paper


# --- parts ---


def _front(paper: Paper, report: LeadReport) -> None:
    paper.write_in(8, bold=True, colour=SOFT)
    paper.cell(paper.epw / 2, 5, visible(report.organisation.name, NAME))
    paper.cell(paper.epw / 2, 5, when_of(report.made_at), align=Align.R, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    paper.ln(1)
    paper.write_in(22, bold=True, colour=DEEP)
    paper.cell(paper.epw, 11, "Lead report", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    paper.ln(2)
    paper.warning(STATEMENT, FOLLOWS)
    case, of = report.case, report.organisation
    place = f", {of.jurisdiction}" if of.jurisdiction else ""
    authorities = [f"{words_of(str(a.kind))} {a.id}, {visible(a.issuer, NAME)}" for a in report.authorities]
    paper.facts(
        [
            ("Lead", report.lead.id),
            ("Case", f"{case.id}, {words_of(case.kind).lower()}"),
            ("Title", visible(case.title, NAME)),
            ("Reference", or_dash(visible(case.reference, NAME))),
            ("Organisation", f"{visible(of.name, NAME)} ({of.id}), {words_of(str(of.org_class)).lower()}{place}"),
            ("Authority", "; ".join(authorities) or "none is named"),
            ("Became a lead", f"{when_of(report.lead.made_at)}, entry {report.lead.entry} of the ledger"),
            ("Exported", f"{when_of(report.made_at)} by {report.made_by}, entry {report.entry} of the ledger"),
        ]
    )


def _faces(paper: Paper, report: LeadReport) -> None:
    candidate = report.candidate
    paper.heading("The two faces", need=_FACE + 60)
    label = f", label {visible(candidate.label, NAME)}" if candidate.label else ""
    paper.words(
        f"Similarity {candidate.similarity:.1f} of 100, rank {candidate.rank} of {len(report.candidates)}. "
        f"{chance(report.meaning(candidate))} It is the reference {candidate.reference_id}{label}."
    )
    shown = candidate.scores[:_PAIRS]
    for score in shown:
        if paper.will_page_break(_FACE + 26):
            paper.add_page()
        _pair(paper, report, candidate, score)
    if len(candidate.scores) > len(shown):
        paper.words(f"{len(candidate.scores) - len(shown)} more probes found it: see the table.", colour=SOFT)


def _pair(paper: Paper, report: LeadReport, candidate: FoundCandidate, score: Similar) -> None:
    """Draw what was searched for beside what was found."""
    top, left, step = paper.get_y(), paper.l_margin, paper.epw / 2 + 2
    gap = "not known" if score.age_gap is None else f"{score.age_gap:.1f} years"
    sides = (
        ("Searched for", report.images.get(score.probe), score.face),
        ("Candidate", report.images.get(candidate.image or ""), candidate.face),
    )
    bottom = top
    for number, (title, image, face) in enumerate(sides):
        x = left + number * step
        _framed(paper, report, image, face, x, top)
        paper.set_xy(x, top + _FACE + 1.5)
        paper.write_in(8.5, bold=True, colour=DEEP)
        paper.cell(step - 6, 4.5, title, new_x=XPos.LEFT, new_y=YPos.NEXT)
        paper.write_in(7.8)
        paper.multi_cell(step - 6, 3.9, _caption(image, face), align=Align.L, new_x=XPos.LEFT, new_y=YPos.NEXT)
        bottom = max(bottom, paper.get_y())
    paper.set_xy(left, bottom + 1)
    paper.words(f"This pair: similarity {score.similarity:.1f}; between the photos: {gap}.", 8.5, colour=SOFT, gap=3)


def _framed(paper: Paper, report: LeadReport, image: CaseImage | None, face: int, x: float, y: float) -> None:
    picture = report.pictures.get((image.id, face)) if image is not None else None
    if picture is not None and image is not None:
        paper.image(BytesIO(picture), x, y, _FACE, _FACE, alt_text=f"Face {face} of image {image.id}")
        return
    paper.set_fill_color(*WASH.rgb)
    paper.set_draw_color(*LINE.rgb)
    paper.rect(x, y, _FACE, _FACE, style="DF")
    why = "The case keeps no photo." if image is None else "Sensitive: not shown."
    paper.set_xy(x, y + _FACE / 2 - 2)
    paper.write_in(8.5, colour=SOFT)
    paper.cell(_FACE, 4, why, align=Align.C)


def _caption(image: CaseImage | None, face: int) -> str:
    if image is None:
        return ""
    return (
        f"{image.id}, face {face}\nTaken: {when_of(image.taken_at)}\n"
        f"{words_of(image.provenance)}, from {visible(image.source, 60)}\nSHA-256 {image.sha256[:16]}…"
    )


def _searches(paper: Paper, report: LeadReport) -> None:
    run = report.run
    paper.heading("What was searched")
    total = (
        "" if report.comparisons is None else f" Together they compared {counted(report.comparisons, 'pair')} of faces."
    )
    stopped = "" if run.state == "done" else f" The run was stopped: {visible(run.why, 300)}"
    searches = counted(len(report.searches), "search", "searches")
    paper.words(
        f"Run {run.id}, {when_of(run.at)}, by {run.by}: {KINDS.get(str(run.kind), str(run.kind))}. It made {searches}, "
        f"each an entry of the ledger, decided by rules before a face was compared.{total}{stopped}"
    )
    paper.grid(
        ("Entry", "When (UTC)", "Probe", "Face", "Collection", "Faces in it", "Least similarity", "Found"),
        [_search(s) for s in report.searches],
        (10, 17, 24, 7, 24, 12, 13, 9),
    )
    poor = [
        f"{image.id}, face {f.number}: {', '.join(f.reasons).replace('_', ' ').lower()}"
        for image in report.images.values()
        for f in image.faces
        if f.reasons and (image.id, f.number) in {(s.probe, s.face) for s in report.searches}
    ]
    if poor:
        paper.words("Poor probes, of which less is to be expected:", 8.5, gap=0.5)
        paper.points(poor, 8.5)


def _search(s: Searched) -> Sequence[str]:
    return (
        str(s.entry),
        at_of(s.at),
        or_dash(s.probe),
        or_dash(s.face),
        visible(s.collection_name or s.collection or "–", 60),
        "not known" if s.collection_size is None else f"{s.collection_size:,}",
        "–" if s.threshold is None else f"{s.threshold:g}",
        or_dash(s.candidates),
    )


def _candidates(paper: Paper, report: LeadReport) -> None:
    paper.heading("Everybody who was found")
    gone = report.run.candidates - len(report.candidates)
    erased = f" {gone} of the list were erased before this export." if gone > 0 else ""
    more = f" {len(report.unlisted)} more findings are beyond the list; the JSON has them." if report.unlisted else ""
    paper.words(
        "The lead is one of these; the others are runners-up of the same run. Candidates with one number under Person "
        "seem to show one person, as far as templates tell; a copy is a near-duplicate of another's picture."
        f"{erased}{more}"
    )
    ranks = {k.id: k.rank for k in report.candidates}
    lead = report.lead.candidate
    paper.grid(
        (
            "Rank",
            "Similarity",
            "By chance at most",
            "State",
            "Reference",
            "Label",
            "Person",
            "Copy of",
            "Found by",
        ),
        [_found(report, k, ranks) for k in report.candidates],
        (9, 14, 13, 13, 49, 32, 11, 11, 14),
        marked=frozenset(n for n, k in enumerate(report.candidates) if k.id == lead),
        size=7.2,
    )


def _found(report: LeadReport, k: FoundCandidate, ranks: dict[str, int]) -> Sequence[str]:
    meaning = report.meaning(k)
    return (
        str(k.rank),
        f"{k.similarity:.1f}",
        "–" if meaning is None else one_in(meaning.false_match_rate),
        words_of(str(k.state)),
        k.reference_id,
        or_dash(visible(k.label or "", NAME)),
        str(k.person),
        f"rank {ranks.get(k.folded_into, '?')}" if k.folded_into else "–",
        counted(len(k.scores), "probe"),
    )


def _reviews(paper: Paper, report: LeadReport) -> None:
    paper.heading("How it was judged")
    paper.words(
        "Two different people judge a candidate, the second without seeing score or answer of anybody, with pairs of "
        "faces mixed in that are known to be two people's; a third judges where they disagree."
    )
    for review in report.reviews:
        _review(paper, review)
    paper.words("The reviewers, in all cases until this export, in sittings that are over:", gap=1)
    paper.grid(
        (
            "Reviewer",
            "Reviews",
            "Controls",
            "Took two people for one",
            "Share (95 % interval)",
            "Inconclusive",
            "Agreed with the decision",
        ),
        [
            (
                f.principal,
                str(f.reviews),
                str(f.controls),
                str(f.control_errors),
                _share(f.control_errors, f.controls),
                str(f.inconclusive),
                f"{f.agreed} of {f.decided}",
            )
            for f in report.figures
        ],
        (24, 10, 10, 15, 21, 13, 15),
    )


def _share(count: int, of: int) -> str:
    interval = wilson(count, of)
    if interval is None:
        return "no controls yet"
    return f"{count / of:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"


def _review(paper: Paper, r: Reviewed) -> None:
    if paper.will_page_break(30):
        paper.add_page()
    blind = "blind" if r.blind else "not blind"
    trained = "training valid" if r.trained else "TRAINING NOT VALID"
    took = "" if r.seconds is None else f", {r.seconds:.0f} s"
    paper.words(f"Round {r.round}: {ANSWERS.get(r.answer or '', 'can not be opened any more')}", 10, bold=True, gap=0.2)
    paper.words(
        f"{r.by}, {blind}, {counted(r.controls, 'control')} in the sitting, {trained}; {at_of(r.at)} UTC{took}; "
        f"entry {r.entry}.",
        8.2,
        colour=SOFT,
        gap=0.8,
    )
    if r.note:
        paper.words(visible(r.note, lines=True), 9)
    for said in ("similar", "different", "not-visible"):
        features = [CHECKLIST.get(f, f) for f, s in r.checklist.items() if s == said]
        if features:
            paper.words(f"{words_of(said)}: {'; '.join(features)}.", 8.5, gap=0.4)
    paper.ln(2.5)


def _images(paper: Paper, report: LeadReport) -> None:
    candidate = report.candidate
    wanted = dict.fromkeys([candidate.image, *(s.probe for s in candidate.scores), *(s.probe for s in report.searches)])
    paper.heading("Where the images come from")
    paper.grid(
        ("Image", "Use", "Provenance and legal basis", "Source and file", "Taken, added", "SHA-256"),
        [
            (
                i.id,
                words_of(str(i.role)) + (", sensitive" if i.sensitive else ""),
                f"{words_of(i.provenance)}. {visible(i.basis, NAME)}",
                f"{visible(i.source, NAME)}. {visible(i.name, NAME)}",
                f"Taken: {when_of(i.taken_at)}\nAdded: {when_of(i.added_at)}\nby {i.added_by}",
                i.sha256,
            )
            for i in (report.images.get(w or "") for w in wanted)
            if i is not None
        ],
        (27, 15, 23, 24, 29, 30),
        size=7.2,
    )


def _model(paper: Paper, report: LeadReport) -> None:
    paper.heading("By which model, and by which rules")
    for model in report.models.values():
        _one_model(paper, model)
    for rules in report.rules:
        paper.words(f"Rules {rules.hash}", 8.5, bold=True, gap=0.3)
        paper.grid(
            ("Rulebook", "Title", "SHA-256 of its policies"),
            [(b.id, or_dash(b.title), b.sha256) for b in rules.books],
            (28, 52, 94),
            size=7,
        )


def _one_model(paper: Paper, model: ModelFacts) -> None:
    if not model.pack or not model.networks:
        paper.words(f"Model version {model.version}; its pack isn't installed here any more.")
        return
    paper.words(
        f"Model pack {model.pack}, version {model.version}, licence {visible(model.licence, NAME)}. "
        f"{visible(model.description, 300)}"
    )
    paper.grid(
        ("Network", "Kind", "Licence", "Origin", "SHA-256"),
        [(words_of(s.role), s.kind, s.licence, visible(s.origin, 160), s.sha256) for s in model.networks],
        (12, 12, 13, 36, 44),
        size=7.2,
    )
    steps = [k for k in model.knots if k.false_match_rate is not None]
    if steps:
        paper.words(
            "Similarity and false matches: "
            + "; ".join(f"{k.similarity:g}: {one_in(k.false_match_rate or 0)}" for k in steps)
            + f". Measured on {visible(model.measured_on, NAME) or 'nothing that is named'}.",
            8.5,
        )


def _proofs(paper: Paper, report: LeadReport) -> None:
    paper.heading("How to check it")
    indexes = ", ".join(str(d.index) for d in report.exhibits.disclosures)
    paper.words(
        f"The file {ATTACHED} is attached to this document. It has everything on these pages, and for the entries "
        f"{_cut(indexes)} of the ledger what they say, what they commit to, and proofs that they are in it. Anybody "
        "can check it offline, with no access to the system and no trust in who runs it; the key of the log should "
        "come from somebody else than who gives you this report."
    )
    paper.words("custodes leads verify THIS-FILE.pdf --vkey KEY", 9.5, bold=True, colour=DEEP)
    paper.facts(
        [
            ("SHA-256 of the report", report.digest),
            ("Committed to in entry", str(report.entry)),
            ("The log's key", report.exhibits.vkey),
            ("Checkpoint", report.exhibits.checkpoint.strip()),
        ],
        7.6,
    )
    paper.words(
        f"Where {MARK} stands, a character can't be shown in this document's fonts; the attached file has it. The "
        "faces of runners-up aren't shown: they are other people's, and this report isn't about them.",
        8,
        colour=SOFT,
    )


def _cut(text: str, most: int = 300) -> str:
    return text if len(text) <= most else text[:most].rpartition(",")[0] + " and more"
