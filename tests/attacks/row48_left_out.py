"""No moments, where the plan has them."""

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 48
ERROR = PeerError
EXIT = 15
WORDS = ("has no moments", "plan has ridge")
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.path(forge.manifest()["moments"]["files"][0]).unlink()
    forge.edit(lambda m: m.pop("moments"))
