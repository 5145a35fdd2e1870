# SPDX-License-Identifier: Apache-2.0
"""One function per Rekognition operation: checked parameters in, the response's members out.

What the service model doesn't say is said here: defaults, either-or, and the words. Defaults are those of the API
reference. Operations that are not in ``OFFERED`` are answered by :func:`refuse`.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from custodes.api.aws import streams, wire
from custodes.api.aws.context import Context, Handler, Params, Result, page
from custodes.domain import QualityFilter
from custodes.errors import Code, Invalid, Unavailable
from custodes.gallery import Once
from custodes.operations.buckets import BucketObject
from custodes.operations.images import ImageSource

__all__ = ["OFFERED", "SEARCHES", "WITH_IMAGE", "refuse"]

_PAGE = 1000
_MAX_FACES = 4096
_MAX_USERS = 500


def _image(image: Params) -> ImageSource:
    """Return where an ``Image`` is.

    Raises:
        Invalid: unless it has either bytes or an object.
    """
    data, item = image.get("Bytes"), image.get("S3Object")
    if (data is None) == (item is None):
        raise Invalid("Request has invalid parameters. An image has either Bytes or S3Object.")
    if data is not None:
        return bytes(data)
    assert item is not None
    if "Bucket" not in item or "Name" not in item:
        raise Invalid("Request has invalid parameters. An S3Object has Bucket and Name.")
    return BucketObject(item["Bucket"], item["Name"], item.get("Version"))


def _quality(p: Params, default: QualityFilter) -> QualityFilter:
    return QualityFilter(p.get("QualityFilter", default))


def _once(operation: str, p: Params) -> Once | None:
    token = p.get("ClientRequestToken")
    if token is None:
        return None
    rest = {k: v for k, v in p.items() if k != "ClientRequestToken"}
    return Once(operation, token, orjson.dumps(rest, option=orjson.OPT_SORT_KEYS))


# --- Images ---------------------------------------------------------------------------------------------------


def _detect_faces(x: Context, p: Params) -> Result:
    done = x.app.faces.detect(x.caller, _image(p["Image"]), wire.attributes(p.get("Attributes", ())))
    return {"FaceDetails": [wire.face_detail(f, done.size) for f in done.faces]}


def _compare_faces(x: Context, p: Params) -> Result:
    done = x.app.faces.compare(
        x.caller,
        _image(p["SourceImage"]),
        _image(p["TargetImage"]),
        threshold=p.get("SimilarityThreshold"),
        quality=_quality(p, QualityFilter.NONE),
    )
    return {
        "SourceImageFace": {
            "BoundingBox": wire.bounding_box(done.source.box, done.source_size),
            "Confidence": done.source.confidence,
        },
        "FaceMatches": [
            {"Similarity": s.similarity, "Face": wire.compared_face(f, done.target_size)} for f, s in done.matches
        ],
        "UnmatchedFaces": [wire.compared_face(f, done.target_size) for f in done.unmatched],
    }


# --- Collections ----------------------------------------------------------------------------------------------


def _create_collection(x: Context, p: Params) -> Result:
    made = x.app.collections.create(x.caller, p["CollectionId"], p.get("Tags", {}))
    return {"StatusCode": 200, "CollectionArn": x.arn(made.name), "FaceModelVersion": made.pack_version}


def _describe_collection(x: Context, p: Params) -> Result:
    found = x.app.collections.describe(x.caller, p["CollectionId"])
    return {
        "FaceCount": found.face_count,
        "FaceModelVersion": found.pack_version,
        "CollectionARN": f"arn:{x.arn(found.name)}",
        "CreationTimestamp": found.created_at,
        "UserCount": found.subject_count,
    }


def _list_collections(x: Context, p: Params) -> Result:
    after = x.pages.read("ListCollections", p.get("NextToken"))
    found, position = x.app.collections.list(x.caller, after=after, limit=p.get("MaxResults") or _PAGE)
    result = {"CollectionIds": [c.name for c in found], "FaceModelVersions": [c.pack_version for c in found]}
    return page(result, x.pages, "ListCollections", position)


def _delete_collection(x: Context, p: Params) -> Result:
    x.app.collections.delete(x.caller, p["CollectionId"])
    return {"StatusCode": 200}


def _tag_resource(x: Context, p: Params) -> Result:
    if (processor := x.processor_of(p["ResourceArn"])) is not None:
        x.app.processors.tag(x.caller, processor, p["Tags"])
    else:
        x.app.collections.tag(x.caller, x.collection_of(p["ResourceArn"]), p["Tags"])
    return {}


def _untag_resource(x: Context, p: Params) -> Result:
    if (processor := x.processor_of(p["ResourceArn"])) is not None:
        x.app.processors.untag(x.caller, processor, p["TagKeys"])
    else:
        x.app.collections.untag(x.caller, x.collection_of(p["ResourceArn"]), p["TagKeys"])
    return {}


def _list_tags_for_resource(x: Context, p: Params) -> Result:
    if (processor := x.processor_of(p["ResourceArn"])) is not None:
        return {"Tags": x.app.processors.tags(x.caller, processor)}
    return {"Tags": x.app.collections.tags(x.caller, x.collection_of(p["ResourceArn"]))}


# --- Faces in collections -------------------------------------------------------------------------------------


def _index_faces(x: Context, p: Params) -> Result:
    done = x.app.faces.index(
        x.caller,
        p["CollectionId"],
        _image(p["Image"]),
        external_image_id=p.get("ExternalImageId"),
        attributes=wire.attributes(p.get("DetectionAttributes", ())),
        max_faces=p.get("MaxFaces"),
        quality=_quality(p, QualityFilter.AUTO),
    )
    return {
        "FaceRecords": [{"Face": wire.face(r), "FaceDetail": wire.face_detail(f, done.size)} for r, f in done.enrolled],
        "FaceModelVersion": done.pack_version,
        "UnindexedFaces": [
            {"Reasons": [r.value for r in s.reasons], "FaceDetail": wire.face_detail(s.face, done.size)}
            for s in done.skipped
        ],
    }


def _list_faces(x: Context, p: Params) -> Result:
    name = p["CollectionId"]
    scope = f"ListFaces/{name}"
    version, found, position = x.app.faces.list(
        x.caller,
        name,
        after=x.pages.read(scope, p.get("NextToken")),
        limit=p.get("MaxResults") or _PAGE,
        user=p.get("UserId"),
        ids=p.get("FaceIds"),
    )
    return page({"Faces": [wire.face(r) for r in found], "FaceModelVersion": version}, x.pages, scope, position)


def _delete_faces(x: Context, p: Params) -> Result:
    done = x.app.faces.delete(x.caller, p["CollectionId"], p["FaceIds"])
    failed: list[Result] = [{"FaceId": i, "Reasons": ["FACE_NOT_FOUND"]} for i in done.unknown]
    failed += [{"FaceId": i, "UserId": u, "Reasons": ["ASSOCIATED_TO_AN_EXISTING_USER"]} for i, u in done.tied]
    return {"DeletedFaces": list(done.deleted), "UnsuccessfulFaceDeletions": failed}


def _search_faces(x: Context, p: Params) -> Result:
    done = x.app.faces.search(
        x.caller,
        p["CollectionId"],
        p["FaceId"],
        limit=p.get("MaxFaces", _MAX_FACES),
        threshold=p.get("FaceMatchThreshold"),
    )
    return {
        "SearchedFaceId": p["FaceId"],
        "FaceMatches": [wire.face_match(c) for c in done.candidates],
        "FaceModelVersion": done.pack_version,
    }


def _search_faces_by_image(x: Context, p: Params) -> Result:
    done = x.app.faces.search_by_image(
        x.caller,
        p["CollectionId"],
        _image(p["Image"]),
        limit=p.get("MaxFaces", _MAX_FACES),
        threshold=p.get("FaceMatchThreshold"),
        quality=_quality(p, QualityFilter.NONE),
    )
    return {
        "SearchedFaceBoundingBox": wire.bounding_box(done.probe.box, done.size),
        "SearchedFaceConfidence": done.probe.confidence,
        "FaceMatches": [wire.face_match(c) for c in done.candidates],
        "FaceModelVersion": done.pack_version,
    }


# --- Users ----------------------------------------------------------------------------------------------------


def _create_user(x: Context, p: Params) -> Result:
    x.app.subjects.create(x.caller, p["CollectionId"], p["UserId"], _once("CreateUser", p))
    return {}


def _delete_user(x: Context, p: Params) -> Result:
    x.app.subjects.delete(x.caller, p["CollectionId"], p["UserId"], _once("DeleteUser", p))
    return {}


def _list_users(x: Context, p: Params) -> Result:
    name = p["CollectionId"]
    scope = f"ListUsers/{name}"
    found, position = x.app.subjects.list(
        x.caller, name, after=x.pages.read(scope, p.get("NextToken")), limit=p.get("MaxResults", _MAX_USERS)
    )
    return page({"Users": [wire.user(s) for s in found]}, x.pages, scope, position)


def _associate_faces(x: Context, p: Params) -> Result:
    done = x.app.subjects.associate(
        x.caller,
        p["CollectionId"],
        p["UserId"],
        p["FaceIds"],
        threshold=p.get("UserMatchThreshold"),
        once=_once("AssociateFaces", p),
    )
    failed: list[Result] = [{"FaceId": i, "Reasons": ["FACE_NOT_FOUND"]} for i in done.unknown]
    failed += [{"FaceId": i, "UserId": u, "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]} for i, u in done.elsewhere]
    failed += [
        {"FaceId": i, "Reasons": ["LOW_MATCH_CONFIDENCE"]} | ({} if s is None else {"Confidence": s})
        for i, s in done.unlike
    ]
    failed += [{"FaceId": i, "Reasons": []} for i in done.surplus]
    return {
        "AssociatedFaces": [{"FaceId": i} for i in done.associated],
        "UnsuccessfulFaceAssociations": failed,
        "UserStatus": done.status.value,
    }


def _disassociate_faces(x: Context, p: Params) -> Result:
    done = x.app.subjects.disassociate(
        x.caller, p["CollectionId"], p["UserId"], p["FaceIds"], _once("DisassociateFaces", p)
    )
    failed: list[Result] = [{"FaceId": i, "Reasons": ["FACE_NOT_FOUND"]} for i in done.unknown]
    failed += [{"FaceId": i, "UserId": u, "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]} for i, u in done.elsewhere]
    return {
        "DisassociatedFaces": [{"FaceId": i} for i in done.disassociated],
        "UnsuccessfulFaceDisassociations": failed,
        "UserStatus": done.status.value,
    }


def _search_users(x: Context, p: Params) -> Result:
    name, face_id, user_id = p["CollectionId"], p.get("FaceId"), p.get("UserId")
    limit, threshold = p.get("MaxUsers", _MAX_USERS), p.get("UserMatchThreshold")
    if (face_id is None) == (user_id is None):
        raise Invalid("Request has invalid parameters. Either FaceId or UserId must be given.")
    if face_id is not None:
        done = x.app.subjects.search_by_face(x.caller, name, face_id, limit=limit, threshold=threshold)
        searched: Result = {"SearchedFace": {"FaceId": face_id}}
    else:
        assert user_id is not None
        done = x.app.subjects.search_by_subject(x.caller, name, user_id, limit=limit, threshold=threshold)
        searched = {"SearchedUser": {"UserId": user_id}}
    matches = [wire.user_match(c) for c in done.candidates]
    return {"UserMatches": matches, "FaceModelVersion": done.pack_version, **searched}


def _search_users_by_image(x: Context, p: Params) -> Result:
    done = x.app.subjects.search_by_image(
        x.caller,
        p["CollectionId"],
        _image(p["Image"]),
        limit=p.get("MaxUsers", _MAX_USERS),
        threshold=p.get("UserMatchThreshold"),
        quality=_quality(p, QualityFilter.NONE),
    )
    result: Result = {
        "UserMatches": [wire.user_match(c) for c in done.candidates],
        "FaceModelVersion": done.pack_version,
        "UnsearchedFaces": [
            {
                "FaceDetails": wire.face_detail(f, done.size),
                "Reasons": (["FACE_NOT_LARGEST"] if smaller else []) + [r.value for r in reasons],
            }
            for f, reasons, smaller in done.unsearched
        ],
    }
    if done.probe:
        result["SearchedFace"] = {"FaceDetail": wire.face_detail(done.probe, done.size)}
    return result


OFFERED: Mapping[str, Handler] = {
    "DetectFaces": _detect_faces,
    "CompareFaces": _compare_faces,
    "CreateCollection": _create_collection,
    "DescribeCollection": _describe_collection,
    "ListCollections": _list_collections,
    "DeleteCollection": _delete_collection,
    "TagResource": _tag_resource,
    "UntagResource": _untag_resource,
    "ListTagsForResource": _list_tags_for_resource,
    "IndexFaces": _index_faces,
    "ListFaces": _list_faces,
    "DeleteFaces": _delete_faces,
    "SearchFaces": _search_faces,
    "SearchFacesByImage": _search_faces_by_image,
    "CreateUser": _create_user,
    "DeleteUser": _delete_user,
    "ListUsers": _list_users,
    "AssociateFaces": _associate_faces,
    "DisassociateFaces": _disassociate_faces,
    "SearchUsers": _search_users,
    "SearchUsersByImage": _search_users_by_image,
    **streams.OFFERED,
}
"""The operations that are done here."""

WITH_IMAGE = frozenset({"DetectFaces", "CompareFaces", "IndexFaces", "SearchFacesByImage", "SearchUsersByImage"})
"""Those that run the models, and wait for an inference thread."""


SEARCHES = frozenset({"SearchFaces", "SearchFacesByImage", "SearchUsers", "SearchUsersByImage"})
"""Those that answer with a list of candidates, and say so."""


def refuse(operation: str) -> Handler:
    """Return the handler of an operation of the service that is not done here; it always raises Unavailable."""

    def handler(_: Context, __: Params) -> Result:
        raise Unavailable(
            f"Custodes does not offer {operation}.",
            remedy="docs/compatibility.md lists what it does.",
            code=Code.NOT_OFFERED,
        )

    return handler
