"""A safetensors header of half a million empty tensors, 20 MB, within its part's size by a lie."""

from alx.errors import LimitError
from tests.forge import Forge, compress, safetensors

FAULT = 14
ERROR = LimitError
EXIT = 14
WORDS = ("data/c0001-p0000.safetensors.zst", "would decompress to")
BOMB = True


def attack(forge: Forge) -> None:
    tensors = ",".join(f'"{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(500_000))
    forge.frame(1, compress(safetensors(b"{" + tensors.encode() + b"}", b"")))
