"""Batch norm at home (FedBN, Li et al., 2021), where one site's pictures are darker: does it help?

    python shift.py --data cifar10.npz --seeds 0 1 --out runs/shift

Each site has SAMPLES / 2 pictures of CIFAR-10, all ten classes, and as many kept apart; the provider's are DARK times as
bright, those kept apart too. Every number is a mean over the two sites, each with its own model on its own pictures kept
apart. Assistance is real sites and real bundles. What is done lies in OUT and is not played again.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from alx import plan as plans
from alx import turns
from alx.learning import measure
from alx.records import Role
from alx.site.site_file import Data, SiteFile
from alx.study import baselines, exchange
from alx.tasks import load
from alx.turns import personal

HERE = Path(__file__).resolve().parent
ROLES: tuple[Role, Role] = ("learner", "provider")
NORMS = {"batch norm shared": [], "batch norm at home": ["*bn*"]}
DARK = 0.3


def deal(data: Path, folder: Path, samples: int, seed: int) -> None:
    """Write learner.npz and provider.npz, each with its own pictures kept apart."""
    rng = np.random.default_rng(seed)
    with np.load(data) as held:
        whole = {name: held[name] for name in ("train_images", "train_labels", "test_images", "test_labels")}
    parts = {part: rng.permutation(len(whole[f"{part}_labels"]))[:samples] for part in ("train", "test")}
    for i, role in enumerate(ROLES):
        own = {}
        for part, order in parts.items():
            chosen = np.array_split(order, 2)[i]
            images = whole[f"{part}_images"][chosen]
            own[f"{part}_images"] = images if role == "learner" else np.round(images * DARK).astype(np.uint8)
            own[f"{part}_labels"] = whole[f"{part}_labels"][chosen]
        np.savez(folder / f"{role}.npz", **own)


def score(tasks, states) -> float:
    """The accuracy of each site's own model on what it keeps apart, the mean of both."""
    worth = [measure.held_out(t, measure.loaded(t, t.new_model(), states[role])).score for role, t in tasks.items()]
    return sum(worth) / len(worth)


def play(data: Path, samples: int, rounds: int, seed: int, names: list[str]) -> dict[str, list[float]]:
    """Scores after each round, by what was played."""
    found = {}
    changes = {"seed": seed, "rounds": rounds, "model": {"personal": names}}
    agreed = plans.altered(plans.load(HERE / "shift" / "plan.toml").plan, changes)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        deal(data, folder, samples, seed)
        (folder / "residual.py").write_bytes((HERE / "shift" / "residual.py").read_bytes())
        plan = agreed.plan
        files = {role: SiteFile(role=role, device="cpu", data=Data(kind="npz", path=f"../{role}.npz")) for role in ROLES}
        here = {r: f.model_copy(update={"data": Data(kind="npz", path=f"{r}.npz")}) for r, f in files.items()}
        tasks = {role: load.task(folder, config, plan) for role, config in here.items()}
        n = {role: tasks[role].sample_losses.count for role in ROLES}
        steps = {"learner": plan.steps("learner", *n.values()), "provider": plan.steps("provider", *list(n.values())[::-1])}
        sites = exchange.begin(folder, agreed.data.decode(), files, seed, lambda _line: None)
        scores = []
        for number in range(1, rounds + 1):
            sites.play(number)
            learner, provider = (sites.sites[role].look() for role in ROLES)
            mine, chosen = turns.latest(learner).tensors, learner.position.selected[-1]
            own = personal.unpacked(personal.of_candidate(provider, provider.position.sealed[-1], chosen.index))
            scores.append(score(tasks, {"learner": mine, "provider": mine | own}))
        found["alx"] = scores
        averaged, saved, fed = [], None, baselines.fedavg(tasks, plan, steps, n)
        for number in range(1, rounds + 1):
            played = fed(number, saved)
            saved = played.saved
            averaged.append(score(tasks, {"learner": played.state, "provider": played.provider or played.state}))
        found["federated averaging"] = averaged
        if not names:
            alone = [baselines.states(baselines.alone(tasks[r], seed, steps[r], rounds), rounds) for r in ROLES]
            found["each alone"] = [score(tasks, dict(zip(ROLES, both, strict=True))) for both in zip(*alone, strict=True)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/shift"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=4)
    wanted = parser.parse_args()
    wanted.out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[list[float]]] = {}
    for seed in wanted.seeds:
        for name, patterns in NORMS.items():
            kept = wanted.out / f"{name.replace(' ', '-')}-{seed}.json"
            if not kept.is_file():
                kept.write_text(json.dumps(play(wanted.data, wanted.samples, wanted.rounds, seed, patterns)))
            for what, scores in json.loads(kept.read_text()).items():
                rows.setdefault(what if what == "each alone" else f"{what}, {name}", []).append(scores)
    print("| after round |" + "".join(f" {number} |" for number in range(1, wanted.rounds + 1)))
    print("|---|" + "---|" * wanted.rounds)
    for what, runs in sorted(rows.items()):
        print(f"| {what} | " + " | ".join(f"{s:.3f}" for s in np.mean(runs, axis=0)) + " |")


if __name__ == "__main__":
    main()
