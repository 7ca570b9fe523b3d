"""`python -m tests.bench [--only NAME,NAME] [FILE.json]`: benchmarks, one table, and the same as JSON.

Every section runs in a process of its own, so that none meets another's memory, threads or warm caches.
"""

import argparse
import importlib
import subprocess
import sys
import time
from pathlib import Path

import torch

from alx.report.columns import table
from tests.bench import results
from tests.bench.row import Missing, Row

# In the order of docs/performance.md: a section's name, and its module, whose rows() does the work.
SECTIONS = {
    "selection": "selection",
    "measuring": "measuring",
    "codec": "codec",
    "frozen": "frozen",
    "rounding": "rounding",
    "memory": "memory",
    "start-up": "startup",
    "growth": "growth",
    "training": "training",
    "gpu": "gpu",
    "ranks": "ranks",
    "episodes": "rollouts",
    "loading": "loading",
}


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def limit(row: Row) -> str:
    """`≤ 2.5`, or nothing."""
    return "" if row.limit is None else f"{'≥' if row.is_rate else '≤'} {row.limit:g}"


HEADER = ["what", "beside", "ours", "theirs", "ours / theirs", "limit", ""]


def cells(row: Row) -> list[str]:
    """A row as texts, under `HEADER`."""
    return [
        f"{row.what}, {row.unit}",
        row.rival,
        number(row.ours),
        number(row.theirs),
        f"{row.ratio:.2f}" + ("" if row.spread is None else f" ({row.spread[0]:.2f} to {row.spread[1]:.2f})"),
        limit(row),
        row.verdict,
    ]


def measure(name: str) -> list[Row | Missing]:
    """One section. What it needs and is not installed is told, never passed over in silence."""
    torch.set_num_threads(1)
    try:
        return importlib.import_module(f"tests.bench.{SECTIONS[name]}").rows()
    except ModuleNotFoundError as error:
        return [Missing(name, f"there is no module '{error.name}' here")]


def _apart(names: list[str], path: Path) -> int:
    failed = []
    for i, name in enumerate(names, 1):
        print(f"[{i}/{len(names)}] {name} …", file=sys.stderr, flush=True)
        begun = time.monotonic()
        if subprocess.run([sys.executable, "-m", "tests.bench", "--only", name, path], check=False).returncode:
            failed.append(name)
        print(f"[{i}/{len(names)}] {name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    print()
    found = results.read(path)
    print("\n".join(table(HEADER, [cells(row) for name in found for row in results.rows(found[name])], left=2)))
    for missing in (m for section in found.values() for m in section["missing"]):
        print(f"not measured: {missing['what']}: {missing['why']}")
    for name in failed:
        print(f"FAILED: {name}", file=sys.stderr)
    return 1 if failed else 0


def main(arguments: list[str]) -> int:
    """Measure, write, print; 1 if a section failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"of: {', '.join(SECTIONS)}")
    parser.add_argument("file", nargs="?", type=Path, default=Path("bench.json"))
    given = parser.parse_args(arguments)
    names = given.only.split(",")
    if unknown := [n for n in names if n not in SECTIONS]:
        parser.error(f"there is no section '{unknown[0]}'; there are {', '.join(SECTIONS)}")
    if len(names) > 1:
        return _apart(names, given.file)
    at = results.commit()  # before: whoever waits may go on working
    found = measure(names[0])
    results.put(given.file, names[0], results.section(found, at), list(SECTIONS))
    for line in found:
        if isinstance(line, Row):
            print("  " + "  ".join(filter(None, cells(line))), file=sys.stderr)
        elif isinstance(line, Missing):
            print(f"  not measured: {line.what}: {line.why}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
