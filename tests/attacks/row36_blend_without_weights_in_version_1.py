"""A blend by its recipe alone, in version 1."""

from alx.errors import MalformedError
from tests.forge import Forge, form

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("files of candidate", "are not 1 parts")
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    forge.manifest_bytes(
        form(
            {k: v for k, v in forge.manifest().items() if k not in ("averaged", "frozen", "restored", "privacy")}
            | {"version": 1}
        )
    )
