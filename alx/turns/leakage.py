"""What was found out from a bundle of this site's by attacks on it: for people, for machines, for the event log.

Figures stay here, as held-out samples and scores do.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from alx.errors import count
from alx.site import entries
from alx.site.entries import Sealed
from alx.tasks import membership
from alx.tasks.composition import LEAST_APART, LEAST_CLASSES, Composition
from alx.tasks.interval import CONFIDENCE, Interval
from alx.tasks.membership import ALARMS, Attack, Rare
from alx.tasks.one_run import Audit

ABOUT = "docs/leakage.md says what each attack is, and what is not tried"
MOMENTS = "LOOK: not attacked: second moments of own samples' features, which this bundle holds too"


@dataclass(frozen=True, slots=True)
class Leakage:
    """What was found.

    Attributes:
        turn: the bundle.
        models: of it that were looked at.
        own, apart: samples that the site trains on, and that it keeps apart.
        pairs: own samples that were each set beside one kept apart.
        classes: of these pairs.
        attacks: on who was trained on, each.
        rare: the same among the classes of which the site holds few; None where it holds about as much of each.
        audit: of the canaries; None where there are none.
        composition: which classes the site holds; None where there is nothing to tell.
        looked: at how many classes; samples of enough of them are kept apart.
        unlooked: of how many classes that the site holds nobody could tell that: too few samples of them are kept apart.
        moments: whether the bundle has second moments of own samples, which no attack here goes by.
        budget: epsilon of the plan's [privacy].
        both: of those kept apart, those that are trained on all the same: no attack goes by them. None: nobody looked.
    """

    turn: Sealed
    models: int
    own: int
    apart: int
    pairs: int
    classes: int
    attacks: list[Attack]
    rare: Rare | None
    audit: Audit | None
    composition: Composition | None
    looked: int
    unlooked: int
    moments: bool
    budget: float | None = None
    both: int | None = None

    @property
    def strongest(self) -> Attack:
        """That with the largest area."""
        return membership.strongest(self.attacks)

    @property
    def record(self) -> entries.Leakage:
        """For the event log."""
        best, held = self.strongest, self.composition
        return entries.Leakage(
            round=self.turn.round,
            digest=self.turn.digest,
            pairs=self.pairs,
            attack=best.name,
            auc=best.auc.value,
            low=best.auc.low,
            high=best.auc.high,
            found=best.found.value,
            alarms=best.alarms.value,
            rare=None if self.rare is None or self.rare.auc is None else self.rare.auc.value,
            epsilon=None if self.audit is None else self.audit.epsilon,
            classes=None if held is None else held.classes,
            right=None if held is None else held.right.value,
        )

    def json(self) -> dict[str, object]:
        """For machines."""
        held = self.composition
        return {
            "bundle": self.turn.bundle,
            "round": self.turn.round,
            "digest": self.turn.digest,
            "models": self.models,
            "samples": {
                "own": self.own,
                "apart": self.apart,
                "both": self.both,
                "pairs": self.pairs,
                "classes": self.classes,
            },
            "confidence": CONFIDENCE,
            "membership": {
                each.name: {
                    "auc": each.auc._asdict(),
                    "found_at_one_false_alarm_in_a_hundred": each.found._asdict(),
                    "false_alarms": each.alarms._asdict(),
                }
                for each in self.attacks
            },
            "strongest": self.strongest.name,
            "rare": None if self.rare is None else self.rare._asdict() | {"auc": self.rare.auc and self.rare.auc._asdict()},
            "canaries": None if self.audit is None else dataclasses.asdict(self.audit),
            "unlooked_classes": self.unlooked,
            "composition": None
            if held is None
            else {"classes": held.classes, "right": held.right._asdict(), "rank": held.rank},
            "not_attacked": ["moments"] if self.moments else [],
        }

    def words(self) -> list[str]:
        """For people."""
        of = f" of {count(self.classes, 'class', 'classes')}" if self.classes > 1 else ""
        together = f"all ranges but those 'by itself' hold together with {CONFIDENCE:.0%}"
        few = "  a half has fewer than 100 kept apart: the threshold is the highest score among them"
        return [
            f"round {self.turn.round}, '{self.turn.bundle}': {count(self.models, 'model')}, attacked as its receiver could",
            f"was this sample trained on? {count(self.pairs, 'own sample')}{of}, each beside one kept apart of its class",
            f"  {'attack':<12} {'area under ROC':<21} {'found at 1 false alarm in 100':<31} false alarms there",
            *(f"  {a.name:<12} {_between(a.auc):<21} {_percent(a.found):<31} {_percent(a.alarms)}" for a in self.attacks),
            f"  learnt on one half, measured on the other; a guess has 0.5; {together}",
            *([few] if int(ALARMS * (self.pairs // 2)) < 1 else []),
            *([] if self.rare is None else _rare(self.rare)),
            *_verdict(self.attacks, self.rare),
            *([] if self.audit is None else _audited(self.audit, self.budget)),
            *_held(self.composition, self.looked, self.unlooked),
            *_both(self.both, self.apart),
            *([MOMENTS] if self.moments else []),
            f"not found is not safe: {ABOUT}",
        ]


def _both(both: int | None, apart: int) -> list[str]:
    if both is None:
        return ["whether some samples kept apart are trained on too was not looked at"]
    told = f"LOOK: {both} of the {count(apart, 'sample')} kept apart have the input of one trained on"
    return [f"{told}: no attack goes by these"] if both else []


def _between(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _percent(found: Interval) -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


def _rare(found: Rare) -> list[str]:
    told, lost = [], f"{count(found.unmeasured_classes, 'class', 'classes')} ({count(found.unmeasured, 'own sample')})"
    if found.auc is not None:
        few = f"  among classes of which few are held ({count(found.samples, 'own sample')})"
        told.append(f"{few}, by '{found.attack}' within a class: area {_between(found.auc)}")
    if found.unmeasured_classes:
        told.append(f"LOOK: not measured: {lost} of which few are held, and nothing is kept apart")
    return told


def _verdict(attacks: Sequence[Attack], rare: Rare | None) -> list[str]:
    """What the figures say, and what they do not."""
    told = [
        f"LOOK: found: of two samples '{a.name}' points to the one that was {which} in {share:.0%} of cases"
        for a in attacks
        for which, share in _sides(a.auc)
    ] + [
        f"LOOK: found: '{a.name}' is sure of some samples that were trained on: {a.found.value:.1%} of them"
        for a in attacks
        if a.found.low > a.alarms.high
    ]
    told += [
        f"LOOK: found: samples of classes of which few are held look as if they had been {which}"
        for which, _ in ([] if rare is None or rare.auc is None else _sides(rare.auc))
    ]
    if told:
        return told
    best = membership.strongest(attacks)
    area = f"the strongest, '{best.name}', is right in {best.auc.value:.0%} of cases, which a guess may be"
    most = f"up to {max(_most(a.auc) for a in attacks):.0%}"
    if rare is not None and rare.auc is not None:
        most += f", and {_most(rare.auc):.0%} among classes of which few are held,"
    return [f"not found by these attacks, with so many samples: {area}; {most} cannot be ruled out"]


def _most(auc: Interval) -> float:
    """In how many cases whoever goes by a score, or by its opposite, may be right."""
    return max(auc.high, 1 - auc.low)


def _sides(auc: Interval) -> list[tuple[str, float]]:
    """Which of two samples an area surely points to, and how often: if to the one left out, whoever turns it is right."""
    if auc.low > 0.5:  # noqa: PLR2004 - a guess
        return [("trained on", auc.value)]
    return [("left out", 1 - auc.value)] if auc.high < 0.5 else []  # noqa: PLR2004 - as above


def _audited(found: Audit, budget: float | None) -> list[str]:
    look = "LOOK: " if budget is not None and found.epsilon > budget else "  "
    plan, sure = "" if budget is None else f"; the plan's is {budget:g}", f"by itself {CONFIDENCE:.0%}"
    return [
        f"canaries: a coin put {found.inside} of {found.canaries} own samples into training and left the others out",
        f"  of {found.guesses} guesses about it {found.right} were right (a guess: half)",
        f"{look}epsilon is at least {found.epsilon:.2f} at delta {found.delta:g} ({sure}){plan}",
    ]


def _held(told: Composition | None, looked: int, unlooked: int) -> list[str]:
    asked, few = "which classes are held here?", f"of which fewer than {LEAST_APART} samples could be looked at"
    lost = [f"LOOK: not measured: {count(unlooked, 'class', 'classes')} {few}"] if unlooked else []
    if told is None and (unlooked or looked < LEAST_CLASSES):
        why = "" if unlooked else f": {LEAST_APART} samples kept apart of each of two classes are needed"
        return [f"{asked} this was not measured{why}", *lost]
    if told is None:
        return [f"{asked} nothing to tell: as many samples are held of each, or no class's loss is finite"]
    right, rank = told.right, "" if told.rank is None else f"; rank correlation with the truth {told.rank:.2f}"
    between = f"{right.low:.0%} to {right.high:.0%} (by itself {CONFIDENCE:.0%})"
    return [
        f"{asked} a class's loss falls within the turn where a site holds more than of an average one",
        f"  told rightly by that: {round(right.value * told.classes)} of {told.classes}, {between}; a guess: half{rank}",
        *lost,
    ]
