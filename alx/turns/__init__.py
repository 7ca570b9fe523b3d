"""The verbs of a turn. The only room that knows both worlds: here snapshots become flat states, losses become entries."""

from alx.turns.choose import Best, Chosen, best, best_file, import_and_select, latest
from alx.turns.introduce import introduce
from alx.turns.train import Sealed, train

__all__ = ["Best", "Chosen", "Sealed", "best", "best_file", "import_and_select", "introduce", "latest", "train"]
