# SPDX-License-Identifier: Apache-2.0
"""The rules as real clients meet them: boto3 against a running server that the command line governs meanwhile.

One server, prepared as an operator would: police in Washington, rescuers in California, a board with two overseers,
people with roles, keys with purposes. The moratorium is in force unless a test lifts it.
"""

from __future__ import annotations

import configparser
import contextlib
import http.client
import io
import json
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import orjson
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from custodes.cli import main
from custodes.config import load
from custodes.db import Database
from custodes.evaluation.deployed import deployed
from custodes.governance import EvaluationRecord, Evaluations, Verdict, new_id
from custodes.ledger import FileSigner, KeyKind, VerifierKey, Witness
from custodes.vision.pack import open_pack

MORATORIUM = "until-further-notice"
NOTICE = "A candidate is a lead for a person to judge, not an identity."


@dataclass
class World:
    """A running server, and what the command line has made on it.

    Attributes:
        server: the server.
        folder: where credentials files are.
        ids: organisations, people and cases by the names that the tests give them.
    """

    server: Any
    folder: Path
    ids: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, by: str = "") -> tuple[int, Any, str]:
        """Run ``custodes`` with --json, in this process, as somebody; return status, what it told, and its complaint.

        The tests that are about the process itself start one (``server.cli``).
        """
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        settings = {k: v for k, v in self.server.environment.items() if k.startswith("CUSTODES_")}
        if by:
            settings["CUSTODES_CREDENTIALS"] = str(self.folder / by)
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            for name, value in settings.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["custodes", *arguments, "--json"])
            with pytest.raises(SystemExit) as left:
                main()
        told = [s.buffer.getvalue() for s in (out, err) if s.flush() is None]
        return int(left.value.code or 0), orjson.loads(told[0] or b"null"), told[1].decode()

    def tell(self, *arguments: str, by: str = "") -> Any:
        """Run a command that succeeds, and return what it told."""
        status, told, complaint = self.run(*arguments, by=by)
        assert status == 0, complaint
        return told

    def key(self, name: str, person: str, purpose: str, *options: str, by: str = "") -> str:
        """Make an access key, which is kept in a credentials file of this name, and return its id."""
        file = str(self.folder / name)
        made = self.tell(
            "keys", "create", "--principal", self.ids.get(person, person), "--purpose", purpose, *options,
            "--credentials", file, by=by,
        )  # fmt: skip
        return made["access_key_id"]

    def secrets(self, name: str) -> tuple[str, str]:
        """Return the id and the secret of a credentials file."""
        read = configparser.ConfigParser(interpolation=None)
        read.read(self.folder / name)
        return read["custodes"]["aws_access_key_id"], read["custodes"]["aws_secret_access_key"]

    def client(self, name: str, **headers: str) -> Any:
        """Make a boto3 client with the key of a credentials file; headers (``case="..."``) are signed too."""
        key, secret = self.secrets(name)
        made = replace(self.server, access_key_id=key, secret_access_key=secret).client()

        def add(request: AWSRequest, **_: object) -> None:
            for header, value in headers.items():
                request.headers.add_header(f"x-custodes-{header}", value)

        made.meta.events.register("before-sign.rekognition", add)
        return made

    def entry(self, index: int) -> dict[str, Any]:
        """Return an entry of the ledger."""
        return self.tell("ledger", "show", str(index))

    def change(self, statement: str, *values: object) -> None:
        """Change the database behind the server's back, for what would otherwise take days."""
        with contextlib.closing(sqlite3.connect(self.server.data / "custodes.sqlite3", timeout=10)) as database:
            database.execute(statement, values)
            database.commit()

    def measured(self, organisation: str) -> None:
        """Keep an evaluation of what runs here that passes, as if it was measured on hundreds of people."""
        config = load(environ=self.server.environment)
        running = deployed(open_pack(config, config.vision.pack), config.vision.detail)
        record = EvaluationRecord(
            id=new_id("eval"),
            organisation=self.ids[organisation],
            kind="verification",
            pack=running.pack,
            fingerprint=running.fingerprint,
            title="",
            column="sex",
            dataset="ab" * 32,
            verdict=Verdict(80.0, groups=2, enough=True, false_match_ppm=300, false_non_match_ppm=20_000),
            made_at=datetime.now(UTC),
            made_by=self.ids["chief"],
        )
        database = Database(config.database_url)
        with database.transaction() as c:
            Evaluations().keep(c, record, b"{}")
        database.close()


@dataclass(frozen=True)
class Refusal:
    """A denial as a client gets it, and the ledger's entry of it."""

    message: str
    entry: int

    @property
    def rule(self) -> str:
        """The rule that is named first."""
        return self.message.removeprefix("Denied by ").split(" ")[0]


def entry_of(answer: dict) -> int:
    """Return where the ledger has an answer."""
    return int(answer["ResponseMetadata"]["HTTPHeaders"]["x-custodes-entry"])


def denied(client: Any, operation: str, **parameters: object) -> Refusal:
    """Call an operation that the rules forbid."""
    with pytest.raises(client.exceptions.AccessDeniedException) as caught:
        getattr(client, operation)(**parameters)
    return Refusal(caught.value.response["Error"]["Message"], entry_of(caught.value.response))


def faces(answer: dict) -> list[str]:
    """Return the candidates of a search."""
    return [match["Face"]["FaceId"] for match in answer["FaceMatches"]]


def enrol(client: Any, collection: str, picture: bytes, **options: object) -> str:
    """Enrol the face of a picture, and return its id."""
    made = client.index_faces(CollectionId=collection, Image={"Bytes": picture}, **options)
    return made["FaceRecords"][0]["Face"]["FaceId"]


@pytest.fixture(scope="module")
def world(start_server, tmp_path_factory: pytest.TempPathFactory, people) -> Iterator[World]:
    """The server with its organisations: police have attested to their duties and trained their officer.

    Collections: ``bookings`` of the police, with Ann; ``missing`` of the rescuers, with Ann and Bob.
    """
    folder = tmp_path_factory.mktemp("rules")
    made = World(start_server(folder / "data"), folder)
    for name, kind, place in (
        ("police", "law-enforcement", "US-WA"),
        ("rescue", "victim-rescue", "US-CA"),
        ("board", "oversight", "US"),
    ):
        made.ids[name] = made.tell("org", "add", name, "--class", kind, "--jurisdiction", place)["id"]
    for name, where, *roles in (
        ("first overseer", "board", "oversight"),
        ("second overseer", "board", "oversight"),
        ("chief", "police", "admin", "user"),
        ("officer", "police", "user"),
        ("rescuer", "rescue", "admin", "user"),
    ):
        options = [part for role in roles for part in ("--role", role)]
        told = made.tell("people", "add", name, "--id", f"{name}@example.org", "--org", made.ids[where], *options)
        made.ids[name] = told["id"]
    made.key("first", "first overseer", "oversight")
    made.key("second", "second overseer", "oversight")
    made.key("chief", "chief", "criminal-investigation", "--provenance", "case-file")
    made.key("officer", "officer", "criminal-investigation", "--provenance", "case-file", by="chief")
    for duty in ("accountability-report", "operational-testing"):
        made.tell("rules", "attest", f"us-wa.{duty}", by="chief")
    made.tell("people", "train", made.ids["officer"], "Face recognition, 2 days", by="chief")
    made.measured("police")
    made.ids["case"] = made.tell("cases", "open", "missing-person", "--org", made.ids["rescue"])["id"]
    made.key("rescuer", "rescuer", "missing-person", "--case", made.ids["case"], "--provenance", "case-file")
    officer, rescuer = made.client("officer"), made.client("rescuer")
    officer.create_collection(CollectionId="bookings")
    made.ids["booked"] = enrol(officer, "bookings", people.ann)
    rescuer.create_collection(CollectionId="missing")
    made.ids["ann"], made.ids["bob"] = (enrol(rescuer, "missing", p) for p in (people.ann, people.bob))
    yield made
    made.server.stop()


@pytest.fixture
def lifted(world: World) -> Iterator[World]:
    """The world without the moratorium: two overseers have lifted it, and afterwards one declares it again."""
    easing = world.tell(
        "easings", "propose", "lift-moratorium", MORATORIUM, "--reason", "The law is in force.", by="first"
    )["id"]
    world.tell("easings", "approve", easing, by="second")
    yield world
    world.tell("moratoria", "declare", MORATORIUM, by="second")


@pytest.fixture
def warrant(lifted: World) -> str:
    """A warrant of the police for their collection, filed by their chief; the moratorium is lifted."""
    now = datetime.now(UTC)
    return lifted.tell(
        "authority", "file", "warrant", "--issuer", "King County Superior Court", "--sha256", "ab" * 32,
        "--purpose", "criminal-investigation", "--collection", "bookings",
        "--not-before", (now - timedelta(hours=1)).isoformat(), "--not-after", (now + timedelta(days=20)).isoformat(),
        by="chief",
    )["id"]  # fmt: skip


# --- Who meets no friction -------------------------------------------------------------------------------------------


def test_a_photo_app_meets_no_friction(world: World, people, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unchanged boto3 code with the first key does all that a photo app does, through a profile of AWS's own."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(world.server.data / "credentials"))
    app = boto3.Session(profile_name="custodes").client("rekognition", endpoint_url=world.server.endpoint_url)
    app.create_collection(CollectionId="album", Tags={"year": "2027"})
    ann = enrol(app, "album", people.ann, ExternalImageId="ann", DetectionAttributes=["ALL"])
    bob = enrol(app, "album", people.bob)
    assert faces(app.search_faces_by_image(CollectionId="album", Image={"Bytes": people.ann_again})) == [ann]
    assert app.search_faces(CollectionId="album", FaceId=ann, FaceMatchThreshold=0)["FaceMatches"]
    app.create_user(CollectionId="album", UserId="Ann")
    app.associate_faces(CollectionId="album", UserId="Ann", FaceIds=[ann])
    assert app.search_users(CollectionId="album", UserId="Ann", UserMatchThreshold=0)["UserMatches"] == []
    found = app.search_users_by_image(CollectionId="album", Image={"Bytes": people.ann_again})
    assert [m["User"]["UserId"] for m in found["UserMatches"]] == ["Ann"]
    assert [u["UserId"] for u in app.list_users(CollectionId="album")["Users"]] == ["Ann"]
    app.disassociate_faces(CollectionId="album", UserId="Ann", FaceIds=[ann])
    app.delete_user(CollectionId="album", UserId="Ann")
    assert len(app.detect_faces(Image={"Bytes": people.both}, Attributes=["ALL"])["FaceDetails"]) == 2
    compared = app.compare_faces(SourceImage={"Bytes": people.ann}, TargetImage={"Bytes": people.both})
    assert len(compared["FaceMatches"]) == 1
    assert {f["FaceId"] for f in app.list_faces(CollectionId="album")["Faces"]} == {ann, bob}
    arn = app.describe_collection(CollectionId="album")["CollectionARN"]
    app.tag_resource(ResourceArn=arn, Tags={"place": "home"})
    assert app.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"year": "2027", "place": "home"}
    app.untag_resource(ResourceArn=arn, TagKeys=["place"])
    assert app.list_collections()["CollectionIds"] == ["album"]
    assert set(app.delete_faces(CollectionId="album", FaceIds=[ann, bob])["DeletedFaces"]) == {ann, bob}
    app.delete_collection(CollectionId="album")


# --- The moratorium --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("search_faces_by_image", "SearchReferences"),
        ("search_faces", "SearchReferences"),
        ("search_users", "SearchSubjects"),
        ("search_users_by_image", "SearchSubjects"),
        ("compare_faces", "Compare"),
    ],
)
def test_police_are_denied_under_the_moratorium(world: World, people, operation: str, action: str) -> None:
    """A search in a criminal investigation is Rekognition's own denial with rule, citation and remedy, and an entry."""
    image = {"Bytes": people.ann}
    parameters = {
        "search_faces_by_image": {"CollectionId": "bookings", "Image": image},
        "search_faces": {"CollectionId": "bookings", "FaceId": world.ids["booked"]},
        "search_users": {"CollectionId": "bookings", "FaceId": world.ids["booked"]},
        "search_users_by_image": {"CollectionId": "bookings", "Image": image},
        "compare_faces": {"SourceImage": image, "TargetImage": image},
    }[operation]
    refusal = denied(world.client("officer"), operation, **parameters)
    assert refusal.rule == f"moratorium.{MORATORIUM}"
    assert "(Amazon, 18 May 2021: moratorium on police use of Rekognition, until further notice)" in refusal.message
    assert "police do not search or compare faces" in refusal.message
    assert "Only two overseers together can lift the moratorium." in refusal.message
    entry = world.entry(refusal.entry)
    assert (entry["decision"], entry["outcome"], entry["rules"][0]) == ("deny", "denied", refusal.rule)
    assert entry["request"]["action"] == action
    assert entry["request"]["principal"] == world.ids["officer"]
    assert entry["request"]["facts"]["org"] == {
        "class": "law-enforcement", "jurisdiction": "US-WA", "country": "US",
    }  # fmt: skip
    assert "candidates" not in entry


def test_police_may_detect_under_the_moratorium(world: World, people) -> None:
    """Finding faces identifies nobody and is permitted; in Washington not by protected traits."""
    officer = world.client("officer")
    answer = officer.detect_faces(Image={"Bytes": people.both})
    assert len(answer["FaceDetails"]) == 2
    assert world.entry(entry_of(answer))["decision"] == "permit"
    refusal = denied(officer, "detect_faces", Image={"Bytes": people.ann}, Attributes=["ALL"])
    assert refusal.rule == "us-wa.protected-traits"


def test_an_image_that_may_not_be_used_is_not_looked_at(world: World) -> None:
    """The rules decide before the image is decoded: broken bytes are denied, not called broken."""
    refusal = denied(
        world.client("officer"), "search_faces_by_image", CollectionId="bookings", Image={"Bytes": b"no picture"}
    )
    assert refusal.rule.startswith("moratorium.")


def test_police_keep_no_public_watchlist(world: World) -> None:
    """A collection over a public space is no collection for police, with or without a moratorium."""
    refusal = denied(
        world.client("officer"), "create_collection", CollectionId="square", Tags={"custodes:public-space": "true"}
    )
    assert refusal.rule == "base.no-public-watchlist"


def test_rescuers_search_while_their_case_is_open(world: World, people) -> None:
    """A case opens the search for a missing person, its end closes it at once, and a signed header names another."""
    image = {"Bytes": people.ann_again}
    case = world.tell("cases", "open", "missing-person", by="rescuer")["id"]
    world.key("short", "rescuer", "missing-person", "--case", case, "--provenance", "case-file", by="rescuer")
    rescuer = world.client("short")
    rescuer.create_collection(CollectionId="short")
    ann = enrol(rescuer, "short", people.ann)
    answer = rescuer.search_faces_by_image(CollectionId="short", Image=image)
    assert faces(answer) == [ann]
    entry = world.entry(entry_of(answer))
    assert (entry["decision"], entry["case"], entry["candidates"]) == ("permit", case, 1)
    assert entry["request"]["facts"]["case"] == {"kind": "missing-person", "open": True, "own": True}

    assert world.server.cli("cases", "close", case).returncode == 0
    refusal = denied(rescuer, "search_faces_by_image", CollectionId="short", Image=image)
    assert refusal.rule == "base.case-open"
    assert f"moratorium.{MORATORIUM}" in refusal.message
    assert denied(rescuer, "index_faces", CollectionId="short", Image=image).rule == "base.case-open"

    named = world.client("short", case=world.ids["case"])
    answer = named.search_faces_by_image(CollectionId="short", Image=image)
    assert faces(answer) == [ann]
    assert world.entry(entry_of(answer))["case"] == world.ids["case"]


def test_a_case_of_others_opens_nothing(world: World, people) -> None:
    """A case of another organisation, one of another purpose, and one that there isn't are denied, each by its rule."""
    image = {"Bytes": people.ann}
    theirs = world.tell("cases", "open", "missing-person", by="chief")["id"]
    other = world.tell("cases", "open", "victim-identification", by="rescuer")["id"]
    for case, rule in (
        (theirs, "base.case-own"),
        ("case-0000000000000000", "base.case-own"),
        (other, "base.case-purpose"),
    ):
        rescuer = world.client("rescuer", case=case)
        assert denied(rescuer, "search_faces_by_image", CollectionId="missing", Image=image).rule == rule


def test_images_of_unknown_provenance_are_not_enrolled(world: World, people) -> None:
    """What was scraped is refused whoever says so, and so is what nobody says anything of."""
    image = {"Bytes": people.ann}
    scraped = world.client("rescuer", provenance="scraped")
    refusal = denied(scraped, "index_faces", CollectionId="missing", Image=image)
    assert refusal.rule == "base.not-scraped"
    assert "Art. 5(1)(e)" in refusal.message
    assert world.entry(refusal.entry)["request"]["facts"]["provenance"] == "scraped"
    world.key("silent", "rescuer", "missing-person", "--case", world.ids["case"])
    silent = world.client("silent")
    assert denied(silent, "index_faces", CollectionId="missing", Image=image).rule == "base.provenance-known"
    stated = world.client("silent", provenance="public-record")
    face = enrol(stated, "missing", people.ann)
    assert stated.delete_faces(CollectionId="missing", FaceIds=[face])["DeletedFaces"] == [face]


# --- Headers ---------------------------------------------------------------------------------------------------------


def post(
    world: World,
    name: str,
    operation: str,
    *,
    signed: tuple[tuple[str, str], ...] = (),
    unsigned: tuple[tuple[str, str], ...] = (),
) -> tuple[int, dict]:
    """Send a request as HTTP by hand: some headers are added before it is signed, some afterwards."""
    key, secret = world.secrets(name)
    url = urlsplit(world.server.endpoint_url)
    request = AWSRequest("POST", world.server.endpoint_url + "/", data=b"{}")
    request.headers["Content-Type"] = "application/x-amz-json-1.1"
    request.headers["X-Amz-Target"] = f"RekognitionService.{operation}"
    for header, value in signed:
        request.headers[header] = value  # a second one of a name is added, not put in its place
    SigV4Auth(Credentials(key, secret), "rekognition", world.server.region).add_auth(request)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
    connection.putrequest("POST", "/", skip_accept_encoding=True)
    invocation = (("amz-sdk-invocation-id", str(uuid.uuid4())), ("amz-sdk-request", "attempt=1"))
    for header, value in (*request.headers.items(), *unsigned, *invocation):
        connection.putheader(header, value.encode())
    connection.putheader("Content-Length", "2")
    connection.endheaders(b"{}")
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    return answer.status, told


STRAYS: dict[str, tuple[dict[str, tuple[tuple[str, str], ...]], str]] = {
    "one that isn't signed": ({"unsigned": (("x-custodes-case", "case-1"),)}, "isn't signed"),
    "one that isn't signed, in capitals": ({"unsigned": (("X-CUSTODES-EXIGENCY", "a fire"),)}, "isn't signed"),
    "one that is unknown": ({"signed": (("x-custodes-purpose", "photo-library"),)}, "There is no header"),
    "one that is unknown, not signed": ({"unsigned": (("x-custodes-entry", "1"),)}, "There is no header"),
    "one without a name": ({"signed": (("x-custodes-", "1"),)}, "There is no header"),
    "one that comes twice": (
        {"signed": (("x-custodes-case", "case-1"), ("x-custodes-case", "case-2"))},
        "comes twice",
    ),
    "one that is too long": ({"signed": (("x-custodes-case", "c" * 201),)}, "1 to 200 printable"),
    "one that is empty": ({"signed": (("x-custodes-case", ""),)}, "1 to 200 printable"),
    "one that isn't ASCII": ({"signed": (("x-custodes-place", "Zürich"),)}, "ASCII"),
    "one with a tab": ({"signed": (("x-custodes-place", "a\tb"),)}, "1 to 200 printable"),
    "a provenance that there isn't": ({"signed": (("x-custodes-provenance", "the web"),)}, "come from one of"),
}


@pytest.mark.parametrize("case", STRAYS)
def test_a_header_that_cannot_be_meant_is_refused(world: World, case: str) -> None:
    """A header of ours that anybody could have added, or that is malformed, is the client's mistake, and told so."""
    added, said = STRAYS[case]
    status, told = post(world, "rescuer", "ListCollections", **added)
    assert (status, told["__type"]) == (400, "InvalidParameterException"), told
    assert said in told["Message"]


def test_a_signed_header_by_hand_is_taken(world: World) -> None:
    """The request that the refusals are variations of is answered; other people's headers are nobody's affair."""
    added = {"signed": (("X-Custodes-Place", "x" * 200),), "unsigned": (("x-forwarded-for", "192.0.2.1"),)}
    status, told = post(world, "rescuer", "ListCollections", **added)
    assert (status, "missing" in told["CollectionIds"]) == (200, True)


# --- Keys ------------------------------------------------------------------------------------------------------------


def test_an_expired_key_is_denied_by_name(world: World) -> None:
    """A key works until its day is over; then the denial says that, and is in the ledger."""
    key = world.key("day", "rescuer", "missing-person", "--days", "1", by="rescuer")
    [row] = [k for k in world.tell("keys", "list") if k["access_key_id"] == key]
    assert 0.9 < (datetime.fromisoformat(row["expires_at"]) - datetime.now(UTC)).total_seconds() / 86_400 <= 1
    world.change("UPDATE access_keys SET expires_at = ? WHERE access_key_id = ?", time.time() - 1, key)
    refusal = denied(world.client("day"), "list_collections")
    assert refusal.rule == "base.key-expired"
    assert "custodes keys create" in refusal.message
    assert world.entry(refusal.entry)["key"] == key
    status, told, _ = world.run("cases", "open", "missing-person", by="day")
    assert (status, told["error"]) == (1, "Refused")
    assert "base.key-expired" in told["message"]


def test_a_revoked_key_is_no_key(world: World) -> None:
    """A key that was in use a moment ago is unknown within about a second of its end."""
    key = world.key("gone", "rescuer", "missing-person")
    client = world.client("gone")
    client.list_collections()
    world.tell("keys", "revoke", key, by="rescuer")
    time.sleep(1.1)
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.list_collections()
    assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_a_suspended_person_is_denied_until_resumed(world: World) -> None:
    """Who is suspended does nothing from the next request on, and goes on when that ends."""
    officer, person = world.client("officer"), world.ids["officer"]
    officer.list_collections()
    world.tell("people", "suspend", person, by="chief")
    try:
        assert denied(officer, "list_collections").rule == "base.suspended"
    finally:
        world.tell("people", "resume", person, by="chief")
    officer.list_collections()


def test_a_key_is_for_one_purpose_of_its_class(world: World) -> None:
    """Police don't use a photo library, and overseers use no faces, whatever their key says."""
    world.key("private", "officer", "photo-library", by="chief")
    assert denied(world.client("private"), "list_collections").rule == "base.purpose-of-class"
    refusal = denied(world.client("first"), "list_collections")
    assert refusal.rule == "base.role"
    assert "base.oversight-uses-no-faces" in refusal.message


# --- Whose faces -----------------------------------------------------------------------------------------------------


def test_collections_of_others_are_neither_listed_nor_used(world: World, people) -> None:
    """An organisation sees its own collections; in those of others it reads, searches, changes and deletes nothing."""
    image = {"Bytes": people.ann}
    rescuer = world.client("rescuer")
    assert "bookings" not in rescuer.list_collections()["CollectionIds"]
    assert {"bookings"} <= set(world.client("officer").list_collections()["CollectionIds"]) <= {"bookings", "runaways"}
    arn = world.client("officer").describe_collection(CollectionId="bookings")["CollectionARN"]
    face = world.ids["booked"]
    for operation, parameters in (
        ("describe_collection", {"CollectionId": "bookings"}),
        ("list_faces", {"CollectionId": "bookings"}),
        ("list_users", {"CollectionId": "bookings"}),
        ("search_faces", {"CollectionId": "bookings", "FaceId": face}),
        ("search_faces_by_image", {"CollectionId": "bookings", "Image": image}),
        ("search_users_by_image", {"CollectionId": "bookings", "Image": image}),
        ("index_faces", {"CollectionId": "bookings", "Image": image}),
        ("create_user", {"CollectionId": "bookings", "UserId": "u"}),
        ("delete_faces", {"CollectionId": "bookings", "FaceIds": [face]}),
        ("delete_collection", {"CollectionId": "bookings"}),
        ("list_tags_for_resource", {"ResourceArn": arn}),
        ("tag_resource", {"ResourceArn": arn, "Tags": {"a": "b"}}),
    ):
        assert denied(rescuer, operation, **parameters).rule == "base.own-collections", operation
    operator = world.server.client()
    assert denied(operator, "list_faces", CollectionId="bookings").rule == "base.own-collections"
    kept = world.client("officer").list_faces(CollectionId="bookings")["Faces"]
    assert [f["FaceId"] for f in kept] == [face]


# --- Beyond the moratorium -------------------------------------------------------------------------------------------


def test_a_floor_is_raised_and_never_lowered(warrant: str, lifted: World, people) -> None:
    """With a warrant police search: a threshold below 99 is denied, one above is taken, and none at all means 99."""
    officer = lifted.client("officer", authority=warrant)
    asked = {"CollectionId": "bookings", "Image": {"Bytes": people.ann}}
    refusal = denied(officer, "search_faces_by_image", **asked, FaceMatchThreshold=98.9)
    assert refusal.rule == "amazon-public-safety.threshold"
    for options, threshold in (({}, "99.0000"), ({"FaceMatchThreshold": 99.5}, "99.5000")):
        answer = officer.search_faces_by_image(**asked, **options)
        assert faces(answer) == [lifted.ids["booked"]]
        entry = lifted.entry(entry_of(answer))
        assert entry["request"]["facts"]["threshold"] == threshold
        assert entry["authority"] == warrant
        assert entry["request"]["facts"]["authority"]["kind"] == "warrant"
    image = {"Bytes": people.ann}
    assert denied(officer, "compare_faces", SourceImage=image, TargetImage=image, SimilarityThreshold=80).rule == (
        "amazon-public-safety.threshold"
    )


def test_without_a_warrant_washington_denies(lifted: World, people) -> None:
    """Lifting the moratorium leaves the law: without a warrant police don't look for a suspect, nor with another's."""
    asked = {"CollectionId": "bookings", "Image": {"Bytes": people.ann}}
    refusal = denied(lifted.client("officer"), "search_faces_by_image", **asked)
    assert refusal.rule == "us-wa.warrant"
    assert "RCW 43.386.080(1)" in refusal.message
    unknown = lifted.client("officer", authority="auth-0000000000000000")
    assert denied(unknown, "search_faces_by_image", **asked).rule == "base.authority-own"


def test_the_51st_search_of_a_day_is_denied(warrant: str, lifted: World, people) -> None:
    """An officer searches 50 times a day; the next search is denied, and oversight finds one alarm about it."""
    officer = lifted.client("officer", authority=warrant)
    asked = {"CollectionId": "bookings", "Image": {"Bytes": people.ann}}
    officer.search_faces_by_image(**asked)
    made = "UPDATE uses_by_day SET count = ? WHERE scope = 'principal' AND id = ?"
    lifted.change(made, 49, lifted.ids["officer"])
    try:
        answer = officer.search_faces_by_image(**asked)
        assert lifted.entry(entry_of(answer))["request"]["facts"]["today"]["principal"] == 49
        refusals = [denied(officer, "search_faces_by_image", **asked) for _ in range(2)]
    finally:
        lifted.change(made, 3, lifted.ids["officer"])
    assert {r.rule for r in refusals} == {"base.daily-cap-person"}
    assert "Oversight was told." in refusals[0].message
    [alarm] = [a for a in lifted.tell("alarms", "list") if a["kind"] == "daily-cap"]
    assert (alarm["organisation"], alarm["principal"]) == (lifted.ids["police"], lifted.ids["officer"])
    assert alarm["detail"] == "base.daily-cap-person"


def test_a_cap_holds_against_searches_at_once(warrant: str, lifted: World, people) -> None:
    """Of eight searches that are made at the same time, one before the cap, one is answered and seven are denied."""
    officer = lifted.client("officer", authority=warrant)
    asked = {"CollectionId": "bookings", "Image": {"Bytes": people.ann}}
    officer.search_faces_by_image(**asked)
    made = "UPDATE uses_by_day SET count = ? WHERE scope = 'principal' AND id = ?"
    lifted.change(made, 49, lifted.ids["officer"])

    def search(_: int) -> bool:
        try:
            return bool(officer.search_faces_by_image(**asked)["FaceMatches"])
        except officer.exceptions.AccessDeniedException:
            return False

    try:
        with ThreadPoolExecutor(8) as pool:
            answered = list(pool.map(search, range(8)))
    finally:
        lifted.change(made, 3, lifted.ids["officer"])
    assert sum(answered) == 1


def test_an_exigency_is_no_way_around_the_moratorium(world: World, people) -> None:
    """While the moratorium is in force, an exigent search by police is denied like any other, and nothing is kept."""
    before = world.tell("results", "list")
    officer = world.client("officer", exigency="A child was taken")
    refusal = denied(officer, "search_faces_by_image", CollectionId="bookings", Image={"Bytes": people.ann})
    assert refusal.rule == f"moratorium.{MORATORIUM}"
    assert world.tell("results", "list") == before


def test_an_exigent_search_runs_at_once_and_is_told(lifted: World, people) -> None:
    """Break-glass: no warrant is awaited; the entry is flagged, oversight alarmed, and what was found is kept."""
    officer = lifted.client("officer", exigency="A child was taken; the car was seen 10 minutes ago")
    answer = officer.search_faces_by_image(CollectionId="bookings", Image={"Bytes": people.ann})
    assert faces(answer) == [lifted.ids["booked"]]
    entry = lifted.entry(entry_of(answer))
    assert (entry["decision"], entry["exigent"]) == ("permit", True)
    assert entry["request"]["facts"]["authority"]["kind"] == "exigency"
    [alarm] = [a for a in lifted.tell("alarms", "list") if a["detail"] == entry["authority"]]
    assert alarm["kind"] == "exigent-use"
    [waiting] = [a for a in lifted.tell("authority", "list") if a["id"] == entry["authority"]]
    assert waiting["waits"]
    [kept] = [r for r in lifted.tell("results", "list") if r["id"] == entry["kept"]]
    seals = datetime.fromisoformat(kept["seals_at"]) - datetime.fromisoformat(kept["kept_at"])
    assert (seals, kept["filed"]) == (timedelta(hours=48), False)
    shown = lifted.tell("results", "show", entry["kept"], by="officer")
    assert [c["id"] for c in shown["candidates"]] == faces(answer)
    status, told, _ = lifted.run("results", "show", entry["kept"], by="rescuer")
    assert status == 1
    assert "base.results-own" in told["message"]

    lifted.change("UPDATE kept_results SET kept_at = kept_at - ? WHERE id = ?", 48 * 3600, entry["kept"])
    status, told, _ = lifted.run("results", "show", entry["kept"], by="officer")
    assert status == 1
    assert "base.results-sealed" in told["message"]
    begins = datetime.now(UTC) - timedelta(hours=1)
    lifted.tell(
        "authority", "file", "warrant", "--issuer", "King County Superior Court", "--sha256", "cd" * 32,
        "--purpose", "criminal-investigation", "--collection", "bookings", "--for", entry["authority"],
        "--not-before", begins.isoformat(), "--not-after", (begins + timedelta(days=1)).isoformat(), by="chief",
    )  # fmt: skip
    assert lifted.tell("results", "show", entry["kept"], by="officer") == shown
    lifted.tell("alarms", "answer", alarm["id"], "--finding", "A warrant was filed.", by="first")
    assert alarm["id"] not in {a["id"] for a in lifted.tell("alarms", "list")}


def test_tracking_out_of_separate_searches_is_denied(world: World, people) -> None:
    """The same person searched for in a second place after more than 72 hours is a track: denied, and an alarm."""
    case = world.tell("cases", "open", "missing-person", by="chief")["id"]
    world.key("search", "officer", "missing-person", "--case", case, "--provenance", "case-file", by="chief")
    here, there = (world.client("search", place=place) for place in ("5th and Pine", "Pier 52"))
    here.create_collection(CollectionId="runaways")
    enrol(here, "runaways", people.bob)
    asked = {"CollectionId": "runaways", "Image": {"Bytes": people.bob}}
    here.search_faces_by_image(**asked)
    there.search_faces_by_image(**asked)
    world.change("UPDATE sightings SET seen_at = seen_at - ?", 73 * 3600)
    refusal = denied(there, "search_faces_by_image", **asked)
    assert refusal.rule == "base.tracking"
    assert "candidates" not in world.entry(refusal.entry)
    assert {a["principal"] for a in world.tell("alarms", "list") if a["kind"] == "tracking"} == {world.ids["officer"]}


# --- What an answer says beyond the API ------------------------------------------------------------------------------


def test_every_answer_names_its_entry(world: World, people) -> None:
    """Each governed answer, good or bad, has the index of its entry; searches also say what a candidate is."""
    rescuer = world.client("rescuer")
    image = {"Bytes": people.ann}
    arn = rescuer.describe_collection(CollectionId="missing")["CollectionARN"]
    last = -1
    for operation, parameters, action in (
        ("detect_faces", {"Image": image}, "Detect"),
        ("compare_faces", {"SourceImage": image, "TargetImage": image}, "Compare"),
        ("list_collections", {}, "ListCollections"),
        ("describe_collection", {"CollectionId": "missing"}, "DescribeCollection"),
        ("list_tags_for_resource", {"ResourceArn": arn}, "DescribeCollection"),
        ("tag_resource", {"ResourceArn": arn, "Tags": {"a": "b"}}, "TagCollection"),
        ("list_faces", {"CollectionId": "missing"}, "ListReferences"),
        ("create_user", {"CollectionId": "missing", "UserId": "entry"}, "CreateSubject"),
        ("list_users", {"CollectionId": "missing"}, "ListSubjects"),
        ("search_faces", {"CollectionId": "missing", "FaceId": world.ids["ann"]}, "SearchReferences"),
        ("search_faces_by_image", {"CollectionId": "missing", "Image": image}, "SearchReferences"),
        ("search_users", {"CollectionId": "missing", "FaceId": world.ids["ann"]}, "SearchSubjects"),
        ("search_users_by_image", {"CollectionId": "missing", "Image": image}, "SearchSubjects"),
        ("delete_user", {"CollectionId": "missing", "UserId": "entry"}, "DeleteSubject"),
    ):
        answer = getattr(rescuer, operation)(**parameters)
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert headers.get("x-custodes-notice") == (NOTICE if operation.startswith("search") else None), operation
        assert entry_of(answer) > last
        last = entry_of(answer)
        entry = world.entry(last)
        assert (entry["request"]["action"], entry["decision"], entry["outcome"]) == (action, "permit", "done")
        assert entry["key"] == world.secrets("rescuer")[0]
        assert entry.get("notice") == headers.get("x-custodes-notice")


def test_what_fails_has_an_entry_and_what_is_nobodys_has_none(world: World, people) -> None:
    """A permitted use that fails is recorded as failed; what names no collection that there is was nobody's use."""
    rescuer = world.client("rescuer")
    with pytest.raises(rescuer.exceptions.InvalidParameterException) as caught:
        rescuer.search_faces_by_image(CollectionId="missing", Image={"Bytes": people.nobody})
    entry = world.entry(entry_of(caught.value.response))
    assert (entry["decision"], entry["outcome"], entry["error"]) == ("permit", "failed", "Invalid/no-face")
    with pytest.raises(rescuer.exceptions.ResourceNotFoundException) as caught:
        rescuer.list_faces(CollectionId="nowhere")
    assert "x-custodes-entry" not in caught.value.response["ResponseMetadata"]["HTTPHeaders"]


# --- The kill switch -------------------------------------------------------------------------------------------------


def test_one_overseer_stops_all_use_and_two_restart_it(world: World, people) -> None:
    """The next request is denied, whoever makes it; one person alone doesn't restart, two do."""
    operator, rescuer = world.server.client(), world.client("rescuer")
    image = {"Bytes": people.ann}
    stop = world.tell("stop", "throw", "--all", "--reason", "An incident is looked into.", by="first")["id"]
    try:
        for client, operation, parameters in (
            (operator, "detect_faces", {"Image": image}),
            (operator, "list_collections", {}),
            (rescuer, "search_faces_by_image", {"CollectionId": "missing", "Image": image}),
            (rescuer, "delete_faces", {"CollectionId": "missing", "FaceIds": [world.ids["ann"]]}),
        ):
            assert denied(client, operation, **parameters).rule == "base.stopped"
        easing = world.tell("easings", "propose", "restart", stop, "--reason", "It was a false alarm.", by="first")[
            "id"
        ]
        status, told, _ = world.run("easings", "approve", easing, by="first")
        assert (status, told["error"]) == (1, "Refused")
        assert "base.easing-two-people" in told["message"]
        assert denied(operator, "list_collections").rule == "base.stopped"
    finally:
        easing = world.tell("easings", "propose", "restart", stop, "--reason", "It was a false alarm.", by="first")[
            "id"
        ]
        world.tell("easings", "approve", easing, by="second")
    operator.list_collections()
    assert faces(rescuer.search_faces(CollectionId="missing", FaceId=world.ids["bob"], FaceMatchThreshold=0))


def test_a_stop_reaches_as_far_as_it_says(world: World) -> None:
    """An organisation or a purpose that is stopped is denied, and others go on."""
    rescuer, operator = world.client("rescuer"), world.server.client()
    for scope in (("--org", world.ids["rescue"]), ("--purpose", "missing-person")):
        stop = world.tell("stop", "throw", *scope, "--reason", "An incident.", by="second")["id"]
        assert denied(rescuer, "list_collections").rule == "base.stopped"
        operator.list_collections()
        easing = world.tell("easings", "propose", "restart", stop, "--reason", "It is over.", by="second")["id"]
        world.tell("easings", "approve", easing, by="first")
        rescuer.list_collections()


# --- The ledger, from outside ----------------------------------------------------------------------------------------


def test_an_outsider_verifies_the_running_server(world: World, tmp_path: Path) -> None:
    """``custodes ledger verify URL`` needs a URL and a key: it checks that an old checkpoint and a witness agree."""
    url = f"{world.server.endpoint_url}/ledger/"
    old, note, elsewhere = tmp_path / "old", tmp_path / "note", {"CUSTODES_DATA": str(tmp_path / "none")}
    old.write_bytes(world.server.cli("ledger", "checkpoint").stdout)
    vkey = world.tell("ledger", "publish", str(tmp_path / "published"))["vkey"]
    witness = Witness(FileSigner("witness.example", bytes(range(32)), KeyKind.COSIGNATURE), VerifierKey.parse(vkey))
    known = str(FileSigner("witness.example", bytes(range(32)), KeyKind.COSIGNATURE).verifier_key)
    stranger = str(FileSigner("stranger.example", bytes(32), KeyKind.COSIGNATURE).verifier_key)
    assert world.tell("ledger", "witness", "add", known)["name"] == "witness.example"
    fresh = world.server.cli("ledger", "checkpoint").stdout.decode()
    note.write_text(witness.cosign(fresh, [], int(time.time())))
    assert world.tell("ledger", "witness", "accept", str(note)) == {"accepted": ["witness.example"]}

    world.server.environment |= elsewhere  # an outsider has no installation
    try:
        done = world.server.cli(
            "ledger", "verify", url, "--vkey", vkey, "--since", str(old), "--witness", known, "--json"
        )
        words = world.server.cli("ledger", "verify", url)
        lonely = world.server.cli("ledger", "verify", url, "--vkey", vkey, "--witness", stranger)
    finally:
        world.server.environment["CUSTODES_DATA"] = str(world.server.data)
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout)
    assert told["size"] == int(fresh.splitlines()[1])
    assert (told["key_given"], told["continues"], told["cosigned_by"]) == (True, str(old), ["witness.example"])
    assert b"get it from elsewhere too" in words.stdout
    assert lonely.returncode == 1
    assert b"needs cosignatures by 1 of 1 witnesses, got 0" in lonely.stderr
    assert not (tmp_path / "none").exists()


def test_the_published_ledger_holds_nothing_personal(world: World, people, tmp_path: Path) -> None:
    """No name of a person, organisation, collection, user, tag or place and no face stands in what is published."""
    rescuer = world.client("rescuer", place="Alder Street 5")
    rescuer.create_user(CollectionId="missing", UserId="user-of-somebody")
    rescuer.associate_faces(CollectionId="missing", UserId="user-of-somebody", FaceIds=[world.ids["ann"]])
    rescuer.search_users_by_image(CollectionId="missing", Image={"Bytes": people.ann})
    face = enrol(rescuer, "missing", people.bob, ExternalImageId="label-of-somebody")
    rescuer.delete_user(CollectionId="missing", UserId="user-of-somebody")
    rescuer.delete_faces(CollectionId="missing", FaceIds=[face])
    world.tell("ledger", "publish", str(tmp_path))
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"SearchSubjects" in written
    for private in (
        "of-somebody", "Alder Street", "5th and Pine", "A child was taken", "bookings", "runaways", "album",
        "example.org", "first overseer", "chief", "year", "2 days", face, world.ids["ann"], world.ids["booked"],
    ):  # fmt: skip
        assert private.encode() not in written, private
        assert private.encode().hex().encode() not in written
    for face_id in (face, world.ids["ann"]):
        assert bytes.fromhex(face_id.replace("-", "")) not in written


def test_what_was_decided_is_decided_again_alike(world: World) -> None:
    """Replaying the ledger of all these clients gives every decision again, moratorium lifted and declared or not."""
    told = world.tell("ledger", "replay")
    assert told["requests"] > 20
    assert told["differences"] == []
