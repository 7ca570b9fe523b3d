"""`make fuzz`: let a coverage-guided fuzzer (atheris) look for bytes that a target neither takes nor refuses.

    python -m tests.fuzz TARGET SECONDS     the targets are those of tests/fuzz/targets.py

Begins from the golden bundles; what it finds it writes to runs/fuzz and ends with a traceback. A finding becomes a file
of tests/attacks.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["alx.bundle", "alx.site", "alx.plan", "alx.errors", "json"]):
    from tests.fuzz import targets


def main(target: str, seconds: int) -> None:
    """Fuzz one target; ends the process."""
    found = Path("runs", "fuzz")
    found.mkdir(parents=True, exist_ok=True)
    corpus = Path(tempfile.mkdtemp())
    for i, seed in enumerate(targets.seeds(target)):
        (corpus / str(i)).write_bytes(seed)
    arguments = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={found}/{target}-",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-max_len=16384",
        "-print_final_stats=1",
        "-verbosity=0",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *arguments], lambda data: targets.taken(target, data))
    atheris.Fuzz()


main(sys.argv[1], int(sys.argv[2]))
