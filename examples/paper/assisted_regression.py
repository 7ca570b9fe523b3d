"""Figure 1: where AssistDeep goes in a regression of two numbers, over real sites and bundles.

    python assisted_regression.py --out docs/results-plane

writes regression.png, regression.svg, and regression.json with every number in them, and prints a table.

The paper gives a = [-1, -1], b = [1, -1.25] and no model. Our reading: a holds the learner's two responses, b the
provider's, at the inputs (1, 0) and (0, 1). So the losses are |theta - a|^2 and |theta - b|^2, a and b are the two local
optima, and half way between them lies the oracle.
"""

import argparse
import json
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from safetensors.torch import load

from alx import plan, turns
from alx.site.site import Site
from alx.site.site_file import SiteFile
from alx.study import exchange

HERE = Path(__file__).parent / "regression"
A, B = [-1.0, -1.0], [1.0, -1.25]
SHOWN = 9  # the last theta^r of the paper's figure
LEARNER, PROVIDER, ASSISTED, ORACLE = "#D55E00", "#E69F00", "#0072B2", "#000000"  # Okabe and Ito's


def play() -> dict:
    """Every theta^r, the provider's start before it, and what both were chosen as."""
    text = (HERE / "plan.toml").read_text()
    agreed = plan.parse(text.encode()).plan
    configs = {
        role: SiteFile(role=role, task=str(HERE / "task.py"), device="cpu", settings={"responses": responses})
        for role, responses in (("learner", A), ("provider", B))
    }
    start = agreed.settings["start"]
    rounds = [{"round": 0, "theta": start, "loss": loss(start)}]
    with tempfile.TemporaryDirectory() as folder:
        both = exchange.begin(Path(folder), text, configs, agreed.seed, lambda _line: None)
        for number in range(1, agreed.rounds + 1):
            there, back = both.play(number)
            rounds.append(
                {
                    "round": number,
                    "rate": agreed.optimiser.lr**number,
                    "start": selected(both.sites["provider"]),
                    "start_chosen": there.chosen.selected.label,
                    "theta": selected(both.sites["learner"]),
                    "theta_chosen": back.chosen.selected.label,
                    "loss": back.chosen.selected.global_loss,
                }
            )
    return {"a": A, "b": B, "oracle": np.mean([A, B], 0).tolist(), "rounds": rounds}


def selected(site: Site) -> list[float]:
    (theta,) = load(turns.best_file(turns.latest(site.look())))["weight"].tolist()
    return theta


def loss(theta: list[float]) -> float:
    """On both parties' data."""
    return float(sum(np.sum((np.array(theta) - optimum) ** 2) for optimum in (A, B)))


def draw(path: Path, result: dict) -> None:
    found = result["rounds"][: SHOWN + 1]
    thetas = np.array([r["theta"] for r in found])
    figure, (plane, time) = plt.subplots(1, 2, figsize=(11, 7), dpi=100, layout="constrained")
    way = [found[0]["theta"], *(point for r in found[1:] for point in (r["start"], r["theta"]))]
    _plane(plane, np.array(way), thetas, result["oracle"])
    time.axhline(A[0], color=LEARNER, linestyle="--", linewidth=1.4)
    time.axhline(B[0], color=PROVIDER, linestyle="--", linewidth=1.4)
    time.axhline(result["oracle"][0], color=ORACLE, linestyle="--", linewidth=1.4)
    for value, name in ((A[0], "a, the learner's\noptimum"), (B[0], "b, the provider's\noptimum"), (0, "oracle")):
        time.annotate(name, (SHOWN + 0.3, value), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
    time.plot(range(len(thetas)), thetas[:, 0], marker="o", color=ASSISTED)
    time.set(xlabel="round r", ylabel=r"first coordinate of $\theta^r$", xticks=range(len(thetas)), xlim=(-0.3, SHOWN + 0.3))
    time.set_title("The same points by round", fontsize=10)
    for axes in (plane, time):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        "Fig. 1: learning trajectory of AssistDeep in a synthetic regression\n"
        r"our reading: losses $\|\theta-a\|^2$ and $\|\theta-b\|^2$, gradient steps on their halves, "
        rf"$\theta^0$ = ({thetas[0, 0]:g}, {thetas[0, 1]:g}); the paper gives no model and no start",
        fontsize=11,
    )
    for ending in ("png", "svg"):
        figure.savefig(path / f"regression.{ending}", metadata={"Date": None} if ending == "svg" else None)
    plt.close(figure)


def _plane(axes, way: np.ndarray, thetas: np.ndarray, oracle: list[float]) -> None:
    across, up = np.meshgrid(np.linspace(-1.5, 1.5, 151), np.linspace(-1.9, 2.4, 216))
    height = sum((across - p[0]) ** 2 + (up - p[1]) ** 2 for p in (A, B))
    lines = axes.contour(across, up, height, levels=[2.5, 4, 7, 12, 19], colors="0.75", linewidths=0.8)
    axes.clabel(lines, fontsize=7, fmt="%g")
    axes.plot(*zip(A, B, strict=True), color="0.6", linewidth=0.8, linestyle=":")
    axes.plot(*way.T, color=ASSISTED, linewidth=1.2, marker="o", markersize=5, markerfacecolor="white", zorder=4)
    axes.plot(
        *thetas.T, color=ASSISTED, linewidth=0, marker="o", markersize=5, zorder=5, label=r"$\theta^r$, with r beside it"
    )
    axes.plot([], color=ASSISTED, marker="o", markersize=5, markerfacecolor="white", label="where the provider starts")
    for number, theta in enumerate(thetas):
        offset = (0, -13) if number % 2 and number > 1 else (0, 6)  # clear of the line from 1
        axes.annotate(str(number), theta, xytext=offset, textcoords="offset points", ha="center", fontsize=8, color=ASSISTED)
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    for point, colour, marker, name in ((A, LEARNER, "s", "a"), (B, PROVIDER, "s", "b"), (oracle, ORACLE, "*", "oracle")):
        axes.plot(*point, marker, color=colour, markersize=13 if marker == "*" else 8, zorder=3)
        axes.annotate(name, point, xytext=(0, -16), textcoords="offset points", ha="center", fontsize=9)
    axes.set(xlabel=r"$\theta_1$", ylabel=r"$\theta_2$", xlim=(-1.5, 1.5), ylim=(-1.9, 2.4), aspect="equal")
    axes.set_title(rf"$\theta^r$, r = 0 to {len(thetas) - 1}; contours: the loss on both parties' data", fontsize=10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "alx"  # the same run gives the same file
    result = play()
    draw(given.out, result)
    (given.out / "regression.json").write_text(json.dumps(result, indent=1))
    print("| round | rate | the provider starts at | theta^r | loss at theta^r | distance to the oracle |")
    print("|---" * 6 + "|")
    for r in result["rounds"]:
        rate, start = (f"{r['rate']:.3f}", f"{pair(r['start'])}, {r['start_chosen']}") if r["round"] else ("", "")
        theta = f"{pair(r['theta'])}, {r['theta_chosen']}" if r["round"] else pair(r["theta"])
        far = np.hypot(*np.subtract(r["theta"], result["oracle"]))
        print(f"| {r['round']} | {rate} | {start} | {theta} | {r['loss']:.3f} | {far:.3f} |")


def pair(theta: list[float]) -> str:
    return f"({theta[0]:.3f}, {theta[1]:.3f})"


if __name__ == "__main__":
    main()
