"""The verbs of a turn. The only room that knows both worlds: here snapshots become flat states, losses become entries."""

from alx.turns.bridge import Tell, silent
from alx.turns.choose import Best, Chosen, best, best_file, import_and_select, latest, require_best_file
from alx.turns.introduce import initial, introduce
from alx.turns.train import Sealed, sealed, train, turn_seed

__all__ = [
    "Best",
    "Chosen",
    "Sealed",
    "Tell",
    "best",
    "best_file",
    "import_and_select",
    "initial",
    "introduce",
    "latest",
    "require_best_file",
    "sealed",
    "silent",
    "train",
    "turn_seed",
]
