"""Under another plan whose first digits are the same."""

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 10
ERROR = PeerError
EXIT = 15
WORDS = ("plan is", "expected")
HINT = "this plan"


def attack(forge: Forge) -> None:
    plan = forge.manifest()["plan"]
    forge.edit(lambda m: m.update(plan=plan[:8] + "0" * 56))
