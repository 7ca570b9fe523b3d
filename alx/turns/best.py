"""The best model of an exchange, and the file that `alx best` writes; loading it needs no alx."""

import json
import stat
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from alx import files
from alx.bundle.layout import Layout
from alx.errors import MalformedError, UsageError, escape
from alx.site import shelf
from alx.site.entries import Closed, Selected
from alx.site.state import SiteState
from alx.turns.bridge import from_flat

BEST = "alx"  # the metadata key of `best_file`


@dataclass(frozen=True, slots=True)
class Best:
    """A selected model: the best so far, or the latest; or the one that the exchange was closed with."""

    selected: Selected | Closed
    state: bytes
    layout: Layout


def best(now: SiteState) -> Best:
    """The selected model with the least global loss of all rounds (paper: "output: the best model").

    Once the exchange is closed, the one it was closed with: that is the same, up to rounding, and the peer's is it too.

    Raises:
        UsageError: nothing was selected yet.
    """
    closed = now.position.closed
    if closed is not None:
        return _of(now, closed, closed.candidate)
    least = min(_selections(now), key=lambda selected: selected.global_loss)
    return _of(now, least, least.index)


def latest(now: SiteState) -> Best:
    """The model that was selected last: for the learner, the round's result (paper: theta^r).

    Raises:
        UsageError: nothing was selected yet.
    """
    last = _selections(now)[-1]
    return _of(now, last, last.index)


def _selections(now: SiteState) -> tuple[Selected, ...]:
    position = now.position
    if not position.selected:
        raise UsageError("nothing was selected yet, so there is no best model", f"next: {position.next_command}")
    return position.selected


def _of(now: SiteState, selected: Selected | Closed, index: int) -> Best:
    # what a provider's exchange was closed with lies in a bundle of its own
    turn = next(turn for turn in (*now.position.accepted, *now.position.sealed) if turn.digest == selected.digest)
    with shelf.opened(now, turn) as bundle:
        return Best(selected, bundle.state(index), bundle.manifest.layout)


def require_best_file(path: Path) -> None:
    """Refuse a file that is not one of `best_file`'s.

    Raises:
        MalformedError: it is another.
        StorageError: it cannot be read.
    """
    with files.storage(path):
        if not stat.S_ISREG(path.lstat().st_mode):  # no link is followed, no pipe waited for
            raise MalformedError(f"'{escape(path.name)}' is no plain file")
        try:
            with safe_open(path, framework="pt") as file:
                about = file.metadata() or {}
        except SafetensorError as error:
            raise MalformedError(f"'{escape(path.name)}' is no safetensors file") from error
    if BEST not in about:
        raise MalformedError(f"'{escape(path.name)}' is no model of alx best")


def best_file(found: Best) -> bytes:
    """The best model as a safetensors file; its one metadata key `BEST` is JSON with round, snapshot and global loss."""
    chosen = found.selected
    about = {"round": chosen.round, "snapshot": chosen.label, "global_loss": chosen.global_loss, "samples": chosen.samples}
    return save(from_flat(found.state, found.layout), {BEST: json.dumps(about)})
