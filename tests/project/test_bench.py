"""The benchmarks' bookkeeping: rows, limits, files, pages and slopes. No test here measures anything."""

import json

import pytest
import torch

from alx.tasks.models import resnet
from alx.training import Training
from tests.bench import __main__ as bench
from tests.bench import document, figure, gpu, results, world
from tests.bench.row import Missing, Row, rates
from tests.bench.series import AXES, STEPS, Series, exponent, fitted


def row(ratio, unit="ms", limit=None):
    return Row("a thing", unit, ratio * 4.0, "another", 4.0, ratio, limit)


@pytest.mark.parametrize(
    ("made", "verdict", "limit"),
    [
        (row(2.4, limit=2.5), "met", "≤ 2.5"),
        (row(2.6, limit=2.5), "MISSED", "≤ 2.5"),
        (row(2.6, "steps/s", 2.5), "met", "≥ 2.5"),
        (row(0.9, "MB/s", 1.0), "MISSED", "≥ 1"),
        (row(0.9), "ahead", ""),
        (row(0.9, "MB/s"), "behind", ""),
    ],
)
def test_of_a_rate_more_is_better_and_of_a_cost_less(made, verdict, limit):
    assert (made.verdict, bench.limit(made)) == (verdict, limit)
    assert bench.cells(made)[-1] == verdict


def test_a_ratio_is_the_median_of_ratios_of_the_same_turn_and_both_go_first_as_often():
    """The machine is thrice as slow in the second turn: the ratio does not see it."""
    order = []
    slow = iter([1, 1, 1, 1, 3, 3, 1, 1, 1, 1])  # the first two warm up

    def one(name, cost):
        def measure():
            order.append(name)
            return cost * next(slow)

        return measure

    (found,) = rates("x", "ms", {"ours": one("ours", 2.0), "theirs": one("theirs", 4.0)}, limit=1.0, repeats=4)
    assert (found.ratio, found.limit, found.rival) == (0.5, 1.0, "theirs")
    assert order[2:] == ["ours", "theirs", "theirs", "ours"] * 2


def test_a_round_on_a_gpu_is_played_and_without_a_gpu_it_is_said():
    """Both loops on the CPU, two steps, without what is slow there; no time is asserted."""
    data, cpu = gpu.pixels(300), torch.device("cpu")
    for loop in (gpu.ours, gpu.by_hand):
        assert loop(lambda: resnet(widths=(4,), blocks=1), data, cpu, 2, Training(channels_last=True))() > 0
    if not torch.cuda.is_available():
        assert bench.measure("gpu") == [Missing("a round of ResNet-18, 2,000 steps of 256", "no GPU here")]


def test_a_spread_is_the_least_and_the_greatest_ratio_and_comes_back_from_the_file(tmp_path):
    ours, theirs = iter([1.0, 2.0, 3.0, 4.0]), iter([1.0, 4.0, 4.0, 4.0])  # the first warm up
    (found,) = rates("x", "steps/s", {"ours": lambda: next(ours), "theirs": lambda: next(theirs)}, repeats=3, spread=True)
    assert (found.ratio, found.spread) == (0.75, (0.5, 1.0))
    assert bench.cells(found)[4] == "0.75 (0.50 to 1.00)"
    results.put(tmp_path / "bench.json", "training", results.section([found], "0123abcd"), list(bench.SECTIONS))
    assert results.rows(results.read(tmp_path / "bench.json")["training"]) == [found]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_an_exponent_is_that_of_a_power_law(power):
    sizes = [2.0**i for i in range(6)]
    assert exponent(sizes, [3.0 * s**power for s in sizes]) == pytest.approx(power)


def test_memory_below_the_floor_is_no_growth():
    series = Series("seal", "model", [1, 2, 4, 8], [0.1, 0.2, 0.4, 0.8], [-5e4, 0.0, 1e4, 3e6])
    time, memory = fitted(series)
    assert time.ratio == pytest.approx(1.0)
    assert memory.ratio == 0.0
    assert time.verdict == memory.verdict == "met"
    assert fitted(Series("seal", "model", [1, 2, 4], [1, 4, 16], [0, 0, 0]))[0].verdict == "MISSED"


def some(value=1.0):
    return results.section([row(value), Missing("a rival", "it is not installed")], "0123abcd")


def test_a_section_measured_alone_goes_into_the_file_and_the_others_stay(tmp_path):
    path = tmp_path / "bench.json"
    results.put(path, "growth", some(1.0), list(bench.SECTIONS))
    results.put(path, "codec", some(2.0), list(bench.SECTIONS))
    results.put(path, "growth", some(3.0), list(bench.SECTIONS))
    found = results.read(path)
    assert list(found) == ["codec", "growth"]  # in the page's order
    assert [results.rows(s) for s in found.values()] == [[row(2.0)], [row(3.0)]]
    assert found["codec"]["missing"] == [{"what": "a rival", "why": "it is not installed"}]
    assert found["codec"]["commit"] == "0123abcd"
    assert {"cpu", "cores", "memory_gb", "torch", "threads"} <= set(found["codec"]["machine"])


def test_what_is_not_installed_is_told_and_not_measured(tmp_path, capsys, monkeypatch):
    (tmp_path / "needs_a_rival.py").write_text("import no_such_rival\n")
    monkeypatch.setattr("tests.bench.__path__", [str(tmp_path)])
    monkeypatch.setitem(bench.SECTIONS, "codec", "needs_a_rival")
    path = tmp_path / "bench.json"
    assert bench.main(["--only", "codec", str(path)]) == 0
    assert "not measured: codec: there is no module 'no_such_rival' here" in capsys.readouterr().err
    assert results.read(path)["codec"]["rows"] == []
    assert "Not measured: codec" in document.block("codec", results.read(path))


def test_an_unknown_section_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--only", "speed"])
    assert "there is no section 'speed'; there are selection," in capsys.readouterr().err


def test_the_pages_tables_are_those_of_the_results_beside_it():
    found = results.read(document.KEPT)
    text = document.PAGE.read_text(encoding="utf-8")
    assert document.page(text, found) == text
    assert all(f"<!-- bench: {name} -->" in text for name in ("short", "summary", *bench.SECTIONS))
    assert document.block("short", found).count("\n") == 2 + len(document.SHORT)  # each names one row, and it is there
    assert json.loads(document.KEPT.read_text())  # and not an empty one


def test_a_page_shows_losses_and_says_what_is_still_to_be_measured():
    text = "# A\n\n<!-- bench: summary -->\nold\n<!-- end -->\n\n<!-- bench: codec -->\n<!-- end -->\nwords\n"
    made = document.page(text, {"start-up": results.section([row(2.6, limit=2.5), row(1.0, limit=2.5)], "0123abcd")})
    assert "1 of 2 limits are met. Missed:\n\n- a thing, beside another: 2.60, limit 2.5\n" in made
    assert "<!-- bench: codec -->\nNot measured yet.\n<!-- end -->\nwords\n" in made
    assert "old" not in made


def test_the_picture_and_the_table_of_growth_have_every_step_and_axis(tmp_path):
    sizes = [8e6 * 2**i for i in range(6)]
    found = [Series(s, a, sizes, [x / 1e6 for x in sizes], list(sizes)) for a in AXES for s in STEPS]
    figure.draw(tmp_path / "growth.png", found)
    assert (tmp_path / "growth.png").stat().st_size > 20_000
    table = document.block("growth", {"growth": results.section(found, "0123abcd")})
    assert table.count("1.00") == 2 * len(AXES) * len(STEPS)


def test_a_benchs_model_has_about_the_bytes_that_were_asked_for(tmp_path):
    from alx.site import site as sites  # noqa: PLC0415 - torch

    world.make(tmp_path / "x", world.Size(snapshots=3, model=300_000, samples=32))
    bundle = world.send(tmp_path / "x")
    site = sites.load(tmp_path / "x" / "learner")
    assert site.look().own.layout.nbytes == pytest.approx(300_000, rel=0.05)
    assert bundle == world.bundle(tmp_path / "x")
    assert len(list((bundle / "data").iterdir())) == 3
