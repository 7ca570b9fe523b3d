"""The documents are true: code in them runs, links lead somewhere, the layers are as drawn."""

import hashlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def test_the_decoder_of_the_format_page_decodes_a_bundle_without_alx(stage, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "format.md").read_text(), re.DOTALL)
    assert "alx" not in code
    script = tmp_path / "decode.py"
    script.write_text(code)
    first, reply, second = sorted(stage("second").disk.glob("alx-*/"))
    for bundles in ([first], [reply, first], [second, reply, first]):
        done = subprocess.run([sys.executable, script, *bundles], capture_output=True, text=True, check=True)
        rows = [line.split() for line in done.stdout.splitlines()]
        assert len(rows) > 3
        assert all(got == signed for got, signed, _ in rows)
    alone = subprocess.run([sys.executable, script, second], capture_output=True, text=True, check=True)
    assert alone.stdout.count("recipe ") == 8


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_local_link_and_path_of_a_page_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for named in re.findall(r"`((?:docs|schemas|examples|alx|tests)/[\w./-]+)`", text):
        assert (ROOT / named).exists(), named


def test_the_limits_on_the_format_page_are_those_of_the_code():
    from alx.bundle import closing, codec, layout, manifest, signature, strict_json  # noqa: PLC0415
    from alx.plan import MAX_ROUNDS  # noqa: PLC0415

    page = (ROOT / "docs" / "format.md").read_text()
    assert signature.MAX_SIGNATURE_BYTES == manifest.MAX_MANIFEST_BYTES == 16 << 20
    assert signature.MAX_FILE_BYTES == (64 << 20) + (64 << 10)
    assert layout.PART_BYTES == 16_777_216
    assert codec.MAX_WINDOW_BYTES == 8 << 20
    assert f"{closing.MAX_CLOSING_BYTES:,} bytes, {closing.MAX_CLOSING_VALUES} values" in page
    assert f"{strict_json.MAX_VALUES:,} ({signature.MAX_SIGNATURE_VALUES} around" in page
    for number in (layout.MAX_FILES, manifest.MAX_CANDIDATES, layout.MAX_TENSORS, codec.MAX_HEADER_BYTES, MAX_ROUNDS):
        assert f"{number:,}" in page
    assert f"every {manifest.KEYFRAME_EVERY}" in page
    assert layout.MAX_STATE_BYTES == 2**40


def test_imports_go_down_the_picture_only():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout


def test_a_ledger_entrys_digest_is_what_the_format_page_says(stage):
    import sqlite3  # noqa: PLC0415

    connection = sqlite3.connect(stage("finished").folder("learner") / "ledger.sqlite")
    before = "0" * 64
    for number, kind, body, previous, digest in connection.execute("SELECT * FROM entries ORDER BY number"):
        assert previous == before
        assert hashlib.sha256(f"{number}\n{kind}\n{previous}\n{body}".encode()).hexdigest() == digest
        before = digest
    connection.close()


def test_what_each_trip_brings_is_told_as_it_was_measured(monkeypatch):
    """The page of all settings, and the table that the results begin with, are those of the files beside it."""
    monkeypatch.syspath_prepend(ROOT / "examples" / "paper")
    trips = importlib.import_module("trips")
    found = {name: results for name in trips.SETTINGS if (results := trips.kept(trips.KEPT / f"{name}.json")) is not None}
    assert (trips.KEPT / "README.md").read_text() == trips.page(trips.KEPT)
    assert trips.overview(found) in (ROOT / "docs" / "results.md").read_text()
