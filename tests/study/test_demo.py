"""The demo, and the exchange by hand: the story a newcomer reads in README.md and docs/exchange.md, played whole, once."""

import json

import pytest

from alx.bundle import keys
from alx.study import exchange
from alx.study.demo import digits
from tests import readme


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The pages' commands in an empty folder: the demo first, then the exchange by hand."""
    folder = tmp_path_factory.mktemp("readme")
    return folder, {page: readme.play(page.read_text(encoding="utf-8"), folder) for page in readme.PAGES}


@pytest.mark.parametrize("page", readme.PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_print_what_the_page_says(played, page):
    _, texts = played
    assert "$ alx" in texts[page]
    assert readme.masked(texts[page]) == readme.masked(page.read_text(encoding="utf-8"))


def test_a_screen_is_cut_where_the_page_cuts_it():
    printed = ["one", "two", "three", "four", "five"]
    assert readme.cut(printed, ["1", readme.CUT, "4", "5"]) == ["one", readme.CUT, "four", "five"]
    assert readme.cut(printed, ["1", readme.CUT]) == ["one", readme.CUT]
    assert readme.cut(printed, ["1", "2"]) == printed


def test_the_demo_tells_a_true_story(played):
    folder, _ = played
    told = json.loads((folder / "alx-demo" / "demo.json").read_text())
    assert set(told) == {
        "learner_only",
        "provider_only",
        "centralised",
        "assisted",
        "fedavg",
        "alone",
        "rounds",
        "metrics",
        "samples",
        "seed",
        "seconds",
    }
    assert len(told["rounds"]) == digits.ROUNDS == 2
    assert told["assisted"] > max(told["learner_only"], told["provider_only"]) + 0.05
    assert told["assisted"] > 0.95
    assert told["metrics"]["values"]["accuracy"] == told["assisted"]
    assert told["metrics"]["majority"]["accuracy"] < 0.2  # ten classes, much alike in number
    assert told["centralised"] > 0.96
    assert told["alone"]["fedavg"][-1] == told["fedavg"] < told["rounds"][0]["accuracy"]  # one round against two
    assert all(len(scores) == len(told["rounds"]) for scores in told["alone"].values())  # like is compared with like
    assert told["learner_only"] == told["alone"]["learner"][-1]
    losses = [r["global_loss"] for r in told["rounds"]]
    assert losses == sorted(losses, reverse=True)
    for r in told["rounds"]:
        assert set(r) == {"round", "global_loss", "accuracy", "selected", "bundles"}
        assert set(r["selected"]) == {"learner", "provider"}
        for b in r["bundles"]:
            held = [p for p in (folder / b["path"]).rglob("*") if p.is_file()]
            assert sum(p.stat().st_size for p in held) == b["bytes"] < 0.85 * b["raw_bytes"]
    assert (folder / "alx-demo" / "demo.png").read_bytes()[:4] == b"\x89PNG"


def test_the_demos_sites_and_bundles_are_real(played, alx):
    folder, _ = played
    for role in ("learner", "provider"):
        assert alx("audit", folder / "alx-demo" / role).code == 0
    bundle = max(path for path in (folder / "alx-demo" / "disk").iterdir() if path.is_dir())
    key = folder / "alx-demo" / bundle.name.rsplit("-", 1)[1] / "public.pem"
    assert alx("audit", bundle, "--key", key).code == 0
    assert keys.load_public(key).fingerprint in alx("audit", bundle, "--key", key, "--json").out


def test_the_same_seed_gives_the_same_bundle_digests_twice(played, tmp_path):
    """Once by the command, and once more without what is trained for comparison."""
    folder, _ = played
    told = json.loads((folder / "alx-demo" / "demo.json").read_text())
    case = digits.case(tmp_path, len(told["rounds"]), told["seed"])
    again = exchange.begin(tmp_path, case.plan, case.configs, told["seed"], lambda _line: None).play(1)
    digests = [bundle["digest"] for bundle in told["rounds"][0]["bundles"]]
    assert digests == [turn.sealed.digest for turn in again]
    assert len(set(digests)) == 2


def test_the_demo_replaces_an_earlier_demo_and_nothing_else(tmp_path, alx):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "mine" / "demo.json").write_text("{}")
    refused = alx("demo", "--dir", tmp_path / "mine")
    assert refused.code == 2
    assert "--dir" in refused.err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_the_readmes_picture_is_a_picture():
    assert (readme.ROOT / "docs" / "demo.png").read_bytes()[:4] == b"\x89PNG"
