"""The verbs of a turn. The only room that knows both worlds: here snapshots become flat states, losses become entries."""

from alx.turns.attack import attack
from alx.turns.best import Best, best, latest, of_round
from alx.turns.choose import Chosen, import_and_select
from alx.turns.in_use import best_file
from alx.turns.inspection import Inspection, inspect
from alx.turns.introduce import initial, introduce
from alx.turns.leakage import Leakage
from alx.turns.train import Sealed, sealed, train, turn_seed

__all__ = [
    "Best",
    "Chosen",
    "Inspection",
    "Leakage",
    "Sealed",
    "attack",
    "best",
    "best_file",
    "import_and_select",
    "initial",
    "inspect",
    "introduce",
    "latest",
    "of_round",
    "sealed",
    "train",
    "turn_seed",
]
