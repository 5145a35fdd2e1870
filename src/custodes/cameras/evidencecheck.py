# SPDX-License-Identifier: Apache-2.0
"""Checking a package of evidence offline: all of it is hostile, and nothing of it is written anywhere.

What holds without anybody's word: every file is the one that was signed, to the last bit, and so is the archive; each
clip is the one that the manifest tells of, its content credentials hold, and its packets are those that the chain of
custody ends with. Whose the signature's key is, the ledger's proof tells, if there is one.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from custodes.cameras.evidence import (
    CUSTODY,
    CUSTODY_FORM,
    FORM,
    MANIFEST,
    MOST_BYTES,
    MOST_CLIPS,
    PROOF,
    SIGNATURE,
    clip_name,
    first_step,
    packed,
    statement,
    step_hash,
)
from custodes.cameras.mp4 import reading
from custodes.cameras.provenance import check_clip
from custodes.errors import IntegrityError, Invalid

__all__ = ["Checked", "check_package"]

_SLACK = 2**20
_MOST_STEPS = 4
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAMES = {MANIFEST, CUSTODY, SIGNATURE, PROOF, *map(clip_name, range(MOST_CLIPS))}


@dataclass(slots=True)
class Checked:
    """What came of checking a package, but for the ledger.

    Attributes:
        manifest: what it says; hostile.
        digest: SHA-256 of its bytes, in hexadecimal, which the ledger commits to.
        proof: the disclosure of the ledger's entry, or nothing.
        holds: what is proven, a sentence each.
        problems: what doesn't hold.
    """

    manifest: Mapping[str, object]
    digest: str
    proof: bytes
    holds: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def judge(self, ok: bool, holds: str, problem: str) -> bool:
        """Note what came of one check."""
        (self.holds if ok else self.problems).append(holds if ok else problem)
        return ok


def check_package(package: bytes) -> Checked:
    """Check a package of evidence.

    Args:
        package: the ZIP; hostile.

    Raises:
        Invalid: if it is no package of evidence.
    """
    files, damaged = _files(package)
    raw = files.get(MANIFEST, b"")
    manifest = _object(raw)
    if manifest.get("form") != FORM:
        raise Invalid(f"This is no package of evidence: {MANIFEST} isn't of the form {FORM}.")
    check = Checked(manifest, hashlib.sha256(raw).hexdigest(), files.get(PROOF, b""))
    check.problems += [f"The file {name} was changed: its checksum in the archive is another." for name in damaged]
    _check_signature(check, files)
    whole = not damaged and packed(files) == package
    check.judge(
        whole,
        "The archive is, to the last bit, what its files make.",
        "The archive isn't what its files make: something between them was changed.",
    )
    custody = _object(files.get(CUSTODY, b""))
    same = hashlib.sha256(files.get(CUSTODY, b"")).hexdigest() == manifest.get("custody")
    if not same or custody.get("form") != CUSTODY_FORM:
        check.problems.append(f"{CUSTODY} isn't the one that the manifest tells of.")
    clips = manifest.get("clips")
    told = [c for c in clips if isinstance(c, Mapping)] if isinstance(clips, list) else []
    if not 0 < len(told) <= MOST_CLIPS or told != clips:
        check.problems.append("The manifest tells of no clips, or of too many.")
    listed = {clip_name(n) for n in range(len(told))}
    strays = files.keys() - listed - {MANIFEST, CUSTODY, SIGNATURE, PROOF}
    if strays:
        check.problems.append(f"The manifest doesn't tell of {', '.join(sorted(strays))}.")
    for number, clip in enumerate(told[:MOST_CLIPS]):
        _check_clip(check, clip_name(number), clip, files, custody)
    return check


def _files(package: bytes) -> tuple[dict[str, bytes], list[str]]:
    """Read the files of a package, and tell which of them aren't what their checksums say.

    Raises:
        Invalid: if it is none that can be read.
    """
    if len(package) > MOST_BYTES + _SLACK:
        raise Invalid(f"A package of evidence has at most {MOST_BYTES >> 20} MiB.")
    files: dict[str, bytes] = {}
    damaged: list[str] = []
    try:
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            listed = archive.infolist()
            names = [i.filename for i in listed]
            stored = all(i.compress_type == zipfile.ZIP_STORED and i.file_size == i.compress_size for i in listed)
            if len(set(names)) != len(names) or not set(names) <= _NAMES or not stored:
                raise Invalid("This is no package of evidence: it has other files than one has, or packed ones.")
            if sum(i.file_size for i in listed) > len(package):
                raise Invalid("This is no package of evidence: its files overlap.")
            for info in listed:
                try:
                    files[info.filename] = archive.read(info)
                except zipfile.BadZipFile:
                    damaged.append(info.filename)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError, zlib.error) as e:
        raise Invalid(f"This is no package of evidence: it can't be read ({type(e).__name__}).") from e
    return files, damaged


def _object(data: bytes) -> Mapping[str, object]:
    """Read a JSON object; an empty one if it is none."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _check_signature(check: Checked, files: Mapping[str, bytes]) -> None:
    key = check.manifest.get("key")
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(str(key)))
        public.verify(files.get(SIGNATURE, b""), statement(files))
    except (InvalidSignature, ValueError):
        check.problems.append("The signature over all files doesn't hold: something was changed, left out or put in.")
        return
    check.holds.append(f"All {len(files) - 1} files are the ones that the share's own key {str(key)[:16]}… has signed.")


# --- clips ------------------------------------------------------------------------------------------------------------


def _check_clip(
    check: Checked, name: str, told: Mapping[str, object], files: Mapping[str, bytes], custody: Mapping[str, object]
) -> None:
    """Check one clip by what the manifest and the chain of custody tell of it."""
    if told.get("file") != name or name not in files:
        check.problems.append(f"The clip {name} is missing.")
        return
    data = files[name]
    digest = hashlib.sha256(data).hexdigest()
    check.judge(
        (digest, len(data)) == (told.get("sha256"), told.get("size")),
        f"{name} is the file that the manifest tells of: SHA-256 {digest}.",
        f"{name} isn't the file that the manifest tells of.",
    )
    try:
        check_clip(data, str(check.manifest.get("c2pa_root")))
        check.holds.append(f"{name} has content credentials (C2PA) of this share, which hold.")
    except IntegrityError as e:
        check.problems.append(f"{name}: {e.message}")
    pictures = told.get("pictures")
    check.judge(
        _pictures(data) == pictures,
        f"{name} has the encoded pictures that the manifest tells of, to the last bit.",
        f"{name} has other encoded pictures than the manifest tells of.",
    )
    _check_steps(check, name, told, _steps(custody, name))


def _pictures(data: bytes) -> Mapping[str, object] | None:
    """Return what encoded pictures a clip has, as documents tell it; None if it can't be read."""
    digest, packets = hashlib.sha256(), 0
    try:
        with reading(io.BytesIO(data)) as video:
            for packet in video.packets():
                digest.update(bytes(packet))
                packets += 1
            size = video.stream.codec_context.width, video.stream.codec_context.height
            return {
                "codec": video.codec,
                "width": size[0],
                "height": size[1],
                "packets": packets,
                "packets_sha256": digest.hexdigest(),
            }
    except IntegrityError:
        return None


def _steps(custody: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    clips = custody.get("clips")
    found = clips.get(name) if isinstance(clips, Mapping) else None
    steps = [s for s in found if isinstance(s, Mapping)] if isinstance(found, list) else []
    return steps if len(steps) <= _MOST_STEPS else []


def _check_steps(check: Checked, name: str, told: Mapping[str, object], steps: list[Mapping[str, object]]) -> None:
    """Check the chain of custody of a clip: that it hangs together, and says what the manifest says."""
    derived = told.get("kind") == "derivative"
    wanted = ["recorded", "cut", "hidden", "sealed"] if derived else ["recorded", "cut", "sealed"]
    before, chained = first_step(), [s.get("step") for s in steps] == wanted
    for step in steps:
        chained = chained and step.get("previous") == before
        before = step_hash(step)
    if not check.judge(
        chained,
        f"The chain of custody of {name} hangs together: {', '.join(wanted)}.",
        f"The chain of custody of {name} is broken.",
    ):
        return
    original = told.get("original") if derived else told.get("pictures")
    cut, last = steps[1], steps[-1]
    same = isinstance(original, Mapping) and all(cut.get(k) == v for k, v in original.items())
    same = same and last.get("sha256") == told.get("sha256")
    if derived:
        pictures = told.get("pictures")
        same = same and isinstance(pictures, Mapping) and all(steps[2].get(k) == v for k, v in pictures.items())
        same = same and all(steps[2].get(k) == told.get(k) for k in ("blurred", "masked"))
    else:
        same = same and cut.get("real") == told.get("real") and told.get("blurred") is told.get("masked") is False
    check.judge(
        same,
        f"The chain of custody of {name} says what the manifest says.",
        f"The chain of custody of {name} says something else than the manifest.",
    )
