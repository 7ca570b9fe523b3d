"""What bundles tell about the data, by the attacks of `alx leakage`: who was trained on, and which classes a site holds.

    python -m tests.bench.told demo [SEEDS]         the demo's exchange: docs/leakage.md, docs/threat-model.md
    python -m tests.bench.told private [SEEDS]      digits of docs/privacy.md, dealt out as the demo's: without [privacy],
                                                    and at epsilon 8 and 1
    python -m tests.bench.told canaries [SEEDS]     the same with 300 canaries on each side

Plays an exchange for each seed, attacks all of its bundles, and prints the mean over bundles and seeds, side by side.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from alx import turns
from alx.study import exchange
from alx.study.demo import digits
from alx.tasks import interval
from alx.turns import Leakage
from tests.bench import private

CANARIES = 300
BUDGETS = (None, 8.0, 1.0)
PRIVATE_ROUNDS = 3


def played(plan: str | None, rounds: int, seed: int, canaries: int = 0) -> dict[str, list[Leakage]]:
    """Play one exchange on the demo's data, and attack all bundles of each side.

    Args:
        plan: the agreement; None is the demo's.
        rounds: of it.
        seed: of the data, the weights and the turns.
        canaries: of each side.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        case = digits.case(folder, rounds, seed)
        if plan is not None:
            case = dataclasses.replace(case, plan=plan)
        configs = {
            name: each.model_copy(update={"data": each.data and each.data.model_copy(update={"canaries": canaries})})
            for name, each in case.configs.items()
        }
        both = exchange.begin(folder, case.plan, configs, seed, lambda _line: None)
        for number in range(1, rounds + 1):
            both.play(number)
        found: dict[str, list[Leakage]] = {}
        for role, site in both.sites.items():
            with site.locked("leakage") as now:
                found[role] = [turns.attack(now, number) for number in range(1, rounds + 1)]
    return found


def table(name: str, found: dict[str, list[Leakage]]) -> None:
    """Print what was found, side by side."""
    for role, all_of in found.items():
        bundles, looked = len(all_of), sum(each.pairs for each in all_of)
        told = sum(any(word.startswith("LOOK: found") for word in each.words()) for each in all_of)
        print(f"{name}, the {role}: {bundles} bundles, {looked / bundles:.0f} pairs each; something found in {told}")
        for i, attack in enumerate(all_of[0].attacks):
            areas = [each.attacks[i].auc.value for each in all_of]
            hits, alarms = (
                interval.rate(round(sum(getattr(e.attacks[i], what).value * e.pairs for e in all_of)), looked)
                for what in ("found", "alarms")
            )
            print(
                f"    {attack.name:<12} area {np.mean(areas):.3f} ({min(areas):.2f} to {max(areas):.2f})   found "
                f"{hits.value:.1%} at {alarms.value:.1%} false alarms"
            )
        rare = [(each.rare.auc, each.rare.samples) for each in all_of if each.rare is not None and each.rare.auc is not None]
        if rare:
            areas, samples = [auc.value for auc, _ in rare], [each for _, each in rare]
            mean, surely = np.average(areas, weights=samples), sum(auc.low > 0.5 for auc, _ in rare)
            ends = f"{min(areas):.2f} to {max(areas):.2f}"
            print(f"    rare classes area {mean:.3f} ({ends}), {np.mean(samples):.0f} samples; found in {surely}")
        audits = [each.audit for each in all_of if each.audit is not None]
        if audits:
            right = sum(each.right for each in audits) / sum(each.guesses for each in audits)
            ends = f"{min(a.epsilon for a in audits):.2f} to {max(a.epsilon for a in audits):.2f}"
            over = sum(a.epsilon > (each.budget or np.inf) for a, each in zip(audits, all_of, strict=True))
            print(f"    canaries     {right:.1%} of guesses right; epsilon at least {ends}; above the budget in {over}")
        held = [each.composition for each in all_of if each.composition is not None]
        classes = sum(each.classes for each in held)
        right = interval.rate(round(sum(each.right.value * each.classes for each in held)), classes)
        ranks = [each.rank for each in held if each.rank is not None]
        print(
            f"    classes      told rightly {right.value:.1%} of {classes}; rank correlation {np.mean(ranks):.2f}",
            flush=True,
        )


def main(what: str, seeds: int) -> None:
    """Play, attack, print."""
    plans: dict[str, tuple[str | None, int]] = {"demo": (None, digits.ROUNDS)}
    if what != "demo":
        plans = {}
        for budget in BUDGETS:
            text = "" if budget is None else f"\n[privacy]\nepsilon = {budget}\ndelta = 1e-5\nloss_clip = 2.3026\n"
            plans["no privacy" if budget is None else f"epsilon {budget:g}"] = private.DIGITS + text, PRIVATE_ROUNDS
    for name, (plan, rounds) in plans.items():
        found: dict[str, list[Leakage]] = {}
        for seed in range(seeds):
            seeded = None if plan is None else f"seed = {seed}\n{plan}"
            for role, each in played(seeded, rounds, seed, CANARIES if what == "canaries" else 0).items():
                found.setdefault(role, []).extend(each)
        table(name, found)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.told")
    arguments.add_argument("what", choices=("demo", "private", "canaries"))
    arguments.add_argument("seeds", type=int, nargs="?", default=5)
    asked = arguments.parse_args()
    main(asked.what, asked.seeds)
