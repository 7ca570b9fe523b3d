"""Many policies of one shape side by side, each with a run of its own.

A row stands for both sites of one run. Poles, policies and Adam are written out anew, for all rows in one pass: a step of 32
episodes is mostly overhead, and so many runs cost little more than one. Nothing is sealed. The poles are gymnasium's
(`CartPoleVectorEnv`), the rest is what `alx.tasks.policy_gradient`, `alx.turns.train` and `torch.optim.Adam` do.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from alx.learning.blend import RECIPES, blend

LEFT_TRACK, FELL = 2.4, 12 * 2 * math.pi / 360  # gymnasium's
WEIGHT = 3  # dimensions of a layer's weights: rows, outputs, inputs
BETAS, EPS = (0.9, 0.999), 1e-8  # torch.optim.Adam's
States = dict[str, Tensor]  # by name, one row a run


@dataclass(frozen=True)
class Run:
    """What one row does.

    Attributes:
        turns: whose environments are played in the first and in the second turn of a round.
        selects: goes on from the best of what a turn offers; else from its last state.
        kept: Adam's state goes on over the turns of one side; else it starts afresh.
        hold: weight of the trust region.
        blended: blends are offered beside the snapshots.
        discounted: snapshots are measured by discounted returns, as the paper does; else by plain ones.
    """

    turns: tuple[str, str] = ("learner", "provider")
    selects: bool = True
    kept: bool = False
    hold: float = 0.0
    blended: bool = False
    discounted: bool = True


class Policies(nn.Module):
    """As many policies as rows: observations [rows, n, inputs] -> logits [rows, n, actions]."""

    def __init__(self, states: States) -> None:
        super().__init__()
        self.names = list(states)
        self.weights = nn.ParameterList([nn.Parameter(v.clone()) for v in states.values()])

    def states(self) -> States:
        return {n: p.detach().clone() for n, p in zip(self.names, self.weights, strict=True)}

    def transposed(self) -> list[Tensor]:
        return [w.transpose(1, 2) if w.ndim == WEIGHT else w.unsqueeze(1) for w in self.weights]

    def forward(self, x: Tensor) -> Tensor:
        return logits_of(self.transposed(), x)


def logits_of(weights: list[Tensor], x: Tensor) -> Tensor:
    """[rows, n, inputs] -> [rows, n, actions], as `alx.tasks.models.mlp`."""
    for i in range(0, len(weights), 2):
        x = torch.baddbmm(weights[i + 1], x if i == 0 else x.relu(), weights[i])
    return x


class Adam:
    """torch's, with a count of steps for each row, so that some rows may start afresh."""

    def __init__(self, policies: Policies, lr: float) -> None:
        self.parameters, self.lr = list(policies.weights), lr
        self.moments = [[torch.zeros_like(p) for p in self.parameters] for _ in BETAS]
        self.steps = torch.zeros(len(self.parameters[0]), dtype=torch.float64)

    def forget(self, rows: Tensor) -> None:
        self.steps[rows] = 0
        for moment in (m for of in self.moments for m in of):
            moment[rows] = 0

    @torch.no_grad()
    def step(self) -> None:
        self.steps += 1
        first, second = (1 - beta**self.steps for beta in BETAS)
        for p, m, v in zip(self.parameters, *self.moments, strict=True):
            shape = (-1,) + (1,) * (p.ndim - 1)
            m.mul_(BETAS[0]).add_(p.grad, alpha=1 - BETAS[0])
            v.mul_(BETAS[1]).addcmul_(p.grad, p.grad, value=1 - BETAS[1])
            size = (self.lr / first).to(p.dtype).view(shape)
            p.sub_(size * m / (v.sqrt() / second.sqrt().to(p.dtype).view(shape) + EPS))


@dataclass(frozen=True)
class Played:
    """Episodes of every row: what was seen [T, rows, n, 4], what was done [T, rows, n], how long they lasted [rows, n]."""

    seen: Tensor
    actions: Tensor
    lasted: Tensor

    def to_go(self, discount: float) -> Tensor:
        """Discounted rewards from each step on, [T, rows, n]: each step pays 1."""
        left = self.lasted - torch.arange(int(self.lasted.max())).view(-1, 1, 1)
        left = left.clamp(min=0).to(torch.float64)
        return left if discount == 1 else (1 - discount**left) / (1 - discount)


def play(
    policies: Policies, lengths: Tensor, max_steps: int, generator: torch.Generator, *, keep: bool = True, times: int = 1
) -> Played:
    """One episode for each length [rows, n]; actions are drawn, the same chances for each of `times` parts of the rows."""
    rows, n = lengths.shape

    def chances() -> Tensor:
        return torch.rand((rows // times, n), generator=generator).repeat(times, 1)

    weights = policies.transposed()
    state = [chances() * 0.1 - 0.05 for _ in range(4)]
    mass, total = 0.1, 1.1
    moment = mass * lengths
    lasted = torch.full(lengths.shape, max_steps)
    alive = torch.ones(lengths.shape, dtype=torch.bool)
    seen, actions = [], []
    with torch.no_grad():
        for at in range(max_steps):
            x = torch.stack(state, 2)
            logits = logits_of(weights, x)
            right = chances() < (logits[..., 1] - logits[..., 0]).sigmoid()
            if keep:
                seen.append(x)
                actions.append(right)
            place, speed, angle, turning = state
            cos, sin = angle.cos(), angle.sin()
            push = (right * 20.0 - 10.0 + moment * turning.square() * sin) / total
            turned = (9.8 * sin - cos * push) / (lengths * (4 / 3 - mass * cos.square() / total))
            moved = push - moment * turned * cos / total
            state = [place + 0.02 * speed, speed + 0.02 * moved, angle + 0.02 * turning, turning + 0.02 * turned]
            ended = alive & ((state[0].abs() > LEFT_TRACK) | (state[2].abs() > FELL))
            lasted[ended] = at + 1
            alive &= ~ended
            if not at % 10 and not alive.any():
                break
    none = torch.empty(0)
    return Played(torch.stack(seen) if keep else none, torch.stack(actions) if keep else none, lasted)


@dataclass(frozen=True)
class Settings:
    """The plan's, and everybody's poles: [rows, n] by whose they are."""

    poles: dict[str, list[list[float]]]
    batch: int
    episodes: int
    discount: float
    max_steps: int
    lr: float
    period: int


class Runs:
    """Rows in training.

    Args:
        runs: one a row.
        first: each row's first policy.
        settings: of all.
        seed: of every episode.
    """

    def __init__(self, runs: list[Run], first: States, settings: Settings, seed: int) -> None:
        self.runs, self.settings, self.start = runs, settings, first
        self.policies = Policies(first)
        self.adams = [Adam(self.policies, settings.lr) for _ in range(2)]
        self.hold = torch.tensor([r.hold for r in runs])
        self.sent: list[tuple[States, States] | None] = [None, None]  # by turn: its first and its last states
        self.generator = torch.Generator().manual_seed(seed)

    def step(self, who: tuple[str, ...], adam: Adam) -> None:
        """One optimiser step of every row."""
        of = self.settings
        own = [of.poles[w][i] for i, w in enumerate(who)]
        slots = [np.arange(of.batch) % len(values) for values in own]
        lengths = torch.tensor([[values[j] for j in slot] for values, slot in zip(own, slots, strict=True)])
        shares = torch.tensor(np.array([1 / (len(v) * np.bincount(s)[s]) for v, s in zip(own, slots, strict=True)]))
        played = play(self.policies, lengths, of.max_steps, self.generator)
        last = int(played.lasted.max())

        def flat(values: Tensor) -> Tensor:  # [T, rows, n, …] -> [rows, T · n, …]
            return values[:last].transpose(0, 1).flatten(1, 2)

        to_go = flat(played.to_go(of.discount))
        mask = to_go > 0
        steps = mask.sum(1, keepdim=True)
        gain = torch.where(mask, to_go - to_go.sum(1, keepdim=True) / steps, 0)
        weight = flat(shares.expand(last, -1, -1)) * mask
        seen = flat(played.seen)
        log_probs = self.policies(seen).log_softmax(2)
        score = log_probs.gather(2, flat(played.actions).long().unsqueeze(2)).squeeze(2)
        loss = -((gain * weight).float() * score).sum()
        if self.hold.any():
            with torch.no_grad():
                before = self.held(seen).log_softmax(2)
            apart = (before.exp() * (before - log_probs)).sum(2)
            spread = (gain.square().sum(1) / steps.squeeze(1)).sqrt().float()
            loss = loss + (self.hold * spread * (weight.float() * apart).sum(1)).sum()
        self.policies.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()

    def losses(self, states: States, sides: list[tuple[str, ...]], rows: list[int], times: int) -> Tensor:
        """Minus the summed mean returns of these rows' policies, `times` of each, on the same episodes each time."""
        of = self.settings
        own = [[v for who in sides for v in of.poles[who[row]][row]] for row in rows]
        lengths = torch.tensor(own).repeat_interleave(of.episodes, 1).repeat(times, 1)
        same = torch.Generator().manual_seed(7)
        played = play(Policies(states), lengths, of.max_steps, same, keep=False, times=times)
        lasted = played.lasted.to(torch.float64)
        returns = lasted.clone()
        discounted = torch.tensor([self.runs[row].discounted for row in rows] * times)
        returns[discounted] = (1 - of.discount ** lasted[discounted]) / (1 - of.discount)
        return (-returns.sum(1) / of.episodes).view(times, len(rows))

    def turn(self, number: int, steps: int) -> list[int]:
        """One turn of every row, and the other side's selection.

        Args:
            number: 0 is the first of a round.
            steps: of it.

        Returns:
            The chosen step of each row; -1 is a blend.
        """
        mine = tuple(r.turns[number] for r in self.runs)
        theirs = tuple(r.turns[1 - number] for r in self.runs)
        adam = self.adams[number]
        alone = torch.tensor([r.turns[0] == r.turns[1] for r in self.runs])
        self._share(alone, self.adams[1 - number], adam)  # who is alone has one optimiser for both turns
        adam.forget(torch.tensor([not r.kept for r in self.runs]))
        self.held = Policies(self.start)
        with torch.no_grad():
            for p, v in zip(self.policies.weights, self.start.values(), strict=True):
                p.copy_(v)
        kept = {0: self.policies.states()}
        for at in range(1, steps + 1):
            self.step(mine, adam)
            if at == steps or at % self.settings.period == 0:
                kept[at] = self.policies.states()
        first, last = kept[0], kept[steps]
        offered = list(kept.items())
        peer, before = self.sent[1 - number], self.sent[number]
        if peer is not None:
            recipes = [r for r in RECIPES if before is not None or not r.momentum]
            offered += [(-1, blend(first, last, peer[1], (before or kept)[0], r, set(first))) for r in recipes]
        best = [len(kept) - 1] * len(self.runs)
        for blended, count in ((False, len(kept)), (True, len(offered))):  # all that one row chooses from meets the same
            rows = [i for i, r in enumerate(self.runs) if r.selects and r.blended == blended]
            if rows:
                states = {n: torch.cat([each[n][rows] for _, each in offered[:count]]) for n in first}
                for row, index in zip(
                    rows, self.losses(states, [mine, theirs], rows, count).argmin(0).tolist(), strict=True
                ):
                    best[row] = index
        self.start = {n: torch.stack([offered[k][1][n][i] for i, k in enumerate(best)]) for n in first}
        self.sent[number] = first, last
        return [offered[k][0] for k in best]

    @staticmethod
    def _share(rows: Tensor, source: Adam, target: Adam) -> None:
        target.steps[rows] = source.steps[rows]
        for of, to in zip(source.moments, target.moments, strict=True):
            for a, b in zip(of, to, strict=True):
                b[rows] = a[rows]


def tested(states: States, lengths: list[list[float]], max_steps: int, seed: int) -> list[float]:
    """Mean undiscounted return of every row, one episode in each environment of its own test."""
    generator = torch.Generator().manual_seed(seed)
    played = play(Policies(states), torch.tensor(lengths), max_steps, generator, keep=False)
    return played.lasted.double().mean(1).tolist()
