"""One algorithm with one seed, round by round; what is needed to go on is kept after each.

Knows how a round is judged; knows no other run.
"""

import io
import time
from typing import Any

import torch

from alx import files
from alx.errors import DivergedError
from alx.learning.task import Scores
from alx.records import finite
from alx.study import algorithms, cost, kept
from alx.study.cost import Cost, Tell
from alx.study.judge import judged
from alx.study.parties import POOLED, Parties
from alx.study.results import Algorithm, Round, Run


def play(both: Parties, algorithm: Algorithm, seed: int, estimate: Cost, tell: Tell, *, keep: bool) -> Run:
    """Play it; killed at any point, the same call goes on with the round that was being played.

    Args:
        both: who plays.
        algorithm: what is played.
        seed: told in the run; the parties have it.
        estimate: told of each round.
        tell: progress.
        keep: write the model after each round, too; see `kept`.
    """
    begun, count = both.folder / f"{algorithm}.part", both.plan.plan.rounds
    part: dict[str, Any] = {"rounds": [], "seconds": 0.0, "saved": None}
    player, goes_on = algorithms.player(both, algorithm)
    if begun.is_file() and goes_on:
        # on the CPU, so that what was begun on a GPU can go on without one
        with files.storage(begun):
            part = torch.load(io.BytesIO(begun.read_bytes()), weights_only=True, map_location="cpu")
    rounds = [Round.model_validate(r) for r in part["rounds"]]
    estimate.skip(len(rounds) * estimate.round(algorithm))
    judge = both.tasks[POOLED].new_model()
    while len(rounds) < count:
        began, number = time.monotonic(), len(rounds) + 1
        try:
            played = player(number, part["saved"])
        except DivergedError:
            nothing = Round(round=number, loss=None, score=None, carried=0, raw=0, selected=None)
            rounds += [nothing.model_copy(update={"round": n}) for n in range(number, count + 1)]
            estimate.done += (count - number + 1) * estimate.round(algorithm)
            break
        loss, worth = judged(both, judge, played)
        if keep:
            kept.write(both, algorithm, number, played, loss)
        carried, raw = played.carried
        rounds.append(
            Round(
                round=number,
                loss=finite(loss.total / loss.count),
                score=None if worth is None else worth.score,
                metrics={} if worth is None else _all(worth),
                carried=carried,
                raw=raw,
                selected=played.selected,
            )
        )
        part = {
            "rounds": [r.model_dump() for r in rounds],
            "seconds": part["seconds"] + time.monotonic() - began,
            "saved": played.saved,
        }
        buffer = io.BytesIO()
        torch.save(part, buffer)
        files.replace(begun, buffer.getbuffer())
        estimate.done += estimate.round(algorithm)
        tell(cost.progress(estimate))
    return Run(algorithm=algorithm, seed=seed, rounds=rounds, seconds=round(part["seconds"], 1))


def _all(worth: Scores) -> dict[str, float | None]:
    """By name; of a group the column and its value before it."""
    grouped = {
        f"{column} {value}: {name}": number
        for column, values in worth.groups.items()
        for value, numbers in values.items()
        for name, number in numbers.items()
    }
    return {**worth.values, **grouped}
