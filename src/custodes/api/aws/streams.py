# SPDX-License-Identifier: Apache-2.0
"""Rekognition's stream processors: their operations, and the records and notifications that they send.

A camera stands where a Kinesis video stream stood; a file of JSON lines, a webhook or a topic where a data stream and
an SNS topic did. ARNs say which, and are of this server's region and account. Records have the members that AWS's guide
has for a "JSON frame record" and for "label detection results". The one label is PERSON, told by a face: no bundled
model finds bodies, pets or packages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from custodes.api.aws import wire
from custodes.api.aws.context import Context, Handler, Params, Result, page
from custodes.cameras.processors import Bucket, Presence, Processor, Region, Search, Sink, SinkKind, State
from custodes.cameras.sources import redacted
from custodes.config import Server
from custodes.db.sealing import time_of
from custodes.domain import Candidate
from custodes.errors import Invalid
from custodes.operations.processors import NewProcessor, Source, Standing
from custodes.operations.shots import Shot
from custodes.operations.streamruns import Sighted

__all__ = ["OFFERED", "Records"]

_SCOPE = "ListStreamProcessors"
_PAGE = 1000
_LEAST = 80.0
"""Lower values of FaceMatchThreshold are raised to it, as at AWS."""
_PERSON = "PERSON"
_SUBJECT = "Rekognition Stream Processing Event"
_ROUNDING = 1e-6
"""So far may rounding put a rectangle beyond the picture's edge."""
_INPUT = re.compile(r"(arn:[a-z\d-]+:kinesisvideo:([a-z\d-]+):(\d{12}):)(?:stream/([^/]+)(?:/\d+)?|(rtsps?://.+))")
_OUTPUT = re.compile(
    r"arn:[a-z\d-]+:(?:kinesis|sns):([a-z\d-]+):(\d{12}):(?:webhook/(.+)|mqtt/(.+)|(?:stream/)?([^/]+))"
)


# --- What is asked --------------------------------------------------------------------------------------------


def _check_here(x: Context, region: str, account: str) -> None:
    server = x.app.config.server
    if (region, account) != (server.region, server.account):
        raise Invalid(
            "The ARN names nothing of this server.",
            remedy=f"Its region is {server.region}, and its account {server.account}.",
        )


def _source(x: Context, given: Params) -> Source:
    """Return the camera that an ``Input`` names.

    Raises:
        Invalid: if it names none.
    """
    found = _INPUT.fullmatch(given.get("KinesisVideoStream", {}).get("Arn", ""))
    if found is None:
        raise Invalid(
            "Request has invalid parameters. Input.KinesisVideoStream.Arn ends with stream/CAMERA/DIGITS, or with "
            "rtsp://... or rtsps://...."
        )
    head, region, account, camera, url = found.groups()
    _check_here(x, region, account)
    return Source(found[0], camera=camera) if camera else Source(head + redacted(url), url=url)


def _sink(x: Context, arn: str | None) -> Sink | None:
    """Return where an ARN of a data stream or a topic leads.

    Raises:
        Invalid: if it leads nowhere.
    """
    if arn is None:
        return None
    found = _OUTPUT.fullmatch(arn)
    if found is None:
        raise Invalid("Request has invalid parameters. The ARN ends with stream/NAME, webhook/URL or mqtt/TOPIC.")
    region, account, url, topic, name = found.groups()
    _check_here(x, region, account)
    if url:
        return Sink(SinkKind.WEBHOOK, url, arn)
    return Sink(SinkKind.MQTT, topic, arn) if topic else Sink(SinkKind.FILE, name, arn)


def _bucket(given: Params | None) -> Bucket | None:
    if given is None:
        return None
    if "Bucket" not in given:
        raise Invalid("Request has invalid parameters. An S3Destination has a Bucket.")
    return Bucket(given["Bucket"], given.get("KeyPrefix", ""))


def _task(settings: Params) -> Search | Presence:
    """Return what a processor shall do.

    Raises:
        Invalid: if that isn't one thing, or none that is done here.
    """
    search, home = settings.get("FaceSearch"), settings.get("ConnectedHome")
    if (search is None) == (home is None):
        raise Invalid("Request has invalid parameters. Settings have either FaceSearch or ConnectedHome.")
    if home is not None:
        _check_labels(home["Labels"])
        return Presence(home.get("MinConfidence", Presence().confidence))
    assert search is not None
    if "CollectionId" not in search:
        raise Invalid("Request has invalid parameters. FaceSearch has a CollectionId.")
    threshold = search.get("FaceMatchThreshold")
    return Search(search["CollectionId"], None if threshold is None else max(_LEAST, threshold))


def _check_labels(labels: Sequence[str]) -> None:
    if strays := sorted(set(labels) - {_PERSON, "PET", "PACKAGE", "ALL"}):
        raise Invalid(f"There is no label {strays[0][:40]}.")
    if set(labels) != {_PERSON}:
        raise Invalid(
            "PERSON is the only label here, and it is told by a face: no model that comes with Custodes finds pets or "
            "packages honestly.",
            remedy='Ask for ["PERSON"].',
        )


def _regions(given: Sequence[Params] | None) -> tuple[Region, ...]:
    return tuple(_region(region) for region in given or ())


def _region(given: Params) -> Region:
    box, polygon = given.get("BoundingBox"), given.get("Polygon")
    if (box is None) == (polygon is None):
        raise Invalid("Request has invalid parameters. A region of interest has either BoundingBox or Polygon.")
    if polygon is not None:
        return Region(tuple((p.get("X", 0.0), p.get("Y", 0.0)) for p in polygon))
    assert box is not None
    left, top = box.get("Left", 0.0), box.get("Top", 0.0)
    width, height = box.get("Width", 0.0), box.get("Height", 0.0)
    if width <= 0 or height <= 0:
        raise Invalid("Request has invalid parameters. A BoundingBox has a width and a height.")
    right, bottom = _snapped(left + width), _snapped(top + height)
    return Region(((left, top), (right, top), (right, bottom), (left, bottom)), box=True)


def _snapped(edge: float) -> float:
    return 1.0 if 1.0 < edge <= 1.0 + _ROUNDING else edge


def _check_sharing(given: Params | None) -> None:
    if given is not None and given["OptIn"]:
        raise Invalid("Nothing is shared with anybody here.", remedy="Leave DataSharingPreference out.")


# --- The operations -------------------------------------------------------------------------------------------


def _create(x: Context, p: Params) -> Result:
    _check_sharing(p.get("DataSharingPreference"))
    if "KmsKeyId" in p:
        raise Invalid(
            "There is no key management service here, and what is written is not encrypted by it.",
            remedy="Leave KmsKeyId out, and let buckets and streams lie on an encrypted disk.",
        )
    output = p["Output"]
    new = NewProcessor(
        name=p["Name"],
        source=_source(x, p["Input"]),
        role=p["RoleArn"],
        task=_task(p["Settings"]),
        output=_sink(x, output.get("KinesisDataStream", {}).get("Arn")),
        topic=_sink(x, p.get("NotificationChannel", {}).get("SNSTopicArn")),
        bucket=_bucket(output.get("S3Destination")),
        regions=_regions(p.get("RegionsOfInterest")),
        tags=p.get("Tags", {}),
    )
    made = x.app.processors.create(x.caller, new)
    return {"StreamProcessorArn": _arn(x.app.config.server, made.name)}


def _describe(x: Context, p: Params) -> Result:
    found = x.app.processors.get(x.caller, p["Name"])
    known = found.processor
    told: Result = {
        "Name": known.name,
        "StreamProcessorArn": _arn(x.app.config.server, known.name),
        "Status": _status(found),
        "CreationTimestamp": time_of(known.created),
        "LastUpdateTimestamp": time_of(known.updated),
        "Input": {"KinesisVideoStream": {"Arn": known.source}},
        "Output": _output(known),
        "RoleArn": known.role,
        "Settings": _settings(known.task),
        "DataSharingPreference": {"OptIn": False},
    }
    if found.why:
        told["StatusMessage"] = found.why
    if known.topic is not None:
        told["NotificationChannel"] = {"SNSTopicArn": known.topic.told}
    if known.regions:
        told["RegionsOfInterest"] = [_told_region(r) for r in known.regions]
    return told


def _list(x: Context, p: Params) -> Result:
    after = x.pages.read(_SCOPE, p.get("NextToken"))
    found, position = x.app.processors.list(x.caller, after=after, limit=p.get("MaxResults") or _PAGE)
    told: Result = {"StreamProcessors": [{"Name": s.processor.name, "Status": _status(s)} for s in found]}
    return page(told, x.pages, _SCOPE, position)


def _start(x: Context, p: Params) -> Result:
    selects = "StartSelector" in p or "StopSelector" in p
    seconds = p.get("StopSelector", {}).get("MaxDurationInSeconds")
    return {"SessionId": x.app.processors.start(x.caller, p["Name"], selects=selects, seconds=seconds)}


def _stop(x: Context, p: Params) -> Result:
    x.app.processors.stop(x.caller, p["Name"])
    return {}


def _update(x: Context, p: Params) -> Result:
    _check_sharing(p.get("DataSharingPreferenceForUpdate"))
    home = p.get("SettingsForUpdate", {}).get("ConnectedHomeForUpdate")
    gone = set(p.get("ParametersToDelete", ()))
    confidence = None
    if home is not None:
        _check_labels(home.get("Labels", [_PERSON]))
        confidence = home.get("MinConfidence")
    regions = _regions(p["RegionsOfInterestForUpdate"]) if "RegionsOfInterestForUpdate" in p else None
    for name, given in (("ConnectedHomeMinConfidence", confidence), ("RegionsOfInterest", regions)):
        if name in gone and given is not None:
            raise Invalid(f"Request has invalid parameters. {name} is deleted and given.")
    if "ConnectedHomeMinConfidence" in gone:
        confidence = Presence().confidence
    if "RegionsOfInterest" in gone:
        regions = ()
    x.app.processors.change(x.caller, p["Name"], confidence=confidence, regions=regions, labels=home is not None)
    return {}


def _delete(x: Context, p: Params) -> Result:
    x.app.processors.delete(x.caller, p["Name"])
    return {}


OFFERED: Mapping[str, Handler] = {
    "CreateStreamProcessor": _create,
    "DescribeStreamProcessor": _describe,
    "ListStreamProcessors": _list,
    "StartStreamProcessor": _start,
    "StopStreamProcessor": _stop,
    "UpdateStreamProcessor": _update,
    "DeleteStreamProcessor": _delete,
}
"""The operations that are done here."""


# --- What is told ---------------------------------------------------------------------------------------------


def _arn(server: Server, name: str) -> str:
    return f"arn:aws:rekognition:{server.region}:{server.account}:streamprocessor/{name}"


def _status(found: Standing) -> str:
    """Return a processor's ``Status``. One with labels is STARTING as long as it runs, as at AWS."""
    known = found.processor
    if known.state != State.RUNNING:
        return {State.STOPPED: "STOPPED", State.FAILED: "FAILED"}[known.state]
    return "RUNNING" if found.sees and isinstance(known.task, Search) else "STARTING"


def _output(known: Processor) -> Result:
    told: Result = {}
    if known.output is not None:
        told["KinesisDataStream"] = {"Arn": known.output.told}
    if known.bucket is not None:
        told["S3Destination"] = {"Bucket": known.bucket.name, "KeyPrefix": known.bucket.prefix}
    return told


def _settings(task: Search | Presence) -> Result:
    if isinstance(task, Presence):
        return {"ConnectedHome": {"Labels": [_PERSON], "MinConfidence": task.confidence}}
    told: Result = {"CollectionId": task.collection}
    if task.threshold is not None:
        told["FaceMatchThreshold"] = task.threshold
    return {"FaceSearch": told}


def _told_region(region: Region) -> Result:
    if not region.box:
        return {"Polygon": [{"X": x, "Y": y} for x, y in region.points]}
    (left, top), _, (right, bottom), _ = region.points
    return {"BoundingBox": {"Left": left, "Top": top, "Width": right - left, "Height": bottom - top}}


class Records:
    """Writes what stream processors send.

    A fragment is a whole second of the camera's video: its number is that second in milliseconds since 1970, its two
    timestamps are that second, and the frame's offset is what is left. A frame's time is the sum, as at AWS.
    """

    def found(self, processor: Processor, shot: Shot, ranked: Sequence[Candidate]) -> bytes:
        """Return the frame record of a search."""
        second, rest = _when(shot.at)
        return _line(
            {
                "InputInformation": {
                    "KinesisVideo": {
                        "StreamArn": processor.source,
                        "FragmentNumber": str(second * 1000),
                        "ServerTimestamp": float(second),
                        "ProducerTimestamp": float(second),
                        "FrameOffsetInSeconds": rest / 1000,
                    }
                },
                "StreamProcessorInformation": {"Status": "RUNNING"},
                "FaceSearchResponse": [
                    {
                        "DetectedFace": wire.compared_face(shot.face, shot.size),
                        "MatchedFaces": [_matched(candidate) for candidate in ranked],
                    }
                ],
            }
        )

    def present(self, processor: Processor, sighted: Sighted) -> bytes:
        """Return the notification that a person is there."""
        shot = sighted.shot
        second, rest = _when(shot.at)
        box = wire.bounding_box(shot.face.box, shot.size)
        label: dict[str, Any] = {
            "id": f"{_session(processor)}-{shot.at}",
            "confidence": shot.face.confidence,
            "name": _PERSON,
            "videoMapping": {
                "kinesisVideoMapping": {
                    "fragmentNumber": str(second * 1000),
                    "serverTimestamp": second * 1000,
                    "producerTimestamp": second * 1000,
                    "frameOffsetMillis": rest,
                }
            },
            "boundingBox": {k.lower(): v for k, v in box.items()},
        }
        if sighted.frame:
            label |= {"frameImageUri": sighted.frame, "croppedImageUri": sighted.crop}
        return _event(processor, "LABEL_DETECTED", {"labels": [label]}, {})

    def over(self, processor: Processor, milliseconds: int) -> bytes:
        """Return the notification that a session is over."""
        seen = processor.session is not None and processor.session.seen
        told = {"streamProcessingResults": {"message": "A person was seen." if seen else "Nobody was seen."}}
        return _event(processor, "STREAM_PROCESSING_COMPLETE", told, {"processedVideoDurationMillis": milliseconds})


def _session(processor: Processor) -> str:
    return processor.session.id if processor.session is not None else ""


def _event(processor: Processor, kind: str, told: Result, about: Result) -> bytes:
    session = processor.session
    request: Result = {"name": processor.name}
    if session is not None and session.until:
        request["stopSelector"] = {"maxDurationInSeconds": (session.until - session.began) // 1000}
    message = {
        "inputInformation": {"kinesisVideo": {"streamArn": processor.source, **about}},
        "eventNamespace": {"type": kind},
        **told,
        "eventId": f"{_session(processor)}-{kind}",
        "tags": dict(processor.tags),
        "sessionId": _session(processor),
        "startStreamProcessorRequest": request,
    }
    return _line({"Subject": _SUBJECT, "Message": message})


def _matched(candidate: Candidate) -> Result:
    """Return a matched face with the members that the record has: fewer than a ``Face``."""
    told = wire.face(candidate.reference)
    face = {k: told[k] for k in ("BoundingBox", "FaceId", "Confidence", "ImageId", "ExternalImageId") if k in told}
    return {"Similarity": candidate.score.similarity, "Face": face}


def _when(at: int) -> tuple[int, int]:
    """Return the second of a moment (milliseconds since 1970), and the milliseconds after it."""
    return divmod(at, 1000)


def _line(told: Result) -> bytes:
    return orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
