# SPDX-License-Identifier: Apache-2.0
"""Packages of evidence: whatever is changed in one is found, and it says neither whose it is nor where that is."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import av
import c2pa
import orjson
import pytest
from tests.cameras.agencyroom import NOW, Department
from tests.cameras.footage import footage

from custodes.cameras import evidence
from custodes.cameras.evidence import CUSTODY, MANIFEST, SIGNATURE, Draft, Part, Pictures, draft, packed, statement
from custodes.cameras.evidencecheck import Checked, check_package
from custodes.cameras.links import make_link, read_link
from custodes.cameras.model import Segment, Span
from custodes.cameras.moments import to_ms
from custodes.cameras.provenance import Credentials, check_clip
from custodes.cameras.sharing import FootageRequest, check_request
from custodes.errors import Denied, IntegrityError, Invalid, TooLarge

SHARE = "share-" + "ab" * 16
BEGUN = to_ms(NOW) - 11 * 3_600_000
REQUEST = {"label": "Camera 1", "asked": Span(BEGUN + 100, BEGUN + 1000), "real": Span(BEGUN, BEGUN + 1000)}


def pictures(data: bytes) -> Pictures:
    """Measure a clip with PyAV alone."""
    digest, count = hashlib.sha256(), 0
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.size:
                digest.update(bytes(packet))
                count += 1
        codec = stream.codec_context
        return Pictures(codec.codec.name, codec.width, codec.height, count, digest.digest())


@dataclass
class Bench:
    """A request, and two kinds of clips."""

    request: FootageRequest
    original: Part
    derivative: Part

    def draft(self, *parts: Part, **more: object) -> Draft:
        """Put a package together."""
        return draft(SHARE, self.request, parts or (self.derivative,), NOW, "0.1.0", **more)

    def package(self, *parts: Part) -> bytes:
        """Put one together and sign it."""
        return self.draft(*parts).signed()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Small clips of a second."""
    folder = tmp_path_factory.mktemp("clips")
    video = footage(folder, size=(160, 96), seconds=1.0, fps=5, noise=0.0).read_bytes()
    other = footage(folder, size=(160, 96), seconds=1.0, fps=5, noise=0.0, codec="libvpx-vp9").read_bytes()
    department = Department()
    request = check_request(department.request(), (department.agency,), NOW)
    segment = Segment("cam-00", BEGUN, BEGUN + 1000, len(video), hashlib.sha256(video).digest(), 160, 96, "")
    original = Part(
        original=pictures(video),
        derivative=None,
        blurred=False,
        masked=False,
        segments=(segment,),
        data=video,
        **REQUEST,
    )
    derivative = replace(original, derivative=pictures(other), blurred=True, masked=True, data=other)
    return Bench(request, original, derivative)


def files_of(package: bytes) -> dict[str, bytes]:
    """Return what is in a package."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def found(package: bytes) -> list[str]:
    """Return what is wrong with a package."""
    try:
        return check_package(package).problems
    except Invalid as e:
        return [e.message]


# --- what holds -------------------------------------------------------------------------------------------------------


def test_a_whole_package_holds(bench: Bench) -> None:
    """Originals and derivatives together: each check is told, and nothing is wrong."""
    check = check_package(bench.package(bench.original, bench.derivative))
    assert isinstance(check, Checked)
    assert check.problems == []
    told = " ".join(check.holds)
    for text in ("All 4 files", "clip.mp4", "clip-2.mp4", "content credentials", "recorded, cut, hidden, sealed"):
        assert text in told


def test_a_clip_in_a_package_keeps_its_packets(bench: Bench) -> None:
    """Content credentials are put in, and what is decoded stays bit for bit what it was."""
    files = files_of(bench.package(bench.original))
    assert pictures(files["clip.mp4"]) == bench.original.original
    assert files["clip.mp4"] != bench.original.data
    [clip] = orjson.loads(files[MANIFEST])["clips"]
    assert (clip["kind"], "original" in clip) == ("original", False)


def test_of_a_derivative_the_original_is_not_in_the_package(bench: Bench) -> None:
    """It is named by the hash of its packets, so that what is on hold can be known as it."""
    files = files_of(bench.package(bench.derivative))
    [clip] = orjson.loads(files[MANIFEST])["clips"]
    assert clip["original"]["packets_sha256"] == bench.original.original.packets_sha256.hex()
    assert clip["pictures"]["codec"] == "vp9"
    assert not any(bench.original.data[-500:] in data for data in files.values())


def test_a_package_says_neither_whose_it_is_nor_where(bench: Bench) -> None:
    """No id of a camera, no place; every share has keys of its own, so that no two are linked by them."""
    one, other = (files_of(bench.package()) for _ in range(2))
    text = one[MANIFEST] + one[CUSTODY]
    assert b"cam-00" not in text
    assert b"47.6" not in text
    told = [orjson.loads(f[MANIFEST]) for f in (one, other)]
    assert told[0]["key"] != told[1]["key"]
    assert told[0]["c2pa_root"] != told[1]["c2pa_root"]
    assert any("address" in sentence for sentence in told[0]["not_included"])


def test_other_programs_read_the_content_credentials(bench: Bench) -> None:
    """A reader of C2PA that trusts the share's root says that they are trusted; they have no picture, nor a name."""
    files = files_of(bench.package())
    root = orjson.loads(files[MANIFEST])["c2pa_root"]
    trusting = {"trust": {"trust_anchors": root}, "verify": {"verify_trust": True, "remote_manifest_fetch": False}}
    with (
        c2pa.Context.from_dict(trusting) as context,
        c2pa.Reader("video/mp4", io.BytesIO(files["clip.mp4"]), context=context) as reader,
    ):
        assert reader.get_validation_state() == "Trusted"
        [made] = orjson.loads(reader.json())["manifests"].values()
    assert "thumbnail" not in made
    assert made["signature_info"]["common_name"] == "One share"


def test_an_offset_of_the_clock_is_told(bench: Bench) -> None:
    """As it was measured, and null if it wasn't."""
    told = [orjson.loads(bench.draft(offset=offset).files[MANIFEST])["clock"] for offset in (None, (-1500, NOW))]
    assert told == [None, {"ahead_ms": -2000, "measured_at": "2027-01-15"}]


def test_a_package_that_would_be_too_large_is_not_made(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is put together in memory, and that has an end."""
    monkeypatch.setattr(evidence, "MOST_BYTES", len(bench.original.data))
    with pytest.raises(TooLarge):
        bench.draft(bench.original)


# --- what doesn't -----------------------------------------------------------------------------------------------------


def test_every_flipped_bit_is_found(bench: Bench) -> None:
    """Of every file, and of the archive around them: at its beginning, its end, and many places between."""
    package = bench.draft().signed(b'{"proof":"of the ledger"}')
    assert found(package) == []
    step = max(1, len(package) // 300)
    places = {*range(0, len(package), step), *range(64), *range(len(package) - 64, len(package))}
    for name, data in files_of(package).items():
        at = package.index(data)
        places |= {at, at + len(data) - 1, at - 1, at + len(data)} | (
            {*range(at, at + 64)} if name == SIGNATURE else set()
        )
    for place in sorted(places):
        changed = bytearray(package)
        changed[place] ^= 1 << (place % 8)
        assert found(bytes(changed)), f"byte {place} was changed, and nobody noticed"


def resigned(bench: Bench, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """Return a package that was changed by who has the share's key, and signs it anew."""
    made = bench.draft(bench.original)
    files = dict(made.files)
    change(files)
    return packed(files | {SIGNATURE: made.sign(statement(files))})


def _rewritten(name: str, change: Callable[[dict], object]) -> Callable[[dict[str, bytes]], None]:
    def rewrite(files: dict[str, bytes]) -> None:
        told = orjson.loads(files[name])
        change(told)
        files[name] = orjson.dumps(told)

    return rewrite


def _custody(change: Callable[[dict], object]) -> Callable[[dict[str, bytes]], None]:
    def rewrite(files: dict[str, bytes]) -> None:
        _rewritten(CUSTODY, change)(files)
        digest = hashlib.sha256(files[CUSTODY]).hexdigest()
        _rewritten(MANIFEST, lambda told: told.update(custody=digest))(files)

    return rewrite


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_rewritten(MANIFEST, lambda m: m["clips"][0].update(sha256="0" * 64)), "isn't the file that the manifest"),
        (_rewritten(MANIFEST, lambda m: m["clips"][0]["pictures"].update(packets=4)), "other encoded pictures"),
        (_rewritten(MANIFEST, lambda m: m["clips"][0].update(kind="derivative")), "chain of custody"),
        (_rewritten(MANIFEST, lambda m: m["clips"][0].update(blurred=True)), "something else than the manifest"),
        (_rewritten(MANIFEST, lambda m: m.update(clips=[])), "no clips"),
        (_rewritten(MANIFEST, lambda m: m.update(clips="all")), "no clips"),
        (_rewritten(MANIFEST, lambda m: m.update(c2pa_root="")), "content credentials"),
        (_rewritten(MANIFEST, lambda m: m.update(key="zz")), "signature over all files"),
        (_rewritten(MANIFEST, lambda m: m.update(form="other")), "no package of evidence"),
        (_rewritten(CUSTODY, lambda c: c.update(afterwards="")), "isn't the one that the manifest"),
        (_custody(lambda c: c["clips"]["clip.mp4"].pop(1)), "chain of custody"),
        (_custody(lambda c: c["clips"]["clip.mp4"][0].update(to="later")), "is broken"),
        (_custody(lambda c: c.update(clips=[])), "is broken"),
        (lambda files: files.pop("clip.mp4"), "is missing"),
        (lambda files: files.update({"clip-2.mp4": b"x"}), "doesn't tell of clip-2.mp4"),
        (lambda files: files.update({"../evil": b"x"}), "other files"),
        (lambda files: files.update({"clip.mp4": b"no video"}), "other encoded pictures"),
        (lambda files: files.update({MANIFEST: b"[]"}), "no package of evidence"),
        (lambda files: files.update({CUSTODY: b"no JSON"}), "is broken"),
    ],
)
def test_what_does_not_fit_together_is_found(bench: Bench, change, told: str) -> None:
    """Also if whoever changed it could sign it anew: each part is held against the others."""
    assert told in " ".join(found(resigned(bench, change)))


def test_a_package_of_two_shares_is_none(bench: Bench) -> None:
    """A clip of one in another's: its content credentials are of other keys, and nothing is signed so."""
    one, other = (files_of(bench.package(p)) for p in (bench.original, bench.derivative))
    problems = " ".join(found(packed(one | {"clip.mp4": other["clip.mp4"]})))
    assert "signature over all files" in problems
    assert "signingCredential.untrusted" in problems


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), b"no archive", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_package_is_refused(data: bytes) -> None:
    """In a sentence, whatever it is."""
    with pytest.raises(Invalid, match="no package of evidence"):
        check_package(data)


def test_a_packed_archive_is_refused(bench: Bench) -> None:
    """A few bytes that become gigabytes are none of ours."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, bytes(10_000))
    with pytest.raises(Invalid, match="packed"):
        check_package(out.getvalue())


def test_a_clip_without_credentials_is_told(bench: Bench) -> None:
    """Or with those of somebody else."""
    root = Credentials.new("1").root
    for clip in (bench.original.data, b"", Credentials.new("1").signed(bench.original.data, "clip.mp4", edited=False)):
        with pytest.raises(IntegrityError):
            check_clip(clip, root)


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_link_tells_what_it_is_for(bench: Bench) -> None:
    """The share, the officer's key, until when; its own key signs it."""
    made = bench.draft()
    until = NOW + timedelta(days=14)
    link = make_link("https://home.example/", SHARE, until, bench.request.officer.id, made)
    told = read_link(link)
    assert (told.server, told.share, told.key) == ("https://home.example", SHARE, made.public)
    assert (told.officer, told.expires_at) == (bench.request.officer.id, until)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda k: k.replace("expires=18", "expires=19"), Denied),
        (lambda k: k.replace("share-ab", "share-ac"), Denied),
        (lambda k: k[:-1] + ("0" if k[-1] != "0" else "1"), Denied),
        (lambda k: k[:-1], Invalid),
        (lambda k: k + "&expires=1", Invalid),
        (lambda k: k.replace("https://", "file://"), Invalid),
        (lambda k: k.replace("https://", "https://user:secret@"), Invalid),
        (lambda k: k.replace("/v1/shares/", "/v1/shares/../"), Invalid),
        (lambda k: k + "&x=" + "y" * 3000, Invalid),
        (lambda k: "", Invalid),
        (lambda k: "https://[", Invalid),
    ],
)
def test_a_link_that_was_changed_is_refused(bench: Bench, change, error) -> None:
    """Whatever of it."""
    link = make_link("https://home.example", SHARE, NOW + timedelta(days=14), bench.request.officer.id, bench.draft())
    with pytest.raises(error):
        read_link(change(link))


def test_times_are_told_in_milliseconds(bench: Bench) -> None:
    """What was asked for, and what there is."""
    [clip] = orjson.loads(bench.draft(bench.original).files[MANIFEST])["clips"]
    begun = datetime.fromtimestamp(BEGUN / 1000, UTC)
    assert datetime.fromisoformat(clip["asked"]["start"]) == begun + timedelta(milliseconds=100)
    assert datetime.fromisoformat(clip["real"]["start"]) == begun
