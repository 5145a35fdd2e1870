# SPDX-License-Identifier: Apache-2.0
"""``custodes pack``: model packs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from custodes.cli.arguments import Json
from custodes.cli.output import configuration, console, print_json, print_table
from custodes.errors import CustodesError

if TYPE_CHECKING:
    from custodes.operations.packs import Calibration, Manifest, PackOperations

__all__ = ["program"]

program = typer.Typer(help="Model packs.", no_args_is_help=True)

PackId = Annotated[str | None, typer.Argument(help="The pack; the configured one if omitted.")]


def _operations() -> tuple[PackOperations, str]:
    from custodes.operations.packs import PackOperations  # here, so that --help doesn't wait for it

    config = configuration()
    return PackOperations(config), config.vision.pack


def _calibration(own: Calibration | None) -> dict[str, object] | None:
    if own is None:
        return None
    knots = [
        {"cosine": k.cosine, "similarity": k.similarity, "false_match_rate": k.false_match_rate} for k in own.knots
    ]
    return {"measured_on": own.measured_on, "knots": knots}


def _promises(own: Calibration | None) -> str:
    """Return how many comparisons of two people reach the default and the floor, as far as it was measured there."""
    rates = {k.similarity: k.false_match_rate for k in own.knots} if own else {}
    told = [(at, rates.get(at)) for at in (80.0, 99.0)]
    return ", ".join(f"{at:g}: 1 in {round(1 / rate):,}" for at, rate in told if rate)


def _told(operations: PackOperations, manifest: Manifest) -> dict[str, object]:
    """Return a pack for scripts: its own map, and which is in force where a server starts."""
    local: Calibration | None = None
    state = "own"
    try:
        local = operations.local(manifest)
        state = "own" if local is None else "local"
    except CustodesError as e:
        state = f"none: {e.diagnostics()}"
    return {
        "id": manifest.id,
        "version": manifest.version,
        "licence": manifest.licence,
        "models": [m.role for m in manifest.models],
        "description": manifest.description,
        "calibration": _calibration(manifest.calibration),
        "map_in_force": state,
        "local_calibration": _calibration(local),
    }


@program.command("list")
def list_packs(as_json: Json = False) -> None:
    """List the model packs."""
    operations, current = _operations()
    packs = operations.list()
    rows = [_told(operations, m) for m in packs]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("", "Pack", "Version", "Licence", "Models", "False matches", "Map in force", "Description"),
        [
            (
                "*" if r["id"] == current else "",
                r["id"],
                r["version"],
                r["licence"],
                ", ".join(m.role for m in x.models),
                _promises(x.calibration),
                "the pack's own" if r["map_in_force"] == "own" else r["map_in_force"],
                r["description"],
            )
            for r, x in zip(rows, packs, strict=True)
        ],
    )


@program.command()
def verify(pack: PackId = None, as_json: Json = False) -> None:
    """Check every network of a pack against its manifest."""
    operations, current = _operations()
    checks = operations.verify(pack or current)
    rows = [{"role": c.role, "state": c.state, "detail": c.detail} for c in checks]
    print_json(rows) if as_json else print_table(("Role", "State", "Detail"), [tuple(r.values()) for r in rows])
    if any(c.state == "failed" for c in checks):
        raise typer.Exit(1)


@program.command()
def bench(pack: PackId = None, as_json: Json = False) -> None:
    """Time every network of a pack on this machine."""
    operations, current = _operations()
    rows = [
        {"role": t.role, "shape": "x".join(map(str, t.shape)), "ms": round(t.ms, 2)}
        for t in operations.bench(pack or current)
    ]
    print_json(rows) if as_json else print_table(("Role", "Input", "ms"), [tuple(r.values()) for r in rows])


@program.command()
def add(folder: Path, as_json: Json = False) -> None:
    """Check a model pack and copy it into the data folder; docs/models.md says what a pack is."""
    operations, _ = _operations()
    told = _told(operations, operations.add(folder))
    print_json(told) if as_json else console.print(f"Pack {told['id']} is added.", highlight=False)
