# SPDX-License-Identifier: Apache-2.0
"""What people prove with who they are: passwords (Argon2id, RFC 9106) and one-time codes (TOTP, RFC 6238).

Pure: no database, no clock. The parameters of Argon2id are OWASP's least: 19 MiB, two passes, one lane; a hash made
with others is made anew when its password is next given.
"""

from __future__ import annotations

import hmac
from datetime import datetime

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from custodes.errors import Invalid

__all__ = [
    "LEAST_PASSWORD",
    "MOST_PASSWORD",
    "check_password",
    "code_uri",
    "hash_password",
    "is_stale",
    "new_code_secret",
    "step_of",
    "verify_password",
]

LEAST_PASSWORD = 12
MOST_PASSWORD = 200
"""Characters of a password."""

_STEP = 30  # seconds that a code holds
_DRIFT = 1  # steps by which a telephone's clock may be off, either way
_DIGITS = 6

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def _nobodys() -> str:
    """Return what is verified when there is no other, so that the time an answer takes tells nothing.

    It is no password's hash: only its parameters count, and to make one would be 30 ms of every start.
    """
    salt, digest = "A" * 22, "A" * 43  # 16 and 32 bytes of zeros in Base64
    return f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}${salt}${digest}"


def check_password(password: str) -> str:
    """Return a password that somebody wants to set.

    Raises:
        Invalid: if it is too short or too long.
    """
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise Invalid(
            f"A password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters.",
            remedy="A few words that don't belong together make a good one.",
        )
    return password


def hash_password(password: str) -> str:
    """Return what is kept of a password: Argon2id with a salt of its own, in the PHC format."""
    return _hasher.hash(password.encode("utf-8", "surrogatepass"))


def verify_password(known: str | None, password: str) -> bool:
    """Tell whether a password is the one that was hashed; without a hash it takes as long and says no."""
    try:
        right = _hasher.verify(known or _nobodys(), password[: MOST_PASSWORD + 1].encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
    return right and known is not None


def is_stale(known: str) -> bool:
    """Tell whether a hash was made with other parameters than those of today."""
    return _hasher.check_needs_rehash(known)


def new_code_secret() -> str:
    """Return a secret for an authenticator: 160 random bits in Base32."""
    return pyotp.random_base32()


def code_uri(secret: str, name: str, issuer: str) -> str:
    """Return what an authenticator reads from a QR code (``otpauth://totp/...``)."""
    return pyotp.TOTP(secret, digits=_DIGITS, interval=_STEP).provisioning_uri(name=name, issuer_name=issuer)


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """Return the step whose code this is, of those that hold now, or None for a wrong code."""
    told = "".join(code.split())
    current = int(now.timestamp()) // _STEP
    totp = pyotp.TOTP(secret, digits=_DIGITS, interval=_STEP)
    found = None
    for step in range(current - _DRIFT, current + _DRIFT + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), told.encode("utf-8", "surrogatepass")):
            found = step
    return found
