# SPDX-License-Identifier: Apache-2.0
"""``custodes footage``: asking the public for footage, from an officer's key to the public board.

A request is written and signed in files (``draft``, ``sign``), with keys that go nowhere, and put in as such. Who
vouches for whom is in ``officers``. Documents of others are hostile.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from custodes.cameras.wanted import Area, Offence, RequestPurpose, Wanted
from custodes.cli import evidence, officers
from custodes.cli.arguments import Json, moment
from custodes.cli.officers import AgencyFile, Output, check_free, now
from custodes.cli.output import console, installation, print_done, print_json, print_rows, read, when, write
from custodes.cli.who import who
from custodes.errors import Invalid

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.cameras.sharing import Agency, FootageRequest, OfficerCertificate, OfficerKey
    from custodes.governance import Caller
    from custodes.operations.footage import RequestOnFile

__all__ = ["program"]

program = typer.Typer(help="Asking the public for footage: in public, or not at all.", no_args_is_help=True)
officers.add_to(program)
evidence.add_to(program)

OfficerKeyFile: TypeAlias = Annotated[Path, typer.Option("--key", help="Your own private key's file.")]
Certificate: TypeAlias = Annotated[Path, typer.Option("--certificate", help="Your certificate, from the agency.")]
Code: TypeAlias = Annotated[str, typer.Argument(help="The request's code.", show_default=False)]


# --- requests, in files -----------------------------------------------------------------------------------------------


def _officer(key: Path, certificate: Path, agency: Path) -> tuple[OfficerKey, OfficerCertificate, Agency]:
    from custodes.cameras.sharing import OfficerKey, read_agency, read_officer  # here, so that --help doesn't wait

    trusted = read_agency(read(agency))
    return OfficerKey.load(key), read_officer(read(certificate), trusted, now()), trusted


def _place(text: str) -> tuple[float, float]:
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError as e:
        raise typer.BadParameter("A place is latitude and longitude in degrees: 47.6097,-122.3425.") from e
    return latitude, longitude


@program.command()
def draft(
    key: OfficerKeyFile,
    certificate: Certificate,
    agency: AgencyFile,
    incident: Annotated[str, typer.Option(help="The agency's number of the incident.")],
    purpose: Annotated[RequestPurpose, typer.Option(help="What for.")],
    text: Annotated[str, typer.Option(help="What is looked for, in words for the public.")],
    contact: Annotated[str, typer.Option(help="Whom the public may call.")],
    place: Annotated[str, typer.Option(help="The middle of the place: 47.6097,-122.3425.")],
    radius: Annotated[int, typer.Option(help="Its radius, metres: 100 to 643.")],
    begins: Annotated[str, typer.Option("--from", help="From when: 2027-01-31T18:00:00Z.")],
    ends: Annotated[str, typer.Option("--to", help="Until when: at most 12 hours later, and over.")],
    output: Output,
    offence: Annotated[Offence, typer.Option(help="What is investigated, if a crime is.")] = Offence.NONE,
    days: Annotated[int, typer.Option(help="For how long it is open.", min=1, max=14)] = 7,
    as_json: Json = False,
) -> None:
    """Write and sign a request; nobody has it yet."""
    from custodes.cameras import sharing  # here, so that --help doesn't wait
    from custodes.cameras.model import Span
    from custodes.cameras.moments import to_ms

    check_free(output)
    mine, certified, trusted = _officer(key, certificate, agency)
    begun = now()
    wanted = Wanted(
        incident=incident,
        purpose=purpose,
        offence=offence,
        text=text,
        contact=contact,
        area=Area(*_place(place), radius),
        span=Span(to_ms(moment(begins)), to_ms(moment(ends))),
        expires_at=begun + timedelta(days=days),
    )
    document = sharing.draft(mine, certified, trusted, wanted, begun)
    write(output, document)
    code = sharing.check_draft(document, (trusted,), begun).code
    told = {"code": code, "request": str(output)}
    print_done(told, f"{code} is in {output}. Put it in: custodes footage submit {output}", as_json=as_json)


@program.command()
def sign(
    request: Annotated[Path, typer.Argument(help="The request.", show_default=False)],
    key: OfficerKeyFile,
    certificate: Certificate,
    agency: AgencyFile,
    output: Output,
    as_json: Json = False,
) -> None:
    """Approve another officer's request in a file; custodes footage approve --signed puts it in."""
    from custodes.cameras.sharing import approve, check_draft  # here, so that --help doesn't wait

    check_free(output)
    mine, certified, trusted = _officer(key, certificate, agency)
    document = approve(read(request), mine, certified, trusted, now())
    write(output, document)
    code = check_draft(document, (trusted,), now()).code
    print_done({"code": code, "request": str(output)}, f"{code} with your approval is in {output}.", as_json=as_json)


# --- requests, on file here -------------------------------------------------------------------------------------------


@program.command()
def submit(
    request: Annotated[Path, typer.Argument(help="The request.", show_default=False)], as_json: Json = False
) -> None:
    """Put your request in; it is public once two others have approved it."""
    with installation() as app:
        made = app.footage.submit(who(app), read(request))
    print_done({"code": made.code}, f"{made.code} waits for the approval of two others.", as_json=as_json)


@program.command()
def approve(
    code: Code,
    key: Annotated[Path | None, typer.Option(help="Your own private key's file: you have read the request.")] = None,
    signed: Annotated[Path | None, typer.Option(help="The request as you have signed it elsewhere.")] = None,
    as_json: Json = False,
) -> None:
    """Approve another officer's request, by your name and your key."""
    if (key is None) == (signed is None):
        raise Invalid("Name your key (--key FILE), or the request that you have signed (--signed FILE).")
    from custodes.cameras.sharing import APPROVALS  # here, so that --help doesn't wait

    with installation() as app:
        caller = who(app)
        document = read(signed) if signed else _signed(app, caller, code, key or Path())
        made = app.footage.approve(caller, code, document)
        public = len(made.approvals) >= APPROVALS
    told = {"code": code, "approvals": len(made.approvals), "public": public}
    print_done(told, f"{code} is {'public' if public else 'approved by one, and waits for another'}.", as_json=as_json)


def _signed(app: App, caller: Caller, code: str, path: Path) -> bytes:
    """Return a request that is on file with the caller's approval.

    Raises:
        Invalid: if no certificate of this key is on file.
    """
    from custodes.cameras.sharing import OfficerKey, approve  # here, so that --help doesn't wait

    key, on_file = OfficerKey.load(path), app.footage.show(caller, code)
    mine = [o.certificate for o in app.footage.officers(caller) if o.certificate.signing_key == key.public.signing_key]
    if not mine:
        raise Invalid("No certificate of this key is on file.", remedy="Ask an administrator: custodes footage admit.")
    return approve(on_file.filed.document, key, mine[0], on_file.request.agency, now())


@program.command()
def withdraw(code: Code, as_json: Json = False) -> None:
    """Take a request back; it leaves the board at once."""
    with installation() as app:
        app.footage.withdraw(who(app), code)
    print_done({"code": code, "withdrawn": True}, f"{code} is withdrawn.", as_json=as_json)


@program.command("list")
def list_requests(as_json: Json = False) -> None:
    """List your organisation's requests."""
    with installation() as app:
        rows = [_row(r) for r in app.footage.list(who(app))]
    columns = {"code": "Code", "state": "State", "incident": "Incident", "purpose": "Purpose", "officer": "Officer"}
    print_rows(rows, columns | {"approved_by": "Approved by", "expires_at": "Until"}, as_json=as_json)


def _row(asked: RequestOnFile) -> dict[str, object]:
    found = asked.request
    return {
        "code": found.code,
        "state": "over" if asked.is_over else str(asked.filed.state),
        "incident": found.incident,
        "purpose": str(found.purpose),
        "officer": found.officer.name,
        "approved_by": [a.officer.name for a in found.approvals],
        "made_at": when(found.made_at),
        "expires_at": when(found.expires_at),
        "published_at": when(asked.filed.published_at),
    }


@program.command()
def show(
    code: Code,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the document to a file.")] = None,
    as_json: Json = False,
) -> None:
    """Show a request, as the public reads it."""
    with installation() as app:
        found = app.footage.show(who(app), code)
    if output is not None:
        check_free(output)
        write(output, found.filed.document)
    if as_json:
        print_json(_row(found) | _told(found.request))
        return
    pairs = {"State": _row(found)["state"]} | {k.replace("_", " "): v for k, v in _told(found.request).items()}
    for name, value in pairs.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        console.print(f"{name.capitalize():<14} {text}", highlight=False, markup=False, soft_wrap=True)


def _told(found: FootageRequest) -> dict[str, object]:
    from custodes.cameras.moments import from_ms  # here, so that --help doesn't wait

    return {
        "code": found.code,
        "agency": found.agency.name,
        "officer": f"{found.officer.name} ({found.officer.badge})",
        "approved_by": [f"{a.officer.name} ({a.officer.badge})" for a in found.approvals],
        "incident": found.incident,
        "purpose": str(found.purpose),
        "offence": str(found.offence),
        "text": found.text,
        "contact": found.contact,
        "place": f"{found.area.latitude:.6f},{found.area.longitude:.6f}",
        "radius_m": found.area.radius_m,
        "from": when(from_ms(found.span.start)),
        "to": when(from_ms(found.span.end)),
        "until": when(found.expires_at),
    }
