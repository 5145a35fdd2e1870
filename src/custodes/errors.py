# SPDX-License-Identifier: Apache-2.0
"""Every way in which Custodes says no.

One root, seven kinds. The kinds are Custodes' own words; how a kind reads on a wire is decided where that wire
is (``api/aws/errors.py`` holds the only table for Rekognition's). A message says what was expected, what was
found and, where there is one, what to do; it never carries a face, a name or a path of the server's.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "Code",
    "Conflict",
    "CustodesError",
    "Denied",
    "IntegrityError",
    "Invalid",
    "InvalidImage",
    "NotFound",
    "Throttled",
    "TooLarge",
    "Unavailable",
]


class Code(StrEnum):
    """Causes that a wire words in its own way; an error without one is worded by its kind.

    A code narrows a kind and never crosses it: the comment says which kind raises it.
    """

    COLLECTION_MISSING = "collection-missing"  # NotFound
    SUBJECT_MISSING = "subject-missing"  # NotFound
    FACE_MISSING = "face-missing"  # NotFound: a reference id that the collection doesn't hold
    COLLECTION_EXISTS = "collection-exists"  # Conflict
    SUBJECT_EXISTS = "subject-exists"  # Conflict
    TOKEN_MISMATCH = "token-mismatch"  # noqa: S105 (Conflict: an idempotency token with another request)
    IMAGE_FORMAT = "image-format"  # InvalidImage: not JPEG or PNG, or damaged
    IMAGE_TOO_SMALL = "image-too-small"  # InvalidImage: a side is shorter than the limit
    IMAGE_BYTES = "image-bytes"  # TooLarge: the encoded image
    IMAGE_PIXELS = "image-pixels"  # TooLarge: the decoded image
    BODY_BYTES = "body-bytes"  # TooLarge: the request's body
    NO_FACE = "no-face"  # Invalid: an image in which a face is needed shows none
    PAGE_TOKEN = "page-token"  # noqa: S105 (Invalid: a token to the next page that was not made here)
    S3 = "s3"  # Invalid or Unavailable: the object in a bucket can't be read
    QUOTA = "quota"  # Conflict: a collection or a subject holds as many as it may
    OVERLOAD = "overload"  # Throttled: too many requests wait
    NOT_OFFERED = "not-offered"  # Unavailable: this build doesn't do it, whatever the parameters


class CustodesError(Exception):
    """The root of all errors that Custodes raises on purpose.

    Args:
        message: one sentence for the caller.
        remedy: what the caller can do about it, or an empty string.
        code: a stable machine-readable word for one cause within a kind (``"image-dimensions"``), or empty.
    """

    def __init__(self, message: str, *, remedy: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code

    def diagnostics(self) -> str:
        """Return the message and the remedy as text for a person."""
        return f"{self.message} {self.remedy}".strip()


class NotFound(CustodesError):
    """What was named does not exist (or the caller may not know that it does)."""


class Invalid(CustodesError):
    """The request can't be meant: a value is malformed, out of range, or contradicts another."""


class InvalidImage(Invalid):
    """The bytes are no image of a kind that is read here, or are damaged."""


class TooLarge(Invalid):
    """The image or the body exceeds a limit."""


class Conflict(CustodesError):
    """The request contradicts what is stored: it exists already, is in use, or was changed meanwhile."""


class Denied(CustodesError):
    """The caller is not known, or a rule forbids it."""


class Throttled(CustodesError):
    """Too much at once; the same request may pass later."""


class Unavailable(CustodesError):
    """Something that Custodes depends on is not there, or this build cannot do it."""


class IntegrityError(CustodesError):
    """What was read is not what was written: a hash, a tag or a count does not agree."""
