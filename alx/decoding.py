"""Pictures decoded together; and a process that does that for another: `python -m alx.decoding CHANNELS HEIGHT WIDTH`.

Knows pictures and two pipes. It imports no torch, which takes longer than decoding thousands. Of standard input each line
names pictures; standard output answers each with a line, why one is refused or null, and after null with the pixels.
Standard input ends when the parent does, however that ends, and so does this.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from alx import picture
from alx.errors import ConfigError
from alx.picture import Member

Place = Path | Member


def decoded(files: Sequence[Place], channels: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Pixels, uint8 [n, height, width, channels].

    Args:
        files: where they lie.
        channels: 1 or 3.
        size: height, width.

    Raises:
        ConfigError: a picture cannot be used, the first of them; see `picture.read`.
    """
    made = np.empty((len(files), *size, channels), np.uint8)
    for i, file in enumerate(files):
        made[i] = picture.read(file, channels, size)
    return made


def line(files: Sequence[Place]) -> bytes:
    """What asks a process for these; JSON has escapes for what `os.fsdecode` makes of a name that is no text."""
    told = [[str(f.tar), str(f.path), f.at, f.size] if isinstance(f, Member) else [str(f)] for f in files]
    return json.dumps(told).encode("ascii") + b"\n"


def _named(told: list[Any]) -> Place:
    return Path(told[0]) if len(told) == 1 else Member(Path(told[0]), PurePosixPath(told[1]), *told[2:])


def serve(asked: BinaryIO, answers: BinaryIO, channels: int, size: tuple[int, int]) -> None:
    """Answer what `line` made, until there is no more."""
    for each in asked:
        try:
            made = decoded([_named(told) for told in json.loads(each)], channels, size)
        except ConfigError as error:
            answers.write(json.dumps([error.message, error.hint]).encode("ascii") + b"\n")
        else:
            answers.write(b"null\n")
            answers.write(made.data)
        answers.flush()


if __name__ == "__main__":
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer, int(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3])))
    except BrokenPipeError:  # the parent is gone: nobody is to be told
        os._exit(1)
