# SPDX-License-Identifier: Apache-2.0
"""Write ``docs/settings.md`` from the settings themselves: ``python scripts/write_settings.py``.

A test keeps the page equal to what :func:`page` returns.
"""

from __future__ import annotations

import math
from itertools import groupby
from pathlib import Path

from custodes.config import Setting, settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

_INTRODUCTION = """\
# Settings

<!-- Written by scripts/write_settings.py from src/custodes/config.py; change that and run it again. -->

Every setting has a default, so none is needed. A TOML file overrides the defaults; the variable `CUSTODES_CONFIG`
names it. Environment variables override the file. A variable that is set to nothing counts as not set; a list in a
variable is separated as the system's `PATH` is, a list of URLs by spaces. Settings that don't exist, have the wrong
type or lie out of range are refused at the start.

```toml
data = "/var/lib/custodes"

[server]
port = 8420
```

The data folder holds the database, the master key (`keys/master.key`) and the first access key (`credentials`); files
in it can be read by their owner alone, and so can the folder if Custodes made it. **Back up the master key apart from
the database**: without it nothing that is stored can be read, and with both in one hand everything can.

What is deleted leaves the files of the embedded database at once (a reader that is in the way delays it until it is
done). With PostgreSQL a deletion is followed by a vacuum, but remains may stand in the free space of its pages and in
its write-ahead log until they are overwritten; `custodes database scrub` on a quiet day rewrites the tables without
them. Templates and secrets are encrypted in both.
"""

_TITLES = {
    "": "Top level",
    "server": "`[server]`",
    "auth": "`[auth]`",
    "ledger": "`[ledger]`",
    "vision": "`[vision]`",
    "limits": "`[limits]`",
    "imports": "`[imports]`",
    "casework": "`[casework]`",
    "cameras": "`[cameras]`",
    "mqtt": "`[mqtt]`",
    "sharing": "`[sharing]`",
    "streams": "`[streams]`",
    "s3": "`[s3]`",
    "log": "`[log]`",
}


def _value(setting: Setting) -> str:
    if setting.shown:
        return setting.shown
    value = setting.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "none" if not value else ", ".join(f"`{v}`" for v in value)
    return "empty" if value == "" else f"`{value}`"


def _bounds(setting: Setting) -> str:
    if setting.choices:
        return " One of " + ", ".join(f"`{c}`" for c in setting.choices) + "."
    if math.isfinite(setting.most):
        return f" From {setting.least:g} to {setting.most:g}."
    return f" At least {setting.least:g}." if math.isfinite(setting.least) else ""


def _row(setting: Setting) -> str:
    unit = f" {setting.unit}" if setting.unit not in ("", "path") else ""
    meaning = setting.doc + _bounds(setting)
    return f"| `{setting.name}` | `{setting.variable}` | {_value(setting)}{unit} | {meaning} |"


def page() -> str:
    """Return the text of the page."""
    parts = [_INTRODUCTION]
    for section, rows in groupby(settings(), key=lambda s: s.section):
        table = ["| setting | variable | default | meaning |", "|---|---|---|---|", *map(_row, rows)]
        parts.append(f"## {_TITLES[section]}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
