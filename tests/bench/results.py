"""Results of the benchmarks as a file: a section each, with the machine, the day and the commit that it was measured on.

Sections can be measured alone, on another day or another machine; what the file holds of the others stays.
"""

import json
import os
import platform
import subprocess
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from tests.bench.row import Missing, Row
from tests.bench.series import Series

ROOT = Path(__file__).parent.parent.parent


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        model = next(
            (line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line), model
        )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def commit() -> str:
    """The commit, and whether anything differs from it; unknown outside a checkout."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=8", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def section(found: list[Row | Missing | Series], at: str) -> dict[str, Any]:
    """What a module found at a commit, as JSON's values."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": at,
        "machine": machine(),
        "rows": [asdict(x) for x in found if isinstance(x, Row)],
        "missing": [asdict(x) for x in found if isinstance(x, Missing)],
        "series": [asdict(x) for x in found if isinstance(x, Series)],
    }


def rows(section: dict[str, Any]) -> list[Row]:
    """The rows of a section."""
    found = [Row(**row) for row in section["rows"]]
    return [row if row.spread is None else replace(row, spread=(row.spread[0], row.spread[1])) for row in found]


def series(section: dict[str, Any]) -> list[Series]:
    """The series of a section."""
    return [Series(**one) for one in section["series"]]


def read(path: Path) -> dict[str, Any]:
    """All sections by name; none where there is no file yet."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def put(path: Path, name: str, value: dict[str, Any], order: list[str]) -> None:
    """Put one section into the file, in the place of an older one; the others stay.

    Args:
        path: the file.
        name: the section's.
        value: from `section`.
        order: all names, in the order in which they stand.
    """
    merged = read(path) | {name: value}
    ordered = {n: merged[n] for n in order if n in merged}
    path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
