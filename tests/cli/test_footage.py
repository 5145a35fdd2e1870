# SPDX-License-Identifier: Apache-2.0
"""``custodes footage``: an officer's whole way at the command line, from a key to a request that is public."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_cli_rules import Done, run

from custodes.app import App
from custodes.cameras.sharing import check_request, read_agency, read_board
from custodes.config import Config
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
OFFICERS = ("ann", "bob", "cat")


@dataclass
class Precinct:
    """An installation with a police department whose agency is enrolled, and files of its officers."""

    folder: Path
    app: App
    people: dict[str, str]

    def run(self, *arguments: str, by: str = "") -> Done:
        """Run a command as one of the department's people, or as the operator."""
        who = {"CUSTODES_CREDENTIALS": str(self.folder / f"{by}.ini")} if by else {}
        return run(self.folder / "data", "footage", *arguments, **who)

    def tell(self, *arguments: str, by: str = "", status: int = 0) -> Any:
        """Run a command with --json, and return what it told."""
        done = self.run(*arguments, "--json", by=by)
        assert done.status == status, done
        return done.told

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def draft(self, output: str, **other: str) -> tuple[str, ...]:
        """Return the arguments of a draft of Ann's; ``other`` replaces options."""
        begins = datetime.now(UTC) - timedelta(hours=10)
        options = {
            "key": self.path("ann.key"),
            "certificate": self.path("ann.json"),
            "agency": self.path("agency.json"),
            "incident": f"2027-{output}",
            "purpose": "criminal-investigation",
            "offence": "burglary",
            "text": "A white van.",
            "contact": "+1 206 555 0100",
            "place": "47.6097,-122.3425",
            "radius": "300",
            "from": begins.isoformat(),
            "to": (begins + timedelta(hours=2)).isoformat(),
            "output": self.path(output),
        } | other
        return ("draft", *(part for name, value in options.items() for part in (f"--{name}", value)))


@pytest.fixture(scope="module")
def precinct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Precinct]:
    folder = tmp_path_factory.mktemp("precinct")
    app = App.open(Config(data=folder / "data"))
    police = app.people.add_organisation(ME, "Seattle PD", OrgClass.LAW_ENFORCEMENT, "US-WA").id
    made = Precinct(folder, app, {})
    for name in ("chief", *OFFICERS):
        roles = (Role.ADMIN,) if name == "chief" else (Role.USER,)
        person = app.people.add(ME, police, f"{name}@spd.example", name, roles).id
        made.people[name] = person
        key = ("keys", "create", "--principal", person, "--purpose", "criminal-investigation")
        assert run(folder / "data", *key, "--credentials", made.path(f"{name}.ini"), "--json").status == 0
    told = ("--name", "Seattle Police Department", "--contact", "records@example.org", "--jurisdiction", "US-WA")
    agency = made.tell("agency", *told, "--agency-key", made.path("agency.key"), "-o", made.path("agency.json"))
    made.tell("agencies", "enrol", made.path("agency.json"), "--fingerprint", agency["fingerprint"])
    for number, name in enumerate(OFFICERS):
        made.tell("keygen", "-o", made.path(f"{name}.key"))
        officer = ("--name", name.title(), "--badge", str(100 + number), "--agency-key", made.path("agency.key"))
        files = (made.path(f"{name}.key.pub"), "-o", made.path(f"{name}.json"))
        made.tell("certify", *files, *officer, "--person", made.people[name], by="chief")
    yield made
    app.close()


def test_an_officers_request_comes_to_be_public(precinct: Precinct) -> None:
    """Drafted and signed in a file, put in, approved with a key and in a file; then it is on the board."""
    code = precinct.tell(*precinct.draft("first"))["code"]
    assert precinct.tell("submit", precinct.path("first"), by="ann")["code"] == code
    waiting = precinct.tell("approve", code, "--key", precinct.path("bob.key"), by="bob")
    assert (waiting["approvals"], waiting["public"]) == (1, False)
    precinct.tell("show", code, "-o", precinct.path("first.show"), by="cat")
    signing = ("--key", precinct.path("cat.key"), "--certificate", precinct.path("cat.json"))
    whole = (*signing, "--agency", precinct.path("agency.json"), "-o", precinct.path("first.signed"))
    assert precinct.tell("sign", precinct.path("first.show"), *whole)["code"] == code
    done = precinct.tell("approve", code, "--signed", precinct.path("first.signed"), by="cat")
    assert done == {"code": code, "approvals": 2, "public": True}
    (row,) = [r for r in precinct.tell("list", by="chief") if r["code"] == code]
    assert (row["state"], row["approved_by"], row["officer"]) == ("published", ["Bob", "Cat"], "Ann")
    shown = precinct.tell("show", code, by="ann")
    assert (shown["text"], shown["radius_m"], shown["place"]) == ("A white van.", 300, "47.609700,-122.342500")
    assert "A white van." in precinct.run("show", code, by="ann").out
    board = read_board(precinct.app.footage.board().document)
    agency = read_agency(Path(precinct.path("agency.json")).read_bytes())
    found = [check_request(r, (agency,), datetime.now(UTC)).code for r in board.requests]
    assert found == [code]
    assert precinct.tell("withdraw", code, by="bob") == {"code": code, "withdrawn": True}
    assert precinct.tell("approve", code, "--key", precinct.path("bob.key"), by="bob", status=1)["error"] == "Denied"


def test_keys_stay_in_files_for_their_owner(precinct: Precinct) -> None:
    """Mode 0600, never written over, and in no other file."""
    secret = {}
    for name in ("ann.key", "agency.key"):
        path = precinct.folder / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        secret[name] = path.read_bytes()
    assert precinct.run("keygen", "-o", precinct.path("ann.key")).status == 1
    (precinct.folder / "ann.key.pub").rename(precinct.folder / "ann.pub")
    assert precinct.tell("keygen", "-o", precinct.path("ann.key"), status=1)["error"] == "Conflict"
    assert {n: (precinct.folder / n).read_bytes() for n in secret} == secret
    signing = secret["ann.key"].split(b'"signing":"')[1][:64]
    written = [p for p in precinct.folder.rglob("*") if p.is_file() and p.name != "ann.key"]
    assert not [p for p in written if signing in p.read_bytes() or bytes.fromhex(signing.decode()) in p.read_bytes()]
    (precinct.folder / "ann.pub").rename(precinct.folder / "ann.key.pub")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"radius": "700"}, "1.3 km2"),
        ({"to": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "is over when it is made"),
        ({"text": "Who was at the protest?"}, "protest"),
        ({"offence": "none"}, "An offence is named"),
        ({"key": "bob.key"}, "another key's"),
        ({"agency": "ann.json"}, "lacks"),
    ],
)
def test_what_may_not_be_asked_for_is_refused_at_the_draft(precinct: Precinct, other: dict[str, str], words) -> None:
    """One line says what is wrong, and nothing is written."""
    files = {n: precinct.path(v) if n in ("key", "agency") else v for n, v in other.items()}
    done = precinct.run(*precinct.draft("refused", **files))
    assert done.status == 1
    assert words in done.err
    assert not (precinct.folder / "refused").exists()


def test_bad_words_are_usage_errors(precinct: Precinct) -> None:
    """A place or an offence that is none, and an approval with two keys or none."""
    for other in ({"place": "Pike Place"}, {"offence": "unlawful-assembly"}):
        assert precinct.run(*precinct.draft("refused", **other)).status == 2
    assert precinct.run("approve", "FR-1", by="bob").status == 1
    assert precinct.run("approve", "FR-1", "--key", precinct.path("bob.key"), "--signed", "x", by="bob").status == 1


def test_an_agency_is_enrolled_by_its_fingerprint(precinct: Precinct) -> None:
    """Without it the command shows it and stops; with another one it stops; and only the operator may."""
    told = ("--name", "Portland Police Bureau", "--contact", "x@example.org", "--jurisdiction", "US-OR")
    files = ("--agency-key", precinct.path("other.key"), "-o", precinct.path("other.json"))
    other = precinct.tell("agency", *told, *files)
    enrol = ("agencies", "enrol", precinct.path("other.json"))
    shown = precinct.run(*enrol)
    assert (shown.status, other["fingerprint"] in shown.err) == (1, True)
    wrong = precinct.run(*enrol, "--fingerprint", "0" * 64)
    assert (wrong.status, "somebody else's" in wrong.err) == (1, True)
    compact = other["fingerprint"].replace(" ", "").upper()
    assert precinct.tell(*enrol, "--fingerprint", compact, by="chief", status=1)["error"] == "Refused"
    made = precinct.tell(*enrol, "--fingerprint", compact)["id"]
    assert made in [a["id"] for a in precinct.tell("agencies", "list")]
    precinct.tell("agencies", "remove", made)
    assert [a["removed_at"] is None for a in precinct.tell("agencies", "list") if a["id"] == made] == [False]
    assert "Portland" in precinct.run("agencies", "list").out


def test_a_certificate_that_is_not_put_on_file_is_not_written(precinct: Precinct) -> None:
    """So the same command can be given again once what was wrong is mended."""
    told = ("--name", "Portland Police Bureau", "--contact", "x@example.org", "--jurisdiction", "US-OR")
    files = ("--agency-key", precinct.path("new.key"), "-o", precinct.path("new.json"))
    fingerprint = precinct.tell("agency", *told, *files)["fingerprint"]
    precinct.tell("keygen", "-o", precinct.path("eve.key"))
    officer = ("--name", "Eve", "--badge", "300", "--agency-key", precinct.path("new.key"))
    whole = ("certify", precinct.path("eve.key.pub"), "-o", precinct.path("eve.json"), *officer, "--person")
    refused = precinct.tell(*whole, precinct.people["cat"], by="chief", status=1)
    assert "custodes footage agencies enrol FILE --fingerprint" in refused["remedy"]
    assert not Path(precinct.path("eve.json")).exists()
    made = precinct.tell("agencies", "enrol", precinct.path("new.json"), "--fingerprint", fingerprint)["id"]
    assert precinct.tell(*whole, precinct.people["cat"], by="chief")["person"] == precinct.people["cat"]
    precinct.tell("agencies", "remove", made)


def test_officers_are_admitted_listed_and_revoked(precinct: Precinct) -> None:
    """A certificate made elsewhere is put on file; a revoked one approves nothing any more."""
    precinct.tell("keygen", "-o", precinct.path("dan.key"))
    officer = ("--name", "Dan", "--badge", "200", "--agency-key", precinct.path("agency.key"), "--days", "30")
    precinct.tell("certify", precinct.path("dan.key.pub"), "-o", precinct.path("dan.json"), *officer)
    missing = precinct.tell("approve", "FR-1", "--key", precinct.path("dan.key"), by="bob", status=1)
    assert missing["error"] == "NotFound"
    admit = ("admit", precinct.path("dan.json"), "--person", precinct.people["cat"])
    assert precinct.tell(*admit, by="ann", status=1)["error"] == "Refused"
    made = precinct.tell(*admit, by="chief")["id"]
    listed = {o["id"]: o for o in precinct.tell("officers", by="ann")}
    assert (listed[made]["badge"], listed[made]["person"]) == ("200", precinct.people["cat"])
    precinct.tell("revoke", made, by="chief")
    assert "Dan" in precinct.run("officers", by="ann").out
    code = precinct.tell(*precinct.draft("third"))["code"]
    precinct.tell("submit", precinct.path("third"), by="ann")
    refused = precinct.tell("approve", code, "--key", precinct.path("dan.key"), by="cat", status=1)
    assert "revoked" in refused["message"]


def test_another_file_is_no_request(precinct: Precinct) -> None:
    """Who puts in the agency's certificate instead is told that it isn't a request."""
    told = precinct.tell("submit", precinct.path("agency.json"), by="ann", status=1)
    assert (told["error"], "isn't a request" in told["message"]) == ("Invalid", True)
