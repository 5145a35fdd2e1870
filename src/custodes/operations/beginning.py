# SPDX-License-Identifier: Apache-2.0
"""The first start: an organisation, its operator, and the moratoria that hold from the start."""

from __future__ import annotations

from custodes.db import Database, hold
from custodes.governance import People, Registry, Restraints
from custodes.governance.moratorium import moratorium_to_json
from custodes.governance.rows import version
from custodes.governance.rulebook import default_moratoria
from custodes.ledger import Log

__all__ = ["begin"]


def begin(database: Database, log: Log, people: People, restraints: Restraints, registry: Registry) -> None:
    """Begin an installation, if it hasn't begun; keep the rules that decide from now on, if they are new.

    Raises:
        Invalid: if the rules don't load.
        IntegrityError: if the clock stands before the ledger's last entry.
    """
    with database.read() as c:
        begun = version(c) > 0
        if begun and restraints.keeps(c, registry.state(c).rules.hash):
            return
    with database.transaction() as c:
        hold(c, "custodes.governance")
        now = log.now(c)
        begun = begun or version(c) > 0
        if not begun:
            people.begin(c, now)
            for moratorium in default_moratoria(registry.shipped):
                restraints.declare(c, moratorium, "custodes", now)
                told = {"event": "moratorium-declared", "target": moratorium.id}
                log.append(c, "system", told | {"moratorium": moratorium_to_json(moratorium)})
        rules = registry.state(c, keep=False).rules
        if restraints.keep_rules(c, rules.hash, rules.text()):
            event = "rules-changed" if begun else "begun"
            log.append(c, "system", {"event": event, "rules_hash": rules.hash, "rulebooks": list(rules.rulebooks)})
