"""A round beyond the plan's last."""

import shutil
from pathlib import Path
from typing import Any

from alx.errors import GapError
from tests.forge import Forge

FAULT = 9
ERROR = GapError
EXIT = 16
WORDS = ("round 3", "the plan has 2 rounds")
HINT = "import-and-select"
STAGE = ("finished", "learner", 2)


def attack(forge: Forge) -> Path:
    position = forge.world.state("provider").position
    third = forge.bundle.with_name(forge.bundle.name.replace("r002", "r003"))
    shutil.copytree(forge.bundle, third)

    def say(manifest: dict[str, Any]) -> None:
        answered = position.sealed[-1].digest
        manifest.update(round=3, sequence=5, previous=position.accepted[-1].digest, answers=answered)
        for candidate in manifest["candidates"]:
            if candidate["blend"]:
                candidate["blend"]["peer_bundle"] = answered

    Forge(third, forge.key).edit(say)
    return third
