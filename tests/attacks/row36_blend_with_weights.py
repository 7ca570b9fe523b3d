"""A blend with a file of weights, from version 2 on."""

from alx.bundle.layout import part_name
from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("files of candidate", "are not 0 parts")
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    name = part_name(len(forge.manifest()["candidates"]), 0)
    forge.path(name).write_bytes(forge.file(1).read_bytes())
    forge.blend(lambda c: c.update(files=[name]))
