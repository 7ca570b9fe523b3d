"""A renamed tensor."""

from typing import Any

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 12
ERROR = ModelError
EXIT = 17
WORDS = ("0.bios", "0.bias")


def in_order(tensors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As a manifest lists them."""
    return sorted(tensors, key=lambda t: (-{"F32": 4, "F16": 2}[t["dtype"]], t["name"]))


def attack(forge: Forge) -> None:
    first, *others = forge.manifest()["tensors"]
    forge.edit(lambda m: m.update(tensors=in_order([first | {"name": "0.bios"}, *others])))
