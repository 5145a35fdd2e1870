# SPDX-License-Identifier: Apache-2.0
"""``custodes rules``: what the rules are, whether they do what they say, why they decide so, what a change would do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from custodes.cli.arguments import Json, moment
from custodes.cli.output import console, installation, print_done, print_json, print_rows, warn, when
from custodes.cli.who import who
from custodes.errors import Invalid, NotFound

if TYPE_CHECKING:
    from custodes.governance.policy import Rule
    from custodes.operations.rules import Replayed

__all__ = ["program"]

program = typer.Typer(help="Rulebooks: rules with their citations, tried, explained, replayed.", no_args_is_help=True)


@program.command("list")
def list_rulebooks(as_json: Json = False) -> None:
    """List the rulebooks."""
    with installation() as app:
        rows = [
            {
                "id": b.id,
                "title": b.title,
                "state": "always on" if b.locked else "on" if enabled else "off",
                "rules": sum(r.rulebook == b.id for r in app.rules.current.rules),
                "duties": len(b.duties),
                "cases": len(b.cases),
                "summary": b.summary,
            }
            for b, enabled in app.rules.rulebooks()
        ]
        digest = app.rules.current.hash
    columns = {"id": "Rulebook", "state": "State", "title": "Title", "rules": "Rules", "duties": "Duties"}
    print_rows(rows, columns | {"cases": "Worked cases"}, as_json=as_json)
    if not as_json:
        console.print(f"Rule set {digest}", style="dim", soft_wrap=True)


def _rule(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "rulebook": rule.rulebook,
        "citation": rule.citation,
        "explain": rule.explain,
        "remedy": rule.remedy,
    }


@program.command()
def show(
    rulebook: Annotated[str | None, typer.Argument(help="One of them; all unless given.")] = None,
    as_json: Json = False,
) -> None:
    """Show the rules that hold, each with where it comes from, what it says and what the refused can do."""
    with installation() as app:
        known = {book.id for book, _ in app.rules.rulebooks()} | set(app.rules.current.rulebooks)  # with moratoria
        if rulebook is not None and rulebook not in known:
            raise NotFound(f"There is no rulebook {rulebook}.", remedy="custodes rules list shows all.")
        rows = [_rule(r) for r in app.rules.current.rules if rulebook in (None, r.rulebook)]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        console.print(f"[bold]{row['id']}[/bold]  [dim]{row['citation']}[/dim]", highlight=False, soft_wrap=True)
        console.print(f"  {row['explain']}\n  {row['remedy']}", highlight=False, markup=False, soft_wrap=True)


@program.command("test")
def run_cases(as_json: Json = False) -> None:
    """Decide the worked cases of every rulebook; status 1 if one comes out otherwise than expected."""
    with installation(make=True) as app:
        outcomes = app.rules.test()
    failed = [o.diagnostics() for o in outcomes if not o.met]
    told = {"cases": len(outcomes), "failed": failed}
    print_done(told, f"{len(outcomes) - len(failed)} of {len(outcomes)} worked cases as expected.", as_json=as_json)
    if not as_json:
        for line in failed:
            warn(line)
    if failed:
        raise typer.Exit(1)


@program.command()
def explain(
    request: Annotated[
        str, typer.Argument(help="A JSON file with a request, - for standard input, or the index of a ledger entry.")
    ],
    as_json: Json = False,
) -> None:
    """Say which rules decide a request and why: a file as the rules hold now, a logged one as they held then."""
    from custodes.governance.request import from_json, to_json  # here, so that --help doesn't wait

    with installation() as app:
        if re.fullmatch(r"[0-9]{1,30}", request):
            found = app.rules.explain_entry(int(request))
        else:
            found = app.rules.explain(from_json(_read(request)))
    if as_json:
        print_json(
            {
                "request": to_json(found.request),
                "decision": "permit" if found.decision.allowed else "deny",
                "rules": [_rule(r) for r in found.decision.rules],
                "errors": list(found.decision.errors),
                "rulebooks": list(found.rulebooks),
                "rules_hash": found.rule_set,
            }
        )
    else:
        console.print(found.text(), highlight=False, markup=False, soft_wrap=True)


def _read(name: str) -> dict[str, object]:
    try:
        raw = typer.get_binary_stream("stdin").read() if name == "-" else Path(name).read_bytes()
        value = orjson.loads(raw)
    except OSError as e:
        raise Invalid(f"{name} can't be read: {e.strerror}.") from e
    except orjson.JSONDecodeError as e:
        raise Invalid(f"{name} is no JSON: {e}.") from e
    if not isinstance(value, dict):
        raise Invalid(f"{name} holds no request.")
    return value


def _differences(found: Replayed, sentence: str, *, as_json: bool) -> None:
    rows = [
        {
            "index": d.index,
            "at": d.at,
            "action": str(d.request.action),
            "class": str(d.request.facts.org.class_),
            "purpose": d.request.facts.purpose,
            "was": d.was,
            "was_rules": list(d.was_rules),
            "now": d.now,
            "now_rules": list(d.now_rules),
        }
        for d in found.differences
    ]
    if as_json:
        print_json({"requests": found.requests, "differences": rows})
        return
    columns = {"index": "Entry", "at": "At", "action": "Action", "class": "Class", "purpose": "Purpose"}
    columns |= {"was": "Was", "now": "Now", "now_rules": "By"}
    if rows:
        print_rows(rows, columns, as_json=False)
    console.print(f"{found.requests} requests, {len(rows)} {sentence}.", highlight=False)


@program.command()
def diff(
    days: Annotated[int, typer.Option(help="On the requests of so many days.", min=1, max=3650)] = 30,
    enable: Annotated[list[str] | None, typer.Option(help="Enable this rulebook; may be repeated.")] = None,
    disable: Annotated[list[str] | None, typer.Option(help="Disable this rulebook; may be repeated.")] = None,
    rulebook: Annotated[
        list[Path] | None, typer.Option(help="A folder with a rulebook, in place of that of the same id or beside all.")
    ] = None,
    lift: Annotated[list[str] | None, typer.Option(help="Lift this moratorium; may be repeated.")] = None,
    declare: Annotated[
        list[str] | None, typer.Option(help="Declare this form of a moratorium; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a change of the rules would have decided otherwise; it changes nothing."""
    from custodes.governance.rulebook import read  # here, so that --help doesn't wait

    if not any((enable, disable, rulebook, lift, declare)):
        raise Invalid("Name a change: --enable, --disable, --rulebook, --lift or --declare.")
    with installation() as app:
        forms = {m.id: m for m in app.oversight.forms()}
        strays = [d for d in declare or () if d not in forms]
        if strays:
            raise Invalid(f"There is no form {strays[0]}; there are {', '.join(sorted(forms))}.")
        found = app.rules.diff(
            days=days,
            enable=enable or (),
            disable=disable or (),
            rulebooks=[read(folder) for folder in rulebook or ()],
            without=lift or (),
            declare=[forms[d] for d in declare or ()],
        )
    _differences(found, "would be decided otherwise", as_json=as_json)


@program.command()
def enable(rulebook: str, as_json: Json = False) -> None:
    """Enable a rulebook; disabling one takes two overseers (custodes easings propose disable-rulebook)."""
    with installation() as app:
        app.oversight.enable(who(app), rulebook)
    print_done({"id": rulebook, "enabled": True}, f"{rulebook} holds.", as_json=as_json)


@program.command()
def duties(
    organisation: Annotated[str, typer.Option("--org", help="Whose, by id.")] = "local", as_json: Json = False
) -> None:
    """List what software can't enforce, and who attests to it."""
    with installation() as app:
        rows = [
            {
                "duty": d.duty,
                "rulebook": d.rulebook,
                "citation": d.citation,
                "text": d.text,
                "who": d.who,
                "attested_by": d.attested_by,
                "until": when(d.until),
            }
            for d in app.grounds.duties(organisation)
        ]
    columns = {"duty": "Duty", "who": "Who", "text": "What", "attested_by": "Attested by", "until": "Until"}
    print_rows(rows, columns, as_json=as_json)


@program.command()
def attest(
    duty: str,
    days: Annotated[int, typer.Option(help="For how long.", min=1, max=3650)] = 365,
    organisation: Annotated[str | None, typer.Option("--org", help="Whose; your own unless given.")] = None,
    as_json: Json = False,
) -> None:
    """Attest to a duty."""
    with installation() as app:
        app.grounds.attest(who(app), duty, days, organisation)
    print_done({"duty": duty, "days": days}, f"{duty} is attested to for {days} days.", as_json=as_json)


def replay(
    since: Annotated[str, typer.Option(help="From when on; from the beginning unless given.")] = "",
    as_json: Json = False,
) -> None:
    """Decide the logged requests again, each by the rules of its time; status 1 if any differs."""
    with installation() as app:
        found = app.rules.replay(since=moment(since) if since else None)
    _differences(found, "differ", as_json=as_json)
    if found.differences:
        raise typer.Exit(1)
