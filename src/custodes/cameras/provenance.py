# SPDX-License-Identifier: Apache-2.0
"""Content credentials (C2PA 2) in clips, so that other programs than this one can see whether a clip was changed.

Each share has a chain of its own, two certificates that say nothing of whose it is; the keys are forgotten as soon as
the clip is signed. Nobody vouches for such a chain: other programs say that it holds and that they don't know it. What
it proves is that the clip is the one that the share's manifest, which has its root, speaks of. Nothing is fetched, no
picture of the clip is put in, and the packets of the video stay what they were.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from custodes.errors import IntegrityError, Unavailable

__all__ = ["Credentials", "check_clip"]

_CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")  # C2PA's own
_OLDER = ExtendedKeyUsageOID.EMAIL_PROTECTION  # which readers take that have no list of their own
_FIRST, _LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)
"""Validity of all certificates: what is signed by a clock that is wrong holds, and it tells nothing."""
_CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
_KIND = "video/mp4"
_OFFLINE = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
}
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A share's own chain and key.

    Attributes:
        root: the root's certificate, PEM.
        version: of the program that signs.
    """

    root: str
    version: str
    _chain: bytes
    _key: bytes

    @classmethod
    def new(cls, version: str) -> Credentials:
        """Make a chain and a key that have never been, and never will be again."""
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root_name, name = _name("One share: root"), _name("One share")
        root = _extended(_begun(root_name, root_name, root_key), root_key, "key_cert_sign", ca=True)
        leaf = (
            _extended(_begun(name, root_name, key), key, "digital_signature", ca=False)
            .add_extension(x509.ExtendedKeyUsage([_CLAIM_SIGNING, _OLDER]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        )
        pems = [b.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM) for b in (leaf, root)]
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls(pems[1].decode(), version, b"".join(pems), secret)

    def signed(self, clip: bytes, name: str, *, edited: bool) -> bytes:
        """Return a clip with content credentials in it.

        Args:
            clip: an MP4.
            name: of its file.
            edited: whether it was encoded anew.

        Raises:
            Unavailable: if it can't be signed.
        """
        actions: list[dict[str, str]] = [{"action": "c2pa.created", "digitalSourceType": _CAPTURE}]
        actions.append({"action": "c2pa.trimmed"})
        if edited:
            actions += [{"action": "c2pa.edited"}, {"action": "c2pa.transcoded"}]
        told = {
            "claim_generator_info": [{"name": "Custodes", "version": self.version}],
            "title": name,
            "format": _KIND,
            "assertions": [{"label": "c2pa.actions", "data": {"actions": actions}}],
        }
        out = io.BytesIO()
        try:
            with (
                c2pa.Context.from_dict(_OFFLINE) as context,
                c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", self._chain, self._key, None)) as signer,
                c2pa.Builder.from_json(told, context) as builder,
            ):
                builder.sign(signer, _KIND, io.BytesIO(clip), out)
        except c2pa.C2paError as e:
            raise Unavailable("The clip can't be given content credentials.") from e
        return out.getvalue()


def check_clip(clip: bytes, root: str) -> None:
    """Check a clip's content credentials.

    Args:
        clip: an MP4; hostile.
        root: the certificate that its chain begins with, PEM; hostile.

    Raises:
        IntegrityError: if it has none, they are another chain's, or something in it was changed.
    """
    trusting = {
        "trust": {"trust_anchors": root, "trust_config": _CLAIM_SIGNING.dotted_string},
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
    }
    try:
        with (
            c2pa.Context.from_dict(trusting) as context,
            c2pa.Reader(_KIND, io.BytesIO(clip), context=context) as reader,
        ):
            state, told = reader.get_validation_state(), json.loads(reader.json())
    except (c2pa.C2paError, ValueError) as e:
        raise IntegrityError("The clip has no content credentials that can be read.") from e
    if state != "Trusted":
        raise IntegrityError(f"The clip's content credentials don't hold: {_why(told)}.")


def _why(told: object) -> str:
    """Return the codes of what doesn't hold."""
    found: object = told
    for name in ("validation_results", "activeManifest", "failure"):
        found = found.get(name) if isinstance(found, dict) else None
    codes = [str(f.get("code")) for f in found if isinstance(f, dict)] if isinstance(found, list) else []
    return ", ".join(dict.fromkeys(codes)) or "they are not trusted"


def _name(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Custodes"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
    )


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FIRST)
        .not_valid_after(_LAST)
    )


def _extended(
    begun: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, usage: str, *, ca: bool
) -> x509.CertificateBuilder:
    usages: Callable[..., x509.KeyUsage] = x509.KeyUsage
    return (
        begun.add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(usages(**{name: name == usage for name in _USAGES}), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
