"""Seventeen candidates after the only keyframe."""

from typing import Any

from alx.bundle.layout import part_name
from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("at least every 16",)


def lengthen(m: dict[str, Any]) -> None:
    """Eighteen snapshots, whose names are right; the steps are looked at later."""
    last = m["candidates"][-1]
    m["candidates"] = [
        m["candidates"][0] | {"keyframe": True},
        *(last | {"step": i, "keyframe": False, "files": [part_name(i, 0)]} for i in range(1, 18)),
    ]


def attack(forge: Forge) -> None:
    forge.edit(lengthen)
