"""The folder that belongs to a study, and to no other.

Knows what tells studies apart; plays nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from alx import __version__, files
from alx.errors import UsageError, escape
from alx.site import site as sites
from alx.study.pool import Pool
from alx.study.study import Study

MARK = "study.json"
LOCK = "lock"
TRIAL = "trial"


def mark(study: Study, whole: Pool | None) -> dict[str, str | int | None]:
    """What tells one study from another; seeds and algorithms do not.

    Args:
        study: what is asked for.
        whole: its samples.
    """
    return {
        "plan": study.plan.digest,
        "model's file": None if study.code is None else hashlib.sha256(study.code).hexdigest(),
        "split": study.split.text,
        "data": whole.digest() if whole is not None else "digits" if study.own is None else None,
        "number of samples": study.samples,
        "metrics": study.metrics.model_dump_json(exclude_defaults=True),
        "task": None if study.own is None else study.own.digest(),
        "first model": None if study.init is None else _digest(study.init),
        "choice of --keep-models": study.keep or None,
        "version of alx": __version__,
    }


def _digest(path: Path) -> str:
    with files.storage(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def claimed(folder: Path, wanted: Mapping[str, str | int | None]) -> bool:
    """Whether a folder is this study's; False where it is nobody's yet.

    Args:
        folder: made by `prepare`, and locked.
        wanted: the study's `mark`.

    Raises:
        UsageError: it holds another study.
    """
    path = folder / MARK
    if not path.is_file():
        return False
    with files.storage(path):
        try:
            before = dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"'{escape(str(path), 200)}' is no study's", "name another folder with --out") from error
    differ = [name for name, value in wanted.items() if before.get(name) != value]
    if differ:
        *most, last = differ
        names = f"{', '.join(most)} and {last}" if most else last
        raise UsageError(
            f"'{escape(str(folder), 200)}' holds a study with another {names}", "name another folder with --out"
        )
    return True


def claim(folder: Path, wanted: Mapping[str, str | int | None]) -> None:
    """Mark a folder as this study's; see `claimed`."""
    files.replace(folder / MARK, json.dumps(wanted).encode("utf-8"))


def prepare(folder: Path) -> None:
    """Make a study's folder, or see that it is one.

    Raises:
        UsageError: it is a file, or holds something else.
    """
    sites.refuse_inside(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"'{escape(str(folder), 200)}' is a file", "name a folder with --out")
    with files.storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        found = {p.name for p in folder.iterdir()}
    if MARK not in found and found - {LOCK, TRIAL, f".{MARK}.tmp"}:  # what a command killed at once leaves behind
        raise UsageError(f"'{escape(str(folder), 200)}' is not empty, and no study", "name a new folder with --out")
