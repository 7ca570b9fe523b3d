"""A second bundle of a round, whose sender says that its site was restored: told kindly, and refused all the same."""

from alx.errors import ForkError
from tests.forge import Forge

FAULT = 9
ERROR = ForkError
EXIT = 16
WORDS = ("sealed the round twice",)
HINT = "restored"
STAGE = ("answered", "learner", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(restored={"how": "backup", "at": "2026-01-02T03:04:05+00:00", "round": 0}))
