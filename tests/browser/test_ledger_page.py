# SPDX-License-Identifier: Apache-2.0
"""The ledger is checked in a real browser: what is whole holds, and whatever is changed on the way is noticed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from custodes.app import App
from custodes.config import Config
from custodes.governance import OPERATOR, Caller, Purpose
from custodes.ledger import FileSigner, Note, commit
from custodes.ledger.checkpoint import Checkpoint, sign_checkpoint
from custodes.ledger.merkle import leaf_hash
from custodes.ledger.tiles import decode_bundle, encode_bundle

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
ENTRY = 1
TAMPERED = "An entry that was put in its place"


class Site:
    """A server with a log of more than one tile, and the same installation to look at."""

    def __init__(self, server: Any, app: App) -> None:
        self.server = server
        self.app = app
        self.url = server.endpoint_url

    def checkpoint(self) -> str:
        """Return the newest checkpoint."""
        return self.app.ledger.checkpoint(fresh=True)

    def signer(self) -> FileSigner:
        """Return the log's own key: what a dishonest operator has."""
        return FileSigner.from_file(self.server.data / "keys" / "ledger.key", self.app.ledger.origin)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, start_server) -> Iterator[Site]:
    """The log has 300 entries and a few."""
    data = tmp_path_factory.mktemp("site")
    app = App.open(Config(data=data))
    app.collections.create(ME, "people", {})
    with app.guard.transaction() as c:
        for n in range(300):
            app.guard.append_system(c, "published", {"entries": n})
    server = start_server(data)
    yield Site(server, app)
    server.stop()
    app.close()


def _verify(page: Page, box: str = "[data-check=log]") -> str:
    """Press the button, and return what came of it: ``good``, ``warn`` or ``bad``."""
    page.click(f"{box} form button.button")
    page.wait_for_selector(f"{box} [data-outcome]:not([hidden])")
    return page.get_attribute(f"{box} [data-outcome]", "data-outcome")


def _steps(page: Page, box: str = "[data-check=log]") -> list[tuple[str, str]]:
    """Return the steps of a check: each title, and what came of it."""
    steps = page.locator(f"{box} [data-steps] > li")
    return [
        (step.locator("strong").inner_text(), step.get_attribute("data-state"))
        for step in (steps.nth(i) for i in range(steps.count()))
    ]


def _open(page: Page, site: Site, entry: int | None = None) -> None:
    page.goto(f"{site.url}/console/verify")
    if entry is not None:
        page.fill("[name=index]", str(entry))


def _replace(page: Page, path: str, change: Callable[[bytes], bytes]) -> None:
    """Let whoever sits between page and server change what it fetches."""

    def answer(route: Route) -> None:
        got = route.fetch()
        route.fulfill(response=got, body=change(got.body()))

    page.route(re.compile(re.escape(f"/ledger/{path}") + "[^/]*$"), answer)


# --- what is whole ---


@pytest.mark.parametrize("entry", [0, ENTRY, 255, 256, 299])
def test_a_whole_log_and_an_entry_of_it_hold(page: Page, site: Site, entry: int) -> None:
    """Key, checkpoint and entry, in the first tile or the second; the entry is shown as it is."""
    _open(page, site, entry)
    assert _verify(page) == "good"
    titles = ["The log's key", "The newest checkpoint", "The checkpoint's signature", f"Entry {entry}"]
    assert _steps(page) == [(title, "good") for title in titles]
    shown = page.locator("[data-check=log] [data-shown] pre").inner_text()
    assert json.loads(shown) == dict(site.app.ledger.entry(entry))
    root = Checkpoint.parse(Note.parse(site.checkpoint()).text).root.hex()
    assert root in page.locator("[data-check=log] [data-steps]").text_content()


def test_the_page_of_an_entry_checks_what_it_shows(page: Page, site: Site, enter) -> None:
    """Beside the readable entry; its bytes are those of the log."""
    enter(page, site.server)
    page.goto(f"{site.url}/console/ledger/{ENTRY}")
    assert _verify(page, "[data-check=entry]") == "good"
    assert "it is what this page shows" in page.locator("[data-check=entry]").inner_text()
    page.evaluate("document.querySelector('[data-check=entry]').dataset.entry = btoa('{}')")
    assert _verify(page, "[data-check=entry]") == "bad"
    assert "This page shows another entry" in page.locator("[data-check=entry]").inner_text()


def test_the_log_goes_on_from_what_this_browser_has_kept(page: Page, site: Site) -> None:
    """What was checked is kept; the next check starts from there, and forgets it if it is told to."""
    _open(page, site)
    assert _verify(page) == "good"
    site.app.guard.system("published", {"entries": 0})
    site.checkpoint()
    assert _verify(page) == "good"
    titles = [title for title, _ in _steps(page)]
    assert titles[3].startswith("The checkpoint that this browser kept on")
    page.click("[data-forget]")
    assert _verify(page) == "good"
    assert len(_steps(page)) == 3


@pytest.mark.parametrize("size", [1, 2, 7, 128, 255, 256, 257, 300])
def test_the_log_goes_on_from_an_older_checkpoint(page: Page, site: Site, size: int) -> None:
    """One that somebody has kept elsewhere, of any size."""
    root = site.app.ledger._log.root(size)
    old = str(sign_checkpoint(site.signer(), Checkpoint(site.app.ledger.origin, size, root)))
    _open(page, site)
    page.click("text=With your own key and an older checkpoint")
    page.fill("[name=older]", old)
    page.fill("[name=vkey]", site.app.ledger.vkey)
    assert _verify(page) == "good"
    assert _steps(page)[3] == ("Your older checkpoint", "good")


# --- what was changed ---


def test_a_changed_entry_is_noticed(page: Page, site: Site) -> None:
    """A bundle with another entry in it: its hash leads elsewhere, and both roots are shown."""

    def change(data: bytes) -> bytes:
        entries = decode_bundle(data, 256)
        entries[ENTRY] = entries[ENTRY].replace(b"base", b"bass")
        return encode_bundle(entries)

    _replace(page, "tile/entries/", change)
    _open(page, site, ENTRY)
    assert _verify(page) == "bad"
    assert _steps(page)[-1] == (f"Entry {ENTRY}", "bad")
    text = page.locator("[data-check=log] [data-steps] > li").last.inner_text()
    assert "not in the log as it was signed" in text
    assert "Expected" in text
    assert page.evaluate("localStorage.getItem('custodes-ledger')") is None  # nothing is kept of what doesn't hold


def test_a_changed_proof_is_noticed(page: Page, site: Site) -> None:
    """A tile with another hash in it."""
    _replace(page, "tile/0/", lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    _open(page, site, ENTRY)
    assert _verify(page) == "bad"
    assert _steps(page)[-1] == (f"Entry {ENTRY}", "bad")


def test_a_tile_that_is_too_short_is_noticed(page: Page, site: Site) -> None:
    """And so is a bundle that ends early."""
    _replace(page, "tile/0/", lambda data: data[:-32])
    _open(page, site, ENTRY)
    assert _verify(page) == "bad"
    page.unroute_all()
    _replace(page, "tile/entries/", lambda data: data[:-1])
    assert _verify(page) == "bad"
    assert "ends too early" in page.locator("[data-check=log] [data-steps]").inner_text()


def _other_root(raw: bytes) -> bytes:
    lines = raw.decode().split("\n")
    lines[2] = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    return "\n".join(lines).encode()


def _other_signature(raw: bytes) -> bytes:
    text, _, line = raw.decode().rstrip("\n").rpartition(" ")
    data = bytearray(base64.b64decode(line))
    data[-1] ^= 1
    return f"{text} {base64.b64encode(bytes(data)).decode()}\n".encode()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_other_root, "The signature is not the key's own"),
        (_other_signature, "The signature is not the key's own"),
        (lambda raw: raw.replace(b"\n\n", b"\n"), "A signed note is text"),
        (lambda raw: raw.split(b"\n\n")[0] + b"\n\n", "A signed note is text"),
        (lambda raw: b"<!DOCTYPE html>", "A signed note is text"),
        (lambda raw: b"\xff\xfe" + raw, "is not UTF-8"),
        (lambda raw: raw.replace(b"custodes.invalid/", b"other.invalid/", 1), "of another log"),
    ],
)
def test_a_changed_checkpoint_is_noticed(page: Page, site: Site, change, told: str) -> None:
    """Another root, another signature, no note at all: the check ends there, and says why."""
    _replace(page, "checkpoint", change)
    _open(page, site, ENTRY)
    assert _verify(page) == "bad"
    assert _steps(page)[-1][0] in ("The newest checkpoint", "The checkpoint's signature")
    assert _steps(page)[-1][1] == "bad"
    assert told in page.locator("[data-check=log] [data-steps]").inner_text()


def test_another_key_is_noticed(page: Page, site: Site, tmp_path: Path) -> None:
    """A log that is signed and published anew under another key, by who has kept the old one, or was given it."""
    other = FileSigner.from_file(tmp_path / "other.key", site.app.ledger.origin)
    _open(page, site)
    assert _verify(page) == "good"
    _replace(page, "vkey", lambda _: f"{other.verifier_key}\n".encode())
    assert _verify(page) == "bad"
    assert "another key than this browser has kept" in page.locator("[data-check=log]").inner_text()
    page.click("[data-forget]")
    assert _verify(page) == "bad"  # the checkpoint isn't signed by it
    page.click("text=With your own key and an older checkpoint")
    page.fill("[name=vkey]", site.app.ledger.vkey)
    assert _verify(page) == "bad"
    assert "another key than yours" in page.locator("[data-check=log]").inner_text()
    page.fill("[name=vkey]", "nonsense")
    assert _verify(page) == "bad"


def test_a_rewritten_log_is_noticed_by_who_kept_a_checkpoint(page: Page, site: Site) -> None:
    """The operator changes the past and signs anew, with the log's own key: it doesn't go on from what was kept."""
    size, origin = site.app.ledger.size(), site.app.ledger.origin
    forged = Checkpoint(origin, size - 10, leaf_hash(TAMPERED.encode()))
    kept = str(sign_checkpoint(site.signer(), forged))  # as if the log had been another one when this was kept
    _open(page, site)
    page.click("text=With your own key and an older checkpoint")
    page.fill("[name=older]", kept)
    assert _verify(page) == "bad"
    assert _steps(page)[-1] == ("Your older checkpoint", "bad")
    assert "an entry was dropped, changed or put in" in page.locator("[data-check=log]").inner_text()
    larger = Checkpoint(origin, size + 1000, forged.root)
    page.fill("[name=older]", str(sign_checkpoint(site.signer(), larger)))
    assert _verify(page) == "bad"
    assert "has shrunk" in page.locator("[data-check=log]").inner_text()


def test_an_entry_that_is_not_there_yet_is_not_called_wrong(page: Page, site: Site) -> None:
    """What comes after the newest checkpoint can't be checked yet."""
    _open(page, site, 100_000)
    assert _verify(page) == "warn"
    assert "try again in ten seconds" in page.locator("[data-check=log]").inner_text()


# --- receipts and disclosures ---


@pytest.fixture(scope="module")
def disclosed(site: Site) -> dict[str, Any]:
    """A disclosure with openings, as somebody gets it."""
    openings = [commit("label", "Zoë".encode()), commit("reference.0", b"11111111-2222-3333-4444-555555555555")]
    index = site.app.guard.system("retention", {"erased": 1, "outcome": "done"}, openings)
    return json.loads(site.app.ledger.disclose(ME, index))


def _check(page: Page, site: Site, told: dict[str, Any] | str) -> str:
    page.goto(f"{site.url}/console/verify")
    raw = told if isinstance(told, str) else json.dumps(told)
    file = {"name": "receipt.json", "mimeType": "application/json", "buffer": raw.encode()}
    page.set_input_files("[name=file]", files=[file])
    return _verify(page, "[data-check=file]")


def test_a_disclosure_holds_and_shows_what_it_opens(page: Page, site: Site, disclosed) -> None:
    """Entry, openings, proof, signature; and that the log of the server goes on from it."""
    assert _check(page, site, disclosed) == "good"
    shown = page.locator("[data-check=file] [data-shown]").inner_text()
    for opening in disclosed["openings"]:
        assert opening["name"] in shown
        assert base64.b64decode(opening["value"]).decode() in shown
    assert [state for _, state in _steps(page, "[data-check=file]")] == ["good"] * 10


def _changed(told: dict[str, Any], **values: object) -> dict[str, Any]:
    return json.loads(json.dumps(told)) | values


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_whatever_is_changed_in_a_disclosure_is_noticed(page: Page, site: Site, disclosed) -> None:
    """Entry, place, proof, values, salts, names, checkpoint, key, form."""
    entry = base64.b64decode(disclosed["entry"])
    first, *rest = disclosed["openings"]
    proof = list(disclosed["proof"])
    other = _base64(bytes(32))
    wrong = (
        _changed(disclosed, entry=_base64(entry.replace(b"done", b"gone"))),
        _changed(disclosed, index=disclosed["index"] + 1),
        _changed(disclosed, index=-1),
        _changed(disclosed, proof=[other, *proof[1:]]),
        _changed(disclosed, proof=proof[1:]),
        _changed(disclosed, proof=[*proof, other]),
        _changed(disclosed, openings=[first | {"value": _base64(b"somebody else")}, *rest]),
        _changed(disclosed, openings=[first | {"salt": other}, *rest]),
        _changed(disclosed, openings=[first | {"name": "rules_hash"}, *rest]),
        _changed(disclosed, openings=[first, first, *rest]),
        _changed(disclosed, checkpoint=_other_signature(disclosed["checkpoint"].encode()).decode()),
        _changed(disclosed, vkey="other+00000000+" + disclosed["vkey"].rpartition("+")[2]),
        _changed(disclosed, form="custodes/disclosure/v2"),
        "no JSON",
        "{}",
        "[]",
    )
    for told in wrong:
        assert _check(page, site, told) == "bad", told
        assert _steps(page, "[data-check=file]")[-1][1] == "bad"
        assert page.locator("[data-check=file] [data-shown] pre").count() == 0


def test_a_log_that_does_not_hold_what_was_handed_out_is_noticed(page: Page, site: Site, disclosed) -> None:
    """A file of a branch of the log that this server doesn't publish, signed by its key all the same."""
    entry = base64.b64decode(disclosed["entry"]).replace(b'"done"', b'"dane"')
    branch = Checkpoint(site.app.ledger.origin, 1, leaf_hash(entry))
    note = str(sign_checkpoint(site.signer(), branch))
    told = _changed(disclosed, index=0, entry=_base64(entry), proof=[], openings=[], checkpoint=note)
    assert _check(page, site, told) == "bad"
    assert _steps(page, "[data-check=file]")[-1] == ("The log of this server goes on from it", "bad")


def test_text_of_a_file_stays_text(page: Page, site: Site, disclosed) -> None:
    """A hostile file shows its tags, and runs nothing."""
    hostile = "<img src=x onerror=\"document.body.dataset.owned='yes'\">"
    assert _check(page, site, _changed(disclosed, vkey=hostile, index=5)) == "bad"
    assert page.evaluate("document.body.dataset.owned") is None


def test_an_entry_in_another_form_is_not_read(page: Page, site: Site, disclosed) -> None:
    """What can be read in two ways (a name twice, spaces) isn't an entry, though it were in the log."""
    entry = base64.b64decode(disclosed["entry"])
    for odd in (entry.replace(b'"v":1', b'"v": 1'), entry[:-1] + b',"v":1}', entry.replace(b'"v":1', b'"v":2')):
        note = str(sign_checkpoint(site.signer(), Checkpoint(site.app.ledger.origin, 1, leaf_hash(odd))))
        told = _changed(disclosed, index=0, entry=_base64(odd), proof=[], openings=[], checkpoint=note)
        assert _check(page, site, told) == "bad"
        assert "form that an entry has" in page.locator("[data-check=file] [data-steps]").inner_text()


# --- where it can't be checked ---


def test_a_browser_without_ed25519_says_so(page: Page, site: Site) -> None:
    """The rest is computed all the same; what isn't checked is said not to be, and the command line named."""
    page.add_init_script(
        "SubtleCrypto.prototype.importKey = async () => { throw new DOMException('', 'NotSupportedError'); };"
    )
    _open(page, site, ENTRY)
    assert _verify(page) == "warn"
    text = page.locator("[data-check=log]").inner_text()
    assert "doesn't know Ed25519" in text
    assert _steps(page)[2:] == [("The checkpoint's signature", "warn"), (f"Entry {ENTRY}", "good")]
    assert "custodes ledger verify" in text


def test_without_scripts_the_command_line_is_named(browser, site: Site) -> None:
    """Forms that need a script aren't shown."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}/console/verify")
    assert page.locator("[data-check=log] form").is_hidden()
    assert "custodes ledger verify" in page.locator("[data-check=log]").inner_text()
    context.close()
