"""An old media type."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("mediaType",)


def attack(forge: Forge) -> None:
    forge.redocument(lambda d: d.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.1"))
