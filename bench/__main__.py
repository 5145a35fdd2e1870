# SPDX-License-Identifier: Apache-2.0
"""``make bench [ARGS="--quick vision"]``: print every figure, and write build/bench.json."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is loaded: figures are single thread


def _machine() -> str:
    """Say on what this runs."""
    told = Path("/proc/cpuinfo")
    text = told.read_text() if told.exists() else ""
    models = [line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return (
        f"{os.cpu_count()} cores of {models[0] if models else platform.machine()}, Python {platform.python_version()}"
    )


def main() -> None:
    """Run the parts that were asked for."""
    from bench import cameras, console, evaluation, governed, ledger, rules, search, service, vision, wire
    from bench.report import print_rows, write_json, write_markdown

    parts = {
        "vision": vision.run,
        "search": search.run,
        "ledger": ledger.run,
        "service": service.run,
        "wire": wire.run,
        "rules": rules.run,
        "governed": governed.run,
        "console": console.run,
        "evaluation": evaluation.run,
        "cameras": cameras.run,
    }
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="all if omitted")
    parser.add_argument("--quick", action="store_true", help="fewer trials")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--markdown", type=Path, help="also write the figures as a page")
    given = parser.parse_args()
    results = {}
    for name in given.parts or parts:
        results[name] = parts[name](given.quick)
        print_rows(name, results[name])
        write_json(given.json, results)  # after each part, so that a long run that breaks off leaves something
    if given.markdown:
        write_markdown(given.markdown, results, _machine())


if __name__ == "__main__":
    main()
