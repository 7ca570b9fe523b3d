"""The models of a simulation, kept as files for `alx evaluate` and `alx predict`: as `alx best` writes them, without a card.

Knows parties and rounds; judges nothing.
"""

import hashlib
from pathlib import Path

from alx import __version__, files
from alx.learning import state
from alx.learning.task import LossSum
from alx.records import finite
from alx.study import parties
from alx.study.baselines import Played
from alx.study.parties import POOLED, Parties
from alx.study.results import Algorithm
from alx.turns import model_file
from alx.turns.model_file import Note

FOLDER = "models"


def path(folder: Path, algorithm: Algorithm, number: int) -> Path:
    """Where the model of an algorithm after a round lies, in a seed's folder."""
    return folder / FOLDER / f"{algorithm}-round-{number}{model_file.ENDING}"


def write(both: Parties, algorithm: Algorithm, number: int, played: Played, loss: LossSum) -> None:
    """Write the model after a round, the plan beside it, and the model's own file; none where its loss is not finite.

    Where the plan keeps parts personal there are two, and the provider's has `-provider` in its name.

    Args:
        both: whose.
        algorithm: that was played.
        number: of the round, from 1.
        played: has the model.
        loss: of the model, on both parties' samples.
    """
    if finite(loss.total) is None:
        return
    target, task = path(both.folder, algorithm, number), both.tasks[POOLED]
    with files.storage(target):
        target.parent.mkdir(exist_ok=True)
    parties.put_code(target.parent, both.plan, both.code)
    each = {target: played.state}
    if played.provider is not None:
        each[target.with_name(f"{model_file.stem(target).name}-provider{model_file.ENDING}")] = played.provider
    for place, held in each.items():
        model = task.new_model()
        state.put(task, model, held)
        whole, travels = state.whole(task, model), state.travels(task, task.state(model))
        weights, frozen, personal = model_file.digests(whole, travels.keys(), task.personal)
        says = Note(
            alx=__version__,
            plan=both.plan.digest,
            code=None if both.code is None else hashlib.sha256(both.code).hexdigest(),
            task="own" if both.own else "built-in",
            weights=weights,
            round=number,
            snapshot=algorithm if played.selected is None else played.selected[1],
            global_loss=loss.total,
            samples=loss.count,
            frozen=frozen,
            personal=personal,
        )
        files.replace(model_file.plan_beside(place), both.plan.data, shared=True)
        files.replace(place, model_file.packed(state.copied(whole), says), shared=True)
