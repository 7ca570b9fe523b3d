"""Figures 11 and 12: where the lander flew, AssistPG beside Learner-PG, on one map.

    python landings.py runs/lunarlander --out docs/results-rl

writes landings.png (engine powers 10, 20, 30, 40; one trace a round) and landings-tests.png (four powers of each test,
after the last round), and landings.json.
"""

import argparse
import json
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from policies import MAP, SHOWN, lander, play, policy, rounds_of, run_of

from alx.study.games import LUNAR_LANDER

POWERS = (10, 20, 30, 40)
CAP = 1000
MARKS = {"landed": "o", "standing": "s", "crashed or left": "X", "still up": ">"}


def called(runs: Path, shown: str) -> str:
    algorithm, turns = SHOWN[shown]
    return f"{algorithm} ({turns * run_of(runs)['turn']} steps a round)"


def fly(runs: Path, seed: int, shown: str, number: int, power: float) -> dict:
    moments = list(play(lander(power), policy(runs, seed, shown, number), CAP))
    last = moments[-1]
    if last.ended:
        how = "landed" if last.reward > 0 else "crashed or left"  # +100 at rest, -100 otherwise
    else:
        how = "standing" if last.observation[6] and last.observation[7] else "still up"  # on both legs, engines on
    return {
        "algorithm": called(runs, shown),
        "round": number,
        "power": power,
        "end": how,
        "steps": len(moments) - 1,
        "return": round(sum(m.reward for m in moments), 1),
        "x": [round(float(m.observation[0]), 3) for m in moments],
        "y": [round(float(m.observation[1]), 3) for m in moments],
    }


def ground(axis) -> None:
    env = lander(13.0)
    env.reset(seed=MAP)
    half, pad = 10.0, env.helipad_y + 18 / 30
    xs = [env.sky_polys[0][0][0], *(p[1][0] for p in env.sky_polys)]
    ys = [env.sky_polys[0][0][1], *(p[1][1] for p in env.sky_polys)]
    across, up = [(x - half) / half for x in xs], [(y - pad) / (400 / 30 / 2) for y in ys]  # as the lander observes
    axis.fill_between(across, up, -0.6, color="0.85", linewidth=0)
    axis.plot([-0.2, 0.2], [-0.09, -0.09], color="#E69F00", linewidth=4, solid_capstyle="butt")
    axis.set(xlim=(-1.05, 1.05), ylim=(-0.6, 1.75), xticks=[], yticks=[])


def panel(axis, flights: list[dict], colours: list, title: str) -> None:
    ground(axis)
    for flight, colour in zip(flights, colours, strict=True):
        axis.plot(flight["x"], flight["y"], color=colour, linewidth=1.6, alpha=0.9)
        at = flight["x"][-1], flight["y"][-1]
        axis.plot(*at, MARKS[flight["end"]], color=colour, markeredgecolor="white", markersize=8)
    axis.set_title(title, fontsize=9)


def legend(figure, lines: dict[str, object]) -> None:
    handles = [plt.Line2D([], [], color=c, linewidth=2, label=name) for name, c in lines.items()]
    handles += [plt.Line2D([], [], color="0.3", marker=m, linestyle="", label=name) for name, m in MARKS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9)


def by_round(path: Path, runs: Path, seed: int) -> list[dict]:
    rounds = rounds_of(runs)
    figure, axes = plt.subplots(len(SHOWN), len(POWERS), figsize=(12, 9.4), dpi=100, layout="constrained")
    colours = [mpl.colormaps["viridis_r"](0.15 + 0.8 * i / (len(rounds) - 1)) for i in range(len(rounds))]
    flown = []
    for row, shown in zip(axes, SHOWN, strict=True):
        for axis, power in zip(row, POWERS, strict=True):
            flights = [fly(runs, seed, shown, number, power) for number in rounds]
            panel(axis, flights, colours, f"{called(runs, shown)}, power {power}")
            flown += flights
    legend(figure, {f"round {n}": c for n, c in zip(rounds, colours, strict=True)})
    figure.suptitle(f"Fig. 11: landings on one map (seed {MAP}), policies of seed {seed}", fontsize=11)
    figure.savefig(path)
    plt.close(figure)
    return flown


def by_test(path: Path, runs: Path, seed: int) -> list[dict]:
    last = rounds_of(runs)[-1]
    figure, axes = plt.subplots(2, 4, figsize=(12, 6.4), dpi=100, layout="constrained")
    colours = ["#0072B2", "#D55E00", "#CC79A7"]
    flown = []
    for row, name in zip(axes, LUNAR_LANDER.tests, strict=True):
        for axis, power in zip(row, LUNAR_LANDER.test(name, seed, 4), strict=True):
            flights = [fly(runs, seed, shown, last, power) for shown in SHOWN]
            panel(axis, flights, colours, f"{name}: engine power {power:.1f}")
            flown += [f | {"test": name} for f in flights]
    legend(figure, dict(zip((called(runs, s) for s in SHOWN), colours, strict=True)))
    figure.suptitle(f"Fig. 12: landings after round {last} on one map (seed {MAP}), policies of seed {seed}", fontsize=11)
    figure.savefig(path)
    plt.close(figure)
    return flown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if run_of(given.runs)["game"] != "lunarlander":
        raise SystemExit(f"'{given.runs}' holds a run of another game than lunarlander")
    given.out.mkdir(parents=True, exist_ok=True)
    flown = {
        "by_round": by_round(given.out / "landings.png", given.runs, given.seed),
        "by_test": by_test(given.out / "landings-tests.png", given.runs, given.seed),
    }
    (given.out / "landings.json").write_text(json.dumps({"map": MAP, "seed": given.seed} | flown))
    for kind, flights in flown.items():
        for f in flights:
            place = f"{f['test']}, " if "test" in f else ""
            print(f"{kind}: {f['algorithm']}, round {f['round']}, {place}power {f['power']:.1f}: {f['end']}, {f['return']}")


if __name__ == "__main__":
    main()
