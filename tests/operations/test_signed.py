# SPDX-License-Identifier: Apache-2.0
"""Signed results: what holds offline, and what is seen to be changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.evaluation import examples

from custodes.cli.output import print_findings
from custodes.errors import IntegrityError, Invalid, NotFound
from custodes.evaluation.results import from_json, to_json
from custodes.evaluation.told import summary
from custodes.ledger import FileSigner, Log, commit
from custodes.operations.exhibits import Findings
from custodes.operations.signed import FORM, RESULT, digest, signed, verify_signed

DONE = {"decision": "permit", "outcome": "done", "organisation": "org-0123456789abcdef", "rules_hash": "ab" * 32}
OTHER = str(FileSigner("other.example", bytes(32)).verifier_key)
MODEL = {"model": "1.0", "fingerprint": "cd" * 32, "testing": "scores"}


def _document(**more: object) -> bytes:
    told = {"form": "custodes-testing/1", "operation": "scores", "rules_hash": "ab" * 32, "scores": [0.1, 1e-17, 1 / 3]}
    return orjson.dumps(told | {"deployed": {"fingerprint": "cd" * 32}} | more)


def _evaluation(**more: object) -> bytes:
    made = examples.evaluation(examples.verification())
    ran = replace(made.deployed, fingerprint="cd" * 32)
    told = orjson.loads(to_json(replace(made, deployed=ran, rules_hash="ab" * 32, scores_sha256="5c" * 32)))
    return orjson.dumps(told | more)


@dataclass(frozen=True)
class Book:
    """A ledger with entries around that of a result."""

    log: Log

    def write(self, document: bytes, *, kind: str = "use", **body: object) -> int:
        """Append an entry that commits to a document, between others; return its index."""
        told = DONE | MODEL | {"request": {"action": "ScorePairs"}} | body
        with self.log._db.transaction() as c:
            self.log.append(c, "system", {"event": "before"})
            index = self.log.append(c, kind, told, [commit(RESULT, digest(document)), commit("other", b"1")]).index
            self.log.append(c, "system", {"event": "after"})
        return index

    def signed(self, document: bytes, *, kind: str = "use", **body: object) -> dict[str, Any]:
        """Return the signed result of a new entry, as JSON values."""
        return orjson.loads(signed(self.log, self.write(document, kind=kind, **body), document))


@pytest.fixture(scope="module")
def book(installation) -> Book:
    """The ledger of an installation."""
    return Book(installation.testing._log)


def test_a_result_is_checked_offline(book: Book) -> None:
    """With the log's key nothing is left open: place, signature, document, model and rules."""
    document = _document()
    told = book.signed(document)
    assert (set(told), told["form"]) == ({"form", "document", "seal", "vkey"}, FORM)
    assert told["document"].encode() == document
    assert [o["name"] for o in told["seal"]["openings"]] == [RESULT], "nothing else is opened"
    found = verify_signed(orjson.dumps(told), book.log.vkey)
    assert (found.sound, found.remarks, found.what) == (True, (), "custodes-testing/1 scores")
    assert any("use ScorePairs of org-0123456789abcdef" in h for h in found.holds)
    for word in ("ab" * 32, "cd" * 32, book.log.origin, "to the last byte"):
        assert any(word in h for h in found.holds), word


def test_whose_word_the_key_is_is_said(book: Book) -> None:
    """Without a key the result's own is taken, and a remark says so; another log's key proves nothing."""
    raw = orjson.dumps(book.signed(_document()))
    found = verify_signed(raw)
    assert found.sound
    assert found.remarks == ("The log's key is the result's own word: get it from elsewhere, and give it as --vkey.",)
    [problem] = verify_signed(raw, OTHER).problems
    assert problem.startswith("The seal doesn't hold")
    with pytest.raises(Invalid):
        verify_signed(raw, "no key")


def _score(told: dict[str, Any]) -> None:
    told["document"] = told["document"].replace("0.1", "0.2")


def _space(told: dict[str, Any]) -> None:
    told["document"] += " "


def _proof(told: dict[str, Any]) -> None:
    told["seal"]["proof"] = told["seal"]["proof"][1:]


def _index(told: dict[str, Any]) -> None:
    told["seal"]["index"] += 1


def _opening(told: dict[str, Any]) -> None:
    told["seal"]["openings"] = []


def _checkpoint(told: dict[str, Any]) -> None:
    told["seal"]["checkpoint"] = told["seal"]["checkpoint"].replace("\n", "\nx", 1)


def _key(told: dict[str, Any]) -> None:
    told["vkey"] = OTHER


def _no_seal(told: dict[str, Any]) -> None:
    told["seal"] = None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_score, "changed since"),
        (_space, "changed since"),
        (_opening, "changed since"),
        (_proof, "The seal doesn't hold"),
        (_index, "The seal doesn't hold"),
        (_checkpoint, "The seal doesn't hold"),
        (_key, "The seal doesn't hold"),
        (_no_seal, "The seal doesn't hold"),
    ],
)
def test_whatever_is_changed_is_seen(book: Book, change: Callable[[dict[str, Any]], None], says: str) -> None:
    """A score, a space, the proof, the place, the checkpoint, the key: nothing holds then."""
    told = book.signed(_document())
    change(told)
    found = verify_signed(orjson.dumps(told))
    assert (found.sound, found.holds) == (False, ())
    assert says in found.problems[0]


def test_the_seal_of_another_result_does_not_fit(book: Book) -> None:
    """Two sound results with their seals exchanged are both unsound."""
    one, two = book.signed(_document()), book.signed(_document(pairs=2))
    one["seal"], two["seal"] = two["seal"], one["seal"]
    for told in (one, two):
        assert not verify_signed(orjson.dumps(told), book.log.vkey).sound


@pytest.mark.parametrize(
    ("body", "document", "says"),
    [
        ({"decision": "deny", "outcome": "denied"}, _document(), "permitted and done"),
        ({"outcome": "failed"}, _document(), "permitted and done"),
        ({"fingerprint": "ee" * 32}, _document(), "of the model cd"),
        ({}, _document(deployed={}), "of the model ?"),
        ({"fingerprint": ""}, _document(deployed={"fingerprint": ""}), "of the model ?, and entry"),
        ({"fingerprint": None}, _document(deployed=None), "of the model ?, and entry"),
        ({"kind": "act"}, _document(), "nothing that gives a signed result: act ScorePairs"),
        ({"request": {"action": "Index"}}, _document(), "nothing that gives a signed result: use Index"),
        ({"request": {"action": ["ScorePairs"]}}, _document(), "nothing that gives a signed result: use ?"),
        ({"request": None}, _document(), "nothing that gives a signed result: use ?"),
        ({}, _document(operation="compare"), "answers compare, and entry"),
        ({"testing": None}, _document(), "answers scores, and entry"),
        ({}, _document(operation=None), "answers ?, and entry"),
        ({}, _document(organisation="org-0000000000000000"), "for org-0000000000000000, and entry"),
        ({}, _document(organisation=None), "for ?, and entry"),
        ({}, b"no JSON", "no JSON object"),
        ({}, b"[1]", "no JSON object"),
    ],
)
def test_an_entry_of_something_else_is_seen(book: Book, body: dict[str, object], document: bytes, says: str) -> None:
    """A proof is no proof of what was denied or failed, of another model, act, organisation, or what can't be read."""
    found = verify_signed(orjson.dumps(book.signed(document, **body)), book.log.vkey)
    assert any(says in p for p in found.problems), found


@pytest.mark.parametrize("action", ["Evaluate", "Compare", "SearchReferences", "ScorePairs", "ListCollections"])
def test_whatever_is_signed_here_holds(book: Book, action: str) -> None:
    """An evaluation, which names neither operation nor organisation, and a tester's results, which do."""
    document = _evaluation() if action == "Evaluate" else _document(organisation=DONE["organisation"])
    told = book.signed(document, request={"action": action}, testing=None if action == "Evaluate" else "scores")
    found = verify_signed(orjson.dumps(told), book.log.vkey)
    assert (found.problems, found.remarks) == ((), ())


def test_a_verified_evaluation_tells_its_figures(book: Book) -> None:
    """In the sentences of its page, with the hashes of data and scores; nothing of one that doesn't hold."""
    document = _evaluation()
    told = book.signed(document, request={"action": "Evaluate"}, testing=None)
    found = verify_signed(orjson.dumps(told), book.log.vkey)
    first, *sentences, last = found.says
    assert tuple(sentences) == summary(from_json(document))
    assert first == f"An evaluation (verification) of 2026-11-25T09:30:00+00:00, on data {'da' * 32}."
    assert last == f"The CSV of its scores has the SHA-256 {'5c' * 32}."
    told["document"] = told["document"].replace("5c", "6c")
    assert verify_signed(orjson.dumps(told), book.log.vkey).says == ()
    bare = book.signed(_evaluation(scores_sha256=""), request={"action": "Evaluate"}, testing=None)
    assert verify_signed(orjson.dumps(bare), book.log.vkey).says == found.says[:-1]


def test_an_evaluation_that_can_not_be_read_is_a_remark(book: Book) -> None:
    """One of a later version holds, and says nothing here."""
    raw = orjson.dumps(book.signed(_evaluation(later=1), request={"action": "Evaluate"}, testing=None))
    found = verify_signed(raw, book.log.vkey)
    assert (found.sound, found.says) == (True, ())
    assert found.remarks == (
        "What it says can't be told here: it is no custodes-evaluation/1 as this version writes it.",
    )


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"at": "2026-11-25T09:30:00.000Z"}, "The answer to scores of 2026-11-25T09:30:00.000Z, 3 pairs."),
        ({"scores": [1]}, "The answer to scores of None, 1 pair."),
        ({"scores": {"a": 1}}, "The answer to scores of None."),
        ({"operation": "search", "candidates": []}, "The answer to search of None, 0 candidates."),
        (
            {"operation": "compare", "target": {"faces": [1, 2]}},
            "The answer to compare of None, 2 faces of the target.",
        ),
        ({"operation": "describe", "at": "\x1b[2J\n"}, r"The answer to describe of \x1b[2J\x0a."),
    ],
)
def test_a_verified_answer_tells_what_it_is_of(book: Book, more: dict[str, object], says: str) -> None:
    """Operation, time and how much there is, in one line whatever it holds."""
    told = book.signed(_document(**more), testing=more.get("operation", "scores"))
    assert verify_signed(orjson.dumps(told), book.log.vkey).says == (says,)


def test_the_command_tells_what_is_verified(book: Book, custodes_here, tmp_path: Path) -> None:
    """The document's sentences after what holds, and none if something doesn't."""
    told, file = book.signed(_evaluation(), request={"action": "Evaluate"}, testing=None), tmp_path / "e.json"
    file.write_bytes(orjson.dumps(told))
    done = custodes_here(tmp_path / "nowhere", "evaluations", "verify", str(file), "--vkey", book.log.vkey)
    lines = done.stdout.decode().splitlines()
    said = [f"says: {s}" for s in summary(from_json(_evaluation()))]
    assert lines[-2 - len(said) : -2] == said
    assert lines[-1] == "All that can be checked holds."
    done = custodes_here(tmp_path / "nowhere", "evaluations", "verify", str(file), "--json")
    assert orjson.loads(done.stdout)["says"][1] == said[0].removeprefix("says: ")
    told["document"] = told["document"].replace("5c", "6c")
    file.write_bytes(orjson.dumps(told))
    done = custodes_here(tmp_path / "nowhere", "evaluations", "verify", str(file))
    assert (done.returncode, b"says: " in done.stdout) == (1, False)


def test_no_finding_can_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of a log, for one, are whatever its owner likes: each finding is one line that can be printed."""
    print_findings(Findings("a\x1b[2J", ("b\nDOESN'T HOLD: c",), (), ("\x9b1A",), ("d\r",)), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        r"a\x1b[2J",
        r"holds: b\x0aDOESN'T HOLD: c",
        r"note: \x9b1A",
        r"says: d\x0d",
        "All that can be checked holds.",
    ]


def test_rules_that_changed_meanwhile_are_a_remark(book: Book) -> None:
    """The entry says by which rules it was permitted; that it was begun under others is told."""
    found = verify_signed(orjson.dumps(book.signed(_document(rules_hash="ff" * 32))), book.log.vkey)
    assert found.sound
    assert "The rules changed meanwhile" in found.remarks[0]


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"[]", b"null", b'{"form": "custodes-signed/1"}', b'{"form": "custodes-signed/2"}', b"NaN"]
)
def test_what_is_no_signed_result_is_refused(raw: bytes) -> None:
    """Whatever isn't of the form is an error, not a finding."""
    with pytest.raises(Invalid, match="no signed result"):
        verify_signed(raw)


def test_what_a_document_says_of_itself_is_shown_only_if_it_is_plain(book: Book) -> None:
    """Its words may be anybody's: control characters and long texts aren't printed."""
    told = book.signed(_document(form="\x1b[2Jcustodes", operation="x" * 500), model="\x1b[2J1.0")
    found = verify_signed(orjson.dumps(told))
    assert "\x1b" not in "".join((found.what, *found.holds, *found.problems, *found.remarks))
    assert found.what == "A signed result"


def test_any_broken_byte_is_found_or_refused(book: Book) -> None:
    """No byte of document, entry or proof can be changed unseen, and nothing else is raised than that it is none."""
    raw = orjson.dumps(book.signed(_document()))
    sound, draw = 0, random.Random(1)
    for _ in range(300):
        place = draw.randrange(len(raw))
        changed = raw[:place] + bytes([draw.randrange(32, 127)]) + raw[place + 1 :]
        try:
            found = verify_signed(changed, book.log.vkey)
        except Invalid:
            continue
        if found.sound:  # the same byte, or in what isn't looked at: the result's own word for the key
            was, now = orjson.loads(raw), orjson.loads(changed)
            sound += 1
            assert was["document"] == now["document"]
            assert was["seal"]["entry"] == now["seal"]["entry"]
    assert sound < 60


def test_a_document_that_was_not_committed_to_is_not_signed(book: Book) -> None:
    """Neither another one than the entry's, nor any by an entry that commits to none."""
    index = book.write(_document())
    with pytest.raises(IntegrityError, match="isn't the one"):
        signed(book.log, index, _document(pairs=2))
    with pytest.raises(NotFound):
        signed(book.log, index - 1, _document())


def test_the_command_says_what_holds(book: Book, custodes_here, tmp_path: Path) -> None:
    """Status 0 and 1, in words and as JSON, with the key as text, as a file or not, and no installation is made."""
    told, nowhere = book.signed(_document()), tmp_path / "nowhere"
    good, bad, key = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "vkey"
    good.write_bytes(orjson.dumps(told))
    key.write_text(book.log.vkey)
    _score(told)
    bad.write_bytes(orjson.dumps(told))
    done = custodes_here(nowhere, "testing", "verify", str(good), "--vkey", book.log.vkey)
    assert (done.returncode, b"All that can be checked holds." in done.stdout) == (0, True)
    done = custodes_here(nowhere, "testing", "verify", str(good), "--vkey", str(key), "--json")
    assert orjson.loads(done.stdout)["remarks"] == []
    done = custodes_here(nowhere, "testing", "verify", str(good))
    assert (done.returncode, b"own word" in done.stdout) == (0, True)
    assert done.stdout.endswith(b"\nIt fits together, but nothing shows whose ledger it is: give --vkey.\n")
    done = custodes_here(nowhere, "testing", "verify", str(bad))
    assert (done.returncode, b"DOESN'T HOLD" in done.stdout) == (1, True)
    done = custodes_here(nowhere, "testing", "verify", str(key))
    assert (done.returncode, b"no signed result" in done.stderr) == (1, True)
    assert not nowhere.exists()


def test_files_that_can_not_be_read_are_one_line(custodes_here, tmp_path: Path, monkeypatch) -> None:
    """One that isn't there, a folder, and one that is too large, for both commands that check signed results."""
    monkeypatch.setattr("custodes.cli.output._MOST", 1000)
    large = tmp_path / "large"
    large.write_bytes(bytes(1001))
    for noun in ("testing", "evaluations"):
        for file, says in ((tmp_path / "none", "No such file"), (tmp_path, "directory"), (large, "1000 bytes")):
            done = custodes_here(tmp_path / "nowhere", noun, "verify", str(file))
            assert (done.returncode, done.stdout) == (1, b""), done
            assert done.stderr.startswith(f"{file} can't be read: ".encode())
            assert says in done.stderr.decode()
            assert b"Traceback" not in done.stderr
