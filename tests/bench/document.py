"""`python -m tests.bench.document [FILE.json]`: puts results into docs/performance.md, every table and the picture.

Words are written by hand, numbers never: what stands between two markers is made anew from docs/performance/bench.json,
into which the file's sections are taken first. `tests/project/test_bench.py` holds the page against it.
"""

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench import figure, results
from tests.bench.__main__ import HEADER, SECTIONS, cells
from tests.bench.row import Row
from tests.bench.series import AXES, LINEAR, STEPS, Series, memory_exponent, time_exponent

PAGE = results.ROOT / "docs" / "performance.md"
KEPT = PAGE.parent / "performance" / "bench.json"
PICTURE, OF_RANKS = KEPT.with_name("growth.png"), KEPT.with_name("ranks.png")
# What the page begins with: a question, and the row that answers it: its section, and how its name, unit and rival begin.
SHORT = [
    ("choosing among a bundle's models", "selection", "all of these", "share of evaluations", "full scan"),
    ("a bundle of ResNet-18", "codec", "ResNet-18", "share of raw", "tar | zstd -3, openssl dgst"),
    ("sealing it", "codec", "seal: ResNet-18", "raw MB/s", "tar | zstd -3, openssl dgst"),
    ("verifying and opening it", "codec", "verify and open: ResNet-18", "raw MB/s", "tar | zstd -3, openssl dgst"),
    ("a turn of a head on a frozen backbone of 100 MB", "frozen", "a head on", "kB carried", "the head's own bytes"),
    ("rounded snapshots in the demo", "rounding", "digits demo", "bytes carried", "float32"),
    ("an import's peak memory, snapshots of 46 MB", "memory", "peak memory, 80 snapshots of 46 MB: import", "MB", "3"),
    ("alx status", "start-up", "alx status", "ms", "python"),
    ("training with a snapshot every 10 steps", "training", "small_cnn, 8 x 8, batch 64, a snapshot every 10", "", "plain"),
    ("playing CartPole", "episodes", "CartPole", "environment steps/s", "plain loop"),
]
_BLOCK = re.compile(r"(<!-- bench: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(header: list[str], rows: list[list[str]], *, left: int) -> str:
    marks = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(r)} |".replace("|  |", "| |") for r in (header, marks, *rows)) + "\n"


def _summary(found: dict[str, Any]) -> str:
    """How many limits there are, and every row that misses its own."""
    rows = [row for section in found.values() for row in results.rows(section)]
    bound = [row for row in rows if row.limit is not None]
    missed = [row for row in bound if row.verdict == "MISSED"]
    lines = [f"{len(bound) - len(missed)} of {len(bound)} limits are met." + (" Missed:" if missed else "")]
    lines += [f"- {row.what}, beside {row.rival}: {row.ratio:.2f}, limit {row.limit:g}" for row in missed]
    return "\n".join([lines[0], "", *lines[1:]]).rstrip() + "\n"


def _short(found: dict[str, Any]) -> str:
    """The rows of `SHORT` that were measured."""
    rows = [
        replace(row, what=words)
        for words, name, what, unit, rival in SHORT
        for row in results.rows(found.get(name, {"rows": []}))
        if row.what.startswith(what) and row.unit.startswith(unit) and row.rival.startswith(rival)
    ]
    return _rows(rows) if rows else "Not measured yet.\n"


def _provenance(section: dict[str, Any]) -> str:
    m = section["machine"]
    gpu = f", {m['gpu']}" if m["gpu"] else ""
    threads = "one torch thread" if m["threads"] == 1 else f"{m['threads']} torch threads"
    kept = f"{m['memory_gb']} GB of memory{gpu}"
    return (
        f"{section['date']}, commit `{section['commit']}`: {m['cpu']}, {m['cores']} cores, {kept};\n"
        f"{m['system']}, Python {m['python']}, torch {m['torch']}, {threads}.\n"
    )


def _growth(found: list[Series]) -> str:
    """A line a step: its exponents of time, then of memory."""
    header = ["exponent of", *(f"time by {name}" for name in AXES), *(f"memory by {name}" for name in AXES)]
    by = {(s.step, s.axis): s for s in found}
    rows = []
    for step, words in STEPS.items():
        numbers = [exponent(by[step, axis]) for exponent in (time_exponent, memory_exponent) for axis in AXES]
        rows.append([words, *(f"{k:.2f}{'' if k <= LINEAR else ' MISSED'}" for k in numbers)])
    return _table(header, rows, left=1)


def _rows(rows: list[Row]) -> str:
    return _table(HEADER, [[c.replace("|", "\\|") for c in cells(row)] for row in rows], left=2)


def block(name: str, found: dict[str, Any]) -> str:
    """What stands between the markers of that name.

    Args:
        name: of a section, or `short` or `summary`.
        found: all sections.
    """
    if name in ("short", "summary"):
        return _short(found) if name == "short" else _summary(found)
    if name not in found:
        return "Not measured yet.\n"
    section = found[name]
    series = results.series(section)
    table = _growth(series) if series else _rows(results.rows(section)) if section["rows"] else ""
    missing = "".join(f"Not measured: {m['what']}: {m['why']}.\n" for m in section["missing"])
    return "\n".join(filter(None, [table, missing, _provenance(section)]))


def page(text: str, found: dict[str, Any]) -> str:
    """The page with every block made anew."""
    return _BLOCK.sub(lambda m: f"{m[1]}{block(m[2], found)}{m[3]}", text)


def main(arguments: list[str]) -> None:
    """Take results in, then write the page and the picture."""
    for path in map(Path, arguments):
        for name, section in results.read(path).items():
            results.put(KEPT, name, section, list(SECTIONS))
    found = results.read(KEPT)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    if "ranks" in found:
        figure.draw_ranks(OF_RANKS, results.rows(found["ranks"]))
    if "growth" in found:
        figure.draw(PICTURE, results.series(found["growth"]))


if __name__ == "__main__":
    main(sys.argv[1:])
