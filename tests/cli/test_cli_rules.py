# SPDX-License-Identifier: Apache-2.0
"""The commands by which rules, people, grounds, oversight and the ledger are governed: what they tell, how they fail.

Most commands run in this process, through the same ``main`` that the installed script calls; a process of its own costs
a second each.
"""

from __future__ import annotations

import ast
import configparser
import contextlib
import hashlib
import io
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import orjson
import pytest

import custodes
from custodes.cli import main, program
from custodes.governance.model import ConsentKind, EasingKind
from custodes.governance.policy import RuleSet
from custodes.governance.rulebook import default_moratoria, shipped
from custodes.ledger import FileSigner, KeyKind, VerifierKey, Witness

PHOTOS = Path(__file__).parents[1] / "data"
MORATORIUM = "until-further-notice"
DOCUMENT = "ab" * 32


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        """Standard output as JSON."""
        return orjson.loads(self.out)


def run(data: Path, *arguments: str, stdin: bytes = b"", **settings: str) -> Done:
    """Run ``custodes`` in this process as its script does."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        for name, value in ({"CUSTODES_DATA": str(data)} | settings).items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["custodes", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as left:
            main()
    texts = [s.buffer.getvalue().decode() for s in (out, err) if s.flush() is None]
    return Done(int(left.value.code or 0), *texts)


@dataclass
class House:
    """An installation that the command line has prepared.

    Attributes:
        data: its folder.
        ids: organisations, people and other things by the names that the tests give them.
    """

    data: Path
    ids: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, by: str = "", **options: Any) -> Done:
        """Run a command, as the operator or with a credentials file."""
        who = {"CUSTODES_CREDENTIALS": str(self.credentials(by))} if by else {}
        return run(self.data, *arguments, **who, **options)

    def credentials(self, name: str) -> Path:
        """Return where a key of this name is kept."""
        return self.data.parent / name

    def tell(self, *arguments: str, by: str = "", **options: Any) -> Any:
        """Run a command with --json that succeeds, and return what it told."""
        done = self.run(*arguments, "--json", by=by, **options)
        assert (done.status, done.err) == (0, ""), done
        return done.told

    def say(self, *arguments: str, by: str = "") -> str:
        """Run a command without --json that succeeds, and return its words."""
        done = self.run(*arguments, by=by)
        assert (done.status, done.err) == (0, ""), done
        return done.out

    def refuse(self, *arguments: str, by: str = "") -> dict[str, str]:
        """Run a command with --json that fails: status 1, one line on standard error, and the same as JSON."""
        done = self.run(*arguments, "--json", by=by)
        assert done.status == 1, done
        told = done.told
        assert set(told) == {"error", "message", "remedy"}
        assert done.err == f"{told['message']} {told['remedy']}".strip() + "\n"
        return told

    def key(self, name: str, person: str, purpose: str, by: str = "") -> str:
        """Make a key that is kept under a name, and return its id."""
        file = ("--credentials", str(self.credentials(name)))
        made = self.tell("keys", "create", "--principal", self.ids[person], "--purpose", purpose, *file, by=by)
        return made["access_key_id"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Police in Washington with chief and officer, rescuers, a board with two overseers; keys for all of them."""
    made = House(tmp_path_factory.mktemp("house") / "data")
    for name, kind, place in (
        ("police", "law-enforcement", "US-WA"),
        ("rescue", "victim-rescue", "US-CA"),
        ("board", "oversight", "US"),
    ):
        told = made.tell("org", "add", name.title(), "--class", kind, "--jurisdiction", place)
        assert told == {"id": told["id"], "name": name.title(), "class": kind, "jurisdiction": place}
        made.ids[name] = told["id"]
    for name, where, *roles in (
        ("first", "board", "oversight"),
        ("second", "board", "oversight"),
        ("chief", "police", "admin", "user"),
        ("officer", "police", "user"),
        ("rescuer", "rescue", "admin", "user"),
    ):
        options = [part for role in roles for part in ("--role", role)]
        told = made.tell("people", "add", name, "--id", f"{name}@example.org", "--org", made.ids[where], *options)
        assert told == {"id": told["id"], "organisation": made.ids[where], "roles": sorted(roles)}
        made.ids[name] = told["id"]
    made.key("first", "first", "oversight")
    made.key("second", "second", "oversight")
    made.key("chief", "chief", "criminal-investigation")
    made.key("officer", "officer", "criminal-investigation", by="chief")
    made.key("rescuer", "rescuer", "missing-person")
    return made


@pytest.fixture(scope="module")
def bookings(house: House) -> str:
    """A collection of the police, who have attested to their duties."""
    for duty in ("accountability-report", "operational-testing"):
        house.tell("rules", "attest", f"us-wa.{duty}", by="chief")
    house.tell("collections", "create", "bookings", by="officer")
    return "bookings"


@pytest.fixture(scope="module")
def album(house: House, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The operator's collection ``album`` with two faces, by their labels; one rests on a consent (``consent``)."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("obama_1.jpg", "biden.jpg"):
        picture = cv2.imread(str(PHOTOS / name))
        scale = 480 / max(picture.shape)
        cv2.imwrite(str(folder / name), cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    house.tell("collections", "create", "album")
    (folder / "release.pdf").write_bytes(b"I agree")
    given = house.tell(
        "consent", "record", "written-release", "-c", "album", "--label", "biden.jpg",
        "--purpose", "photo-library", "--days", "30", "--document", str(folder / "release.pdf"),
    )  # fmt: skip
    assert house.tell("index", str(folder), "-c", "album")["faces"] == 2
    faces = {f["external_image_id"]: f["face_id"] for f in house.tell("faces", "list", "album")}
    return faces | {"consent": given["id"]}


# --- Every command ---------------------------------------------------------------------------------------------------


def _commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    command = command or program()
    inner = getattr(command, "commands", {})
    if not inner:
        yield path, command
    for name, below in inner.items():
        yield from _commands(below, (*path, name))


COMMANDS = dict(_commands())
GROUPS = {path[:n] for path in COMMANDS for n in range(1, len(path))}
BESIDE_JSON = {("serve",), ("ledger", "checkpoint"), ("ledger", "disclose"), ("ledger", "receipt")}
"""They run on, or print what has a form of its own: a signed note, a disclosure."""


def test_every_command_explains_itself_and_has_json() -> None:
    """Each command says what it does and has --json, but for those whose output has a form of its own."""
    assert len(COMMANDS) > 60
    for path, command in COMMANDS.items():
        assert command.help, path
        options = {o for p in command.params for o in p.opts}
        assert ("--json" in options) != (path in BESIDE_JSON), path


def _texts() -> Iterator[tuple[str, str]]:
    """Give all that rules, duties and moratoria say, and every text in the source."""
    books = shipped()
    for rule in RuleSet.compile(books, default_moratoria(books)).rules:
        yield rule.id, f"{rule.explain} {rule.remedy}"
    for book in books:
        yield book.id, book.summary
        yield from ((d.id, d.text) for d in book.duties)
        yield from ((f.moratorium.id, f"{f.moratorium.explain} {f.moratorium.remedy}") for f in book.moratoria)
    source = Path(custodes.__file__).parent
    for file in sorted(source.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{file.relative_to(source)}:{node.lineno}", node.value


NAMED = re.compile(r"(?<!from )\bcustodes ((?:-{0,2}[a-z][a-z0-9.-]*)(?: +-{0,2}[a-z][a-z0-9.-]*)*)")
_VALUES = {
    ("easings", "propose"): set(EasingKind),
    ("consent", "record"): set(ConsentKind),
    ("rules", "attest"): {d.id for b in shipped() for d in b.duties},
}


def test_every_command_that_a_text_names_is_there() -> None:
    """What a rule's remedy, a duty or an error tells people to type is a command, with the options that it names."""
    seen = set()
    for where, text in _texts():
        for found in NAMED.finditer(" ".join(text.split())):
            words = [w.rstrip(".") for w in found[1].split()]
            depth = 1
            while tuple(words[:depth]) in GROUPS and len(words) > depth:
                depth += 1
            path, rest = tuple(words[:depth]), words[depth:]
            if path in GROUPS or words == ["rule", "set"]:
                continue  # a text about a group; the name of a format
            assert path in COMMANDS, (where, found[0])
            options = {o for p in COMMANDS[path].params for o in p.opts}
            assert {w for w in rest if w.startswith("--")} <= options, (where, found[0])
            if path in _VALUES and rest:
                assert rest[0] in _VALUES[path], (where, found[0])
            seen.add(path)
    assert {("cases", "open"), ("authority", "file"), ("easings", "propose"), ("rules", "attest")} <= seen
    assert len(seen) > 25


LISTS = {
    ("org", "list"): ("id", "class", "jurisdiction"),
    ("people", "list"): ("id", "organisation", "roles", "trained_until"),
    ("keys", "list"): ("access_key_id", "principal", "purpose", "expires_at"),
    ("rules", "list"): ("id", "state", "rules", "duties", "cases"),
    ("rules", "show"): ("id", "citation", "explain", "remedy"),
    ("rules", "duties"): ("duty", "who", "text", "attested_by"),
    ("moratoria", "list"): ("id", "state", "begins", "ends", "citation"),
    ("stop", "list"): ("id", "scope", "reason"),
    ("easings", "list"): ("id", "kind", "proposed_by", "approved_by"),
    ("alarms", "list"): ("id", "kind", "detail"),
    ("cases", "list"): ("id", "kind", "opened_at", "paused_at", "closed_at"),
    ("authority", "list"): ("id", "kind", "issuer", "not_after", "waits"),
    ("consent", "list"): ("id", "kind", "label", "not_after"),
    ("results", "list"): ("id", "authority", "seals_at"),
    ("ledger", "list"): ("index", "at", "kind"),
    ("ledger", "witness", "list"): ("name", "vkey"),
}


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_a_list_is_a_table_and_json(house: House, command: tuple[str, ...]) -> None:
    """A list is rows under headings, or says that there are none; as JSON each row has its values."""
    rows, words = house.tell(*command), house.say(*command)
    assert isinstance(rows, list)
    for row in rows:
        assert set(LISTS[command]) <= set(row)
    if rows:
        first = LISTS[command][0]
        assert all(str(row[first]) in words for row in rows)
    else:
        assert words == "There are none.\n"


# --- Failures --------------------------------------------------------------------------------------------------------

NOW, LATER = "2026-01-01", "2026-01-20"
_FILE = ("authority", "file", "warrant", "--issuer", "A court", "--purpose", "criminal-investigation")
_VALID = ("--not-before", NOW, "--not-after", LATER)
_CONSENT = ("consent", "record", "explicit", "--label", "a", "--purpose", "photo-library", "--days", "1")
_NONE = "case-0000000000000000"
FAILURES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "a place that is none": (("org", "add", "X", "--class", "general", "--jurisdiction", "Texas"), "Invalid", "3166"),
    "an organisation without a name": (("org", "add", " ", "--class", "general"), "Invalid", "A name"),
    "an organisation that isn't there": (("org", "suspend", "org-0"), "NotFound", "org-0"),
    "an organisation in odd bytes": (("org", "suspend", "\udcff"), "Invalid", "UTF-8"),
    "one to resume that isn't there": (("org", "resume", "org-0"), "NotFound", "org-0"),
    "a person of no organisation": (("people", "add", "X", "--id", "x", "--org", "org-0"), "NotFound", "org-0"),
    "a person without an identifier": (("people", "add", "X", "--id", " "), "Invalid", "An identifier"),
    "a person who isn't there": (("people", "suspend", "p-0"), "NotFound", "p-0"),
    "roles of nobody": (("people", "roles", "p-0", "user"), "NotFound", "p-0"),
    "a training of nobody": (("people", "train", "p-0", "Course"), "NotFound", "p-0"),
    "a training without a name": (("people", "train", "operator", " "), "Invalid", "A course"),
    "a training until after all time": (
        ("people", "train", "operator", "Course", "--since", "9999-12-31", "--days", "3650"),
        "Invalid",
        "10000",
    ),
    "a key of nobody": (("keys", "create", "--principal", "p-0"), "NotFound", "p-0"),
    "a key of no provenance": (("keys", "create", "--provenance", "web"), "Invalid", "public-record"),
    "a key for ever": (("keys", "create", "--days", "99999"), "Invalid", "3650"),
    "a key in a file of too long a name": (("keys", "create", "--credentials", "x" * 5000), "Invalid", "too long"),
    "a case of no kind of case": (("cases", "open", "photo-library"), "Invalid", "no cases"),
    "a case of no organisation": (("cases", "open", "missing-person", "--org", "org-0"), "NotFound", "org-0"),
    "a case that isn't there": (("cases", "close", _NONE), "NotFound", _NONE),
    "one to pause that isn't there": (("cases", "pause", _NONE), "NotFound", _NONE),
    "one to resume that isn't there either": (("cases", "resume", _NONE), "NotFound", _NONE),
    "a case that the organisation can't have": (("cases", "open", "missing-person"), "Refused", "base.case-of-class"),
    "an authority for no collection": (
        (*_FILE, "--collection", "nope", *_VALID, "--sha256", DOCUMENT),
        "NotFound",
        "nope",
    ),
    "an authority without a document": ((*_FILE, "--collection", "failing", *_VALID), "Invalid", "--document"),
    "an authority with two documents": (
        (*_FILE, "--collection", "failing", *_VALID, "--sha256", DOCUMENT, "--document", __file__),
        "Invalid",
        "--document",
    ),
    "an authority with a document that isn't there": (
        (*_FILE, "--collection", "failing", *_VALID, "--document", "nowhere.pdf"),
        "Invalid",
        "nowhere.pdf",
    ),
    "an authority with no hash": ((*_FILE, "--collection", "failing", *_VALID, "--sha256", "ab"), "Invalid", "64"),
    "an authority that ends before it begins": (
        (*_FILE, "--collection", "failing", "--not-before", LATER, "--not-after", NOW, "--sha256", DOCUMENT),
        "Invalid",
        "ends after it begins",
    ),
    "an authority for no exigency": (
        (*_FILE, "--collection", "failing", *_VALID, "--sha256", DOCUMENT, "--for", "auth-0"),
        "NotFound",
        "auth-0",
    ),
    "an exigency on paper": (
        ("authority", "file", "exigency", *_FILE[3:], "--collection", "failing", *_VALID, "--sha256", DOCUMENT),
        "Invalid",
        "stated with the search",
    ),
    "a consent in no collection": ((*_CONSENT, "-c", "nope", "--sha256", DOCUMENT), "NotFound", "nope"),
    "a consent without a document": ((*_CONSENT, "-c", "failing"), "Invalid", "--document"),
    "a consent that isn't there": (("consent", "withdraw", "consent-0"), "NotFound", "consent-0"),
    "results that aren't there": (("results", "show", "result-0"), "NotFound", "result-0"),
    "a moratorium without a ground": (("moratoria", "declare", "mine"), "Invalid", "--citation"),
    "a moratorium that there is": (("moratoria", "declare", MORATORIUM), "Conflict", MORATORIUM),
    "a moratorium to extend that isn't there": (("moratoria", "extend", "nope"), "NotFound", "nope"),
    "a moratorium that can't last longer": (("moratoria", "extend", MORATORIUM), "Invalid", "not last longer"),
    "a moratorium of no action": (
        ("moratoria", "declare", "mine", "--class", "general", "--action", "Fly", "--citation", "C"),
        "Invalid",
        "Fly",
    ),
    "a stop of nothing": (("stop", "throw", "--reason", "R"), "Invalid", "--all"),
    "a stop of everything and more": (
        ("stop", "throw", "--reason", "R", "--all", "--purpose", "testing"),
        "Invalid",
        "one of them",
    ),
    "a stop of nobody": (("stop", "throw", "--reason", "R", "--org", "org-0"), "NotFound", "org-0"),
    "a stop of two lines": (("stop", "throw", "--reason", "a\nb", "--all"), "Invalid", "A reason"),
    "an easing of no moratorium": (
        ("easings", "propose", "lift-moratorium", "nope", "--reason", "R"),
        "NotFound",
        "nope",
    ),
    "an easing of no stop": (("easings", "propose", "restart", "stop-0", "--reason", "R"), "NotFound", "stop-0"),
    "an easing of no rulebook": (("easings", "propose", "disable-rulebook", "x", "--reason", "R"), "NotFound", "x"),
    "an easing of the base": (("easings", "propose", "disable-rulebook", "base", "--reason", "R"), "Denied", "base"),
    "a shortening without an end": (
        ("easings", "propose", "shorten-moratorium", MORATORIUM, "--reason", "R"),
        "Invalid",
        "ends",
    ),
    "a dismissal of no overseer": (
        ("easings", "propose", "dismiss-overseer", "operator", "--reason", "R"),
        "Conflict",
        "overseer",
    ),
    "an easing without a reason": (
        ("easings", "propose", "lift-moratorium", MORATORIUM, "--reason", " "),
        "Refused",
        "base.easing-reason",
    ),
    "an approval of nothing": (("easings", "approve", "ease-0"), "NotFound", "ease-0"),
    "an alarm that isn't there": (("alarms", "answer", "alarm-0", "--finding", "F"), "NotFound", "alarm-0"),
    "a rulebook to show that isn't there": (("rules", "show", "nope"), "NotFound", "nope"),
    "a rulebook to enable that isn't there": (("rules", "enable", "nope"), "NotFound", "nope"),
    "duties of no organisation": (("rules", "duties", "--org", "org-0"), "NotFound", "org-0"),
    "a duty that isn't there": (("rules", "attest", "us-wa.nope"), "NotFound", "us-wa.nope"),
    "a duty of no organisation": (
        ("rules", "attest", "us-wa.training", "--org", "org-0"),
        "NotFound",
        "org-0",
    ),
    "a request that isn't there": (("rules", "explain", "nowhere.json"), "Invalid", "nowhere.json"),
    "a request that is none": (("rules", "explain", __file__), "Invalid", "JSON"),
    "an entry to explain that isn't there": (("rules", "explain", "999999"), "NotFound", "999999"),
    "an entry to explain that decided nothing": (("rules", "explain", "0"), "NotFound", "decided nothing"),
    "an entry beyond all numbers": (("rules", "explain", "9" * 30), "NotFound", "9" * 30),
    "an entry in other digits": (("rules", "explain", "²"), "Invalid", "²"),
    "a change of nothing": (("rules", "diff"), "Invalid", "--enable"),
    "a change by no form": (("rules", "diff", "--declare", "nope"), "Invalid", "nope"),
    "a change by no rulebook": (("rules", "diff", "--enable", "nope"), "NotFound", "nope"),
    "a change of the base": (("rules", "diff", "--disable", "base"), "Invalid", "base"),
    "a change of no moratorium": (("rules", "diff", "--lift", "nope"), "NotFound", "nope"),
    "a change by a folder that is no rulebook": (("rules", "diff", "--rulebook", "nowhere"), "Invalid", "nowhere"),
    "an entry that isn't there": (("ledger", "show", "999999"), "NotFound", "999999"),
    "an entry before the first": (("ledger", "show", "--", "-1"), "NotFound", "-1"),
    "an entry too large to be there": (("ledger", "show", "9" * 30), "NotFound", "9" * 30),
    "a disclosure to check that isn't there": (("ledger", "check", "nowhere", "--vkey", "x"), "Invalid", "nowhere"),
    "a folder to publish in that is a file": (("ledger", "publish", __file__), "Unavailable", "published"),
    "a log that isn't there": (("ledger", "verify", "nowhere"), "NotFound", "folder"),
    "a log of too long a name": (("ledger", "verify", "x" * 5000), "Invalid", "too long"),
    "a log of another kind": (("ledger", "verify", "ftp://example.org/"), "Invalid", "http"),
    "a log that nobody serves": (("ledger", "verify", "http://127.0.0.1:1/"), "Unavailable", "vkey"),
    "a log that is no log": (("ledger", "verify", str(PHOTOS)), "IntegrityError", "vkey"),
    "a key that is none": (("ledger", "verify", str(PHOTOS), "--vkey", "x"), "Invalid", "key"),
    "a key that is long": (("ledger", "verify", str(PHOTOS), "--vkey", "x" * 5000), "Invalid", "key"),
    "an old checkpoint that isn't there": (
        ("ledger", "verify", str(PHOTOS), "--since", "nowhere"),
        "Invalid",
        "nowhere",
    ),
    "a witness that is none": (("ledger", "witness", "add", "x"), "Invalid", "key"),
    "a cosignature that isn't there": (("ledger", "witness", "accept", "nowhere"), "Invalid", "nowhere"),
    "a cosignature that is none": (("ledger", "witness", "accept", __file__), "IntegrityError", "signature"),
    "a report of nobody": (("subject", "report", "failing"), "Invalid", "--face"),
    "a report of two": (("subject", "report", "failing", "--user", "u", "--face", "f"), "Invalid", "--face"),
    "a report in no collection": (("subject", "report", "nope", "--user", "u"), "NotFound", "nope"),
    "a report of a user who isn't there": (("subject", "report", "failing", "--user", "u"), "NotFound", "u"),
    "a report of a face that isn't there": (("subject", "report", "failing", "--face", "f"), "NotFound", "nothing"),
    "an erasure of nobody": (("subject", "erase", "failing"), "Invalid", "--face"),
    "an erasure of a face that isn't there": (("subject", "erase", "failing", "--face", "f"), "NotFound", "nothing"),
    "a retention of no collection": (("retention", "set", "nope", "--days", "1"), "NotFound", "nope"),
}
_OVERSEERS = {"moratoria", "stop", "easings", "alarms"}


@pytest.fixture(scope="module")
def failing(house: House) -> House:
    """The house with an empty collection ``failing``."""
    house.tell("collections", "create", "failing")
    return house


@pytest.mark.parametrize("case", FAILURES)
def test_what_cannot_be_done_is_one_line(failing: House, case: str) -> None:
    """What isn't there or can't be meant is one sentence that names it, with status 1, and JSON when asked for."""
    arguments, kind, said = FAILURES[case]
    enabling = arguments[:2] == ("rules", "enable")
    by = "first" if arguments[0] in _OVERSEERS or enabling else ""
    dashes = arguments.index("--") if "--" in arguments else len(arguments)
    done = failing.run(*arguments[:dashes], "--json", *arguments[dashes:], by=by)
    assert done.status == 1, done
    told = done.told
    assert (told["error"], said in told["message"]) == (kind, True), told
    assert done.err == f"{told['message']} {told['remedy']}".strip() + "\n"
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("ledger", "disclose", "999999"),
        ("ledger", "disclose", "0", "--name", "nope"),
        ("ledger", "receipt", "999999"),
        ("ledger", "receipt", "0"),
        ("ledger", "checkpoint", "--cosigned", "7"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_handed_out_leaves_nothing(house: House, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Commands with a form of their own print nothing, and write no file, when they fail."""
    out = () if "checkpoint" in arguments else ("--out", str(tmp_path / "out"))
    done = house.run(*arguments, *out)
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("org", "add", "X", "--class", "nope"),
        ("people", "add", "X", "--id", "x", "--role", "king"),
        ("people", "train", "operator", "C", "--since", "yesterday"),
        ("cases", "open", "nope"),
        ("moratoria", "declare", "m", "--class", "general", "--action", "Search", "--citation", "C", "--exempt", "x"),
        ("easings", "propose", "nope", "x", "--reason", "R"),
        ("stop", "throw", "--all"),
        ("rules", "diff", "--days", "0"),
        ("rules", "diff", "--days", "9999999999", "--enable", "gdpr"),
        ("ledger", "show", "one"),
        ("ledger", "replay", "--since", "31.12.2026"),
        ("retention", "set", "album", "--days", "-1"),
        ("subject", "report", "two words", "--user", "u"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_parsed_is_status_2(house: House, arguments: tuple[str, ...]) -> None:
    """A word that an option can't have is told with the usage."""
    done = house.run(*arguments, by="first" if arguments[0] in _OVERSEERS else "")
    assert (done.status, done.out) == (2, ""), done
    assert "Usage" in done.err


def test_without_an_installation_nothing_is_made(tmp_path: Path) -> None:
    """Commands that look or change need an installation, and say so; none of them makes one."""
    for arguments in (
        *LISTS,
        ("org", "suspend", "x"),
        ("people", "suspend", "x"),
        ("cases", "open", "missing-person"),
        ("stop", "throw", "--all", "--reason", "R"),
        ("easings", "approve", "x"),
        ("moratoria", "declare", MORATORIUM),
        ("rules", "enable", "gdpr"),
        ("rules", "explain", "0"),
        ("ledger", "show", "0"),
        ("ledger", "checkpoint"),
        ("ledger", "replay"),
        ("ledger", "publish", str(tmp_path / "out")),
        ("ledger", "disclose", "0"),
        ("subject", "erase", "c", "--user", "u"),
        ("retention", "run"),
    ):
        done = run(tmp_path / "none", *arguments)
        assert (done.status, done.out) == (1, ""), arguments
        assert "There is no installation in" in done.err
        assert "CUSTODES_DATA" in done.err
    assert list(tmp_path.iterdir()) == []


# --- Who acts --------------------------------------------------------------------------------------------------------


def _credentials(house: House, tmp_path: Path, **changes: str) -> Path:
    read = configparser.ConfigParser(interpolation=None)
    read.read(house.credentials("chief"))
    read["custodes"].update(changes)
    file = tmp_path / "credentials"
    with file.open("w", encoding="utf-8") as stream:
        read.write(stream)
    return file


CREDENTIALS: dict[str, tuple[Callable[[House, Path], Path], str, str]] = {
    "that isn't there": (lambda _, tmp: tmp / "nowhere", "Unavailable", "can't be read"),
    "that is a folder": (lambda _, tmp: tmp, "Unavailable", "can't be read"),
    "that is no text": (
        lambda _, tmp: [(tmp / "b").write_bytes(b"\xff\x00"), tmp / "b"][1],
        "Invalid",
        "can't be understood",
    ),
    "that is something else": (lambda _, __: PHOTOS / "CREDITS.md", "Invalid", "can't be understood"),
    "without the profile": (
        lambda _, tmp: [(tmp / "b").write_text("[default]\na = 1\n"), tmp / "b"][1],
        "Denied",
        "no valid key",
    ),
    "with a wrong secret": (
        lambda house, tmp: _credentials(house, tmp, aws_secret_access_key="x" * 40),
        "Denied",
        "no valid key",
    ),
    "with a secret that isn't ASCII": (
        lambda house, tmp: _credentials(house, tmp, aws_secret_access_key="ü" * 40),
        "Denied",
        "no valid key",
    ),
    "without a secret": (
        lambda house, tmp: _credentials(house, tmp, aws_secret_access_key=""),
        "Denied",
        "no valid key",
    ),
    "with a key that isn't there": (
        lambda house, tmp: _credentials(house, tmp, aws_access_key_id="CUSTAAAAAAAAAAAAAAAA"),
        "Denied",
        "no valid key",
    ),
}


@pytest.mark.parametrize("case", CREDENTIALS)
def test_a_credentials_file_that_proves_nobody(house: House, tmp_path: Path, case: str) -> None:
    """Who can't show a valid key with its secret does nothing, isn't taken for the operator, and is on record."""
    make, kind, said = CREDENTIALS[case]
    before = house.tell("ledger", "list", "-n", "1")[0]["index"]
    file = make(house, tmp_path)
    done = run(house.data, "cases", "open", "missing-person", "--json", CUSTODES_CREDENTIALS=str(file))
    assert (done.status, done.told["error"], said in done.told["message"]) == (1, kind, True), done
    since = [e for e in house.tell("ledger", "list", "-n", "5") if e["index"] > before]
    assert [e["event"] for e in since] == (["login-refused"] if kind == "Denied" else [])


def test_a_credentials_file_proves_somebody(house: House) -> None:
    """Who shows a valid key acts as its holder; the login and the act are entries."""
    made = house.tell("cases", "open", "missing-person", by="rescuer")
    assert made["organisation"] == house.ids["rescue"]
    login, opened = house.tell("ledger", "list", "-n", "2")
    assert (login["event"], login["principal"]) == ("login", house.ids["rescuer"])
    assert (opened["change"], opened["target"]) == ("case-opened", made["id"])
    assert opened["request"]["principal"] == house.ids["rescuer"]
    assert house.say("cases", "close", made["id"], by="rescuer") == f"{made['id']} is closed.\n"
    assert house.refuse("cases", "close", made["id"], by="rescuer")["error"] == "Conflict"


def test_a_case_rests_and_is_taken_up_again(house: House) -> None:
    """Its administrator pauses and resumes it; the list tells since when it rests, and what can't be is refused."""
    case = house.tell("cases", "open", "missing-person", by="rescuer")["id"]
    paused = house.tell("cases", "pause", case, by="rescuer")
    [row] = [r for r in house.tell("cases", "list") if r["id"] == case]
    assert (paused["id"], paused["status"]) == (case, "suspended")
    assert row["paused_at"] is not None
    assert house.refuse("cases", "pause", case, by="rescuer")["error"] == "Conflict"
    resumed = house.tell("cases", "resume", case, by="rescuer")
    assert (resumed["id"], resumed["status"]) == (case, "open")
    assert house.refuse("cases", "resume", case, by="rescuer")["error"] == "Conflict"
    assert house.say("cases", "pause", case, by="rescuer") == f"{case} is suspended.\n"
    assert house.say("cases", "resume", case, by="rescuer") == f"{case} is open again.\n"
    assert "base.administer-own" in house.refuse("cases", "pause", case, by="chief")["message"]
    refused = house.refuse("cases", "open", "criminal-investigation", by="chief")
    assert f"moratorium.{MORATORIUM}.cases" in refused["message"]


def test_each_does_what_the_role_allows(house: House) -> None:
    """Users don't administer, administrators stay at home, the operator doesn't oversee, and all of it is recorded."""
    officer, chief = house.ids["officer"], house.ids["chief"]
    for arguments, by, rule in (
        (("people", "add", "X", "--id", "x", "--org", house.ids["police"]), "officer", "base.administer-role"),
        (("people", "suspend", house.ids["rescuer"]), "chief", "base.administer-own"),
        (("keys", "create", "--principal", house.ids["rescuer"]), "chief", "base.administer-own"),
        (("cases", "open", "missing-person", "--org", house.ids["rescue"]), "chief", "base.administer-own"),
        (("org", "add", "X", "--class", "general"), "chief", "base.organisations-by-operator"),
        (("org", "suspend", house.ids["police"]), "chief", "base.organisations-by-operator"),
        (("people", "roles", chief, "operator"), "chief", "base.administer-own"),
        (("people", "roles", chief, "oversight"), "chief", "base.overseer-appointed"),
        (("people", "add", "Third", "--id", "third", "--role", "oversight"), "", "base.overseer-appointed"),
        (("people", "roles", house.ids["first"], "user"), "", "base.overseer-dismissed"),
        (("people", "suspend", house.ids["first"]), "", "base.overseer-dismissed"),
        (("org", "suspend", house.ids["board"]), "", "base.overseer-dismissed"),
        (("stop", "throw", "--all", "--reason", "R"), "", "base.oversee-role"),
        (("rules", "enable", "gdpr"), "", "base.oversee-role"),
        (("moratoria", "declare", "amazon-one-year"), "chief", "base.oversee-role"),
        (("easings", "propose", "lift-moratorium", MORATORIUM, "--reason", "R"), "chief", "base.oversee-role"),
        (("ledger", "witness", "add", "x"), "chief", "base.organisations-by-operator"),
    ):
        told = house.refuse(*arguments, by=by)
        assert (told["error"], rule in told["message"]) == ("Refused", True), (arguments, told)
        [entry] = house.tell("ledger", "list", "-n", "1")
        assert (entry["kind"], entry["decision"], rule in entry["rules"]) == ("act", "deny", True)
    kept = {p["id"]: p["roles"] for p in house.tell("people", "list")}
    assert (kept[officer], kept[chief]) == (["user"], ["admin", "user"])


def test_an_overseers_further_keys_are_their_own_affair(house: House) -> None:
    """The operator makes an overseer's first key and no other, and revokes none, until two overseers call it lost."""
    person = house.ids["first"]
    create = ("keys", "create", "--principal", person, "--purpose", "oversight")
    assert "custodes easings propose new-key-for-overseer" in house.refuse(*create)["remedy"]
    [key] = [k["access_key_id"] for k in house.tell("keys", "list") if k["principal"] == person]
    assert house.refuse("keys", "revoke", key)["error"] == "Denied"
    easing = house.tell("easings", "propose", "new-key-for-overseer", person, "--reason", "Lost.", by="second")["id"]
    assert house.refuse("easings", "approve", easing, by="second")["error"] == "Refused"
    assert house.tell("easings", "approve", easing, by="first") == {
        "id": easing,
        "kind": "new-key-for-overseer",
        "target": person,
    }
    assert house.refuse("alarms", "answer", "alarm-0", "--finding", "F", by="first")["error"] == "Denied"
    house.credentials("first").unlink()
    new = house.key("first", "first", "oversight")
    assert [k["access_key_id"] for k in house.tell("keys", "list") if k["principal"] == person] == [new]
    assert house.refuse("alarms", "answer", "alarm-0", "--finding", "F", by="first")["error"] == "NotFound"


# --- Organisations and people ----------------------------------------------------------------------------------------


def test_people_and_organisations_live(house: House) -> None:
    """A person is added, trained, changed, suspended and resumed, and so is an organisation; each says so in words."""
    org = house.tell("org", "add", "Mountain rescue", "--class", "victim-rescue", "--jurisdiction", "CH")["id"]
    assert house.say("people", "add", "Ada", "--id", "ada@example.org", "--org", org).endswith("Ada, user.\n")
    [ada] = [p for p in house.tell("people", "list") if p["organisation"] == org]
    assert (ada["roles"], ada["trained_until"], ada["suspended_at"]) == (["user"], None, None)
    assert house.refuse("people", "add", "A.", "--id", " ADA@example.org ", "--org", org)["error"] == "Conflict"
    until = house.tell("people", "train", ada["id"], "A course", "--since", "2026-01-01", "--days", "10")["until"]
    assert until == "2026-01-11T00:00:00Z"
    assert "counts as trained until" in house.say("people", "train", ada["id"], "Another")
    assert house.tell("people", "roles", ada["id"], "admin", "reviewer")["roles"] == ["admin", "reviewer"]
    for noun, id_ in (("people", ada["id"]), ("org", org)):
        assert house.tell(noun, "suspend", id_) == {"id": id_, "suspended": True}
        [row] = [r for r in house.tell(noun, "list") if r["id"] == id_]
        assert row["suspended_at"]
        assert "may act again" in house.say(noun, "resume", id_)
        [row] = [r for r in house.tell(noun, "list") if r["id"] == id_]
        assert row["suspended_at"] is None


# --- Oversight -------------------------------------------------------------------------------------------------------


def test_two_people_are_two_people(house: House) -> None:
    """Who proposes an easing doesn't approve it, neither as the same principal nor as another of the same person."""
    easing = house.tell("easings", "propose", "lift-moratorium", MORATORIUM, "--reason", "The law.", by="first")["id"]
    assert " base.easing-two-people " in house.refuse("easings", "approve", easing, by="first")["message"]

    other = house.tell("org", "add", "Other board", "--class", "oversight", "--jurisdiction", "US")["id"]
    twin = house.tell("people", "add", "F. Irst", "--id", "FIRST@example.org", "--org", other)["id"]
    house.ids["twin"] = twin
    appoint = house.tell("easings", "propose", "appoint-overseer", twin, "--reason", "R", by="second")["id"]
    house.tell("easings", "approve", appoint, by="first")
    house.key("twin", "twin", "oversight")
    assert " base.easing-two-people " in house.refuse("easings", "approve", easing, by="twin")["message"]
    states = {m["id"]: m["state"] for m in house.tell("moratoria", "list")}
    assert states == {MORATORIUM: "in force", "amazon-one-year": "not declared"}

    words = house.say("easings", "approve", easing, by="second")
    assert words == f"lift-moratorium {MORATORIUM}: done.\n"
    assert house.refuse("easings", "approve", easing, by="second")["error"] == "Conflict"
    assert {m["state"] for m in house.tell("moratoria", "list")} == {"not declared"}
    [row] = [e for e in house.tell("easings", "list") if e["id"] == easing]
    assert (row["proposed_by"], row["approved_by"]) == (house.ids["first"], house.ids["second"])
    assert "is declared" in house.say("moratoria", "declare", MORATORIUM, by="second")
    dismiss = house.tell("easings", "propose", "dismiss-overseer", twin, "--reason", "R", by="second")["id"]
    house.tell("easings", "approve", dismiss, by="first")


def test_a_moratorium_is_declared_extended_and_shortened(house: House) -> None:
    """One overseer declares and extends; to shorten takes two; the row says whom it binds and until when."""
    made = house.tell(
        "moratoria", "declare", "doors", "--class", "general", "--action", "Watch", "--purpose", "access-control",
        "--jurisdiction", "US-IL", "--begins", "2027-01-01", "--ends", "2040-01-01", "--citation", "A city's ordinance",
        "--exempt", "general:identity-verification,access-control", by="first",
    )  # fmt: skip
    assert made["exempt"] == ["general: access-control", "general: identity-verification"]
    assert (made["classes"], made["actions"], made["ends"]) == (["general"], ["Watch"], "2040-01-01T00:00:00Z")
    assert "lasts until 2041-01-01" in house.say("moratoria", "extend", "doors", "--ends", "2041-01-01", by="second")
    propose = ("easings", "propose", "shorten-moratorium", "doors", "--reason", "R", "--ends")
    assert house.refuse(*propose, "2042-01-01", by="first")["error"] == "Invalid"
    assert house.refuse(*propose, "2020-01-01", by="first")["error"] == "Invalid"
    easing = house.say(*propose, "2039-01-01", by="first").split()[0]
    house.tell("easings", "approve", easing, by="second")
    [row] = [m for m in house.tell("moratoria", "list") if m["id"] == "doors"]
    assert row["ends"] == "2039-01-01T00:00:00Z"
    lift = house.tell("easings", "propose", "lift-moratorium", "doors", "--reason", "R", by="second")["id"]
    house.tell("easings", "approve", lift, by="first")
    assert "doors" not in {m["id"] for m in house.tell("moratoria", "list")}


def test_a_stop_is_thrown_listed_and_ended(house: House) -> None:
    """A stop holds for the command line too, and is listed with its reason until two overseers end it."""
    made = house.tell("stop", "throw", "--purpose", "photo-library", "--reason", "A leak.", by="first")
    try:
        [row] = house.tell("stop", "list")
        assert (row["id"], row["reason"], row["stopped_by"]) == (made["id"], "A leak.", house.ids["first"])
        assert " base.stopped " in house.refuse("collections", "list")["message"]
    finally:
        easing = house.tell("easings", "propose", "restart", made["id"], "--reason", "Mended.", by="first")["id"]
        house.tell("easings", "approve", easing, by="second")
    house.tell("collections", "list")
    assert house.tell("stop", "list") == []


# --- Rules -----------------------------------------------------------------------------------------------------------


def test_the_worked_cases_run(house: House) -> None:
    """``rules test`` decides every worked case, and says how many came out as expected."""
    told = house.tell("rules", "test")
    assert (told["failed"], told["cases"] >= 300) == ([], True)
    assert house.say("rules", "test") == f"{told['cases']} of {told['cases']} worked cases as expected.\n"


def test_rules_are_shown_with_all_that_people_need(house: House) -> None:
    """Each rule has citation, explanation and remedy; a rulebook's own are its part of all; disabling takes two."""
    books = {b["id"]: b for b in house.tell("rules", "list")}
    assert books["base"]["state"] == "always on"
    assert {i for i, b in books.items() if b["state"] != "on"} == {"base", "evaluate-first"}
    assert (books["evaluate-first"]["state"], books["evaluate-first"]["rules"]) == ("off", 0)
    every = house.tell("rules", "show")
    assert all(all(rule.values()) for rule in every)
    assert house.tell("rules", "show", "moratorium")[0]["id"] == f"moratorium.{MORATORIUM}"
    own = house.tell("rules", "show", "us-wa")
    assert own == [rule for rule in every if rule["rulebook"] == "us-wa"]
    assert len(own) == books["us-wa"]["rules"]
    words = house.say("rules", "show", "us-wa")
    assert all(rule["remedy"] in words and rule["citation"] in words for rule in own)

    off = house.tell("easings", "propose", "disable-rulebook", "us-wa", "--reason", "R", by="first")["id"]
    house.tell("easings", "approve", off, by="second")
    try:
        assert {b["id"]: b["state"] for b in house.tell("rules", "list")}["us-wa"] == "off"
        assert house.tell("rules", "show", "us-wa") == []
    finally:
        assert house.say("rules", "enable", "us-wa", by="first") == "us-wa holds.\n"


def test_a_request_is_explained(house: House, tmp_path: Path) -> None:
    """A request from a file or standard input is decided by the rules of now, with every rule that forbids it."""
    request = {
        "principal": "somebody",
        "action": "SearchReferences",
        "facts": {
            "now": "2027-01-15T12:00:00Z",
            "org": {"class": "law-enforcement", "country": "US", "jurisdiction": "US-WA"},
            "purpose": "criminal-investigation",
            "threshold": "99.0",
            "collection": {
                "id": "c", "own": True, "owner_class": "law-enforcement", "purpose": "criminal-investigation",
            },
        },
    }  # fmt: skip
    raw = orjson.dumps(request)
    (tmp_path / "request.json").write_bytes(raw)
    told = house.tell("rules", "explain", str(tmp_path / "request.json"))
    assert told["decision"] == "deny"
    rules = [r["id"] for r in told["rules"]]
    assert rules[0] == f"moratorium.{MORATORIUM}"
    assert {"us-wa.warrant", "us-wa.accountability-report", "amazon-public-safety.training"} <= set(rules)
    assert house.tell("rules", "explain", "-", stdin=raw) == told
    words = house.say("rules", "explain", str(tmp_path / "request.json"))
    assert "law-enforcement in US-WA: denied." in words
    assert all(f"{r['id']} [{r['citation']}]" in words for r in told["rules"])
    for wrong in (b"[]", b"{}", b'{"principal": "p", "action": "Fly", "facts": {}}', b"\xff"):
        done = house.run("rules", "explain", "-", "--json", stdin=wrong)
        assert (done.status, done.told["error"]) == (1, "Invalid"), wrong


def test_a_change_of_rules_is_tried_on_what_was_asked(house: House, bookings: str) -> None:
    """A logged denial is explained by the rules of its time; ``diff`` says what lifting the moratorium would change."""
    refused = house.refuse("search", str(PHOTOS / "biden.jpg"), "-c", bookings, by="officer")
    assert refused["error"] == "Refused"
    [entry] = house.tell("ledger", "list", "-n", "1")
    index = entry["index"]
    told = house.tell("rules", "explain", str(index))
    assert (told["decision"], [r["id"] for r in told["rules"]]) == ("deny", entry["rules"])
    assert told["rules_hash"] == entry["rules_hash"]

    def changed(*change: str) -> dict[int, dict[str, Any]]:
        return {d["index"]: d for d in house.tell("rules", "diff", "--days", "1", *change)["differences"]}

    lifted = changed("--lift", MORATORIUM)[index]
    assert (lifted["was"], lifted["now"]) == ("deny", "deny")
    assert set(lifted["was_rules"]) - set(lifted["now_rules"]) == {f"moratorium.{MORATORIUM}"}
    demanding = ("us-wa", "amazon-public-safety", "evaluation-gate")
    freed = changed("--lift", MORATORIUM, *(o for book in demanding for o in ("--disable", book)))[index]
    assert (freed["was"], freed["now"], freed["now_rules"]) == ("deny", "permit", [])
    assert index not in changed("--declare", "amazon-one-year"), "it is over"
    words = house.say("rules", "diff", "--lift", MORATORIUM)
    assert "would be decided otherwise." in words
    shutil.copytree(Path(custodes.__file__).parent / "governance/rulebooks/us-wa", house.data.parent / "us-wa")
    policies = house.data.parent / "us-wa/policies.cedar"
    policies.write_text(policies.read_text().replace('"warrant", "court-order", "exigency"', '"warrant"'))
    assert changed("--rulebook", str(house.data.parent / "us-wa")) == {}
    policies.write_text("forbid (principal, action, resource);")
    assert house.refuse("rules", "diff", "--rulebook", str(house.data.parent / "us-wa"))["error"] == "Invalid"
    replayed = house.tell("ledger", "replay")
    assert (replayed["differences"], replayed["requests"] > 10) == ([], True)
    assert house.say("ledger", "replay", "--since", "2026-01-01").endswith("requests, 0 differ.\n")


def test_duties_are_listed_and_attested(house: House) -> None:
    """What software can't enforce is listed with who should attest to it; an attestation has an end and a name."""
    duties = house.tell("rules", "duties", "--org", house.ids["rescue"])
    assert {d["attested_by"] for d in duties} == {None}
    words = house.say("rules", "attest", "base.provenance-true", "--days", "30", by="rescuer")
    assert words == "base.provenance-true is attested to for 30 days.\n"
    [row] = [d for d in house.tell("rules", "duties", "--org", house.ids["rescue"]) if d["attested_by"]]
    assert (row["duty"], row["attested_by"]) == ("base.provenance-true", house.ids["rescuer"])
    assert abs(datetime.fromisoformat(row["until"]) - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=5)


def test_an_authority_is_filed_and_listed(house: House, bookings: str, tmp_path: Path) -> None:
    """A warrant is known by the hash of its document, which stays where it is."""
    (tmp_path / "warrant.pdf").write_bytes(b"a warrant")
    words = house.run(
        "authority", "file", "warrant", "--issuer", "A court", "--purpose", "criminal-investigation",
        "--collection", bookings, "--not-before", "2027-01-01", "--not-after", "2027-01-31T12:00:00+02:00",
        "--document", str(tmp_path / "warrant.pdf"), "--subject", "reference:x", by="chief",
    ).out  # fmt: skip
    id_ = words.split()[0]
    assert words == f"{id_} is filed: warrant, valid until 2027-01-31T10:00:00Z.\n"
    [row] = [a for a in house.tell("authority", "list") if a["id"] == id_]
    assert (row["issuer"], row["organisation"], row["waits"]) == ("A court", house.ids["police"], False)
    [entry] = house.tell("ledger", "list", "-n", "1")
    assert entry["document"] == hashlib.sha256(b"a warrant").hexdigest()
    assert "reference:x" not in orjson.dumps(entry).decode()


# --- What is held, and erased ----------------------------------------------------------------------------------------


def test_a_person_is_reported_and_erased(house: House, album: dict[str, str], tmp_path: Path) -> None:
    """The report has what is held and every use; the erasure gives a receipt that is checked without a database."""
    face = album["obama_1.jpg"]
    house.tell("search", str(PHOTOS / "obama_1.jpg"), "-c", "album")
    report = ("subject", "report", "album", "--face", face)
    told = house.tell(*report)
    [held] = told["faces"]
    assert (held["face_id"], held["external_image_id"], held["provenance"]) == (face, "obama_1.jpg", "own")
    assert [u["action"] for u in told["uses"]] == ["Enrol", "SearchReferences"]
    assert "an encrypted template" in held["held"]
    words = house.say(*report)
    assert "No photo is held." in words
    assert face in words
    assert [u["action"] for u in house.tell(*report)["uses"]][2:] == ["ExportReport", "ExportReport"]

    house.tell("users", "create", "album", "barack")
    house.tell("users", "associate", "album", "barack", face)
    by_user = house.tell("subject", "report", "album", "--user", "barack")
    assert [(f["face_id"], f["user_id"]) for f in by_user["faces"]] == [(face, "barack")]
    receipt = tmp_path / "receipt.json"
    erase = ("subject", "erase", "album", "--user", "barack", "--receipt", str(receipt))
    done = house.tell(*erase)
    assert (done["erased"], done["receipt"]) == ([face], str(receipt))
    assert house.refuse(*erase)["error"] == "Invalid", "a receipt is not written over"
    assert face not in {f["face_id"] for f in house.tell("faces", "list", "album")}
    assert house.tell("users", "list", "album") == []
    vkey = house.tell("ledger", "publish", str(tmp_path / "log"))["vkey"]
    checked = run(tmp_path / "none", "ledger", "check", str(receipt), "--vkey", vkey, "--json").told
    assert (checked["index"], list(checked["openings"].values())) == (done["entries"][0], [face])
    assert checked["entry"]["erased"] == 1
    again = house.say("ledger", "receipt", str(done["entries"][0]))
    assert orjson.loads(again)["index"] == done["entries"][0]
    in_words = run(tmp_path / "none", "ledger", "check", str(receipt), "--vkey", str(tmp_path / "log/vkey"))
    assert f"Entry {done['entries'][0]} is in the log" in in_words.out

    forged = orjson.loads(receipt.read_bytes())
    forged["index"] -= 1
    receipt.write_bytes(orjson.dumps(forged))
    done = run(tmp_path / "none", "ledger", "check", str(receipt), "--vkey", vkey, "--json")
    assert (done.status, done.told["error"]) == (1, "IntegrityError")


def test_a_withdrawn_consent_takes_its_faces_with_it(house: House, album: dict[str, str]) -> None:
    """What rests on a consent says so, and goes when that is withdrawn."""
    face, consent = album["biden.jpg"], album["consent"]
    told = house.tell("subject", "report", "album", "--face", face)
    assert told["faces"][0]["consent"] == consent
    assert [c["id"] for c in told["consents"]] == [consent]
    assert house.tell("consent", "withdraw", consent) == {"id": consent, "withdrawn": True, "erased": 1}
    assert face not in {f["face_id"] for f in house.tell("faces", "list", "album")}
    assert house.refuse("consent", "withdraw", consent)["error"] == "Conflict"
    [row] = [c for c in house.tell("consent", "list") if c["id"] == consent]
    assert row["withdrawn_at"]


def test_retention_is_set_and_run(house: House, failing: House) -> None:
    """A collection's references get an end, which the report tells; nothing is due in an empty one."""
    assert house.tell("retention", "set", "failing", "--days", "30") == {"collection_id": "failing", "days": 30}
    assert house.say("retention", "set", "failing", "--days", "0") == "failing keeps without an end.\n"
    assert house.tell("retention", "run") == {"erased": 0}
    assert house.say("retention", "run") == "0 references are erased.\n"


def test_a_transparency_report_is_made_of_the_ledger(house: House, tmp_path: Path) -> None:
    """The report is a page and JSON; made of the published log it is the same."""
    pytest.importorskip("custodes.operations.transparency")
    period = ("--from", "2026-01-01", "--to", "2030-01-01")
    house.tell("ledger", "publish", str(tmp_path / "log"))
    told = house.tell("report", "transparency", *period, "--out", str(tmp_path / "own.html"))
    assert {p.name for p in tmp_path.glob("own.*")} == {"own.html", "own.json"}
    other = ("--out", str(tmp_path / "other.html"), "--ledger", str(tmp_path / "log"))
    words = run(tmp_path / "none", "report", "transparency", *period, *other)
    assert (words.status, "are written" in words.out) == (0, True), words
    assert told == orjson.loads((tmp_path / "own.json").read_bytes())
    assert (tmp_path / "own.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    assert (tmp_path / "own.html").read_bytes() == (tmp_path / "other.html").read_bytes()


# --- The ledger ------------------------------------------------------------------------------------------------------


def test_entries_are_listed_and_shown(house: House) -> None:
    """The newest entries are listed, and each is shown as it was written."""
    entries = house.tell("ledger", "list", "-n", "3")
    assert [e["index"] for e in entries] == list(range(entries[0]["index"], entries[0]["index"] + 3))
    shown = house.tell("ledger", "show", str(entries[0]["index"]))
    assert {"index": entries[0]["index"], **shown} == entries[0]
    assert orjson.loads(house.say("ledger", "show", str(entries[0]["index"]))) == shown
    begun = house.tell("ledger", "show", "0")
    assert (begun["event"], begun["target"]) == ("moratorium-declared", MORATORIUM)


def test_an_entry_is_opened_and_that_is_an_entry(house: House, tmp_path: Path) -> None:
    """A disclosure has the entry, what it commits to and a proof, and is recorded; officers don't disclose."""
    house.tell("collections", "create", "disclosed")
    index = house.tell("ledger", "list", "-n", "1")[0]["index"]
    out = tmp_path / "disclosure"
    words = house.say("ledger", "disclose", str(index), "--out", str(out))
    assert f"custodes ledger check {out}" in words
    vkey = house.tell("ledger", "publish", str(tmp_path / "log"))["vkey"]
    checked = house.tell("ledger", "check", str(out), "--vkey", vkey)
    assert checked["index"] == index
    assert checked["entry"] == house.tell("ledger", "show", str(index))
    entries = house.tell("ledger", "list", "-n", "2")
    assert [e.get("change") or e.get("event") for e in entries] == ["disclosed", "published"]
    assert house.run("ledger", "disclose", str(index), by="officer").status == 1


@pytest.fixture(scope="module")
def published(house: House, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The log as it is published, and its verifier key."""
    folder = tmp_path_factory.mktemp("published") / "log"
    told = house.tell("ledger", "publish", str(folder))
    assert {p.name for p in folder.iterdir()} == {"checkpoint", "tile", "vkey"}
    return folder, told["vkey"]


def test_a_published_log_is_verified_without_an_installation(
    custodes: Callable[..., Any], published: tuple[Path, str], tmp_path: Path
) -> None:
    """An outsider's own process needs the folder alone, and makes nothing; with a key it trusts nobody's word."""
    folder, vkey = published
    done = custodes(tmp_path / "none", "ledger", "verify", str(folder), "--vkey", vkey, "--json")
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout)
    assert told["size"] == int((folder / "checkpoint").read_text().splitlines()[1])
    assert told["key_given"] is True
    assert not (tmp_path / "none").exists()
    words = run(tmp_path / "none", "ledger", "verify", str(folder))
    assert f"{told['size']} entries" in words.out
    assert "get it from elsewhere too" in words.out
    by_file = run(tmp_path / "none", "ledger", "verify", str(folder), "--vkey", str(folder / "vkey"), "--json")
    assert by_file.told == told


def _flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def _partial(folder: Path, below: str) -> Path:
    return max(p for p in (folder / "tile" / below).rglob("*") if p.is_file())


TAMPERING: dict[str, tuple[Callable[[Path], object], str]] = {
    "an entry": (lambda f: _flip(_partial(f, "entries"), 40), r"tile/(entries|0)/\S+"),
    "an entry's end": (lambda f: _flip(_partial(f, "entries")), r"tile/(entries|0)/\S+|Entry \d+"),
    "an entry's length": (lambda f: _flip(_partial(f, "entries"), 1), r"tile/entries/\S+"),
    "a bundle that is cut": (
        lambda f: [p.write_bytes(p.read_bytes()[:-1]) for p in [_partial(f, "entries")]],
        r"tile/entries/\S+",
    ),
    "a bundle that is gone": (lambda f: _partial(f, "entries").unlink(), r"tile/entries/\S+"),
    "a tile": (lambda f: _flip(_partial(f, "0")), r"tile/0/\S+"),
    "a tile that is cut": (
        lambda f: [p.write_bytes(p.read_bytes()[:-1]) for p in [_partial(f, "0")]],
        r"tile/0/\S+",
    ),
    "a tile that is gone": (lambda f: _partial(f, "0").unlink(), r"tile/0/\S+"),
    "the checkpoint's root": (
        lambda f: _flip(f / "checkpoint", (f / "checkpoint").read_bytes().index(b"\n\n") - 5),
        "checkpoint",
    ),
    "the checkpoint's signature": (lambda f: _flip(f / "checkpoint", -5), "checkpoint"),
    "the checkpoint, cut": (lambda f: (f / "checkpoint").write_bytes(b"custodes"), "checkpoint"),
    "the checkpoint, gone": (lambda f: (f / "checkpoint").unlink(), "checkpoint"),
    "the key": (lambda f: (f / "vkey").write_text("custodes"), "vkey"),
    "the key, gone": (lambda f: (f / "vkey").unlink(), "vkey"),
}


@pytest.mark.parametrize("case", TAMPERING)
def test_tampering_is_found_and_the_file_named(published: tuple[Path, str], tmp_path: Path, case: str) -> None:
    """A file that isn't what was published fails the verification with status 1, and the message names it."""
    tamper, named = TAMPERING[case]
    folder = tmp_path / "log"
    shutil.copytree(published[0], folder)
    tamper(folder)
    done = run(tmp_path / "none", "ledger", "verify", str(folder), "--json")
    assert (done.status, done.told["error"]) == (1, "IntegrityError"), done
    assert re.search(named, done.told["message"]), done.told
    assert done.err.count("\n") == 1


def test_a_log_under_another_key_is_refused(published: tuple[Path, str], tmp_path: Path) -> None:
    """Who brings the key along isn't taken in by a log that another has signed, nor by its file ``vkey``."""
    other = FileSigner(published[1].split("+")[0], bytes(range(32)))
    done = run(tmp_path, "ledger", "verify", str(published[0]), "--vkey", str(other.verifier_key), "--json")
    assert (done.status, done.told["error"]) == (1, "IntegrityError")


def test_an_old_checkpoint_and_witnesses_hold_the_log_to_its_word(house: House, tmp_path: Path) -> None:
    """A log continues its old checkpoint, or it has shrunk; what a witness has cosigned is published and asked for."""
    folder, later, old = tmp_path / "log", tmp_path / "later", tmp_path / "old"
    signer = FileSigner("witness.example", bytes(range(32)), KeyKind.COSIGNATURE)
    known = str(signer.verifier_key)
    assert "is registered" in house.say("ledger", "witness", "add", known)
    house.tell("ledger", "witness", "add", known)
    stranger = FileSigner("witness.example", bytes(32), KeyKind.COSIGNATURE)
    assert house.refuse("ledger", "witness", "add", str(stranger.verifier_key))["error"] == "Conflict"
    vkey = house.tell("ledger", "publish", str(folder))["vkey"]
    assert house.refuse("ledger", "witness", "add", vkey)["error"] == "Invalid"
    assert [w["vkey"] for w in house.tell("ledger", "witness", "list")] == [known]

    old.write_bytes((folder / "checkpoint").read_bytes())
    assert house.refuse("ledger", "witness", "accept", str(old))["error"] == "Invalid"
    old.write_text(Witness(signer, VerifierKey.parse(vkey)).cosign(old.read_text(), [], 1_800_000_000))
    assert house.say("ledger", "witness", "accept", str(old)) == "Accepted: witness.example.\n"
    (folder / "checkpoint").write_text(house.say("ledger", "checkpoint", "--cosigned", "1"))
    seen = run(tmp_path, "ledger", "verify", str(folder), "--vkey", vkey, "--witness", known, "--json")
    assert (seen.status, seen.told.get("cosigned_by")) == (0, ["witness.example"]), seen

    house.tell("ledger", "publish", str(later))
    verify = ("--vkey", vkey, "--since")
    done = run(tmp_path, "ledger", "verify", str(later), *verify, str(old))
    assert (done.status, f"The log continues {old}." in done.out) == (0, True), done
    lonely = run(tmp_path, "ledger", "verify", str(later), "--vkey", vkey, "--witness", known, "--json")
    assert (lonely.status, "cosignatures by 1 of 1" in lonely.told["message"]) == (1, True)
    shrunk = run(tmp_path, "ledger", "verify", str(folder), *verify, str(later / "checkpoint"), "--json")
    assert (shrunk.status, shrunk.told["error"]) == (1, "IntegrityError")
    assert "shrunk" in shrunk.told["message"]
    assert house.tell("ledger", "publish", str(folder))["written"] < 10, "what a cosigned checkpoint covers is kept"
