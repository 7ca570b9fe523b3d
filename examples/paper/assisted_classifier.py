"""Figure 2: two classes in the plane, one mostly with each party, and the lines that logistic regression finds.

    python assisted_classifier.py --seeds 0-99 --out docs/results-plane

plays AssistDeep over real sites and bundles for each seed, and trains without assistance for as many steps; writes
classifier.json (every seed; a run that was stopped goes on from it), classifier.png and classifier.svg (the first seed),
and prints a table of all.
"""

import argparse
import json
import math
import re
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from safetensors.torch import load

from alx import plan, turns
from alx.learning import measure
from alx.learning.task import State
from alx.site.site_file import Data, SiteFile
from alx.study import baselines, exchange
from alx.tasks import load as tasks

PLAN = Path(__file__).parent / "classifier" / "plan.toml"
CENTRES, SPREAD = {"A": (-1.0, 1.0), "B": (1.0, -1.0)}, 1.5  # A is 0, B is 1
EACH, MAJOR = 50, 0.9  # points of a class; the share of A that the learner has, and of B the provider
TESTED = 10_000
BAYES = 0.5 * (1 + math.erf(math.sqrt(2) / SPREAD / math.sqrt(2)))  # a centre lies sqrt(2) from the best line
PAPER = {"learner alone": 0.70, "round 1": 0.819, "oracle": 0.825}
# Okabe and Ito's colours, told apart by colour-blind readers too.
LINES = {
    "learner alone": ("#D55E00", "--"),
    "round 1": ("#56B4E9", "-."),
    "round 3": ("#0072B2", "-"),
    "oracle": ("#000000", "-"),
}
CLASSES = {"A": ("#009E73", "o"), "B": ("#CC79A7", "s")}
ORDERS = {
    "learner alone < round 1": lambda a: a["learner alone"] < a["round 1"],
    "round 1 < oracle": lambda a: a["round 1"] < a["oracle"],
    "learner alone < round 1 < oracle, the paper's": lambda a: a["learner alone"] < a["round 1"] < a["oracle"],
    "round 3 no farther from the oracle than round 1": lambda a: (
        abs(a["round 3"] - a["oracle"]) <= abs(a["round 1"] - a["oracle"])
    ),
}


def points(rng: np.random.Generator, each: int) -> tuple[np.ndarray, np.ndarray]:
    """`each` of A, then `each` of B."""
    drawn = [rng.normal(centre, SPREAD, (each, 2)) for centre in CENTRES.values()]
    return np.concatenate(drawn).astype(np.float32), np.repeat([0, 1], each)


def parts() -> dict[str, np.ndarray]:
    """Who has which of the points."""
    a, b = np.arange(EACH), np.arange(EACH, 2 * EACH)
    many, few = round(MAJOR * EACH), round((1 - MAJOR) * EACH)
    return {
        "learner": np.concatenate([a[:many], b[:few]]),
        "provider": np.concatenate([a[many:], b[few:]]),
        "pooled": np.concatenate([a, b]),
    }


def play(text: str, seed: int) -> dict[str, dict]:
    """A line and its accuracy for each algorithm, by round where there is one."""
    text = re.sub(r"(?m)^seed = \d+", f"seed = {seed}", text)
    agreed = plan.parse(text.encode()).plan
    inputs, labels = points(np.random.default_rng(seed), EACH)
    test_inputs, test_labels = points(np.random.default_rng([seed, 1]), TESTED // 2)
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder, configs = Path(name), {}
        for who, mine in parts().items():
            path = folder / f"{who}.npz"
            np.savez(
                path, train_images=inputs[mine], train_labels=labels[mine], test_images=test_inputs, test_labels=test_labels
            )
            role = "provider" if who == "provider" else "learner"
            configs[who] = SiteFile(role=role, device="cpu", data=Data(kind="npz", path=str(path)))
        of = {who: tasks.task(folder, config, agreed) for who, config in configs.items()}
        judge = of["pooled"].new_model()

        def judged(weights: State) -> dict:
            total = measure.measure(of["pooled"], judge, weights).total
            line = [round(x, 5) for x in (*weights["weight"].flatten().tolist(), *weights["bias"].tolist())]
            return {"accuracy": measure.held_out(of["pooled"], judge).score, "loss": round(total, 5), "line": line}

        both = exchange.begin(folder, text, configs, seed, lambda _line: None)
        for number in range(1, agreed.rounds + 1):
            there, back = both.play(number)
            chosen = [there.chosen.selected.label, back.chosen.selected.label]
            found[f"round {number}"] = judged(load(turns.best_file(turns.latest(both.sites["learner"].look())))) | {
                "chosen": chosen
            }
        steps = agreed.rounds * sum(agreed.steps(role, EACH, EACH) for role in ("learner", "provider"))
        for who, called in (("learner", "learner alone"), ("provider", "provider alone"), ("pooled", "oracle")):
            (weights,) = baselines.states(baselines.alone(of[who], seed, steps, 1), 1)
            found[called] = judged(weights)
    return found


def draw(path: Path, seed: int, found: dict[str, dict]) -> None:
    inputs, labels = points(np.random.default_rng(seed), EACH)
    figure, panels = plt.subplots(1, 2, figsize=(11, 5.6), dpi=110, layout="constrained", sharey=True)
    (*assisted, oracle) = LINES
    for axes, names, title in zip(
        panels, (assisted, [oracle]), ("(a) the learner's classifiers", "(b) oracle: trained on all points"), strict=True
    ):
        for label, (colour, marker) in enumerate(CLASSES.values()):
            for who, face in (("learner", colour), ("provider", "white")):
                mine = [i for i in parts()[who] if labels[i] == label]
                axes.scatter(*inputs[mine].T, s=28, marker=marker, facecolor=face, edgecolor=colour, linewidth=1.1)
        for name in names:
            colour, style = LINES[name]
            across, up, bias = found[name]["line"]
            near = -bias / (across**2 + up**2)  # of the line's point nearest to the origin
            called = f"{name} ({found[name]['accuracy']:.1%})"
            axes.axline(
                (near * across, near * up), slope=-across / up, color=colour, linestyle=style, linewidth=2, label=called
            )
        axes.set(xlim=(-5.5, 5.5), ylim=(-5.5, 5.5), aspect="equal", xlabel="$x_1$")
        axes.set_title(title, fontsize=10)
        axes.legend(loc="upper left", fontsize=9, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("$x_2$")
    handles = [
        plt.Line2D([], [], linestyle="", marker=marker, color=colour, markerfacecolor=face, label=f"class {name}, {who}'s")
        for name, (colour, marker) in CLASSES.items()
        for who, face in (("learner", colour), ("provider", "white"))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(
        f"Fig. 2: AssistDeep in classification, seed {seed}; accuracy on {TESTED:,} test points in parentheses", fontsize=11
    )
    for ending in ("png", "svg"):
        figure.savefig(path / f"classifier.{ending}", metadata={"Date": None} if ending == "svg" else None)
    plt.close(figure)


def table(seeds: list[dict[str, dict]]) -> str:
    spread = min(1, len(seeds) - 1)
    lines = [
        "| classifier | test accuracy | least, greatest | paper | loss a sample | angle to the oracle |",
        "|---" * 6 + "|",
    ]
    slopes = {name: np.array([np.arctan2(*found[name]["line"][:2]) for found in seeds]) for name in seeds[0]}
    for name in ("learner alone", *(n for n in seeds[0] if n.startswith("round")), "provider alone", "oracle"):
        accuracy = 100 * np.array([found[name]["accuracy"] for found in seeds])
        loss = np.array([found[name]["loss"] for found in seeds]) / (2 * EACH)
        papers = f"{100 * PAPER[name]:.1f} %" if name in PAPER else ""
        apart = np.degrees(slopes[name] - slopes["oracle"] + np.pi) % 360 - 180
        lines.append(
            f"| {name} | {accuracy.mean():.2f} ± {accuracy.std(ddof=spread):.2f} % | {accuracy.min():.1f}, "
            f"{accuracy.max():.1f} % | {papers} | {loss.mean():.3f} ± {loss.std(ddof=spread):.3f} "
            f"| {abs(apart).mean():.1f}° |"
        )
    lines.append(f"| the best line there is | {100 * BAYES:.2f} % | | | | |")
    lines += ["", "| order of test accuracies | seeds |", "|---|---|"]
    accuracies = [{name: row["accuracy"] for name, row in found.items()} for found in seeds]
    lines += [f"| {name} | {sum(map(holds, accuracies))} of {len(seeds)} |" for name, holds in ORDERS.items()]
    for number in (n for n in seeds[0] if n.startswith("round")):
        still = sum(found[number]["chosen"] == ["t=0", "t=0"] for found in seeds)
        lines.append(f"| {number} moved nothing (t=0 chosen twice) | {still} of {len(seeds)} |")
    return "\n".join(lines)


def several(text: str) -> list[int]:
    """`3` or `0-99`."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=several, default=[0])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "alx"  # the same run gives the same file
    text, path = PLAN.read_text(), given.out / "classifier.json"
    result = {"plan": text, "tested": TESTED, "bayes": BAYES, "paper": PAPER, "seeds": {}}
    if path.exists():
        before = json.loads(path.read_text())
        if before["plan"] != text:
            raise SystemExit(f"'{path}' was made with another plan")
        result["seeds"] = before["seeds"]
    for seed in given.seeds:
        if str(seed) not in result["seeds"]:
            result["seeds"][str(seed)] = found = play(text, seed)
            part = path.with_suffix(".part")  # a run that is stopped here leaves the file whole
            part.write_text(json.dumps(result))
            part.replace(path)
            print(f"seed {seed}: " + ", ".join(f"{k} {v['accuracy']:.1%}" for k, v in found.items()), flush=True)
    draw(given.out, given.seeds[0], result["seeds"][str(given.seeds[0])])
    print(table([result["seeds"][str(seed)] for seed in given.seeds]))


if __name__ == "__main__":
    main()
