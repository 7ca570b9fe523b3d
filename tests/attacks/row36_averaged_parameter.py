"""A bundle that says its blends average what is a parameter of the agreed model."""

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 36
ERROR = ModelError
EXIT = 17
WORDS = ("'0.bias' is a parameter of the model here", "none by what the bundle says")
HINT = "the same model"
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(averaged=["0.bias"]))
