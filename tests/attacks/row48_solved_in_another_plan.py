"""A layer that was solved for, where the plan has no ridge."""

from typing import Any

from alx.bundle.layout import part_name
from alx.errors import PeerError
from tests.forge import Forge

FAULT = 48
ERROR = PeerError
EXIT = 15
WORDS = ("has a layer that was solved for",)
STAGE = ("answered", "provider", 1)


def attack(forge: Forge) -> None:
    def solve(m: dict[str, Any]) -> None:
        at = sum(bool(c["files"]) for c in m["candidates"])
        name = part_name(at, 0)
        forge.path(name).write_bytes(forge.file(0).read_bytes())
        m["candidates"].insert(at, m["candidates"][0] | {"step": None, "files": [name], "solved": True})

    forge.edit(solve)
