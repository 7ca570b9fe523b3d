"""Plays the commands of two pages as they stand there: the README's, then, in the same folder, those of docs/exchange.md.

`python -m tests.readme` writes what they print into both. A page may cut a screen: a line `…` stands for those left out.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.forked import alx_fork

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "exchange.md")  # in this order: the second begins with what the demo left
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
SCREEN = re.compile(r"^(?=\$ )", re.MULTILINE)
CUT = "…"


def play(text: str, folder: Path) -> str:
    """Run every `$ command` of every console block in `folder`, in order; put what it prints under it, cut as it was."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if k != "ALX_SITE"} | {"PATH": path, "COLUMNS": "100"}

    def block(match: re.Match[str]) -> str:
        out = []
        for screen in SCREEN.split(match.group()):
            line, *shown = screen.splitlines() or [""]
            if not line.startswith("$ "):
                continue
            code, printed = told(line[2:], folder, environment)
            if code:
                raise AssertionError(f"{line}\n{printed}")
            out += [line, *cut(printed.splitlines(), shown)]
        return "".join(f"{line}\n" for line in out)

    return BLOCK.sub(block, text)


def told(line: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """A command's exit code and what it prints; `alx` runs in a fork of this process, which has loaded torch already."""
    if not line.startswith("alx "):
        words = ["bash", "-c", line]
        done = subprocess.run(
            words, cwd=folder, env=environment, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return done.returncode, done.stdout
    done = alx_fork(*shlex.split(line)[1:], folder=folder, environment=environment, together=True)
    return done.code, done.out


def cut(printed: list[str], shown: list[str]) -> list[str]:
    """What was printed, without what the page leaves out: as many lines stay before the mark, and after it, as are there."""
    if CUT not in shown:
        return printed
    before = shown.index(CUT)
    return [*printed[:before], CUT, *printed[len(printed) - (len(shown) - before - 1) :]]


def masked(text: str) -> list[str]:
    """Lines of the console blocks without what differs by key, machine or moment."""
    out = []
    for line in "".join(BLOCK.findall(text)).splitlines():
        if line.startswith("$ "):
            out.append(line)
            continue
        plain = re.sub(r"its words:? .*", "its words", line)
        plain = re.sub(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?", "TIME", plain)
        plain = re.sub(r"\b[0-9a-f]{8,}\b", "HEX", plain).replace("<- chosen", "")
        plain = re.sub(r"blend [\d.]+\+[\d.]+( m[\d.]+)?|t=\d+", "SNAPSHOT", plain)
        plain = re.sub(r"\d+\.\d+(e-?\d+)?|\d+%|\d+ [kM]?B\b|\([\d,]+(?= of )", "NUMBER", plain)
        plain = re.sub(r"^(a blend, |LOOK: ).*", "", plain)  # of which candidate was chosen, too
        plain = re.sub(r"^ *(\d+)(?: +\d+){9,}$", r"\1 COUNTS", plain)  # of which answers were given
        out.append(re.sub(r"\s+", " ", plain).strip())
    return [line for line in out if line]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        for page in PAGES:
            page.write_text(play(page.read_text(encoding="utf-8"), Path(place)), encoding="utf-8")
        shutil.copy(Path(place) / "alx-demo" / "demo.png", ROOT / "docs" / "demo.png")
