# SPDX-License-Identifier: Apache-2.0
"""boto3 drives stream processors against a server in this process, whose camera sees portraits on a wall.

They are a workshop's, since a household's pictures go to no bucket.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import boto3
import orjson
import pytest
from botocore.config import Config as BotoConfig
from botocore.exceptions import ClientError
from tests.cameras.filmed import serving
from tests.conftest import _check_answer
from tests.operations.conftest import ME
from tests.operations.household import CENTRE, STEP, T0, jpeg, wall

from custodes.app import App
from custodes.cameras.model import Camera
from custodes.cameras.wire import Frame
from custodes.config import Cameras, Config, Mqtt, Streams
from custodes.governance import Caller, ConsentKind, OrgClass, Purpose, Role
from custodes.operations.agreements import Agreement
from custodes.operations.watching import Watcher

HERE = "us-east-1:000000000000"
VIDEO = f"arn:aws:kinesisvideo:{HERE}:stream/front-door/1530559711205"
ROLE = "arn:aws:iam::000000000000:role/Rekognition"
BARACK, JOE = ("obama_2", 250, 60, 560), ("biden", 780, 40, 640)
HUB = "https://hub.example/rekognition"


@dataclass
class Workshop:
    """A server with a workshop, its camera, its library, and boto3 clients of it, of a household and of police."""

    app: App
    admin: Caller
    camera: Camera
    library: str
    client: object
    home: object
    police: object
    at: int = T0

    def look(self, *people: tuple[str, int, int, int]) -> None:
        """Let people stand before the camera, as its process would tell."""
        watcher = Watcher(self.app.watching, self.camera, lambda news: None, (self.app.processors.runs,))
        pixels = wall(*people)
        for _ in range(3):
            self.at += STEP
            watcher.frame(Frame(self.at, pixels.shape[1], pixels.shape[0], list(CENTRE), 0), pixels)
        watcher.still(self.at - 3 * STEP, self.at)

    def lines(self, name: str) -> list[dict]:
        """What was written to a data stream or a topic."""
        path = self.app.config.stream_folder / self.camera.organisation / f"{name}.ndjson"
        return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def search(self, name: str, **more: object) -> dict:
        """Parameters of a processor that searches faces and writes to a stream of its own name."""
        told = {
            "Name": name,
            "Input": {"KinesisVideoStream": {"Arn": VIDEO}},
            "Output": {"KinesisDataStream": {"Arn": f"arn:aws:kinesis:{HERE}:stream/{name}"}},
            "Settings": {"FaceSearch": {"CollectionId": self.library, "FaceMatchThreshold": 85.5}},
            "RoleArn": ROLE,
        }
        return told | more

    def presence(self, name: str, **more: object) -> dict:
        """Parameters of a processor that tells of people, in a bucket and to a topic of its own name."""
        told = self.search(name) | {
            "Output": {"S3Destination": {"Bucket": "pictures", "KeyPrefix": "door"}},
            "NotificationChannel": {"SNSTopicArn": f"arn:aws:sns:{HERE}:{name}"},
            "Settings": {"ConnectedHome": {"Labels": ["PERSON"]}},
        }
        return told | more

    def refused(self, error: str, **params: object) -> str:
        """Try to make a processor, which is refused; return what is said."""
        with pytest.raises(ClientError) as caught:
            self.client.create_stream_processor(**params)
        assert caught.value.response["Error"]["Code"] == error
        return caught.value.response["Error"]["Message"]


def _client(app: App, url: str, principal: str, purpose: Purpose) -> object:
    key = app.identity.create_key(ME, principal=principal, purpose=purpose)
    made = boto3.client(
        "rekognition",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret,
        config=BotoConfig(retries={"max_attempts": 1}),
    )
    made.meta.events.register("after-call.rekognition", _check_answer)
    return made


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    data: Path = tmp_path_factory.mktemp("streams") / "data"
    (data / "buckets" / "pictures").mkdir(parents=True)
    streams, broker = Streams(webhooks=(HUB,)), Mqtt(host="broker.example")
    app = App.open(Config(data=data, cameras=Cameras(run=False), streams=streams, mqtt=broker))
    homes = {
        n: app.people.add_organisation(ME, n, c, "US-CA").id
        for n, c in (
            ("Works", OrgClass.GENERAL),
            ("Home", OrgClass.HOUSEHOLD),
            ("Police", OrgClass.LAW_ENFORCEMENT),
        )
    }
    people = {n: app.people.add(ME, o, f"{n}@x.example", n, (Role.ADMIN, Role.USER)).id for n, o in homes.items()}
    admin = Caller(people["Works"], Purpose.ACCESS_CONTROL)
    with app._database.read() as c:
        until = app.guard.now(c) + timedelta(days=300)
    app.library.add(admin, "barack", Agreement("Barack", ConsentKind.EXPLICIT, until), [jpeg("obama_1")])
    camera = app.cameras.add(admin, "front-door", "rtsp://192.0.2.7/stream")
    with serving(app) as (_, url):
        yield Workshop(
            app,
            admin,
            camera,
            app.library.ensure(admin),
            _client(app, url, people["Works"], Purpose.ACCESS_CONTROL),
            _client(app, url, people["Home"], Purpose.HOME_SECURITY),
            _client(app, url, people["Police"], Purpose.CRIMINAL_INVESTIGATION),
        )
    app.close()


# --- face search ------------------------------------------------------------------------------------------------------


def test_a_search_from_making_to_deleting(workshop: Workshop) -> None:
    """A processor is made, described, started, finds who is known, is stopped and deleted, in Rekognition's words."""
    client, params = workshop.client, workshop.search("door-search", Tags={"room": "hall"})
    made = client.create_stream_processor(**params)
    arn = f"arn:aws:rekognition:{HERE}:streamprocessor/door-search"
    assert made["StreamProcessorArn"] == arn
    told = client.describe_stream_processor(Name="door-search")
    for name in ("Name", "Input", "Output", "Settings", "RoleArn"):
        assert told[name] == params[name]
    assert (told["Status"], told["DataSharingPreference"], "StatusMessage" in told) == (
        "STOPPED",
        {"OptIn": False},
        False,
    )
    assert client.start_stream_processor(Name="door-search")["SessionId"]
    told = client.describe_stream_processor(Name="door-search")
    assert (told["Status"], told["StatusMessage"]) == ("STARTING", "Its camera's video doesn't arrive yet.")
    workshop.app.live.change(workshop.camera.id, up=True)
    told = client.describe_stream_processor(Name="door-search")
    assert (told["Status"], "StatusMessage" in told) == ("RUNNING", False)
    assert told["LastUpdateTimestamp"] > told["CreationTimestamp"]
    for call in (client.start_stream_processor, client.delete_stream_processor, client.update_stream_processor):
        with pytest.raises(client.exceptions.ResourceInUseException):
            call(Name="door-search")
    workshop.look(BARACK, JOE)
    client.stop_stream_processor(Name="door-search")
    workshop.look(BARACK)
    assert client.describe_stream_processor(Name="door-search")["Status"] == "STOPPED"
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"room": "hall"}
    client.tag_resource(ResourceArn=arn, Tags={"floor": "1"})
    client.untag_resource(ResourceArn=arn, TagKeys=["room"])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"floor": "1"}
    client.delete_stream_processor(Name="door-search")
    for call in (client.describe_stream_processor, client.start_stream_processor, client.delete_stream_processor):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(Name="door-search")
    _check_records(workshop)


def _check_records(workshop: Workshop) -> None:
    """The records of Barack and of Joe have the members of the guide's example, and no others."""
    records = sorted(workshop.lines("door-search"), key=lambda r: -len(r["FaceSearchResponse"][0]["MatchedFaces"]))
    assert len(records) == 2
    for record in records:
        assert record["StreamProcessorInformation"] == {"Status": "RUNNING"}
        kinesis = record["InputInformation"]["KinesisVideo"]
        assert kinesis["StreamArn"] == VIDEO
        at = kinesis["ProducerTimestamp"] + kinesis["FrameOffsetInSeconds"]
        assert T0 / 1000 < at <= workshop.at / 1000
        assert kinesis["FragmentNumber"] == str(round(kinesis["ServerTimestamp"] * 1000))
        [found] = record["FaceSearchResponse"]
        face = found["DetectedFace"]
        assert set(face) == {"BoundingBox", "Confidence", "Landmarks", "Pose", "Quality"}
        assert [m["Type"] for m in face["Landmarks"]] == ["eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight"]
    [[match], others] = [r["FaceSearchResponse"][0]["MatchedFaces"] for r in records]
    assert others == []
    assert match["Similarity"] > 90
    assert set(match["Face"]) == {"BoundingBox", "FaceId", "Confidence", "ImageId", "ExternalImageId"}
    [known] = workshop.client.list_faces(CollectionId=workshop.library)["Faces"]
    assert {k: known[k] for k in match["Face"]} == match["Face"]


def test_thresholds_below_80_are_raised(workshop: Workshop) -> None:
    """As at AWS, a FaceMatchThreshold below 80 counts as 80; one that isn't stated isn't told."""
    client = workshop.client
    for name, given, told in (("low", {"FaceMatchThreshold": 10.0}, {"FaceMatchThreshold": 80.0}), ("none", {}, {})):
        search = {"CollectionId": workshop.library}
        client.create_stream_processor(**workshop.search(name, Settings={"FaceSearch": search | given}))
        assert client.describe_stream_processor(Name=name)["Settings"] == {"FaceSearch": search | told}
        client.delete_stream_processor(Name=name)


def test_a_url_stands_where_a_stream_stood(workshop: Workshop) -> None:
    """An RTSP URL makes a camera of the processor's own, and its credentials never come back."""
    client, url = workshop.client, "rtsps://user:pass-word@192.0.2.8:8554/live?token=abc"
    arn = f"arn:custodes:kinesisvideo:{HERE}:{url}"
    made = workshop.search("gate", Input={"KinesisVideoStream": {"Arn": arn}})
    client.create_stream_processor(**made)
    told = client.describe_stream_processor(Name="gate")["Input"]["KinesisVideoStream"]["Arn"]
    assert told == f"arn:custodes:kinesisvideo:{HERE}:rtsps://192.0.2.8:8554/live"
    [camera] = [k for k in workshop.app.cameras.list(workshop.admin) if k.name == "gate"]
    assert (camera.url, camera.records, camera.enabled) == (url, False, False)
    workshop.refused("ResourceInUseException", **(made | {"Name": "front-door"}))
    client.delete_stream_processor(Name="gate")
    assert [k.name for k in workshop.app.cameras.list(workshop.admin)] == ["front-door"]


def test_processors_are_listed_page_by_page(workshop: Workshop) -> None:
    """boto3's paginator brings each once, in the order of making; tokens of other lists are refused."""
    client, names = workshop.client, ["c", "a", "b"]
    for name in names:
        client.create_stream_processor(**workshop.search(name))
    assert workshop.refused("ResourceInUseException", **workshop.search("a")) == "Stream processor name already in use."
    pages = list(client.get_paginator("list_stream_processors").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["StreamProcessors"]) for page in pages] == [2, 1]
    listed = [p for page in pages for p in page["StreamProcessors"]]
    assert listed == [{"Name": name, "Status": "STOPPED"} for name in names]
    with pytest.raises(client.exceptions.InvalidPaginationTokenException):
        client.list_collections(NextToken=pages[0]["NextToken"])
    for name in names:
        client.delete_stream_processor(Name=name)


# --- connected home ---------------------------------------------------------------------------------------------------


def test_a_person_is_notified_of_and_pictured(workshop: Workshop) -> None:
    """The first person of a session comes as a notification with pictures, and the end as another."""
    client = workshop.client
    regions = [
        {"BoundingBox": {"Left": 0.0, "Top": 0.0, "Width": 0.5, "Height": 1.0}},
        {"Polygon": [{"X": 0.9, "Y": 0.9}, {"X": 1.0, "Y": 0.9}, {"X": 1.0, "Y": 1.0}]},
    ]
    client.create_stream_processor(**workshop.presence("porch", RegionsOfInterest=regions, Tags={"a": "b"}))
    told = client.describe_stream_processor(Name="porch")
    assert told["RegionsOfInterest"] == regions
    assert told["Settings"]["ConnectedHome"] == {"Labels": ["PERSON"], "MinConfidence": 50.0}
    assert told["NotificationChannel"] == {"SNSTopicArn": f"arn:aws:sns:{HERE}:porch"}
    workshop.app.live.change(workshop.camera.id, up=True)
    session = client.start_stream_processor(
        Name="porch",
        StartSelector={"KVSStreamStartSelector": {"ProducerTimestamp": T0}},
        StopSelector={"MaxDurationInSeconds": 60},
    )["SessionId"]
    assert client.describe_stream_processor(Name="porch")["Status"] == "STARTING"
    workshop.look(JOE)
    assert workshop.lines("porch") == []
    workshop.look(BARACK, JOE)
    workshop.look(BARACK)
    client.stop_stream_processor(Name="porch")
    seen, over = workshop.lines("porch")
    assert seen["Subject"] == over["Subject"] == "Rekognition Stream Processing Event"
    seen, over = seen["Message"], over["Message"]
    assert seen["inputInformation"] == {"kinesisVideo": {"streamArn": VIDEO}}
    assert (seen["sessionId"], seen["tags"], seen["eventNamespace"]) == (
        session,
        {"a": "b"},
        {"type": "LABEL_DETECTED"},
    )
    [label] = seen["labels"]
    assert (label["name"], set(label["boundingBox"])) == ("PERSON", {"left", "top", "width", "height"})
    mapping = label["videoMapping"]["kinesisVideoMapping"]
    assert T0 < mapping["producerTimestamp"] + mapping["frameOffsetMillis"] <= workshop.at
    folder = workshop.app.config.bucket_root / "pictures"
    for uri in (label["frameImageUri"], label["croppedImageUri"]):
        assert uri.startswith(f"s3://pictures/door/porch/{session}/")
        assert (folder / uri.removeprefix("s3://pictures/")).read_bytes()[:3] == b"\xff\xd8\xff"
    assert over["eventNamespace"] == {"type": "STREAM_PROCESSING_COMPLETE"}
    assert over["startStreamProcessorRequest"]["stopSelector"] == {"maxDurationInSeconds": 60}
    assert 0 <= over["inputInformation"]["kinesisVideo"]["processedVideoDurationMillis"] < 60_000
    client.update_stream_processor(
        Name="porch",
        SettingsForUpdate={"ConnectedHomeForUpdate": {"Labels": ["PERSON"], "MinConfidence": 99.0}},
        RegionsOfInterestForUpdate=regions[:1],
    )
    told = client.describe_stream_processor(Name="porch")
    assert (told["Settings"]["ConnectedHome"]["MinConfidence"], told["RegionsOfInterest"]) == (99.0, regions[:1])
    client.update_stream_processor(Name="porch", ParametersToDelete=["ConnectedHomeMinConfidence", "RegionsOfInterest"])
    told = client.describe_stream_processor(Name="porch")
    assert (told["Settings"]["ConnectedHome"]["MinConfidence"], "RegionsOfInterest" in told) == (50.0, False)
    client.delete_stream_processor(Name="porch")


def test_a_household_gets_no_pictures(workshop: Workshop) -> None:
    """They would lie where others read them: that is said, and no processor is made."""
    client = workshop.home
    with pytest.raises(client.exceptions.InvalidParameterException, match="household"):
        client.create_stream_processor(**workshop.presence("porch"))
    assert client.list_stream_processors()["StreamProcessors"] == []


# --- what is refused --------------------------------------------------------------------------------------------------


def _set(params: dict, path: str, value: object) -> dict:
    changed = copy.deepcopy(params)
    *way, last = path.split(".")
    place = changed
    for name in way:
        place = place.setdefault(name, {})
    place[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "error", "told"),
    [
        ("Settings.ConnectedHome.Labels", ["PERSON", "PET"], "InvalidParameterException", "honestly"),
        ("Settings.ConnectedHome.Labels", ["ALL"], "InvalidParameterException", "honestly"),
        ("Settings.ConnectedHome.Labels", ["PACKAGE"], "InvalidParameterException", "honestly"),
        ("Settings.ConnectedHome.Labels", ["CAR"], "InvalidParameterException", "no label CAR"),
        ("DataSharingPreference", {"OptIn": True}, "InvalidParameterException", "Nothing is shared with anybody"),
        ("KmsKeyId", "alias/mine", "InvalidParameterException", "no key management"),
        ("Settings.FaceSearch", {"CollectionId": "x"}, "InvalidParameterException", "either"),
        ("Output.S3Destination.Bucket", "nowhere", "InvalidParameterException", "no such bucket"),
        ("Output.S3Destination.KeyPrefix", "../../x", "InvalidParameterException", "prefix"),
        (
            "Output.KinesisDataStream.Arn",
            f"arn:aws:kinesis:{HERE}:stream/x",
            "InvalidParameterException",
            "data stream",
        ),
        ("NotificationChannel.SNSTopicArn", f"arn:aws:sns:{HERE}:../x", "InvalidParameterException", "The ARN"),
        ("NotificationChannel.SNSTopicArn", f"arn:aws:sns:{HERE}:.x", "InvalidParameterException", "name"),
        ("NotificationChannel.SNSTopicArn", f"arn:aws:sns:{HERE}:mqtt/../status", "InvalidParameterException", "topic"),
        (
            "NotificationChannel.SNSTopicArn",
            "arn:aws:sns:us-east-1:111111111111:x",
            "InvalidParameterException",
            "account",
        ),
        (
            "NotificationChannel.SNSTopicArn",
            f"arn:aws:sns:{HERE}:webhook/http://evil.example/",
            "AccessDeniedException",
            "no",
        ),
        (
            "Input.KinesisVideoStream.Arn",
            f"arn:aws:kinesisvideo:{HERE}:stream/no/1",
            "InvalidParameterException",
            "camera",
        ),
        ("Input.KinesisVideoStream.Arn", f"arn:aws:kinesisvideo:{HERE}:file:///x", "InvalidParameterException", "rtsp"),
        ("Input.KinesisVideoStream.Arn", f"arn:aws:kinesisvideo:{HERE}:rtsp://", "InvalidParameterException", ""),
        ("RegionsOfInterest", [{}], "InvalidParameterException", "either"),
        ("RegionsOfInterest", [{"Polygon": [{"X": 0.0, "Y": 0.0}]}], "InvalidParameterException", "corners"),
        (
            "RegionsOfInterest",
            [{"BoundingBox": {"Left": 0.5, "Width": 0.6, "Height": 1.0}}],
            "InvalidParameterException",
            "",
        ),
    ],
)
def test_what_is_not_done_is_refused(workshop: Workshop, path: str, value: object, error: str, told: str) -> None:
    """Labels that no model finds, sharing, keys that encrypt nothing, and what leads elsewhere: a typed error."""
    assert told in workshop.refused(error, **_set(workshop.presence("never"), path, value))
    assert workshop.client.list_stream_processors()["StreamProcessors"] == []


def test_where_records_may_go(workshop: Workshop) -> None:
    """A listed URL, a topic of the broker and a file may be named, and come back as they were named."""
    client = workshop.client
    for number, place in enumerate((f"webhook/{HUB}", "mqtt/door/front", "stream/a.b_c-d")):
        arn, name = f"arn:custodes:kinesis:{HERE}:{place}", f"to-{number}"
        client.create_stream_processor(**workshop.search(name, Output={"KinesisDataStream": {"Arn": arn}}))
        assert client.describe_stream_processor(Name=name)["Output"] == {"KinesisDataStream": {"Arn": arn}}
        client.delete_stream_processor(Name=name)


def test_police_get_none(workshop: Workshop) -> None:
    """Whatever police ask of stream processors is denied by the rule, and tells nothing of what there is."""
    police, name = workshop.police, "workshop-s"
    workshop.client.create_stream_processor(**workshop.search(name))
    for call in (
        lambda: police.create_stream_processor(**workshop.search("theirs")),
        lambda: police.list_stream_processors(),
        lambda: police.start_stream_processor(Name=name),
        lambda: police.stop_stream_processor(Name=name),
        lambda: police.delete_stream_processor(Name=name),
        lambda: police.update_stream_processor(Name=name),
        lambda: police.describe_stream_processor(Name="nowhere"),
    ):
        with pytest.raises(police.exceptions.AccessDeniedException, match="camera-administered"):
            call()
    workshop.client.delete_stream_processor(Name=name)


def test_a_refusal_is_the_status(workshop: Workshop) -> None:
    """A processor whose search is refused is FAILED, and its StatusMessage names the rule."""
    client, app = workshop.client, workshop.app
    client.create_stream_processor(**workshop.search("suspended"))
    client.start_stream_processor(Name="suspended")
    app.people.suspend(ME, workshop.admin.principal, suspended=True)
    workshop.look(BARACK)
    app.people.suspend(ME, workshop.admin.principal, suspended=False)
    told = client.describe_stream_processor(Name="suspended")
    assert told["Status"] == "FAILED"
    assert told["StatusMessage"].startswith("Denied by base.suspended")
    assert workshop.lines("suspended") == []
    client.delete_stream_processor(Name="suspended")
