"""A closing by the provider."""

from pathlib import Path

from alx.bundle.keys import PublicKey
from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("a closing is the learner's",)
STAGE = ("closing", "provider", 2)


def attack(forge: Forge) -> Path:
    ours = {"role": "provider", "key": PublicKey(forge.key.public_key()).fingerprint}
    forge.closing.edit(lambda m: m.update(sender=ours, receiver=m["sender"]))
    return forge.closing.bundle
