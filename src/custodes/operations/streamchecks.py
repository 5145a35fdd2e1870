# SPDX-License-Identifier: Apache-2.0
"""What a stream processor shall be, and whether it may: asked before it is made or started.

What would be refused with the first face is refused at once; it is asked for again with each face.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from custodes.cameras.model import Camera
from custodes.cameras.processors import Bucket, Presence, Region, Search, Sink
from custodes.errors import Code, Conflict, Invalid
from custodes.governance import Action, Caller, OrgClass
from custodes.operations.admission import Admission
from custodes.operations.cameras import CameraOperations
from custodes.operations.guard import Guard
from custodes.operations.streamsinks import PictureBuckets, StreamSinks

__all__ = ["NewProcessor", "ProcessorChecks", "Source", "check_tags", "lasting"]

_SECONDS = (1, 120)
_DEFAULT_SECONDS = 10
_MOST_TAGS = 200


@dataclass(frozen=True, slots=True)
class Source:
    """Where a processor's video comes from.

    Attributes:
        told: how the caller named it, without credentials.
        camera: name or id of a camera of the organisation; or empty,
        url: and then where a camera of the processor's own is reached: a secret.
    """

    told: str
    camera: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class NewProcessor:
    """What a processor shall be; the attributes are those of :class:`~custodes.cameras.processors.Processor`."""

    name: str
    source: Source
    role: str
    task: Search | Presence
    output: Sink | None = None
    topic: Sink | None = None
    bucket: Bucket | None = None
    regions: tuple[Region, ...] = ()
    tags: Mapping[str, str] | None = None


class ProcessorChecks:
    """Checks what processors shall do.

    Args:
        guard: decides.
        cameras, admission: the organisation's cameras, and its collections.
        sinks, buckets: where records and pictures go.
    """

    def __init__(
        self,
        guard: Guard,
        cameras: CameraOperations,
        admission: Admission,
        sinks: StreamSinks,
        buckets: PictureBuckets,
    ) -> None:
        self._guard = guard
        self._cameras = cameras
        self._admission = admission
        self._sinks = sinks
        self._buckets = buckets

    def check_output(self, caller: Caller, organisation: str, new: NewProcessor) -> None:
        """Check where a processor would send.

        Raises:
            Invalid, Unavailable: if it can't.
        """
        if isinstance(new.task, Search):
            if new.output is None or new.topic is not None or new.bucket is not None:
                raise Invalid("A search of faces sends to a data stream, and to nothing else.")
        elif new.output is not None or (new.topic is None and new.bucket is None):
            raise Invalid("Who is there is told by notifications, in a bucket, or both, and not to a data stream.")
        for sink in (new.output, new.topic):
            if sink is not None:
                self._sinks.check(organisation, sink)
        self.check_bucket(caller, new.bucket)

    def check_bucket(self, caller: Caller, bucket: Bucket | None) -> None:
        """Check where a processor would write pictures, if it would write any.

        A bucket is nobody's: whoever may name it reads what lies there, with no rule on whose it is.

        Raises:
            Invalid: if it is a household's, or there is no such bucket.
            Unavailable: if buckets are a service's (code ``not-offered``).
        """
        if bucket is None:
            return
        if self._guard.class_of(caller) == OrgClass.HOUSEHOLD:
            raise Invalid(
                "Pictures of a household's cameras aren't written to buckets, where others who use this installation "
                "can read them.",
                remedy="Leave S3Destination out: notifications tell the same without pictures.",
            )
        self._buckets.check(bucket)

    def check_task(self, caller: Caller, organisation: str, task: Search | Presence, camera: Camera | None) -> None:
        """Refuse what would be refused with the first face.

        Args:
            caller: who asks.
            organisation: theirs.
            task: what shall be done.
            camera: with whose video; None if the camera is still to be made.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such collection.
            Invalid: if the caller's key is for another purpose than the camera.
        """
        purpose = camera.purpose if camera is not None else self._cameras.purpose(caller)
        if str(caller.purpose) != purpose:
            raise Invalid(
                f"The camera is for {purpose}, and the key for {caller.purpose}.",
                remedy=f"Use a key that is for {purpose}.",
            )
        if isinstance(task, Search):
            collection = self._admission.get(caller, task.collection)
            self._guard.check_use(caller, Action.WATCH, collection, camera=organisation)
        else:
            self._guard.check_use(caller, Action.EXPORT_VIDEO, camera=organisation)


def lasting(seconds: int | None) -> int:
    """Return how many seconds a session lasts.

    Raises:
        Invalid: if it can't be meant.
    """
    lasts = _DEFAULT_SECONDS if seconds is None else seconds
    if not _SECONDS[0] <= lasts <= _SECONDS[1]:
        raise Invalid(f"A session lasts {_SECONDS[0]} to {_SECONDS[1]} seconds.")
    return lasts


def check_tags(tags: Mapping[str, str]) -> None:
    """Check tags.

    Raises:
        Invalid: if one is Custodes' own.
        Conflict: if they are too many (code ``quota``).
    """
    if any(t.startswith("custodes:") for t in tags):
        raise Invalid("Stream processors have no tags of Custodes' own.")
    if len(tags) > _MOST_TAGS:
        raise Conflict(f"A stream processor has at most {_MOST_TAGS} tags.", code=Code.QUOTA)
