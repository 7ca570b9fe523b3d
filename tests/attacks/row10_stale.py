"""A reply to something other than the last export."""

from typing import Any

from alx.errors import StaleError
from tests.forge import Forge

FAULT = 10
ERROR = StaleError
EXIT = 16
WORDS = ("round 1", "does not answer")
HINT = "newest bundle"
STAGE = ("answered", "provider", 1)


def attack(forge: Forge) -> None:
    def say(manifest: dict[str, Any]) -> None:
        manifest["answers"] = "0" * 64
        for candidate in manifest["candidates"]:
            if candidate["blend"]:
                candidate["blend"]["peer_bundle"] = "0" * 64

    forge.edit(say)
