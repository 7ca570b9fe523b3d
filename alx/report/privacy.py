"""What of a site's privacy budget is spent, and what noise it has, in words.

Knows the plan and what the ledger tells of the budget; knows no accountant.
"""

from typing import Protocol

from alx.errors import count
from alx.plan import Plan
from alx.records import Role
from alx.site.budget import Budget
from alx.site.position import Position

# Of the noise in all of a step's weights to the longest that its sum of gradients can be on the average, and of the noise
# a sample in a loss to what a guess loses: above them little was learnt, or chosen, as measured (docs/privacy.md).
STEP_LOOK, LOSS_LOOK = 4.0, 0.1
DELTA_LOOK = 0.1  # of delta to one in so many samples: from 1 on, to publish one sample whole keeps the promise


def spent(plan: Plan, known: Budget) -> list[str]:
    """How far the budget is spent, and when it ends; nothing where the plan has none."""
    privacy = plan.privacy
    if privacy is None:
        return []
    turns, last = plan.rounds + privacy.spare, known.last
    left = max(0, turns - known.taken)
    more = f", and {known.taken - turns} beyond them" if known.taken > turns else ""
    lost = f", {known.lost} by restores and resets" if known.lost else ""
    gone = f"{min(known.taken, turns)} of the budget's {count(turns, 'turn')} gone{more}{lost}"
    ends = f"it ends after {count(left, 'turn')} more" if left else "no turn is left"
    if last is not None and last.epsilon is None:
        told = "how much of epsilon is spent is told at the next turn"
    else:
        so_far = 0.0 if last is None else last.epsilon
        told = f"epsilon {so_far:.4g} of {privacy.epsilon:g} spent by the last turn, at delta {privacy.delta:g}"
    return [f"privacy: {told}; {gone}; {ends}"]


def ended(plan: Plan, known: Budget, position: Position, role: Role) -> tuple[str, str] | None:
    """Where the budget has no turn, or no choice, left and this site still needs one: what to know, and what to run next.

    Args:
        plan: the agreement.
        known: what of the budget is spent.
        position: where the exchange stands.
        role: this site's.
    """
    privacy, begun, following = plan.privacy, known.begun, position.next_command
    if privacy is None or position.step not in ("train", "import") or known.taken < plan.rounds + privacy.spare:
        return None
    importing, beyond = position.step == "import", known.taken > plan.rounds + privacy.spare
    best = "alx best writes the best model so far, on either side; tell the peer that no bundle follows, and no closing"
    last = "alx best OUT.safetensors"
    if not position.selected and (beyond or not importing):  # in round 1: there is no model, and no import brings one
        best = "tell the peer; new sites on both sides have a budget that adds to this one for the same samples"
        last = "alx init, for a new site"
    if importing and beyond:
        return (
            f"LOOK: more of the privacy budget is gone than it has, so this site cannot import what the peer sends: {best}",
            last,
        )
    if not importing and begun is not None and begun.round == position.round:
        goes_on = "alx train-local goes on with it as long as its noise.key, data, machine and versions are the same"
        return f"LOOK: round {begun.round} was begun and has its share: {goes_on}; else no turn is left: {best}", following
    due = position.round + (importing and role == "learner")
    if due > plan.rounds:
        return None
    first = "the peer's bundle can still be imported; then " if importing else ""
    told = f"LOOK: the privacy budget has no turn left, so this site cannot train in round {due}: {first}{best}"
    return told, following if importing else last


def spent_json(plan: Plan, known: Budget) -> dict[str, object] | None:
    """The same for machines."""
    privacy = plan.privacy
    if privacy is None:
        return None
    turns = plan.rounds + privacy.spare
    return {
        "epsilon": privacy.epsilon,
        "delta": privacy.delta,
        "epsilon_spent": 0.0 if known.last is None else known.last.epsilon,
        "turns": turns,
        "turns_taken": known.taken,
        "turns_lost": known.lost,
        "turns_left": max(0, turns - known.taken),
    }


class Planned(Protocol):
    """What is needed of `alx.turns.budget.Planned`: the noise that a turn will have."""

    @property
    def noise(self) -> float:
        """Multiplier of a step's noise."""
        ...

    @property
    def rate(self) -> float:
        """The chance of each sample to be in a step."""
        ...

    @property
    def deviation(self) -> float:
        """Of the noise in each loss sum of a bundle."""
        ...

    @property
    def samples(self) -> int:
        """Of the site."""
        ...

    @property
    def weights(self) -> int:
        """That are trained."""
        ...


def planned(plan: Plan, turn: Planned) -> list[str]:
    """What noise a site will have; nothing where the plan has no [privacy]."""
    privacy = plan.privacy
    if privacy is None:
        return []
    noise, rate, samples, weights, deviation = turn.noise, turn.rate, turn.samples, turn.weights, turn.deviation
    limit, a_sample = plan.loss_limit or 1.0, deviation / samples
    whole = noise * weights**0.5 / (rate * samples)
    over = f"{count(plan.rounds, 'turn')} and {privacy.spare} spare"
    return [
        f"privacy: epsilon {privacy.epsilon:g} at delta {privacy.delta:g} for each sample of this site, over {over}",
        f"a step draws each sample with a chance of {rate:.3g}; its noise is {noise:.3g} times the clip in every weight",
        f"in all weights it is {whole:.2g} times the longest that the sum of gradients can be",
        f"a loss sum has noise of {deviation:.3g}, {a_sample:.2g} a sample; a sample counts {limit:.3g} at most",
    ]


def looks(plan: Plan, turn: Planned) -> list[str]:
    """Where the noise drowns what is to be learnt, or the promise is none."""
    privacy = plan.privacy
    if privacy is None:
        return []
    whole = turn.noise * turn.weights**0.5 / (turn.rate * turn.samples)
    limit, a_sample, told = plan.loss_limit or 1.0, turn.deviation / turn.samples, []
    if whole > STEP_LOOK:
        told.append(
            f"LOOK: the noise of a step is {whole:.2g} times the longest that the sum of its gradients can be; above "
            f"{STEP_LOOK:g} little is learnt: larger batches, fewer rounds, fewer trained weights, or more samples"
        )
    if a_sample > LOSS_LOOK * limit:
        told.append(
            f"LOOK: the noise of a loss is {a_sample:.2g} a sample, and models differ by {limit:.3g} at most: choices are "
            'little better than chance; candidates = "trajectory", a larger loss_share, or more samples'
        )
    if privacy.delta * turn.samples > DELTA_LOOK:
        told.append(
            f"LOOK: delta {privacy.delta:g} with {count(turn.samples, 'sample')}: a promise to each of them has less than "
            f"{DELTA_LOOK / turn.samples:.1g}, one in ten times their number"
        )
    return told
