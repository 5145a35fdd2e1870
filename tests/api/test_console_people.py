# SPDX-License-Identifier: Apache-2.0
"""People, keys, organisations and grounds at a running server: who sees whom, and what the rules refuse."""

from __future__ import annotations

import hashlib
import html
import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import boto3
import httpx
import pytest

NAME = "<script>alert(1)</script>"
PAGES = "/console/people"


def _entries(server, last: int = 1) -> list[dict]:
    """Read the newest entries of the ledger."""
    with closing(sqlite3.connect(server.data / "custodes.sqlite3", timeout=30)) as c:
        rows = c.execute('SELECT data FROM ledger_entries ORDER BY "index" DESC LIMIT ?', (last,)).fetchall()
    return [json.loads(data) for (data,) in rows]


def _refused(server, answer: httpx.Response, rule: str) -> None:
    """Check that a rule refuses, tells why, and that the ledger has it."""
    assert answer.status_code == 403
    assert rule in answer.text
    assert "What to do" in answer.text
    [entry] = _entries(server)
    assert (entry["outcome"], rule in entry["rules"]) == ("denied", True)


@pytest.fixture(scope="module")
def operator(server, sign_in):
    """The operator at the console."""
    return sign_in(server)


@pytest.fixture(scope="module")
def clinic(operator) -> str:
    """Another organisation, added at the console."""
    operator.get(f"{PAGES}/organisations")
    operator.post(f"{PAGES}/organisations", {"name": f"Clinic {NAME}", "org_class": "general", "place": "de"})
    assert "The organisation is added" in operator.page.text
    return re.findall(r"org-[0-9a-f]{16}", operator.page.text)[-1]


def _add(operator, organisation: str, identifier: str, name: str, *roles: str) -> str:
    operator.get(PAGES)
    form = {"organisation": organisation, "identifier": identifier, "name": name, "roles": list(roles)}
    answer = operator.post(PAGES, form)
    assert answer.status_code == 200, answer.text
    return answer.url.path.rpartition("/")[2]


@pytest.fixture(scope="module")
def admin(operator, clinic, server, sign_in):
    """An administrator of that organisation."""
    return sign_in(server, _add(operator, clinic, "admin@clinic.example", "Ada Admin", "admin", "user"))


@pytest.fixture(scope="module")
def nurse(operator, clinic) -> str:
    """A user there, whose name is hostile."""
    return _add(operator, clinic, "nurse@clinic.example", NAME, "user")


@pytest.fixture
def user(server, sign_in, nurse):
    """The same, signed in."""
    return sign_in(server, nurse)


# --- who sees whom --------------------------------------------------------------------------------------------------


def test_an_administrator_sees_their_own_people_and_names_are_text(admin, nurse) -> None:
    """Nobody of another organisation, and no name becomes an element."""
    text = admin.get(PAGES).text
    assert "Ada Admin" in text
    assert ">Operator<" not in text
    assert html.escape(NAME) in text
    assert "<script>alert" not in text
    page = admin.get(f"{PAGES}/{nurse}").text
    assert html.escape(NAME) in page
    assert "<script>alert" not in page
    assert html.escape(f"Clinic {NAME}") in page


def test_the_operator_sees_all(operator, admin) -> None:
    """And may look at one organisation alone."""
    text = operator.get(PAGES).text
    assert "Ada Admin" in text
    assert f'href="{PAGES}/operator"' in text
    assert "Ada Admin" not in operator.get(f"{PAGES}?org=local").text


def test_who_doesnt_manage_is_refused_by_the_rules(server, user, nurse) -> None:
    """The navigation doesn't lead there; a forced address and a forced form are refused, and both are entries."""
    assert f'href="{PAGES}"' not in user.page.text
    _refused(server, user.get(PAGES), "base.administer-role")
    _refused(server, user.get(f"{PAGES}/{nurse}"), "base.administer-role")
    _refused(server, user.get("/console/grounds"), "base.administer-role")
    user.get("/console/account")
    form = {"identifier": "x@clinic.example", "name": "X", "roles": "admin"}
    _refused(server, user.post(PAGES, form), "base.administer-role")
    user.get("/console/account")
    _refused(server, user.post(f"{PAGES}/{nurse}/roles", {"roles": "admin"}), "base.administer-role")


def test_an_administrator_manages_nobody_elses_people(server, admin) -> None:
    """Neither by looking nor by changing; organisations are the operator's."""
    _refused(server, admin.get(f"{PAGES}/operator"), "base.administer-own")
    admin.get(PAGES)
    _refused(server, admin.post(f"{PAGES}/operator/suspend"), "base.administer-own")
    _refused(server, admin.get(f"{PAGES}/organisations"), "base.organisations-by-operator")
    admin.get(PAGES)
    form = {"name": "Mine", "org_class": "general", "place": ""}
    _refused(server, admin.post(f"{PAGES}/organisations", form), "base.organisations-by-operator")


# --- what is done ---------------------------------------------------------------------------------------------------


def test_what_a_form_lacks_is_told_beside_its_field(operator, admin) -> None:
    """Nothing is added, and what was typed is still there."""
    admin.get(PAGES)
    answer = admin.post(PAGES, {"name": "Somebody", "identifier": "", "roles": "user"})
    assert answer.status_code == 400
    assert 'aria-describedby="h-identifier e-identifier"' in answer.text
    assert 'value="Somebody"' in answer.text
    answer = admin.post(PAGES, {"name": "Again", "identifier": "admin@clinic.example", "roles": "user"})
    assert "in the organisation already" in answer.text
    operator.get(f"{PAGES}/organisations")
    answer = operator.post(
        f"{PAGES}/organisations", {"name": "Police", "org_class": "law-enforcement", "place": "Texas"}
    )
    assert 'id="e-place"' in answer.text


def test_roles_training_and_suspension(server, admin, nurse) -> None:
    """Each is an entry that tells no name; training that ends soon is pointed out."""
    path = f"{PAGES}/{nurse}"
    admin.get(path)
    admin.post(f"{path}/roles", {"roles": ["user", "reviewer"]})
    assert "The roles are changed" in admin.page.text
    assert _entries(server)[0]["roles"] == ["reviewer", "user"]
    begun = (datetime.now(UTC) - timedelta(days=360)).date().isoformat()
    admin.post(f"{path}/training", {"course": "Faces 1", "since": begun, "days": "365"})
    assert 'class="badge warn">lapses' in admin.page.text
    assert 'class="badge warn">lapses' in admin.get(PAGES).text
    assert admin.post(f"{path}/training", {"course": "Faces 2", "since": "soon", "days": "0"}).status_code == 400
    admin.post(f"{path}/suspend")
    assert "suspended since" in admin.page.text
    admin.post(f"{path}/resume")
    assert "suspended since" not in admin.page.text
    assert not any("script" in json.dumps(e) or "nurse" in json.dumps(e) for e in _entries(server, 10))


def test_an_invitation_is_shown_once_and_works(server, admin, operator, clinic) -> None:
    """The link leads in; the page of the person doesn't have it."""
    guest = _add(operator, clinic, "guest@clinic.example", "Guy Guest", "user")
    admin.get(f"{PAGES}/{guest}")
    assert admin.post(f"{PAGES}/{guest}/invite").status_code == 400
    page = admin.post(f"{PAGES}/{guest}/invite", {"purposes": "photo-library"}).text
    link = re.search(r'value="(http[^"]+/console/invitation/[^"]+)"', page)[1]
    assert "Welcome, Guy Guest" in httpx.get(link).text
    assert "/console/invitation/" not in admin.get(f"{PAGES}/{guest}").text


def test_nobody_invites_themselves_at_the_console(admin) -> None:
    """The page has no form for it, and a forced one is refused with what to do."""
    own = re.search(rf"{PAGES}/(p-[0-9a-f]{{16}})\">Ada Admin", admin.get(PAGES).text)[1]
    assert f"{PAGES}/{own}/invite" not in admin.get(f"{PAGES}/{own}").text
    answer = admin.post(f"{PAGES}/{own}/invite", {"purposes": "photo-library"})
    assert (answer.status_code, "page Account" in answer.text) == (403, True)
    assert "/console/invitation/" not in answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example\\@127.0.0.1", "[::1", "127.0.0.1.evil.example", "0.0.0.0", "127.0.0.1:x", ""]
)
def test_a_link_leads_to_no_host_that_a_request_names(server, admin, operator, clinic, host: str) -> None:
    """Where no address is configured, only this machine's own is put in front of an invitation."""
    guest = _add(operator, clinic, f"{hash(host)}@clinic.example", "Guy Guest", "user")
    admin.get(f"{PAGES}/{guest}")
    form = {"csrf": admin.csrf, "purposes": "photo-library"}
    answer = admin.http.post(f"{PAGES}/{guest}/invite", data=form, headers={"host": host})
    if answer.status_code == 400 and "/console" not in answer.text:  # no host that HTTP knows
        return
    [link] = re.findall(r'value="([^"]*/console/invitation/[^"]+)"', answer.text)
    assert link.startswith("/console/invitation/")
    assert "CUSTODES_ENDPOINT" in answer.text


def test_a_key_is_shown_once_works_and_is_revoked(server, admin, nurse) -> None:
    """Its secret is on one page; a program may use it until it is revoked."""
    admin.get(f"{PAGES}/{nurse}")
    form = {"label": "<b>ward</b>", "purpose": "photo-library", "days": "30"}
    page = admin.post(f"{PAGES}/{nurse}/keys", form).text
    key, secret = (re.search(rf'id="s-{name}"[^>]*value="([^"]+)"', page)[1] for name in ("id", "secret"))
    told = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": server.region}
    client = boto3.client("rekognition", endpoint_url=server.endpoint_url, **told)
    assert client.list_collections()["CollectionIds"] == []
    page = admin.get(f"{PAGES}/{nurse}").text
    assert key in page
    assert secret not in page
    assert "&lt;b&gt;ward" in page
    admin.post(f"/console/keys/{key}/revoke")
    assert "revoked" in admin.page.text
    with pytest.raises(client.exceptions.ClientError):
        client.list_collections()


def test_everybody_has_their_own_keys_and_nobody_anothers(server, user, admin, operator) -> None:
    """A user makes none for a purpose that nobody gave them, and revokes nobody else's."""
    user.get("/console/keys")
    answer = user.post("/console/keys", {"label": "mine", "purpose": "photo-library"})
    assert answer.status_code == 403
    admin.get("/console/keys")
    page = admin.post("/console/keys", {"label": "mine", "purpose": "photo-library"}).text
    key = re.search(r'id="s-id"[^>]*value="([^"]+)"', page)[1]
    user.get("/console/keys")
    _refused(server, user.post(f"/console/keys/{key}/revoke"), "base.administer-role")
    assert key not in user.get("/console/keys").text
    assert admin.post(f"/console/keys/{key}/revoke").status_code == 200


def test_an_organisation_is_suspended_and_resumed(operator) -> None:
    """Its people are out meanwhile; that is the operator's act."""
    operator.get(f"{PAGES}/organisations")
    operator.post(f"{PAGES}/organisations", {"name": "Short-lived", "org_class": "household", "place": ""})
    made = re.findall(r"organisations/(org-[0-9a-f]{16})/suspend", operator.page.text)[-1]
    operator.post(f"{PAGES}/organisations/{made}/suspend")
    assert f"organisations/{made}/resume" in operator.page.text
    operator.post(f"{PAGES}/organisations/{made}/resume")
    assert f"organisations/{made}/suspend" in operator.page.text


# --- grounds --------------------------------------------------------------------------------------------------------


def test_a_consent_is_recorded_and_withdrawn(server, admin, operator) -> None:
    """Of its document the SHA-256 is kept; a mark that can't be one is told beside its field."""
    admin.get("/console/collections")
    admin.post("/console/collections", {"name": "ward-7"})
    admin.get("/console/grounds/consents")
    form = {"kind": "explicit", "collections": "ward-7", "label": "<p>", "purposes": "photo-library", "days": "30"}
    paper = {"document": ("<consent>.pdf", b"I agree.", "application/pdf")}
    answer = admin.post("/console/grounds/consents", form, files=paper)
    assert 'id="e-label"' in answer.text
    assert 'value="&lt;p&gt;"' in answer.text
    admin.post("/console/grounds/consents", form | {"label": "patient-7"}, files=paper)
    assert "patient-7" in admin.page.text
    [entry] = _entries(server)
    assert entry["document"] == hashlib.sha256(b"I agree.").hexdigest()
    consent = re.search(r"consents/(consent-[0-9a-f]{16})/withdraw", admin.page.text)[1]
    admin.post(f"/console/grounds/consents/{consent}/withdraw")
    assert "is withdrawn" in admin.page.text


def test_an_authority_is_filed_and_a_duty_attested_to(server, admin) -> None:
    """For the own organisation; what is missing or unknown is told, and nothing is filed."""
    admin.get("/console/grounds")
    form = {"kind": "court-order", "issuer": "Court <1>", "sha256": "ab" * 32, "purposes": "photo-library"}
    form |= {"collections": "ward-7", "not_before": "2026-01-01", "not_after": "2036-01-31"}
    assert "no collection" in admin.post("/console/grounds", form | {"collections": "nowhere"}).text.lower()
    assert 'id="e-document"' in admin.post("/console/grounds", form | {"sha256": ""}).text
    admin.get("/console/collections")
    admin.post("/console/collections", {"name": "ward-8"})
    admin.get("/console/grounds")
    admin.post("/console/grounds", form | {"collections": "ward-8"})
    assert "Court &lt;1&gt;" in admin.page.text
    [entry] = _entries(server)
    assert (entry["change"], "Court" in json.dumps(entry)) == ("authority-filed", False)
    admin.get("/console/grounds/duties")
    admin.post("/console/grounds/duties", {"duty": "base.provenance-true", "days": "30"})
    assert _entries(server)[0]["target"] == "base.provenance-true"
    answer = admin.post("/console/grounds/duties", {"duty": "base.provenance-true", "days": "0"})
    assert answer.status_code == 400
    _refused(server, admin.get("/console/grounds/duties?org=local"), "base.administer-own")
