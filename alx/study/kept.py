"""The models of a simulation, kept as files for `alx evaluate` and `alx predict`: as `alx best` writes them, without a card.

Knows parties and rounds; judges nothing.
"""

import hashlib
from pathlib import Path

from alx import __version__, files
from alx.learning.task import LossSum
from alx.records import finite
from alx.study import parties
from alx.study.baselines import Played
from alx.study.parties import Parties
from alx.study.results import Algorithm
from alx.turns import model_file
from alx.turns.bridge import layout_of, to_flat
from alx.turns.model_file import Note

FOLDER = "models"


def path(folder: Path, algorithm: Algorithm, number: int) -> Path:
    """Where the model of an algorithm after a round lies, in a seed's folder."""
    return folder / FOLDER / f"{algorithm}-round-{number}{model_file.ENDING}"


def write(both: Parties, algorithm: Algorithm, number: int, played: Played, loss: LossSum) -> None:
    """Write the model after a round, the plan beside it, and the model's own file; none where its loss is not finite.

    Args:
        both: whose.
        algorithm: that was played.
        number: of the round, from 1.
        played: has the model.
        loss: of the model, on both parties' samples.
    """
    if finite(loss.total) is None:
        return
    target, raw = path(both.folder, algorithm, number), to_flat(played.state, layout_of(played.state))
    says = Note(
        alx=__version__,
        plan=both.plan.digest,
        code=None if both.code is None else hashlib.sha256(both.code).hexdigest(),
        task="own" if both.own else "built-in",
        weights=hashlib.sha256(raw).hexdigest(),
        round=number,
        snapshot=algorithm if played.selected is None else played.selected[1],
        global_loss=loss.total,
        samples=loss.count,
    )
    with files.storage(target):
        target.parent.mkdir(exist_ok=True)
    parties.put_code(target.parent, both.plan, both.code)
    files.replace(model_file.plan_beside(target), both.plan.data, shared=True)
    files.replace(target, model_file.packed(played.state, says), shared=True)
