# SPDX-License-Identifier: Apache-2.0
"""What the endpoint itself decides; the way through it is tested with real clients."""

from __future__ import annotations

import pytest

from custodes.api.aws.endpoint import _is_ours
from custodes.api.aws.errors import translate
from custodes.errors import Code, IntegrityError, Invalid, NotFound, Throttled, Unavailable


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (Unavailable("The S3 service didn't answer."), True),
        (Unavailable("The object can't be read.", code=Code.S3), True),
        (IntegrityError("A hash does not agree.", code=Code.IMAGE_FORMAT), True),
        (Unavailable("Custodes does not offer it.", code=Code.NOT_OFFERED), False),
        (Invalid("No."), False),
        (NotFound("No."), False),
        (Throttled("No."), False),
    ],
)
def test_failures_of_the_server_are_logged_whatever_the_status(error: Exception, ours: bool) -> None:
    """An error that stems from the server counts as such though the wire may blame the request."""
    assert _is_ours(error) is ours


def test_absent_s3_makes_sdks_try_again() -> None:
    """A place of pictures that doesn't answer is a 500, which SDKs repeat."""
    refusal = translate(Unavailable("The S3 service didn't answer."), {"InvalidS3ObjectException"})
    assert refusal.status == 500
