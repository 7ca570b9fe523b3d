"""Sixty-five blends."""

from alx.errors import PeerError
from tests.forge import Forge, form

FAULT = 36
ERROR = PeerError
EXIT = 15
WORDS = ("65 blends", "more than the plan allows")
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    steps = len([c for c in forge.manifest()["candidates"] if c["step"] is not None])
    said = forge.manifest()
    last = said["candidates"][-1]
    del said["candidates"][steps:]
    for k in range(steps, steps + 65):
        blend = last["blend"] | {"own": 1 + (k - steps) / 64}
        said["candidates"].append(last | {"blend": blend})
    forge.manifest_bytes(form(said))
