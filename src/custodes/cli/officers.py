# SPDX-License-Identifier: Apache-2.0
"""``custodes footage keygen | agency | certify | admit | officers | revoke | agencies``: who vouches for whom.

What needs a private key happens in files and asks no installation. A private key is read from its file and goes
nowhere.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from custodes.cli.arguments import Json
from custodes.cli.output import installation, print_done, print_rows, read, when, write
from custodes.cli.who import who
from custodes.errors import Conflict, CustodesError, Invalid

__all__ = ["AgencyFile", "Output", "add_to", "check_free", "now"]

agencies = typer.Typer(help="Agencies whose requests are shown here.", no_args_is_help=True)

AgencyKeyFile: TypeAlias = Annotated[Path, typer.Option("--agency-key", help="The agency's private key's file.")]
AgencyFile: TypeAlias = Annotated[Path, typer.Option("--agency", help="The agency's certificate.")]
Output: TypeAlias = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]


def check_free(path: Path) -> None:
    """Refuse to write over a file.

    Raises:
        Conflict: if it is there.
    """
    if path.exists():
        raise Conflict(f"{path} is there already.", remedy="Name another file.")


def now() -> datetime:
    """Return the time of this machine's clock."""
    return datetime.now(UTC)


def add_to(program: typer.Typer) -> None:
    """Add the commands to those of ``custodes footage``."""
    for command in (keygen, agency, certify, admit, officers, revoke):
        program.command()(command)
    program.add_typer(agencies, name="agencies")


def keygen(output: Output, as_json: Json = False) -> None:
    """Make your private key, and beside it (.pub) what the agency certifies; offline, on your own machine."""
    from custodes.cameras.sharing import OfficerKey  # here, so that --help doesn't wait

    public = output.with_name(f"{output.name}.pub")
    check_free(public)
    made = OfficerKey.generate()
    made.save(output)
    write(public, made.public_document())
    print_done(
        {"key": str(output), "public": str(public)},
        f"{output} is your private key: it stays with you. Give {public} to your agency.",
        as_json=as_json,
    )


def agency(
    name: Annotated[str, typer.Option(help="What it is called.")],
    contact: Annotated[str, typer.Option(help="How the public reaches it.")],
    jurisdiction: Annotated[str, typer.Option(help="Where it is: US-WA, or US.")],
    agency_key: AgencyKeyFile,
    output: Output,
    as_json: Json = False,
) -> None:
    """Make an agency's certificate, signed by itself; its private key is made if the file isn't there."""
    from custodes.cameras.sharing import AgencyKey, agency_certificate, read_agency  # here, so that --help doesn't wait

    check_free(output)
    made_key = not agency_key.exists()
    key = AgencyKey.generate() if made_key else AgencyKey.load(agency_key)
    document = agency_certificate(key, name=name, contact=contact, jurisdiction=jurisdiction)
    if made_key:
        key.save(agency_key)
    write(output, document)
    found = read_agency(document)
    print_done(
        {"id": found.id, "fingerprint": found.fingerprint, "certificate": str(output), "made_key": made_key},
        f"{output} is the certificate of {found.name}.\n{agency_key} is its private key: who has it speaks for it.\n"
        f"Fingerprint, which others compare with you on another way: {found.fingerprint}",
        as_json=as_json,
    )


def certify(
    public: Annotated[Path, typer.Argument(help="The officer's public key (.pub).", show_default=False)],
    name: Annotated[str, typer.Option(help="The officer's name; it is public.")],
    badge: Annotated[str, typer.Option(help="The officer's number; it is public.")],
    agency_key: AgencyKeyFile,
    output: Output,
    days: Annotated[int, typer.Option(help="For how long it is valid.", min=1, max=366)] = 365,
    person: Annotated[str, typer.Option(help="Put it on file here too, as this person's key.")] = "",
    as_json: Json = False,
) -> None:
    """Certify an officer's key with the agency's."""
    from custodes.cameras.sharing import AgencyKey, certify  # here, so that --help doesn't wait

    check_free(output)
    begins = now()
    document = certify(
        AgencyKey.load(agency_key),
        read(public),
        name=name,
        badge=badge,
        not_before=begins,
        not_after=begins + timedelta(days=days),
    )
    write(output, document)
    if person:
        try:
            _put_on_file(document, person)
        except CustodesError:  # so that the same command can be given again
            output.unlink(missing_ok=True)
            raise
    told = {"certificate": str(output), "not_after": when(begins + timedelta(days=days)), "person": person or None}
    also = f" It is on file as the key of {person}." if person else ""
    print_done(told, f"{output} certifies the key of {name} until {told['not_after']}.{also}", as_json=as_json)


def _put_on_file(document: bytes, person: str) -> str:
    with installation() as app:
        return app.footage.certify(who(app), document, person).id


def admit(
    certificate: Annotated[Path, typer.Argument(help="The officer's certificate.", show_default=False)],
    person: Annotated[str, typer.Option(help="Whose key it is.")],
    as_json: Json = False,
) -> None:
    """Put an officer's certificate on file here, so that they can ask and approve."""
    made = _put_on_file(read(certificate), person)
    print_done({"id": made, "person": person}, f"{made} is on file as the key of {person}.", as_json=as_json)


def officers(as_json: Json = False) -> None:
    """List your organisation's officers."""
    with installation() as app:
        rows = [
            {
                "id": o.certificate.id,
                "name": o.certificate.name,
                "badge": o.certificate.badge,
                "person": o.principal,
                "not_after": when(o.certificate.not_after),
                "revoked_at": when(o.revoked_at),
            }
            for o in app.footage.officers(who(app))
        ]
    columns = {"id": "Certificate", "name": "Name", "badge": "Number", "person": "Person", "not_after": "Until"}
    print_rows(rows, columns | {"revoked_at": "Revoked"}, as_json=as_json)


def revoke(certificate: str, as_json: Json = False) -> None:
    """Trust an officer's certificate no more; what they asked for or approved leaves the board."""
    with installation() as app:
        app.footage.revoke(who(app), certificate)
    print_done({"id": certificate, "revoked": True}, f"{certificate} is revoked.", as_json=as_json)


@agencies.command("list")
def list_agencies(as_json: Json = False) -> None:
    """List the agencies that are or were enrolled."""
    with installation() as app:
        rows = [
            {
                "id": a.agency.id,
                "name": a.agency.name,
                "jurisdiction": a.agency.jurisdiction,
                "contact": a.agency.contact,
                "fingerprint": a.agency.fingerprint,
                "enrolled_at": when(a.enrolled_at),
                "removed_at": when(a.removed_at),
            }
            for a in app.footage.agencies()
        ]
    columns = {"id": "Agency", "name": "Name", "jurisdiction": "Where", "contact": "Contact"}
    print_rows(rows, columns | {"enrolled_at": "Enrolled", "removed_at": "Removed"}, as_json=as_json)


@agencies.command()
def enrol(
    certificate: Annotated[Path, typer.Argument(help="The agency's certificate.", show_default=False)],
    fingerprint: Annotated[
        str,
        typer.Option(help="Its key's fingerprint, as the agency told it on another way: by telephone, on paper."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Trust an agency, so that its officers' requests are shown to those who have cameras here."""
    from custodes.cameras.sharing import read_agency  # here, so that --help doesn't wait

    document = read(certificate)
    found = read_agency(document)
    if not fingerprint:
        raise Invalid(
            f"{certificate} says that it is of {found.name}, with the fingerprint {found.fingerprint}.",
            remedy="Have the fingerprint from the agency on another way, and name that: --fingerprint.",
        )
    if "".join(fingerprint.split()).lower() != "".join(found.fingerprint.split()):
        raise Invalid(
            "The fingerprint that you have isn't this certificate's: it is somebody else's.",
            remedy="Don't enrol it; ask the agency.",
        )
    with installation() as app:
        app.footage.enrol_agency(who(app), document)
    print_done({"id": found.id, "name": found.name}, f"{found.name} is enrolled ({found.id}).", as_json=as_json)


@agencies.command()
def remove(agency: str, as_json: Json = False) -> None:
    """Trust an agency no more."""
    with installation() as app:
        app.footage.remove_agency(who(app), agency)
    print_done({"id": agency, "removed": True}, f"{agency} is removed.", as_json=as_json)
