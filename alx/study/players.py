"""How one round of each algorithm is played: the model that comes out, what was carried, what is needed to go on.

Knows both parties; knows no score.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from safetensors.torch import load as load_tensors

from alx import files, turns
from alx.learning.task import State, Task
from alx.records import Role
from alx.site.site_file import Data
from alx.study import baselines, exchange, parties
from alx.study.exchange import Exchange
from alx.study.parties import POOLED, Parties
from alx.study.results import ASSISTED, Algorithm
from alx.study.sizes import packed

EXCHANGE = "exchange"


@dataclass(frozen=True, slots=True)
class Played:
    """One round.

    Attributes:
        state: the model after it.
        carried: bytes carried both ways, and the same before compression.
        selected: what provider and learner chose, where they choose.
        saved: what the next round needs.
    """

    state: State
    carried: tuple[int, int] = (0, 0)
    selected: tuple[str, str] | None = None
    saved: Any = None


Player = Callable[[int, Any], Played]
"""(round from 1, what the round before saved) -> the round."""


def player(both: Parties, algorithm: Algorithm) -> tuple[Player, bool]:
    """How a round of `algorithm` is played, and whether a part that was played before can be gone on with."""
    return _assisted(both, algorithm) if algorithm in ASSISTED else (_baseline(both, algorithm), True)


def clear(folder: Path) -> None:
    """Delete the exchange's sites from a party's folder."""
    files.remove_tree(folder / EXCHANGE)


def _baseline(both: Parties, algorithm: Algorithm) -> Player:
    agreed, tasks = both.plan.plan, both.tasks
    of: dict[Role, Task] = {role: tasks[role] for role in get_args(Role)}
    a_round = sum(both.steps.values())
    plays: dict[Algorithm, Callable[[], baselines.Play]] = {
        "centralised": lambda: baselines.alone(tasks[POOLED], agreed.seed, a_round),
        "learner-only": lambda: baselines.alone(tasks["learner"], agreed.seed, a_round),
        "provider-only": lambda: baselines.alone(tasks["provider"], agreed.seed, a_round),
        "cyclic": lambda: baselines.cyclic(of, agreed, both.steps),
        "fedavg": lambda: baselines.fedavg(of, agreed, both.steps, both.samples),
    }
    play, travels = plays[algorithm](), algorithm in ("cyclic", "fedavg")

    def one(number: int, saved: Any) -> Played:
        model, after = play(number, saved)
        size, raw = packed(model) if travels else (0, 0)
        return Played(model, (2 * size, 2 * raw), None, after)  # one model each way

    return one


def _assisted(both: Parties, algorithm: Algorithm) -> tuple[Player, bool]:
    """How a round is played, and whether an exchange was found that can be gone on with."""
    folder = both.folder / EXCHANGE / algorithm
    found = exchange.resume(folder, lambda _line: None)
    sites = found if found is not None else _begin(both, algorithm, folder)

    def one(number: int, _saved: Any) -> Played:
        there, back = sites.play(number)
        model = load_tensors(turns.best_file(turns.latest(sites.sites["learner"].look())))
        sites.forget()
        sealed = there.sealed, back.sealed
        carried = sum(s.size for s in sealed), sum(s.raw_size for s in sealed)
        return Played(model, carried, (there.chosen.selected.label, back.chosen.selected.label))

    return one, found is not None


def _begin(both: Parties, algorithm: Algorithm, folder: Path) -> Exchange:
    files.remove_tree(folder)
    with files.storage(folder):
        folder.mkdir(parents=True)
    plan = both.plan if algorithm == "assisted" else parties.changed(both.plan, candidates=algorithm)
    parties.put_code(folder, plan, both.code)
    data = {role: Data(kind="npz", path=f"../../../{role}.npz") for role in get_args(Role)}  # from a site's folder
    configs = {role: both.configs[role].model_copy(update={"data": data[role]}) for role in data}
    return exchange.begin(folder, plan.data.decode("utf-8"), configs, plan.plan.seed, lambda _line: None)
