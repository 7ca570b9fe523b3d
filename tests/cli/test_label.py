"""The page that goes with a disk says what is on it, asks for nothing from elsewhere, and its code is the digest."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mnemonic import Mnemonic

from alx import __version__
from alx.cli.main import run
from alx.errors import CorruptError, UsageError
from alx.report import label
from alx.steps import drive
from tests.forge import Forge, refused

ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
MASKS = (
    lambda r, c: (r + c) % 2,
    lambda r, _: r % 2,
    lambda _, c: c % 3,
    lambda r, c: (r + c) % 3,
    lambda r, c: (r // 2 + c // 3) % 2,
    lambda r, c: r * c % 2 + r * c % 3,
    lambda r, c: (r * c % 2 + r * c % 3) % 2,
    lambda r, c: ((r + c) % 2 + r * c % 3) % 2,
)


def decoded(dark: set[tuple[int, int]]) -> str:
    """The text in a QR code of version 4 and level Q, by ISO/IEC 18004 alone: 33 modules, two blocks of 24 bytes."""
    side = 33
    mask = int("".join(str(int((8, c) in dark)) for c in range(2, 5)), 2) ^ 0b101
    bits, up = [], True
    for right in (*range(side - 1, 6, -2), 5, 3, 1):
        for r in range(side - 1, -1, -1) if up else range(side):
            for c in (right, right - 1):
                corner = (r < 9 and (c < 9 or c >= side - 8)) or (r >= side - 8 and c < 9)
                if not (corner or 6 in (r, c) or (abs(r - 26) <= 2 and abs(c - 26) <= 2)):
                    bits.append(((r, c) in dark) ^ (not MASKS[mask](r, c)))
        up = not up
    words = [int("".join(str(int(b)) for b in bits[i : i + 8]), 2) for i in range(0, 8 * 48, 8)]
    text = "".join(f"{w:08b}" for w in words[::2] + words[1::2])
    assert text[:4] == "0010"  # alphanumeric
    pairs = [divmod(int(text[13 + 11 * i : 24 + 11 * i], 2), 45) for i in range(int(text[4:13], 2) // 2)]
    return "".join(ALPHANUMERIC[a] + ALPHANUMERIC[b] for a, b in pairs)


def modules(page: str) -> set[tuple[int, int]]:
    """The dark modules of the code in a page."""
    found = re.findall(r"M(\d+) (\d+)h1v1h-1z", page)
    return {(int(y) - label.QUIET, int(x) - label.QUIET) for x, y in found}


class Asking(HTMLParser):
    """What of a page would ask for something from elsewhere, or run."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "link", "img", "iframe", "object") or {"src", "href", "data"} & {n for n, _ in attrs}:
            self.found.append(tag)


def test_a_label_says_what_is_on_the_disk_in_words_and_in_a_code_that_decodes_to_the_digest(stage, tmp_path, capsys):
    world, out = stage("sent"), tmp_path / "label.html"
    bundle, key = world.bundle("learner"), world.folder("learner") / "public.pem"
    sealed = world.state("learner").position.sealed[-1]
    capsys.readouterr()
    assert run(["label", str(bundle), "--key", str(key), "-o", str(out), "--json"]) == 0
    said, page = json.loads(capsys.readouterr().out), out.read_text()
    assert (said["digest"], said["round"]) == (sealed.digest, 1)
    assert said["words"] == Mnemonic("english").to_mnemonic(bytes.fromhex(sealed.digest[:32]))
    assert decoded(modules(page)) == sealed.digest.upper()
    for value in (bundle.name, *said["words"].split(), sealed.digest, said["plan"]):
        assert value in page
    asking = Asking()
    asking.feed(page)
    assert asking.found == []
    assert "url(" not in page
    assert refused(capsys, ["label", str(bundle), "--key", str(key), "-o", str(out)], UsageError, "exists")


def test_inside_the_site_that_sealed_it_a_label_says_when(stage, capsys, monkeypatch):
    world = stage("sent")
    monkeypatch.chdir(world.folder("learner"))
    capsys.readouterr()
    assert run(["label", str(world.bundle("learner"))]) == 0
    out = capsys.readouterr().out
    assert re.search(r"sealed at +20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\n", out)
    assert out.count("______") > 1
    monkeypatch.chdir(world.root)
    assert run(["label", str(world.bundle("learner")), "--site", str(world.folder("learner"))]) == 0
    assert re.sub("checked at.*", "", capsys.readouterr().out) == re.sub("checked at.*", "", out)
    assert re.search(rf"checked at +20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00, with alx {re.escape(__version__)}\n", out)


def test_a_damaged_bundle_gets_no_label(stage, capsys, tmp_path):
    world = stage("sent")
    forge = Forge.of(world, "learner")
    forge.flip("data/c0001-p0000.safetensors.zst")
    words = [
        "label",
        str(forge.bundle),
        "--key",
        str(world.folder("learner") / "public.pem"),
        "-o",
        str(tmp_path / "l.html"),
    ]
    refused(capsys, words, CorruptError, "c0001")
    assert not (tmp_path / "l.html").exists()


@pytest.mark.parametrize(
    ("name", "serial"), [("Ultra <b>Fit</b>", "4C530001"), ("Ultra \x1b[2J", "4C530001"), ("no serial number", None)]
)
def test_a_drive_is_named_by_what_sys_says_and_what_it_says_is_escaped(tmp_path, name, serial):
    """A stick as Linux shows it, below its hub, which has a serial number too."""
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    hub = tmp_path / "sys" / "devices" / "pci0000:00" / "0000:00:14.0" / "usb1"
    usb = hub / "1-1"
    part = usb / "1-1:1.0" / "host0" / "target0:0:0" / "0:0:0:0" / "block" / "sda" / "sda1"
    (part.parent / "device").mkdir(parents=True)
    part.mkdir()
    (part / "partition").write_text("1\n")
    (part.parent / "device" / "vendor").write_text("SanDisk \n")
    (part.parent / "device" / "model").write_text(f"{name}\n")
    for each, told in ((hub, "0000:00:14.0"), (usb, serial)):
        (each / "idVendor").write_text("0781\n")
        if told is not None:
            (each / "serial").write_text(f"{told}\n")
    (tmp_path / "sys" / "dev" / "block").mkdir(parents=True)
    (tmp_path / "sys" / "dev" / "block" / number).symlink_to(part)
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"30 1 {number} / /media/disk rw - exfat /dev/sda1 rw\n")
    safe = name.replace("\x1b", "\\x1b")
    assert drive.of(tmp_path, tmp_path / "sys", mounts) == drive.Drive(f"SanDisk {safe}", serial, "exfat")
    assert drive.of(tmp_path, tmp_path / "none", Path("/nowhere")) == drive.Drive(None, None, None)
