# SPDX-License-Identifier: Apache-2.0
"""Requests for footage hold to the last byte, or are refused; and what is sealed for one officer opens for no other."""

from __future__ import annotations

import contextlib
import io
import math
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cameras.agencyroom import NOW, PIKE_PLACE, Department, Officer, wanted

from custodes.cameras.documents import canonical
from custodes.cameras.model import Span
from custodes.cameras.moments import to_ms
from custodes.cameras.sharing import (
    AgencyKey,
    Area,
    Offence,
    OfficerKey,
    RequestPurpose,
    agency_certificate,
    check_draft,
    check_officer_signature,
    check_request,
    distance,
    draft,
    matches,
    officer_signature,
    open_sealed,
    open_stream,
    read_agency,
    read_officer,
    read_public,
    refused_word,
    seal_for,
    seal_stream,
)
from custodes.errors import Conflict, Denied, IntegrityError, Invalid, NotFound

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OTHERS = Department("Portland Police Bureau")
PD = Department()
ANN, BOB, CAT = (PD.officer(name) for name in ("Ann", "Bob", "Cat"))
DRAFT = PD.draft(ANN)
DOCUMENT = PD.approve(DRAFT, BOB, CAT)


def _check(document: bytes, now=NOW, agencies=None):
    return check_request(document, (OTHERS.agency, PD.agency) if agencies is None else agencies, now)


# --- Requests -----------------------------------------------------------------------------------------------------


def test_a_request_that_two_others_approve_holds() -> None:
    """It says what was drafted, who asks, who stands for it, and has a code that everybody computes alike."""
    found = _check(DOCUMENT)
    assert found.code == check_draft(DRAFT, (PD.agency,), NOW).code
    assert (found.agency, found.officer) == (PD.agency, ANN.certificate)
    assert [a.officer for a in found.approvals] == [BOB.certificate, CAT.certificate]
    told = wanted()
    assert (found.incident, found.text, found.contact) == (told.incident, told.text, told.contact)
    assert (found.area, found.span, found.expires_at, found.made_at) == (told.area, told.span, told.expires_at, NOW)
    assert (found.purpose, found.offence) == (RequestPurpose.CRIMINAL_INVESTIGATION, Offence.BURGLARY)
    assert found.document == DOCUMENT
    assert _check(PD.approve(DRAFT, CAT, BOB)).code == found.code


def test_a_request_that_too_few_approve_is_not_public() -> None:
    """None and one are too few; three are fine."""
    for document in (DRAFT, PD.approve(DRAFT, BOB)):
        with pytest.raises(Denied, match="approved by 2 officers"):
            _check(document)
    assert len(_check(PD.approve(DOCUMENT, PD.officer("Dan"))).approvals) == 3


@pytest.mark.parametrize(
    "second",
    [ANN, BOB, PD.officer("Robert", "bob"), PD.officer("Bob Smith", "B ob"), PD.officer("Eve", key=BOB.key)],
    ids=["who asks", "who has approved", "the same badge", "the same badge with a space", "the same key"],
)
def test_nobody_approves_twice_or_what_they_ask_for(second: Officer) -> None:
    """Neither who has made it nor who has approved it, under another name or with another key: not even if forged."""
    with pytest.raises(Denied, match="different officers"):
        PD.approve(PD.approve(DRAFT, BOB), second)
    with pytest.raises(Denied, match="different officers"):
        _check(PD.forged(ANN, lambda body: None, BOB, second))


def test_an_approval_of_another_request_counts_for_nothing() -> None:
    """Approvals of one request, put under another, don't hold."""
    other = orjson.loads(PD.draft(ANN, wanted(incident="2027-000124")))
    other["approvals"] = orjson.loads(DOCUMENT)["approvals"]
    with pytest.raises(Denied, match="An approval isn't of this request"):
        _check(canonical(other))


def test_who_is_not_of_the_agency_neither_asks_nor_approves() -> None:
    """Officers of another agency, enrolled or not, and forged certificates are refused."""
    stranger = OTHERS.officer("Pat")
    with pytest.raises(Denied, match="isn't signed by the agency"):
        _check(PD.forged(ANN, lambda body: None, BOB, stranger))
    with pytest.raises(Denied, match="isn't enrolled"):
        _check(DOCUMENT, agencies=(OTHERS.agency,))
    with pytest.raises(Denied, match="isn't signed by the agency"):
        _check(PD.forged(ANN, lambda body: body.update(officer=orjson.loads(stranger.certificate.document)), BOB, CAT))

    def self_made(body: dict[str, Any]) -> None:
        body["officer"]["body"]["name"] = "Somebody else"

    with pytest.raises(Denied, match="isn't signed by the agency"):
        _check(PD.forged(ANN, self_made, BOB, CAT))


def test_a_forged_officers_key_is_refused() -> None:
    """Whoever puts their own key into a true certificate, or signs with another key, gets nowhere."""
    thief = OfficerKey.generate()

    def swapped(body: dict[str, Any]) -> None:
        body["officer"]["body"]["signing_key"] = thief.public.signing_key.hex()

    mine = Officer(thief, ANN.certificate)
    with pytest.raises(Denied, match="certificate isn't signed by the agency"):
        _check(PD.forged(ANN, swapped, BOB, CAT))
    whole = orjson.loads(DOCUMENT)
    whole["signature"] = thief.sign("custodes-footage-request-1", whole["body"])
    with pytest.raises(Denied, match="isn't signed by the officer"):
        _check(canonical(whole))
    with pytest.raises(Denied, match="another key's"):
        PD.draft(mine)


def test_a_signature_of_one_kind_is_none_of_another() -> None:
    """What an officer signs to fetch a share can't be turned into an approval, whatever it says."""
    body = {"form": "custodes-footage-approval-1", "request": "00" * 32, "officer": BOB.certificate.id, "at": 1}
    whole = orjson.loads(PD.approve(DRAFT, CAT))
    signature = BOB.key.sign("custodes-share-fetch-1", {**body, "request": _check(DOCUMENT).digest, "at": to_ms(NOW)})
    certificate = orjson.loads(BOB.certificate.document)
    whole["approvals"].append({"officer": certificate, "at": to_ms(NOW), "signature": signature})
    with pytest.raises(Denied, match="An approval isn't"):
        _check(canonical(whole))


Change = Callable[[dict[str, Any]], object]


def _window(start: timedelta, end: timedelta) -> Change:
    return lambda body: body.update(window={"start": to_ms(NOW + start), "end": to_ms(NOW + end)})


BOUNDS: list[tuple[str, Change, str]] = [
    ("large", lambda b: b["area"].update(radius_m=644), "1.3 km2"),
    ("one door", lambda b: b["area"].update(radius_m=20), "100 to 643"),
    ("off the earth", lambda b: b["area"].update(latitude=90_000_001), "latitude is a whole number"),
    ("half a degree", lambda b: b["area"].update(latitude=47.5), "whole number"),
    ("a truth", lambda b: b["area"].update(radius_m=True), "whole number"),
    ("long", _window(-13 * HOUR, -HOUR + timedelta(milliseconds=1)), "12 hours"),
    ("nothing", _window(-HOUR, -HOUR), "12 hours"),
    ("backwards", _window(-HOUR, -2 * HOUR), "12 hours"),
    ("going on", _window(-HOUR, timedelta(milliseconds=1)), "is over when it is made"),
    ("old", _window(-30 * DAY - timedelta(milliseconds=1), -30 * DAY + HOUR), "last 30 days"),
    ("open for long", lambda b: b.update(expires_at=to_ms(NOW + 14 * DAY) + 1), "14 days"),
    ("never open", lambda b: b.update(expires_at=b["made_at"]), "14 days"),
    ("other purpose", lambda b: b.update(purpose="home-security"), "purpose is one of"),
    ("other offence", lambda b: b.update(offence="unlawful-assembly"), "offence is one of"),
    ("no offence", lambda b: b.update(offence="none"), "An offence is named"),
    ("no crime", lambda b: b.update(purpose="missing-person"), "An offence is named"),
    ("a list", lambda b: b.update(purpose=["missing-person"]), "purpose is one of"),
    ("no text", lambda b: b.update(text=""), "text has 1 to 1000"),
    ("long text", lambda b: b.update(text="x" * 1001), "text has 1 to 1000"),
    ("hidden text", lambda b: b.update(text="white \u202evan"), "printable"),
    ("invisible text", lambda b: b.update(text="pro\u200btest"), "printable"),
    ("variants", lambda b: b.update(text="pro\ufe0ftest"), "printable"),
    ("joiners", lambda b: b.update(text="pro\u034ftest"), "printable"),
    ("fillers", lambda b: b.update(contact="\u3164"), "printable"),
    ("blanks", lambda b: b.update(contact="\u2800"), "printable"),
    ("look-alikes", lambda b: b.update(text="A pr\u043etest"), "mixes alphabets"),
    ("null", lambda b: b.update(text="white\x00van"), "printable"),
    ("not NFC", lambda b: b.update(text="Cafe\u0301"), "NFC"),
    ("lines of contact", lambda b: b.update(contact="a\nb"), "printable"),
    ("markup", lambda b: b.update(incident="<script>"), "incident is"),
    ("protest", lambda b: b.update(text="Protesters at the town hall"), 'says "protesters"'),
    ("strike in a number", lambda b: b.update(incident="Strike 2027"), 'says "strike"'),
    ("deportation", lambda b: b.update(contact="deportation desk"), 'says "deportation"'),
    ("another form", lambda b: b.update(form="custodes-footage-request-2"), "has the form"),
    ("a word more", lambda b: b.update(emergency=True), "1 unknown field"),
    ("a word less", lambda b: b.pop("contact"), "lacks contact"),
    ("no area", lambda b: b.update(area=None), "is a JSON object"),
    ("made in words", lambda b: b.update(made_at="2027-01-15"), "made_at is a whole number"),
]


@pytest.mark.parametrize(("change", "message"), [b[1:] for b in BOUNDS], ids=[b[0] for b in BOUNDS])
def test_what_asks_for_too_much_is_refused_however_it_is_signed(change: Change, message: str) -> None:
    """Whoever has all the keys can't sign a request beyond the limits."""
    with pytest.raises(Invalid, match=message):
        _check(PD.forged(ANN, change, BOB, CAT))


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b["area"].update(radius_m=643),
        lambda b: b["area"].update(radius_m=100),
        _window(-12 * HOUR, timedelta()),
        _window(-30 * DAY, -30 * DAY + 12 * HOUR),
        lambda b: b.update(expires_at=to_ms(NOW + 14 * DAY)),
        lambda b: b.update(purpose="wellbeing-check", offence="none"),
    ],
)
def test_what_is_just_within_the_limits_holds(change: Change) -> None:
    """Each limit itself may be asked for."""
    assert _check(PD.forged(ANN, change, BOB, CAT)).code.startswith("FR-")
    assert math.pi * 643**2 <= 1_300_000 < math.pi * 644**2


def test_an_agency_by_whose_name_it_is_about_migration_asks_in_vain() -> None:
    """The agency's name is held to the same words."""
    there = Department("Immigration and Customs Enforcement")
    with pytest.raises(Invalid, match="immigration"):
        there.request()


def test_a_request_ends_and_does_not_begin_before_it_is_made() -> None:
    """It holds until its end, not from then on, and not long before it was made."""
    ends = wanted().expires_at
    assert _check(DOCUMENT, ends - timedelta(milliseconds=1)).expires_at == ends
    for now in (ends, ends + DAY):
        with pytest.raises(Denied, match="is over"):
            _check(DOCUMENT, now)
    assert _check(DOCUMENT, NOW - timedelta(minutes=4)).made_at == NOW
    with pytest.raises(Denied, match="in the future"):
        _check(DOCUMENT, NOW - timedelta(minutes=6))


def test_certificates_are_valid_when_something_is_signed_and_now() -> None:
    """One that wasn't yet, or isn't any more, ends the request, whoever's it is."""
    soon, later = NOW + HOUR, NOW + 2 * HOUR
    short = PD.officer("Sam", not_after=soon)
    for document in (PD.approve(PD.draft(short), BOB, CAT), PD.approve(DRAFT, BOB, short)):
        assert _check(document)
        with pytest.raises(Denied, match="isn't valid"):
            _check(document, soon)
    fresh = PD.officer("Fay", not_before=soon)
    with pytest.raises(Denied, match="isn't valid"):
        PD.draft(fresh)
    for document in (PD.forged(fresh, lambda b: None, BOB, CAT), PD.forged(ANN, lambda b: None, BOB, fresh)):
        with pytest.raises(Denied, match="isn't valid"):
            _check(document, later)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"{" * 5000,
        b"[" * 2000 + b"]" * 2000,
        b"1e999",
        DOCUMENT + b"\n",
        b" " + DOCUMENT,
        DOCUMENT.replace(b'{"approvals"', b'{"approvals":[],"approvals"', 1),
        DOCUMENT.replace(b'"radius_m":300', b'"radius_m":300.0'),
        DOCUMENT.replace(b"burglary at", b"burglary\\u0020at"),
        DOCUMENT[:-1],
        b"x" * 40_000,
    ],
)
def test_bytes_in_another_form_are_refused(document: bytes) -> None:
    """No JSON, other spaces, names twice, numbers in another form: one document has one form."""
    assert document != DOCUMENT
    with pytest.raises(Invalid):
        _check(document)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(DOCUMENT) - 1), st.integers(0, 255))
def test_no_changed_byte_goes_unseen(place: int, byte: int) -> None:
    """Whatever byte of a request is changed, it is refused with a typed error."""
    changed = DOCUMENT[:place] + bytes([byte]) + DOCUMENT[place + 1 :]
    if changed != DOCUMENT:
        with pytest.raises((Invalid, Denied)):
            _check(changed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(orjson.loads(DOCUMENT)["body"])), JSON)
def test_whatever_stands_in_a_field_is_a_typed_error_or_fine(name: str, value: object) -> None:
    """No value of any kind makes the check fail in another way than it says."""
    try:
        document = PD.forged(ANN, lambda body: body.update({name: value}), BOB, CAT)
    except (TypeError, ValueError):
        return  # the encoder doesn't write it either
    with contextlib.suppress(Invalid, Denied):
        assert _check(document).document == document


# --- Words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Who was at the PROTEST?",
        "counter-protesters with flags",
        "the rally on Saturday",
        "workers on strike",
        "suspected of deportation offences",
        "an undocumented man",
        "la manifestación del sábado",
        "los huelguistas",
        "die Großdemonstration am Samstag",
        "Straßenproteste",
        "ein Warnstreik",
        "Anfrage der Ausländerbehörde",
        "Anfrage der Auslaenderbehoerde",
        "la grève générale",
        "des sans-papiers",
        "ｐｒｏｔｅｓｔ",
    ],
)
def test_what_speaks_of_assembly_strikes_or_migration_is_refused(text: str) -> None:
    """In four languages, with accents or without, in compounds, in large letters."""
    assert refused_word(text)
    with pytest.raises(Invalid, match="assembly, strikes or migration"):
        PD.draft(ANN, wanted(text=text))


@pytest.mark.parametrize(
    "text",
    [
        "On 1 March two men left in a white van.",
        "A burglary at the Protestant church in Demokratiestraße",
        "A man of striking height, an Alienware laptop",
        "Er zeigte seinen Ausweis und ging",
        "Un homme grave, qui portait un manteau",
        "Белый фургон, номер X 123, у аптеки «Ω»",
    ],
)
def test_words_that_only_look_like_it_are_fine(text: str) -> None:
    """A month, a church and a brand are no assembly."""
    assert refused_word(text) == ""
    assert PD.draft(ANN, wanted(text=text))


# --- Matching -----------------------------------------------------------------------------------------------------


def test_a_great_circle_is_as_long_as_it_is() -> None:
    """A degree of the equator, the way to the antipodes, and none at all."""
    degree = 2 * math.pi * 6_371_008.8 / 360
    assert distance((0, 0), (0, 1)) == pytest.approx(degree)
    assert distance((10, 20), (-10, -160)) == pytest.approx(180 * degree)
    assert distance((0, 179.5), (0, -179.5)) == pytest.approx(degree)
    assert distance(PIKE_PLACE, PIKE_PLACE) == 0
    assert distance((52.5200, 13.4050), (48.1351, 11.5820)) == pytest.approx(504_400, rel=2e-3)  # Berlin, Munich


def test_a_camera_in_the_place_with_video_of_the_time_is_asked_and_no_other() -> None:
    """Outside, without video, without a known place, or after the end, nothing matches; video is looked for last."""
    found, looked = _check(DOCUMENT), []

    def has(span: Span) -> bool:
        looked.append(span)
        return True

    inside = (PIKE_PLACE[0] + 299 / 111_195, PIKE_PLACE[1])
    outside = (PIKE_PLACE[0] + 301 / 111_195, PIKE_PLACE[1])
    assert matches(found, inside, has, NOW)
    assert looked == [found.span]
    assert not matches(found, inside, lambda span: False, NOW)
    assert not matches(found, outside, has, NOW)
    assert not matches(found, None, has, NOW)
    assert not matches(found, inside, has, found.expires_at)
    assert len(looked) == 1


# --- Keys and certificates ----------------------------------------------------------------------------------------


def test_keys_are_files_for_their_owner_alone_and_are_never_written_over(tmp_path: Path) -> None:
    """Mode 0600; the same keys come back; a file that others may read, or that is no key's, is refused."""
    for kind in (OfficerKey, AgencyKey):
        path, made = tmp_path / kind.__name__, kind.generate()
        made.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert kind.load(path).public == made.public
        before = path.read_bytes()
        with pytest.raises(Conflict, match="never written over"):
            kind.generate().save(path)
        assert path.read_bytes() == before
        path.chmod(0o640)
        with pytest.raises(Invalid, match="Others may read"):
            kind.load(path)
        with pytest.raises(NotFound):
            kind.load(tmp_path / "none")
    (tmp_path / "OfficerKey").chmod(0o600)
    with pytest.raises(Invalid, match="unknown field"):
        AgencyKey.load(tmp_path / "OfficerKey")
    with pytest.raises(Invalid, match="can't be written"):
        AgencyKey.generate().save(tmp_path / "no" / "folder")


def test_an_agency_signs_for_itself_and_its_id_is_its_keys() -> None:
    """Another name under the same key is signed by it or refused; another key is another agency."""
    assert read_agency(PD.document) == PD.agency
    assert PD.agency.id != OTHERS.agency.id
    assert len(PD.agency.fingerprint.replace(" ", "")) == 64
    with pytest.raises(Denied, match="isn't signed"):
        read_agency(PD.document.replace(b"Seattle", b"Tacoma!"))
    with pytest.raises(Invalid, match="ISO 3166"):
        agency_certificate(PD.key, name="X", contact="y", jurisdiction="Washington")


def test_a_certificate_is_for_a_known_time_and_the_holder_of_the_keys() -> None:
    """Not for years, not before or after its time, not of keys whose owner didn't ask."""
    officer = PD.officer("Ann")
    assert read_officer(officer.certificate.document, PD.agency, NOW) == officer.certificate
    for now in (NOW - 40 * DAY, officer.certificate.not_after):
        with pytest.raises(Denied, match="isn't valid now"):
            read_officer(officer.certificate.document, PD.agency, now)
    with pytest.raises(Invalid, match="366 days"):
        PD.officer("Ann", not_after=NOW + 400 * DAY)
    public = orjson.loads(OfficerKey.generate().public_document())
    public["body"]["encryption_key"] = OfficerKey.generate().public.encryption_key.hex()
    with pytest.raises(Denied, match="isn't signed by itself"):
        read_public(canonical(public))
    with pytest.raises(Denied, match="another key's"):
        draft(OfficerKey.generate(), officer.certificate, PD.agency, wanted(), NOW)


def test_a_share_is_fetched_with_the_officers_signature_of_now() -> None:
    """Another key, share, method, path, time or nonce, or an old signature, is refused."""
    nonce = "0f" * 16
    told = ("share-1", "GET", "/v1/shares/share-1", NOW, nonce)
    signature = officer_signature(ANN.key, *told)
    key = ANN.certificate.signing_key
    check_officer_signature(key, *told, signature=signature, now=NOW + timedelta(minutes=5))
    others = [
        ("share-2", *told[1:]),
        ("share-1", "POST", *told[2:]),
        (*told[:2], "/v1/shares/share-2", *told[3:]),
        (*told[:3], NOW + timedelta(seconds=1), nonce),
        (*told[:4], "00" * 16),
        (*told[:4], "x"),
    ]
    for other in others:
        with pytest.raises(Denied):
            check_officer_signature(key, *other, signature=signature, now=NOW)
    for now in (NOW + timedelta(minutes=6), NOW - timedelta(minutes=6)):
        with pytest.raises(Denied):
            check_officer_signature(key, *told, signature=signature, now=now)
    for wrong, given_signature in ((BOB.certificate.signing_key, signature), (key, ""), (key, "zz"), (key, "é" * 64)):
        with pytest.raises(Denied):
            check_officer_signature(wrong, *told, signature=given_signature, now=NOW)


# --- Sealed files -------------------------------------------------------------------------------------------------

PIECE = 2**20


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_what_is_sealed_opens_with_the_officers_key_alone(size: int) -> None:
    """Whatever its size; and not with another key, nor as another share's."""
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    sealed = seal_for(ANN.certificate.encryption_key, data, b"share-1")
    assert open_sealed(ANN.key, sealed, b"share-1") == data
    assert len(sealed) == len(data) + 98 + 16 * max(1, -(-size // PIECE))
    for key, context in ((BOB.key, b"share-1"), (ANN.key, b"share-2"), (ANN.key, b"")):
        with pytest.raises(IntegrityError, match="another key"):
            open_sealed(key, sealed, context)


def test_pieces_can_neither_be_cut_off_nor_dropped_doubled_or_moved() -> None:
    """Any change of the order or number of pieces, and any flipped bit, is found."""
    data = b"a" * PIECE + b"b" * PIECE + b"c" * 10
    sealed = seal_for(ANN.certificate.encryption_key, data)
    head, whole = sealed[:98], PIECE + 16
    first, second, last = sealed[98 : 98 + whole], sealed[98 + whole : 98 + 2 * whole], sealed[98 + 2 * whole :]
    spoiled = [
        head + first + second,
        head + first,
        head,
        head + second + first + last,
        head + first + first + second + last,
        head + first + last,
        sealed + b"\x00",
        sealed + last,
        sealed[:-1],
        *(sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :] for i in (20, 60, 97, 98, 98 + whole, len(sealed) - 1)),
        b"",
        b"GIF89a",
        sealed[:50],
    ]
    for one in spoiled:
        with pytest.raises(IntegrityError):
            open_sealed(ANN.key, one)


def test_a_file_goes_through_a_piece_at_a_time() -> None:
    """Nothing larger than a piece is asked for or written, and a source may give less than it is asked for."""

    class Slow(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.inner, self.most = io.BytesIO(data), 0

        def read(self, size: int = -1) -> bytes:
            assert 0 <= size <= PIECE + 16
            return self.inner.read(min(size, 300_000))

    class Sink(io.BytesIO):
        def write(self, data) -> int:  # type: ignore[override]
            assert len(data) <= PIECE + 16
            return super().write(data)

    data, sealed, opened = b"z" * (5 * PIECE + 3), Sink(), Sink()
    seal_stream(ANN.certificate.encryption_key, Slow(data), sealed)
    open_stream(ANN.key, Slow(sealed.getvalue()), opened)
    assert opened.getvalue() == data


def test_nothing_is_sealed_for_a_key_that_can_hold_no_secret() -> None:
    """A key of zeros, by which anybody could open it, is refused."""
    for key in (bytes(32), b"short"):
        with pytest.raises(Invalid, match="Nothing can be sealed"):
            seal_for(key, b"data")


def test_a_place_is_neither_nowhere_nor_a_city() -> None:
    """Numbers that are none, and radii beyond the limits, are refused."""
    for told in ((math.nan, 0, 300), (0, math.inf, 300), (91, 0, 300), (0, 181, 300), (0, 0, 99), (0, 0, 644)):
        with pytest.raises(Invalid):
            Area(*told)  # type: ignore[arg-type]
