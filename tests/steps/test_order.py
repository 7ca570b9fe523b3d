"""Verify, then parse, then decompress: every open, hash, parse and decompression of a real import, in its order."""

import base64
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from alx import files as files_of_the_site
from alx.bundle import dsse, read, signature
from alx.bundle.carried import Source
from alx.bundle.manifest import Version4
from alx.cli.main import run
from tests.conftest import World
from tests.forge import command

WAYS = ["import-and-select", "audit"]


def sha(data: bytes | str) -> str:
    return _really(data.encode() if isinstance(data, str) else bytes(data)).hexdigest()


_really = hashlib.sha256  # the tests put another in its place
watching: list[str] = []


def _refuse_other_opens(event, arguments):
    # os.open says no mode; open() and everything above it does, and mmap needs one of them
    if watching and event == "open" and arguments[1] is not None and str(arguments[0]).startswith(watching[0]):
        raise AssertionError(f"opened by its path: {arguments[0]}")


sys.addaudithook(_refuse_other_opens)  # for good, but silent while nothing is watched


class Recorder:
    """What a command does with bytes: (what, SHA-256 of the bytes, or the file's name), in order."""

    def __init__(self, bundle: Path, patch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, str]] = []
        self._bundle = bundle
        patch.setattr(os, "open", self._opening(os.open))
        patch.setattr(hashlib, "sha256", self._noting("hash", hashlib.sha256))
        patch.setattr(json, "loads", self._noting("parse", json.loads))
        patch.setattr(zstandard, "get_frame_parameters", self._noting("decompress", zstandard.get_frame_parameters))
        patch.setattr(zstandard, "ZstdDecompressor", self._decompressor(zstandard.ZstdDecompressor))
        patch.setattr(dsse, "verify", self._then("verify", dsse.verify))
        patch.setattr(Version4, "model_validate", self._then("validate manifest", Version4.model_validate))

    def _noting(self, what: str, really: Callable) -> Callable:
        def noting(data=b"", *arguments, **named):
            self.events.append((what, sha(data)))
            return really(data, *arguments, **named)

        return noting

    def _decompressor(self, really: type) -> Callable:
        recorder = self

        class Decompressor:
            def decompress(self, data, **named):
                recorder.events.append(("decompress", sha(data)))
                return really().decompress(data, **named)

        return Decompressor

    def _then(self, what: str, really: Callable) -> Callable:
        def then(*arguments, **named):
            done = really(*arguments, **named)
            self.events.append((what, ""))
            return done

        return then

    def _opening(self, really: Callable) -> Callable:
        def opening(path, flags, mode=0o777, *, dir_fd=None):
            fd = really(path, flags, mode, dir_fd=dir_fd)
            where = Path(f"/proc/self/fd/{fd}").readlink()
            if where.is_file() and where.is_relative_to(self._bundle):
                self.events.append(("open", where.relative_to(self._bundle).as_posix()))
            return fd

        return opening


def recorded(world: World, way: str, patch: pytest.MonkeyPatch) -> tuple[int, list[tuple[str, str]]]:
    """Run the command on the bundle as it lies; its code, and what was recorded."""
    bundle = world.bundle("learner")
    key = world.folder("learner") / "public.pem"
    recorder = Recorder(bundle, patch)
    watching.append(str(bundle))
    try:
        code = run(command(world, "provider", bundle) if way != "audit" else ["audit", str(bundle), "--key", str(key)])
    finally:
        watching.clear()
    return code, recorder.events


def contents(bundle: Path) -> dict[str, bytes]:
    return {p.relative_to(bundle).as_posix(): p.read_bytes() for p in bundle.rglob("*") if p.is_file()}


def faults(events: list[tuple[str, str]], files: dict[str, bytes]) -> list[str]:
    """What was done in a wrong order, given the files of a good bundle."""
    digests = {sha(data): name for name, data in files.items() if name != "round.sig"}
    payload = sha(base64.b64decode(json.loads(files["round.sig"])["dsseEnvelope"]["payload"]))
    out, seen = [], []
    for event in events:
        what, of = event
        if what == "open" and event in seen:
            out.append(f"{of} is opened twice")
        if what in ("parse", "decompress"):
            if of in digests and ("hash", of) not in seen:
                out.append(f"{digests[of]} reaches a parser before its digest was compared")
            if (of in digests or of == payload) and ("verify", "") not in seen:
                out.append(f"{digests.get(of, 'the payload')} reaches a parser before the signature was verified")
        if what == "decompress" and ("validate manifest", "") not in seen:
            out.append("a snapshot is decompressed before the manifest was read")
        seen.append(event)
    if [of for what, of in events if what == "open"][:1] != ["round.sig"]:
        out.append("round.sig is not the first that is opened")
    return out


@pytest.fixture
def sent(stage) -> World:
    return stage("sent")


@pytest.mark.parametrize("way", WAYS)
def test_each_file_is_opened_once_and_nothing_is_parsed_before_it_was_compared(sent, monkeypatch, way):
    files = contents(sent.bundle("learner"))
    with monkeypatch.context() as patch:
        code, events = recorded(sent, way, patch)
    assert code == 0
    assert faults(events, files) == []
    assert sorted(of for what, of in events if what == "open") == sorted(files)
    done = {what: {of for w, of in events if w == what} for what in ("hash", "parse", "decompress")}
    digests = {name: sha(data) for name, data in files.items()}
    assert {digests[n] for n in files if n != "round.sig"} <= done["hash"]
    assert {digests["round.sig"], digests["manifest.json"]} <= done["parse"]  # the recorder saw what there is to see
    assert done["decompress"] == {digests[n] for n in files if n.endswith(".zst")}


@pytest.mark.parametrize("way", WAYS)
def test_bytes_that_were_not_signed_reach_no_parser(sent, monkeypatch, way):
    """Every file harmed in turn, to the same size: its bytes are hashed, and nothing else is done with them."""
    bundle = sent.bundle("learner")
    files = contents(bundle)
    for name in sorted(set(files) - {"round.sig"}):
        harmed = bytes([files[name][0] ^ 1]) + files[name][1:]
        (bundle / name).write_bytes(harmed)
        files_of_the_site.remove_tree(sent.folder("provider") / "staging")  # else a good copy of before is taken instead
        with monkeypatch.context() as patch:
            code, events = recorded(sent, way, patch)
        assert code == 12
        assert {what for what, of in events if of == sha(harmed)} == {"hash"}
        (bundle / name).write_bytes(files[name])


def uncompared(source, signed):
    """A file's bytes as they are."""
    return source.read(signed.name, signed.size)


def hasty(really):
    """The payload parsed first, the signature verified after."""

    def verify(data, key):
        payload = base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"])
        signature._statement(payload, key)
        return really(data, key)

    return verify


def eager(really):
    """Every snapshot decompressed at once."""

    def read_manifest(source, signed):
        for name in signed.files:
            if name.endswith(".zst"):
                zstandard.ZstdDecompressor().decompress(source.read_signed(signed.files[name]))
        return really(source, signed)

    return read_manifest


def twice(really):
    """Every file read once more, to be sure."""
    return lambda *arguments: (really(*arguments), really(*arguments))[1]


WRONG = {
    "reaches a parser before its digest was compared": lambda p: p.setattr(Source, "read_signed", uncompared),
    "the payload reaches a parser before the signature": lambda p: p.setattr(signature, "verify", hasty(signature.verify)),
    "is decompressed before the manifest": lambda p: p.setattr(read, "read_manifest", eager(read.read_manifest)),
    "is opened twice": lambda p: p.setattr(Source, "read", twice(Source.read)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("told", WRONG)
def test_a_wrong_order_would_be_seen(sent, monkeypatch, way, told):
    files = contents(sent.bundle("learner"))
    with monkeypatch.context() as patch:
        WRONG[told](patch)
        _, events = recorded(sent, way, patch)
    assert any(told in fault for fault in faults(events, files))


def test_a_file_opened_by_its_path_would_be_seen(sent):
    path = sent.bundle("learner") / "manifest.json"
    watching.append(str(path.parent))
    try:
        with pytest.raises(AssertionError, match="opened by its path"):
            path.read_bytes()
    finally:
        watching.clear()


def synced_before_signed(patch: pytest.MonkeyPatch) -> list[str]:
    """From now on: of each folder that gets a `round.sig`, the files whose bytes were not durable before."""
    synced, late = set(), []
    really_open, really_sync = os.open, os.fsync

    def opening(path, flags, mode=0o777, *, dir_fd=None):
        if flags & os.O_CREAT and Path(path).name == "round.sig":
            inside = [p for p in Path(path).parent.rglob("*") if p.is_file() and p.name != "round.sig"]
            late.extend(p.name for p in inside if p not in synced)
            assert len(inside) > 2
        return really_open(path, flags, mode, dir_fd=dir_fd)

    def syncing(fd):
        really_sync(fd)
        synced.add(Path(f"/proc/self/fd/{fd}").readlink())

    patch.setattr(os, "open", opening)
    patch.setattr(os, "fsync", syncing)
    return late


def test_every_file_is_durable_before_the_signature_is_written(stage, monkeypatch):
    """Sealed, exported, and imported; synced together, yet before the mark that all is there."""
    world = stage("paired")
    with monkeypatch.context() as patch:
        late = synced_before_signed(patch)
        assert world.take("provider", world.turn("learner")) == 0
    assert late == []


def test_a_signature_written_too_early_would_be_seen(stage, monkeypatch):
    world = stage("paired")
    monkeypatch.setattr(files_of_the_site, "sync_file", lambda _: None)
    with monkeypatch.context() as patch:
        late = synced_before_signed(patch)
        assert world.take("provider", world.turn("learner")) == 0
    assert late.count("c0001-p0000.safetensors.zst") == 3
