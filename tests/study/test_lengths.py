"""`alx simulate --round-steps`: what is played at each length, and which one is recommended."""

import json

import pytest

from alx import plan as plans
from alx.study import lengths, table
from alx.study.results import NEAR, Round, Run
from tests.study.test_simulation import place, simulate

__all__ = ["place"]


class Found:
    """Results with the scores of one algorithm."""

    def __init__(self, *seeds):
        def rounds(scores):
            return [Round(round=i, loss=1.0, score=s, carried=0, raw=0, selected=None) for i, s in enumerate(scores, 1)]

        self.score, self.rounds, self.without = "accuracy", len(seeds[0]), 0.1
        self.runs = [Run(algorithm="assisted", seed=i, rounds=rounds(s), seconds=1.0) for i, s in enumerate(seeds)]

    def of(self, _algorithm):
        return self.runs

    def tells(self, score):
        return score > self.without + min(NEAR, (1 - self.without) / 2)


def test_the_fewest_trips_go_first_and_of_equals_the_shorter_turn():
    slow, quick, long = Found((0.5, 0.7, 0.9)), Found((0.7, 0.895, 0.8)), Found((0.7, 0.9, 0.9))
    two = {100: Found((0.5, 0.9), (0.7, 0.8)), 200: Found((0.84, 0.84), (0.86, 0.82))}
    assert lengths.recommended({100: slow, 400: quick, 1600: long}, shares=True) == (400, 2)
    assert lengths.recommended({100: slow}, shares=True) == (100, 3)
    assert lengths.recommended(two, shares=True) == (200, 1)
    assert lengths.recommended(two, shares=False) is None  # how near is near, of squared errors?


def test_a_length_that_diverged_is_named_and_the_others_are_compared():
    slow, lost = Found((0.5, 0.7, 0.9)), Found((0.6, None, None))
    assert lengths.recommended({100: slow, 400: lost}, shares=True) == (100, 3)
    assert lengths.recommended({400: lost}, shares=True) is None
    told = table.compared({100: slow, 400: lost}, (100, 3), "round_steps = 100")
    assert "diverged: 400" in told
    assert told[-1].startswith("take round_steps = 100: within 0.01 of the best of all after 3 rounds, 6 trips")
    assert "nothing to choose a length by" in table.compared({400: lost}, None, "")[1]


def test_no_length_is_recommended_by_a_score_that_no_model_reaches_as_well():
    rare = {20: Found((0.957, 0.957)), 60: Found((0.956, 0.959))}
    for found in rare.values():
        found.without = 0.957
    assert lengths.recommended(rare, shares=True) is None
    told = table.compared(rare, None, "")[-1]
    assert told.startswith(
        "no length to take: accuracy is hardly above that of the same answer for everybody, so it tells nothing"
    )
    rare[60].runs[0].rounds[-1] = rare[60].runs[0].rounds[-1].model_copy(update={"score": 0.968})
    assert lengths.recommended(rare, shares=True) == (60, 2)
    for found in rare.values():
        found.without = 0.992  # less than a hundredth is left to gain, and half of it tells
    assert lengths.recommended(rare, shares=True) is None
    rare[60].runs[0].rounds[-1] = rare[60].runs[0].rounds[-1].model_copy(update={"score": 0.997})
    assert lengths.recommended(rare, shares=True) == (60, 2)


@pytest.mark.parametrize(
    ("before", "steps", "after"),
    [
        ("round_steps = 12\nsampling_period = 4", 36, (36, 12)),
        ("round_steps = 12", 36, (36, None)),
        ("round_steps = { learner = 4, provider = 8 }\nsampling_period = 5", 6, ((2, 4), 2)),
        ("round_steps = { learner = 10, provider = 10 }", 3, ((2, 1), None)),
    ],
)
def test_another_length_keeps_the_number_of_snapshots_and_the_sides_shares(before, steps, after):
    read = plans.parse(f'name = "x"\nrounds = 1\n{before}\noptimiser = {{ name = "sgd" }}\n'.encode()).plan
    made = plans.altered(read, lengths._scaled(read, steps)).plan
    of = made.round_steps
    assert (of if isinstance(of, int) else (of.learner, of.provider), made.sampling_period) == after


def test_several_lengths_are_played_and_one_is_recommended(place, capsys):
    assert simulate("--baselines", "", "--round-steps", "4,8", "--out", "sim") == 0
    told = capsys.readouterr().out
    assert "take round_steps = " in told
    assert simulate("--baselines", "", "--round-steps", "8,4", "--out", "sim", "--json") == 0  # goes on: all is there
    found = json.loads(capsys.readouterr().out)
    assert {n: each["dealt"][0]["learner_steps"] for n, each in found["lengths"].items()} == {"8": 4, "4": 2}
    assert f"take round_steps = {found['recommended']['round_steps']}, sampling_period = " in told
    assert (place / "sim" / "steps-8" / "simulation.png").is_file()


@pytest.mark.parametrize("value", ["a", "1", "100,-4", "99999999999"])
@pytest.mark.usefixtures("place")
def test_what_is_no_length_is_refused(capsys, value):
    assert simulate("--round-steps", value) == 2
    assert "expected numbers such as 100,400" in capsys.readouterr().err
