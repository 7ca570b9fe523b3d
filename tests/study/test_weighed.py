"""A plan's [objective] in a whole study: assistance and rivals train on the weighed loss and are measured by it."""

import contextlib

import pytest

from tests.study.test_simulation import MODEL, PLAN, results, simulate

TWICE = "[objective.class_weights]\n" + "".join(f"{digit} = 2.0\n" for digit in range(10))


def played(folder, rate, more):
    folder.mkdir()
    (folder / "plan.toml").write_text(PLAN.replace('"adam"\nlr = 0.003', f'"sgd"\nlr = {rate}') + more)
    (folder / "model.py").write_text(MODEL)
    with contextlib.chdir(folder):
        assert simulate("--baselines", "centralised,cyclic,fedavg", "--out", "sim") == 0
    return results(folder / "sim")


def test_where_all_weigh_twice_and_steps_are_half_as_long_all_is_the_same_and_losses_are_twice(tmp_path):
    """Twice and half are exact in binary: the same steps to the bit, with blends, distillation and rivals."""
    plain, twice = played(tmp_path / "plain", 0.1, ""), played(tmp_path / "twice", 0.05, TWICE)
    assert [r.algorithm for r in plain.runs] == ["assisted", "centralised", "cyclic", "fedavg"]
    for one, two in zip(plain.runs, twice.runs, strict=True):
        for a, b in zip(one.rounds, two.rounds, strict=True):
            assert (b.score, b.selected) == (a.score, a.selected), one.algorithm
            assert b.loss == pytest.approx(2 * a.loss, rel=1e-12), one.algorithm


def test_balanced_changes_what_is_trained_and_the_global_loss_still_never_rises(tmp_path):
    found = played(tmp_path / "balanced", 0.1, "[training]\nbalanced = true\n")
    (assisted,) = found.of("assisted")
    losses = [r.loss for r in assisted.rounds]
    assert losses == sorted(losses, reverse=True)
