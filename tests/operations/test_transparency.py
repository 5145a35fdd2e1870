# SPDX-License-Identifier: Apache-2.0
"""The transparency report: figures that reconcile with the ledger, small counts untold, hostile entries harmless."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custodes.app import App
from custodes.config import Config
from custodes.domain import QualityFilter
from custodes.errors import Denied, IntegrityError, Invalid, NotFound, Unavailable
from custodes.governance import Caller, OrgClass, Purpose, Role
from custodes.operations import sheets, tally
from custodes.operations.suppression import LEAST, Group, Mark, suppress
from custodes.operations.tally import CATEGORIES, ENTRIES, FIGURES, OUTCOMES, Tally
from custodes.operations.transparency import SCHEMA, Basis, Report, of_ledger, of_published, write

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
BEFORE, WITHIN, AFTER = "2025-12-31T23:59:59.999Z", "2026-02-01T10:00:00.000Z", "2026-04-01T00:00:00.000Z"
BASIS = Basis("test.example/log", "test.example/log+00000000+AA==", 1000, bytes(32), SINCE, UNTIL, AFTER)
RULES = "ab" * 32


def use(action: str, outcome: str = "done", *, facts: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An entry of a use or an act, as the guard writes it."""
    known = {"org": {"class": more.pop("org_class", "general")}, "purpose": more.pop("purpose", "photo-library")}
    return {
        "v": 1,
        "at": WITHIN,
        "kind": "use",
        "organisation": "local",
        "decision": "deny" if outcome == "denied" else "permit",
        "outcome": outcome,
        "rules_hash": RULES,
        "request": {"action": action, "principal": "p", "facts": known | dict(facts or {})},
    } | more


def event(name: str, **more: Any) -> dict[str, Any]:
    """An entry of what the installation does by itself."""
    return {"v": 1, "at": WITHIN, "kind": "system", "event": name} | more


def report(*entries: Mapping[str, Any]) -> dict[str, Any]:
    """The report of these entries, as JSON."""
    return Report.of(entries, BASIS).to_json()


def texts(made: Mapping[str, Any], table: str, column: str) -> dict[str, str]:
    """A column of a table: what is told for each row that isn't 0."""
    found = {}
    for row in made["tables"][table]["rows"]:
        names = [v for v in row.values() if isinstance(v, str)]
        if row[column]["text"] != "0":
            found["/".join(names)] = row[column]["text"]
    return found


# --- figures ---


def test_uses_are_counted_by_class_purpose_and_outcome() -> None:
    """Searches, comparisons and enrolments each have a table, whose totals are told."""
    made = report(
        *[use("SearchReferences", candidates=1)] * 7,
        *[use("SearchSubjects", candidates=0)] * 6,
        *[use("Watch", "denied", org_class="law-enforcement", purpose="criminal-investigation", rules=["a", "b"])] * 5,
        *[use("Compare", "failed", error="Invalid/no-face")] * 8,
        *[use("Enrol", facts={"provenance": "own"}, enrolled=2)] * 9,
    )
    assert texts(made, "searches", "done") == {"general/photo-library": "13"}
    assert texts(made, "searches", "denied") == {"law-enforcement/criminal-investigation": "5"}
    assert made["tables"]["searches"]["totals"]["denied"] == {"count": 5, "suppressed": False, "text": "5"}
    assert texts(made, "comparisons", "failed") == {"general/photo-library": "8"}
    assert texts(made, "enrolments", "done") == {"general/own": "9"}
    assert texts(made, "rules", "searches") == {"a": "5", "b": "5"}
    assert made["tables"]["rules"]["totals"]["searches"]["count"] == 5
    assert texts(made, "errors", "comparisons") == {"Invalid/no-face": "8"}
    assert texts(made, "found", "searches") == {"some": "7", "nobody": "6"}
    assert texts(made, "faces", "faces") == {"enrolled": "18"}
    assert texts(made, FIGURES, "entries") == {"searches": "18", "comparisons": "8", "enrolments": "9"}
    assert made["summary"][0] == (
        "In this period 18 searches of one face among many were asked for; 5 of them were refused by the rules, "
        "none failed."
    )


def test_searches_are_counted_by_authority_case_and_what_followed_an_emergency() -> None:
    """An authority that is filed later, even after the period, counts for the emergency that it satisfies."""
    exigent = {"authority": {"kind": "exigency"}}
    filed = [use("FileAuthority", kind="act", change="authority-filed", satisfies=f"x{i}") for i in range(6)]
    made = report(
        *[use("SearchReferences", facts=exigent, authority=f"x{i}", case="c") for i in range(12)],
        *[use("SearchReferences", "denied", facts=exigent, rules=["r"])] * 5,
        *[use("SearchReferences", facts={"authority": {"kind": "warrant"}})] * 9,
        *[use("SearchReferences")] * 20,
        *[e | {"at": AFTER} for e in filed],
        use("FileAuthority", "denied", kind="act", satisfies="x7") | {"at": AFTER},
    )
    assert texts(made, "authority", "searches") == {"warrant": "9", "exigency": "17", "no authority": "20"}
    assert texts(made, "exigent", "searches") == {"filed": "6", "open": "6", "not-done": "5"}
    assert texts(made, "case", "searches") == {"named": "12", "none": "34"}
    assert made["entries"] == 46
    assert "17 searches were asked for as emergencies; for 6 of them" in made["summary"][2]


def test_the_record_is_counted() -> None:
    """Erasures by cause, consents, exports, logins, alarms, reviews, and what is none of these."""
    made = report(
        *[use("DeleteReferences", erased=3)] * 5,
        *[event("retention", erased=100)] * 6,
        *[event("consent-ended", erased=1)] * 7,
        *[use("FileConsent", kind="act", change="consent-recorded")] * 8,
        *[use("FileConsent", kind="act", change="consent-withdrawn")] * 9,
        *[event("consent-executed")] * 10,
        *[use("ExportReport")] * 11,
        *[use("Disclose", kind="act")] * 12,
        *[event("published")] * 13,
        *[event("login")] * 14,
        *[event("alarm", alarm_kind="tracking")] * 15,
        *[use("AnswerAlarm", kind="act")] * 16,
        *[use("Review")] * 17,
        *[use("Detect")] * 18,
        *[use("Detect", "denied", rules=["base.x"])] * 19,
        *[use("Detect", "failed", error="InternalError")] * 20,
        *[event("something-new")] * 21,
        *[{"v": 1, "at": WITHIN, "kind": "unheard-of"}] * 22,
    )
    assert texts(made, "erasures", "entries") == {"asked": "5", "retention": "6", "consent-ended": "7"}
    assert texts(made, "faces", "faces") == {"asked": "15", "retention": "600", "consent-ended": "7"}
    assert texts(made, "consents", "entries") == {"recorded": "8", "withdrawn": "9", "executed": "10"}
    assert texts(made, "exports", "entries") == {"report": "11", "disclosed": "12", "published": "13"}
    assert texts(made, "alarms", "entries") == {"tracking": "15"}
    assert texts(made, "other", "entries") == {"Detect": "18", "something-new": "21", "unheard-of": "22"}
    assert texts(made, "refused", "requests") == {"Detect": "19"}
    assert texts(made, "rules", "other") == {"base.x": "19"}
    assert texts(made, "errors", "other") == {"InternalError": "20"}
    figures = texts(made, FIGURES, "entries")
    assert (figures["logins"], figures["answers"], figures["reviews"]) == ("14", "16", "17")
    assert (figures["refused"], figures["failed"], figures["other"]) == ("19", "20", "61")
    assert sum(map(int, figures.values())) == made["entries"]


def test_casework_is_counted_where_it_belongs() -> None:
    """Images that come into a case are enrolments, a lead that leaves is an export, a refused review is no review."""
    made = report(
        *[use("ImportImages", facts={"provenance": "case-file"}, enrolled=2)] * 5,
        *[use("ImportImages", "denied", rules=["base.import-in-case"])] * 6,
        *[use("ExportLead")] * 7,
        *[use("Review")] * 8,
        *[use("Review", "denied", rules=["base.review-blind"])] * 9,
        *[use("OpenCase", kind="act", change="case-opened")] * 10,
    )
    assert texts(made, FIGURES, "entries")["enrolments"] == "11"
    assert texts(made, "enrolments", "done") == {"general/case-file": "5"}
    assert texts(made, "faces", "faces") == {"enrolled": "10"}
    assert texts(made, "exports", "entries") == {"lead": "7"}
    assert texts(made, FIGURES, "entries")["reviews"] == "8"
    assert texts(made, "refused", "requests") == {"Review": "9"}
    assert texts(made, "other", "entries") == {"OpenCase": "10"}


def test_video_is_counted_by_what_was_done_with_it() -> None:
    """What owners see and share and what police ask for has a table; what was refused isn't in it, nor a search."""
    made = report(
        *[use("ViewVideo")] * 5,
        *[use("ExportVideo")] * 6,
        *[use("ShareVideo", kind="act")] * 7,
        *[use("RequestVideo", kind="act")] * 8,
        *[use("ApproveVideoRequest", kind="act")] * 9,
        *[use("RecordProcess", kind="act")] * 10,
        *[use("ViewVideo", "denied", org_class="law-enforcement", rules=["base.household-cameras"])] * 11,
        *[use("ManageCameras", kind="act")] * 12,
        *[use("Watch")] * 13,
    )
    assert texts(made, "video", "entries") == {
        "viewed": "5",
        "clip": "6",
        "shared": "7",
        "requested": "8",
        "approved": "9",
        "process": "10",
    }
    assert texts(made, FIGURES, "entries") == {"video": "45", "searches": "13", "refused": "11", "other": "12"}
    assert texts(made, "refused", "requests") == {"ViewVideo": "11"}
    assert texts(made, "rules", "other") == {"base.household-cameras": "11"}
    assert texts(made, "other", "entries") == {"ManageCameras": "12"}


def test_changes_of_the_rules_are_listed_with_their_entries() -> None:
    """Moratoria, stops, easings, rulebooks and organisations are told one by one, and which rules decided."""
    made = report(
        event("moratorium-declared", target="m", moratorium={"ends": None}),
        use("StopUse", kind="act", change="stopped", target="s", scope="all", value="", reason="A complaint"),
        use("ApproveEasing", kind="act", change="easing-approved", easing="restart", of="s", rules_after="cd" * 32),
        event("rules-changed", rules_hash="ef" * 32),
    )
    told = [(c["entry"], c["change"], c["target"], c["details"]) for c in made["changes"]]
    assert told == [
        (0, "moratorium-declared", "m", {"until": "further notice"}),
        (1, "stopped", "s", {"scope": "all", "value": "not said", "reason": "A complaint"}),
        (2, "easing-approved", "", {"easing": "restart", "of": "s", "rules_after": "cd" * 32}),
        (3, "rules-changed", "", {"rules_after": "ef" * 32}),
    ]
    assert made["rule_sets"] == [{"hash": RULES, "first_entry": 1, "first_at": WITHIN}]
    assert texts(made, FIGURES, "entries") == {"changes": "4"}
    assert made["summary"][-1] == "No review of candidates by a person is recorded."


def test_the_period_begins_with_its_first_instant_and_ends_before_its_last() -> None:
    """Entries outside are not counted."""
    dates = (BEFORE, "2026-01-01T00:00:00.000Z", "2026-03-31T23:59:59.999Z", AFTER)
    made = Report.of([event("login", at=at) for at in dates], BASIS)
    assert made.entries == 2
    assert made.to_json()["period"] == {
        "from": "2026-01-01T00:00:00.000Z",
        "to": AFTER,
        "log_reaches_to": AFTER,
        "is_over": True,
    }
    early = Report.of([], replace(BASIS, last_at=WITHIN))
    assert "The period may not be complete" in early.to_html()
    assert "The period may not be complete" not in made.to_html()
    assert "the log had no entries" in Report.of([], replace(BASIS, size=0, last_at="")).to_html()


@pytest.mark.parametrize("period", [(UNTIL, SINCE), (SINCE, SINCE), (SINCE.replace(tzinfo=None), UNTIL)])
def test_a_period_that_is_none_is_refused(period: tuple[datetime, datetime]) -> None:
    """It ends after it begins, and its dates have a time zone."""
    with pytest.raises(Invalid, match="period"):
        Basis("x", "x", 0, b"", *period)


def test_figures_that_do_not_add_up_are_refused() -> None:
    """A count that went astray is an IntegrityError, and no report is made."""
    counted = Tally()
    counted.add(use("SearchReferences"))
    counted.reconcile(1)
    with pytest.raises(IntegrityError, match="has 2 entries, 1 were counted"):
        counted.reconcile(2)
    counted.counts["outcomes", "searches", "done"] += 1
    with pytest.raises(IntegrityError, match="figures/entries/searches is 1, its parts sum to 2"):
        counted.reconcile(1)


def test_a_table_has_no_end_of_rows() -> None:
    """A hostile log that makes up names fills no page."""
    made = report(*[use("Enrol", "denied", rules=[f"r{i}"]) for i in range(500)])
    assert len(made["tables"]["rules"]["rows"]) == 201
    assert texts(made, "rules", "enrolments")["all others"] == "300"


def test_every_category_and_row_has_words() -> None:
    """What every report shows is in words for everybody."""
    assert set(sheets._WORDS[FIGURES]) == set(CATEGORIES)
    for table, rows in tally._ROWS.items():
        if table != "outcomes":
            assert {row[0] for row in rows} <= set(sheets._WORDS[table])


# --- suppression ---


def test_small_counts_are_not_told() -> None:
    """1 to 4 are told as <5, and JSON says null; 0 and 5 are told."""
    made = report(*[use("SearchReferences", candidates=1)] * 3, *[event("login")] * 4, *[use("Compare")] * 50)
    cell = next(r for r in made["tables"][FIGURES]["rows"] if r["category"] == "logins")["entries"]
    assert cell == {"count": None, "suppressed": True, "text": "<5"}
    assert texts(made, FIGURES, "entries") == {"searches": "<5", "comparisons": "50", "logins": "<5"}
    assert "fewer than five searches" in made["summary"][0]


def test_a_single_small_count_takes_the_next_smallest_with_it() -> None:
    """Otherwise the total would give it away."""
    made = report(*[event("login")] * 3, *[use("Compare")] * 50, *[use("Detect")] * 9)
    assert texts(made, FIGURES, "entries") == {"logins": "<5", "comparisons": "50", "other": "withheld"}
    assert texts(made, "other", "entries") == {"Detect": "withheld"}


def test_faces_are_not_told_if_the_acts_behind_them_are_not() -> None:
    """A sum over fewer than five acts may be about one person."""
    made = report(
        *[event("retention", erased=400)] * 2, *[use("DeleteReferences", erased=1)] * 9, *[event("login")] * 9
    )
    assert texts(made, "faces", "faces")["retention"] == "withheld"
    few = report(*[use("Enrol", enrolled=int(i == 0)) for i in range(9)])
    assert texts(few, "faces", "faces") == {"enrolled": "<5"}


@pytest.mark.parametrize(
    ("parts", "total", "told"),
    [
        ([3, 20, 7], 30, {1}),  # the next smallest goes too
        ([1, 1, 20], 22, set()),  # two of one each: 2 = 1 + 1
        ([4, 4, 20], 28, set()),
        ([1, 5, 20], 26, set()),  # 6 would be 1 + 5 and nothing else
        ([2, 3, 20], 25, {2}),
        ([3, 0, 0], 3, {1, 2}),  # the total is small itself
    ],
)
def test_nothing_is_given_away_by_a_total(parts: list[int], total: int, told: set[int]) -> None:
    """What is left to the hidden counts has more than one reading, by the marks that they bear."""
    keys = [(str(i),) for i in range(len(parts))]
    values = dict(zip(keys, parts, strict=True)) | {("all",): total}
    hidden = suppress(values, [Group(("all",), tuple(keys))])
    assert {i for i, key in enumerate(keys) if key not in hidden} == told


def test_a_known_total_leaves_zeros_to_hide_among() -> None:
    """One entry, in one category, of a total that everybody knows: a zero is withheld with it, and neither says why."""
    keys = [("a",), ("b",), ("c",)]
    hidden = suppress({("a",): 1, ("b",): 0, ("c",): 0, ENTRIES: 1}, [Group(ENTRIES, tuple(keys))], {ENTRIES})
    assert hidden == {("a",): Mark.VEILED, ("b",): Mark.VEILED}


def test_that_nobody_reviews_is_told_in_any_case() -> None:
    """It is not among the zeros that are withheld to hide another count."""
    made = Report.of([event("begun"), use("CreateCollection"), event("published")], BASIS)
    assert "withheld" in texts(made.to_json(), FIGURES, "entries").values()
    assert "Reviews: none recorded." in made.to_html()
    assert made.summary[-1] == "No review of candidates by a person is recorded."


def test_rules_that_overlap_give_nothing_away() -> None:
    """9 requests were refused, 5 of them by one rule: the other one has refused 4, though the sum may be larger."""
    values = {("r",): 5, ("s",): 4, ("denied",): 9}
    hidden = suppress(values, [Group(("denied",), (("r",), ("s",)), overlap=True)])
    assert hidden == {("r",): Mark.NEXT, ("s",): Mark.SMALL}


_LABELS = st.sampled_from(["general", "law-enforcement", "<b>", "x" * 200, "", "Review", "exigency", "none", "warrant"])
_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | _LABELS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_LABELS, inner, max_size=3),
    max_leaves=5,
)


def _or_junk(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, _JUNK)


_ACTIONS = st.sampled_from(["SearchReferences", "Watch", "Compare", "Enrol", "DeleteReferences", "StopUse", "Detect"])
_FACTS = st.fixed_dictionaries(
    {"org": _or_junk(st.fixed_dictionaries({"class": _or_junk(_LABELS)})), "purpose": _or_junk(_LABELS)},
    optional={
        "authority": _or_junk(st.fixed_dictionaries({"kind": _or_junk(_LABELS)})),
        "provenance": _or_junk(_LABELS),
    },
)
_ENTRY = st.fixed_dictionaries(
    {"at": st.sampled_from([BEFORE, WITHIN, WITHIN, WITHIN, WITHIN, AFTER])},
    optional={
        "kind": st.one_of(st.sampled_from(["use", "use", "act", "system"]), _JUNK),
        "outcome": _or_junk(st.sampled_from(OUTCOMES)),
        "decision": _or_junk(st.sampled_from(["permit", "deny"])),
        "request": _or_junk(
            st.fixed_dictionaries({"action": _or_junk(_ACTIONS), "facts": _or_junk(_FACTS)}),
        ),
        "event": _or_junk(st.sampled_from(["retention", "login", "alarm", "begun", "published"])),
        "rules": _or_junk(st.lists(_LABELS, max_size=3)),
        "error": _or_junk(_LABELS),
        "candidates": _or_junk(st.integers(0, 5)),
        "erased": _JUNK,
        "case": _JUNK,
        "authority": _JUNK,
        "satisfies": _JUNK,
        "change": _or_junk(st.just("consent-recorded")),
        "moratorium": _JUNK,
        "rules_hash": _JUNK,
    },
)
_ENTRIES = st.lists(st.tuples(_ENTRY, st.integers(1, 9)), max_size=12).map(
    lambda runs: [entry for entry, times in runs for _ in range(times)]
)


def _bounds(cell: Mapping[str, Any]) -> tuple[int, int]:
    """What a reader knows of a count."""
    if cell["count"] is not None:
        return cell["count"], cell["count"]
    return (1, LEAST - 1) if cell["text"] == "<5" else (0, 10**9)


def _sums(made: Mapping[str, Any]) -> Iterator[tuple[list[Mapping[str, Any]], Mapping[str, Any]]]:
    """The columns of a report that add up to their totals."""
    for name, table in made["tables"].items():
        for column, total in table["totals"].items():
            if name != "rules":
                yield [row[column] for row in table["rows"]], total
    figures = {row["category"]: row["entries"] for row in made["tables"][FIGURES]["rows"]}
    for name in ("searches", "comparisons", "enrolments"):
        yield list(made["tables"][name]["totals"].values()), figures[name]


def _untold(made: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All counts but those that everybody knows: of all entries, and of changes of the rules."""
    for name, table in made["tables"].items():
        rows = [row for row in table["rows"] if row.get("category") != "changes"]
        for row in [*rows, *([] if name == FIGURES else [table["totals"]])]:
            yield from (cell for cell in row.values() if not isinstance(cell, str))


@given(_ENTRIES)
def test_any_entries_reconcile_and_none_is_given_away(entries: list[dict[str, Any]]) -> None:
    """Whatever the entries: categories sum to them, 1 to 4 are never told, and no total gives a hidden count away."""
    counted = Tally()
    for entry in entries:
        if BEFORE < entry["at"] < AFTER:
            counted.add(entry)
    counted.close(())
    assert sum(counted.counts[FIGURES, "entries", c] for c in CATEGORIES) == counted.counts[ENTRIES]
    made = report(*entries)
    assert made["entries"] == counted.counts[ENTRIES] == sum(BEFORE < e["at"] < AFTER for e in entries)
    for cell in _untold(made):
        assert cell["count"] is None or cell["count"] == 0 or cell["count"] >= LEAST
    for cells, total in _sums(made):
        known = list(map(_bounds, cells))
        low, high = _bounds(total)
        for cell, (least, most) in zip(cells, known, strict=True):
            if cell["suppressed"]:
                others = [b for c, b in zip(cells, known, strict=True) if c is not cell]
                lowest = max(least, low - sum(b for _, b in others))
                assert lowest < min(most, high - sum(a for a, _ in others)), (cells, total)
    json.dumps(made)


class _Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


_HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_hostile_entries_stay_text() -> None:
    """A rule, a reason, a class, a kind or an origin that holds markup is shown, and does nothing."""
    basis = replace(BASIS, origin=_HOSTILE, vkey=_HOSTILE, last_at=_HOSTILE)
    made = Report.of(
        [
            *[use("SearchReferences", "denied", org_class=_HOSTILE, purpose=_HOSTILE, rules=[_HOSTILE])] * 5,
            *[use(_HOSTILE), event(_HOSTILE), event("alarm", alarm_kind=_HOSTILE)],
            use("StopUse", kind="act", change=_HOSTILE, target=_HOSTILE, reason=_HOSTILE, rules_hash=_HOSTILE),
        ],
        basis,
    )
    page = made.to_html()
    tags = _Page(page).tags
    assert not {"script", "img"} & {tag for tag, _ in tags}
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert page.count("&lt;script&gt;") >= 10


def test_labels_cannot_spoof_the_page() -> None:
    """Text that turns the reading direction, breaks lines or goes on for ever is made plain."""
    assert tally.label("a\u202eb\n\tc\x00d") == "a b c d"
    assert tally.label("x" * 1000) == "x" * 80
    assert tally.label(" \n") == tally.label(None) == tally.label(7) == "not said"


# --- the page ---


def test_the_page_needs_nothing_else() -> None:
    """No script, no other file; every table has a caption, and every header says what it heads."""
    page = Report.of([use("SearchReferences")] * 9, BASIS).to_html()
    tags = _Page(page).tags
    names = [tag for tag, _ in tags]
    assert not {"script", "link", "img", "iframe", "object"} & set(names)
    assert "url(" not in page
    assert "@import" not in page
    assert names.count("table") == names.count("caption") == len(Report.of([], BASIS).tables)
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in tags if tag == "th")
    assert dict(tags)["html"] == {"lang": "en"}
    assert "prefers-color-scheme: dark" in page
    assert "custodes ledger verify URL --vkey" in page
    assert "custodes ledger replay" in page
    assert sheets.SUPPRESSION.replace("<", "&lt;") in page
    assert "Reviews: none recorded." in page


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_page_can_be_read_by_light_and_by_night() -> None:
    """Text has a contrast of 4.5 at least on what it may stand on, bars have 3 (WCAG 2.2, 1.4.3 and 1.4.11)."""
    page = Report.of([], BASIS).to_html()
    schemes = [dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in re.findall(r":root \{([^}]*)\}", page)[:2]]
    for colours in schemes:
        for text, ground, least in [
            *((text, ground, 4.5) for text in ("ink", "soft", "accent") for ground in ("ground", "sheet")),
            ("ink", "hidden", 4.5),
            ("bar", "sheet", 3.0),
        ]:
            low, high = sorted((_luminance(colours[text]), _luminance(colours[ground])))
            assert (high + 0.05) / (low + 0.05) >= least, (text, ground)


def test_page_and_json_are_written_side_by_side(tmp_path: Path) -> None:
    """The JSON has a schema and the figures of the page."""
    made = Report.of([use("SearchReferences")] * 9, BASIS)
    page, beside = write(made, tmp_path / "report.html")
    assert (page.name, beside.name) == ("report.html", "report.json")
    assert page.read_text(encoding="utf-8") == made.to_html()
    told = json.loads(beside.read_bytes())
    assert told == made.to_json()
    assert told["schema"] == SCHEMA
    with pytest.raises(Invalid, match=r"\.html"):
        write(made, tmp_path / "report.json")
    with pytest.raises(Unavailable, match="can't be written"):
        write(made, tmp_path / "nowhere" / "report.html")


# --- real entries ---


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A new installation."""
    opened = App.open(Config(data=tmp_path / "installation"))
    yield opened
    opened.close()


def _officer(app: App) -> Caller:
    """A police officer with a key for criminal investigations."""
    me = app.identity.operator()
    police = app.people.add_organisation(me, "Police", OrgClass.LAW_ENFORCEMENT, "US-CA")
    officer = app.people.add(me, police.id, "officer@example.org", "Officer", [Role.USER])
    key = app.identity.create_key(me, principal=officer.id, purpose=Purpose.CRIMINAL_INVESTIGATION)
    known = app.identity.holder(key.access_key_id)
    assert known is not None
    return known[0]


def _period() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - timedelta(days=1), now + timedelta(days=1)


def test_a_report_of_what_an_installation_did(app: App, tmp_path: Path) -> None:
    """Searches that the moratorium refused are told, and the published log makes the same report."""
    me, officer = app.identity.operator(), _officer(app)
    app.collections.create(me, "people", {})
    for _ in range(9):
        with pytest.raises(Denied):
            app.faces.search_by_image(officer, "people", b"", limit=1, threshold=None, quality=QualityFilter.NONE)
    for _ in range(6):  # the next smallest count: withheld for the few entries with which all began
        app.guard.system("login", {"principal": "p", "key": "k"})
    period = _period()
    app.ledger.publish(tmp_path / "log")
    made = of_ledger(app.ledger, *period)
    told = made.to_json()
    assert told["entries"] == told["log"]["size"] == app.ledger.size()
    assert texts(told, "searches", "denied") == {"law-enforcement/criminal-investigation": "9"}
    assert texts(told, "rules", "searches")["moratorium.until-further-notice"] == "9"
    changes = [c["change"] for c in told["changes"]]
    assert changes == ["moratorium-declared", "begun", "organisation-added"]
    published = of_published(str(tmp_path / "log"), *period, app.ledger.vkey)
    assert published == made
    assert published.to_html() == made.to_html()
    earlier = of_ledger(app.ledger, period[0] - timedelta(days=9), period[0])
    assert (earlier.entries, earlier.changes) == (0, ())


def test_a_report_spans_many_bundles_of_a_published_log(app: App, tmp_path: Path) -> None:
    """Full and partial bundles, and a partial one that gave way to the full one."""
    while app.ledger.size() < 300:
        app.guard.system("login", {"principal": "p", "key": "k"})
    app.ledger.publish(tmp_path / "log")
    period = _period()
    assert of_published(str(tmp_path / "log"), *period) == of_ledger(app.ledger, *period)
    checkpoint = (tmp_path / "log" / "checkpoint").read_bytes()
    before = of_ledger(app.ledger, *period)
    while app.ledger.size() < 520:
        app.guard.system("login", {"principal": "p", "key": "k"})
    app.ledger.publish(tmp_path / "log")
    (tmp_path / "log" / "checkpoint").write_bytes(checkpoint)
    assert of_published(str(tmp_path / "log"), *period).entries == before.entries


def test_a_published_log_that_was_tampered_with_makes_no_report(app: App, tmp_path: Path) -> None:
    """What is counted is what was verified."""
    folder = tmp_path / "log"
    app.ledger.publish(folder)
    bundle = next(p for p in (folder / "tile" / "entries").rglob("*") if p.is_file())
    bundle.write_bytes(bundle.read_bytes().replace(b"until-further-notice", b"until-further-Notice", 1))
    with pytest.raises(IntegrityError):
        of_published(str(folder), *_period())
    with pytest.raises(NotFound):
        of_published(str(tmp_path / "nothing"), *_period())
    with pytest.raises(Invalid, match="ends later"):
        of_published(str(folder), UNTIL, SINCE)
