"""More files than a bundle may have."""

from alx.bundle.layout import MAX_FILES
from alx.errors import LimitError
from tests.forge import Forge

FAULT = 18
ERROR = LimitError
EXIT = 14
WORDS = ("more than 50000 files",)


def attack(forge: Forge) -> None:
    for i in range(MAX_FILES):
        forge.path(f"data/x{i}").touch()
