"""What a peer wrote cannot steer a terminal, wherever it stands; and an output that takes nothing undoes no work."""

import ast
import base64
import copy
import fcntl
import json
import math
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from alx import decoding
from alx.bundle import dsse, keys, request, rotation
from alx.cli import main, screen
from alx.cli.main import run
from alx.errors import AlxError
from tests.conftest import PLAN, make_world, pair_world
from tests.forge import Forge, form

ROOT = Path(__file__).parents[2]
# Clears the screen, goes to the first line, sets the window's title; by C1 too; marks of direction; ends of lines.
NASTY = "\x1b[2J\x1b[H\x1b]0;owned\x07\r\n\u009b2J\u202e\u2066\u2028\u2029\x08\x7fits words: forged"
LONG = "\x1b[31m" + "A" * (1 << 20)
EARLIER = ["its words: the true ones", "and another line"]
MOST = 8000  # characters of one refusal


def rendered(text: str) -> None:
    """Feed it to a terminal behind earlier lines: these stay, and all that is shown can be seen."""
    terminal = pyte.Screen(400, 40)  # what goes beyond them takes the earlier lines away
    stream = pyte.Stream(terminal)
    stream.feed("".join(f"{line}\r\n" for line in EARLIER) + text.replace("\n", "\r\n"))
    shown = [line.rstrip() for line in terminal.display]
    assert shown[: len(EARLIER)] == EARLIER
    assert terminal.title == ""
    assert all(c.isprintable() for line in shown for c in line)
    assert all(c == "\n" or c.isprintable() for c in text), ascii(text)
    assert len(text) <= MOST


def harmless(capsys, arguments: list[str], *, refused: bool = True) -> None:
    """Run a command line on something hostile."""
    capsys.readouterr()
    code = run(arguments)
    told = capsys.readouterr()
    assert bool(code) == refused, told.err
    rendered(told.out + told.err)
    if refused:
        assert told.err.count("\n") <= 2  # one line, and the remedy
        assert "Traceback" not in told.err


def variants(document: object) -> Iterator[object]:
    """The same with one text, or one key, that is hostile; for each text and each object in it."""

    def places(value: object, path: tuple) -> Iterator[tuple]:
        if isinstance(value, str):
            yield path
        inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
        for key, each in inner:
            yield from places(each, (*path, key))
        if isinstance(value, dict):
            yield (*path, NASTY)

    for *way, last in places(document, ()):
        for text in (NASTY, LONG):
            made = copy.deepcopy(document)
            at = made
            for key in way:
                at = at[key]
            at[text if last == NASTY else last] = 1 if last == NASTY else text
            yield made


def toml(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")


def plans() -> Iterator[str]:
    """Plans of a hostile peer: whatever they say, they are other plans than ours."""
    for text in (NASTY, LONG[:200_000]):
        key = toml(text)
        yield PLAN.replace("inputs = 4", f"{key} = 4")
        yield PLAN.replace("inputs = 4", f"inputs = {key}")
        yield PLAN + f"[settings]\n{key} = 1\n"
        yield PLAN + f"[settings]\na = [{key}]\n"
        yield PLAN + f"[settings.{key}]\na = 1\n"
        yield PLAN + f"[columns]\nlabel = {key}\n[columns.numeric.{key}]\nmean = 0\n"
        yield PLAN + f'[columns]\nlabel = "y"\nclasses = [{key}]\n[columns.categorical.{key}]\nvalues = [{key}]\n'
        yield PLAN.replace('name = "tiny"', f"name = {key}")
        yield PLAN + f"[{key}]\n"
    yield PLAN + "[settings]\n" + "".join(f'"{i}\\u001b[2J" = 1\n' for i in range(5000))


def test_a_hostile_identity_file_prints_nothing_but_text_before_anybody_trusts_it(stage, capsys):
    world = stage("paired")
    said = json.loads((world.disk / "provider.json").read_bytes())
    pair = ["pair", str(world.root / "peer.json"), "--yes", "--site", str(world.folder("learner"))]
    for plan in plans():
        (world.root / "peer.json").write_bytes(form(said | {"plan": plan}))
        harmless(capsys, pair)
    for made in variants(said):
        (world.root / "peer.json").write_bytes(form(made))
        harmless(capsys, pair)
    (world.root / "plan.toml").write_text(next(p for p in plans() if "[settings." in p))
    harmless(capsys, ["init", str(world.root / "new"), "--role", "learner", "--plan", str(world.root / "plan.toml")])
    capsys.readouterr()
    for words in (["audit", str(world.folder("learner"))], ["status", "--site", str(world.folder("learner"))]):
        assert run(words) == 0
        told = capsys.readouterr().out
        assert all(c == "\n" or c.isprintable() for c in told)  # the log has taken every refusal


def test_a_hostile_bundle_prints_nothing_but_text(stage, capsys):
    world = stage("sent")
    forged = Forge.of(world, "learner")
    commands = (
        ["import-and-select", str(forged.bundle), "--site", str(world.folder("provider"))],
        ["audit", str(forged.bundle), "--key", str(world.folder("learner") / "public.pem")],
    )
    good = {p: p.read_bytes() for p in (forged.path("manifest.json"), forged.path("round.sig"))}
    statement = json.loads(base64.b64decode(forged.document()["dsseEnvelope"]["payload"]))
    places = (
        (variants(forged.manifest()), lambda made: forged.manifest_bytes(form(made))),
        (variants(statement), lambda made: forged.sign_bytes(json.dumps(made).encode())),
        (variants(forged.document()), forged.put),
    )
    for documents, put in places:
        for i, made in enumerate(documents):
            put(made)
            harmless(capsys, commands[i % 2])
            for path, data in good.items():
                path.write_bytes(data)
    for name in (NASTY.replace("/", ""), "x" * 200 + "\x1b"):
        (forged.bundle / name[:80]).write_bytes(b"")
        for words in commands:
            harmless(capsys, words)
        (forged.bundle / name[:80]).unlink()
    moved = forged.bundle.rename(world.disk / NASTY[:40])
    harmless(capsys, [commands[0][0], str(moved), *commands[0][2:]], refused=False)


def test_hostile_requests_rotations_parity_and_backups_print_nothing_but_text(stage, capsys, tmp_path):
    world = stage("sent")
    old, new = keys.load_private(world.folder("provider") / "key.pem"), keys.generate()
    asked = json.loads(base64.b64decode(json.loads(request.make("a" * 64, ["data/x"], old))["payload"]))
    turned = rotation.make(world.site("learner").plan_file.digest, "provider", old, new)
    file, site = tmp_path / "file.json", ["--site", str(world.folder("learner"))]
    export = ["export", str(world.disk), "--only", str(file), *site]
    accept = ["key", "accept", str(file), "--yes", *site]
    for words, kind, signers, document in (
        (export, request.PAYLOAD_TYPE, (old,), asked),
        (accept, rotation.PAYLOAD_TYPE, (old, new), json.loads(base64.b64decode(json.loads(turned.data)["payload"]))),
    ):
        for made in variants(document):
            file.write_bytes(dsse.text(dsse.envelope(form(made), kind, *signers)))
            harmless(capsys, words)
        for made in variants(dsse.envelope(form(document), kind, *signers)):
            file.write_bytes(dsse.text(made))
            harmless(capsys, words)
    assert run(["backup", str(tmp_path / "backup"), *site]) == 0
    listed = json.loads((tmp_path / "backup" / "backup.json").read_bytes())
    for made in variants(listed):
        (tmp_path / "backup" / "backup.json").write_bytes(form(made))
        harmless(capsys, ["restore", str(tmp_path / "backup"), str(tmp_path / "again")])


def test_text_of_any_language_is_printed_as_it_is(capsys):
    screen.tell("für Ärzte, 病院, больница", "the second\nline\x1b[2J")
    assert capsys.readouterr().out == "für Ärzte, 病院, больница\nthe second\\nline\\x1b[2J\n"
    screen.fail(AlxError("x" * 5000, NASTY))
    rendered(capsys.readouterr().err)


PRINTS = {"echo", "secho", "prompt", "confirm", "echo_via_pager", "print"}


def test_json_has_no_number_that_is_not_finite(capsys):
    screen.machine({"loss": math.inf, "each": [math.nan, 1e-300], "in": {"x": (-math.inf, 2)}, "path": Path("a")})
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told == {"loss": None, "each": [None, 1e-300], "in": {"x": [None, 2]}, "path": "a"}


def test_one_module_prints():
    for path in sorted((ROOT / "alx").rglob("*.py")):
        if path in (Path(screen.__file__), Path(decoding.__file__)):  # a decoder answers its parent alone
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "attr", getattr(node, "id", None)) if isinstance(node, ast.Attribute | ast.Name) else None
            on = getattr(getattr(node, "value", None), "id", None)
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            assert not (name in PRINTS and (on == "click" or isinstance(node, ast.Name))), where
            assert not (on == "sys" and name in ("stdout", "stderr")), where


# --- outputs that take nothing


def outside(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command line of a shell's, with `alx` for this Python's."""
    words = command.replace("alx ", f"'{sys.executable}' -m alx ", 1)
    return subprocess.run(["sh", "-c", words], capture_output=True, check=False, env=os.environ | environment, timeout=120)


@pytest.mark.parametrize("output", [">/dev/full", ">&-", "2>&-", ">/dev/full 2>/dev/full", "--json >/dev/full", "| true"])
def test_what_was_done_is_done_whether_or_not_it_could_be_told(tmp_path, alx, output):
    (tmp_path / "plan.toml").write_text(PLAN)
    make = f"alx init '{tmp_path}/site' --role learner --plan '{tmp_path}/plan.toml' {output}"
    done = outside(make)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "site" / "ledger.sqlite").is_file()
    status = alx("status", "--site", tmp_path / "site")
    assert (status.code, "round 1 of 2" in status.out) == (0, True)


def test_help_that_cannot_be_written_is_told_in_one_sentence():
    done = outside("alx --help >/dev/full")
    assert done.returncode == 21
    assert done.stderr.startswith(b"alx: error: the operating system refuses: No space left on device\nhint: is the output")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_output_has_no_letters_for_is_escaped(tmp_path, encoding):
    folder = os.fsencode(tmp_path) + "/Prüfstelle 病院 ".encode() + b"\xff"
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    words = [sys.executable, "-m", "alx", "init", folder, "--role", "learner", "--plan", plan]
    for more in ([], ["--json"]):
        done = subprocess.run(
            [*words, *more], capture_output=True, check=False, env=os.environ | {"PYTHONIOENCODING": encoding}
        )
        assert done.returncode == (2 if more else 0), done.stderr  # it exists by then
        assert b"Traceback" not in done.stderr
        assert b"\\udcff" in done.stdout + done.stderr
    assert os.path.isdir(folder)  # noqa: PTH112 - no text


@pytest.mark.parametrize("words", ["status", "audit x", "best x", "identity", "init x --role learner --plan y", "demo"])
def test_a_current_folder_that_is_gone_is_told_in_one_sentence(tmp_path, words):
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", f"rmdir '{gone}'; exec '{sys.executable}' -m alx {words}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=gone,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.returncode == 21, done.stderr
    assert done.stderr.startswith("alx: error: the operating system refuses: No such file")
    assert done.stderr.endswith("hint: is the current folder gone? change into another\n")


def test_a_thread_that_cannot_be_started_is_told_and_the_same_command_goes_on(tmp_path, capsys, monkeypatch):
    world = pair_world(make_world(tmp_path / "w"))
    words = ["train-local", "--site", str(world.folder("learner"))]

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        patch.setattr(screen, "streams", lambda: None)
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main.main(words)
    told = capsys.readouterr().err
    assert (stop.value.code, "can't start new thread" in told, "ulimit -u" in told) == (21, True, True)
    assert run(words) == 0


def test_a_terminal_shows_steps_both_losses_and_the_time_left(monkeypatch):
    """On one line of 80 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    with os.fdopen(slave, "w") as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        with screen.progress() as tell:
            tell("training", 1234, 20_000, 0.51234)
            tell("training", 12_345, 20_000, 0.51234, 0.000251234)
            tell("measuring", 3, 10)
        stream.flush()
        written = os.read(master, 1 << 16)
    os.close(master)
    shown = pyte.Screen(80, 24)
    pyte.ByteStream(shown).feed(written[: written.rindex(b"measuring")])
    (line,) = (line for line in shown.display if "training" in line)
    assert re.search(r"12345/20000 +loss 0.5123 +validation 0.0002512 +[-\d:]+", line), line
