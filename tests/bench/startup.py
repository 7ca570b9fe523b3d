"""How long a command takes that does next to nothing, beside Python importing what it is built on.

Each run is a process of its own, and both sides have their bytecode, as an installed package has.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import world
from tests.bench.row import Row, rates

LIMIT = 2.5
TURNS = 20
PEER = ["-c", "import click, pydantic"]
ALX = ["-c", "from alx.cli.main import main; main()"]  # what the installed script does


def _once(words: list[str], env: dict[str, str]) -> Callable[[], float]:
    def measure() -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, capture_output=True, env=env)
        return (time.perf_counter() - begun) * 1000

    return measure


def rows() -> list[Row]:
    """The three that people type most, and two more that load no torch."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "exchange"
        world.make(root, world.SMALL)
        bundle = world.send(root)
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        learner = str(root / "learner")
        commands = {
            "alx --help": ["--help"],
            "alx status": ["status", "--site", learner],
            "alx audit, a bundle of 0.1 MB": ["audit", str(bundle), "--key", f"{learner}/public.pem"],
            "alx audit, its site": ["audit", learner],
            "alx key --help": ["key", "--help"],
        }
        return [
            row
            for what, words in commands.items()
            for row in rates(
                what,
                "ms",
                {"alx": _once([*ALX, *words], env), 'python -c "import click, pydantic"': _once(PEER, env)},
                limit=LIMIT,
                repeats=TURNS,
            )
        ]
