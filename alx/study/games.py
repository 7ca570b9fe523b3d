"""Who plays which environments: the paper's draws of pole lengths and engine powers (section 4.3), told by their seed.

Numbers in, numbers out. Test II of CartPole is garbled in the paper; 5·Beta(5,1) is our reading, after LunarLander's
30·Beta(5,1)+10. The paper's pole length is taken for gymnasium's `length`, our reading too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Draw = Callable[[np.random.Generator, int], np.ndarray[tuple[int], np.dtype[np.float64]]]


@dataclass(frozen=True, slots=True)
class Game:
    """The environments of one of the paper's two games.

    Attributes:
        constant: what differs, in words.
        environments: how many each party has.
        learner, provider: the draws of each party's own.
        tests: the draws of the environments to generalise to, by name.
    """

    constant: str
    environments: int
    learner: Draw
    provider: Draw
    tests: dict[str, Draw]

    def values(self, seed: int) -> dict[str, list[float]]:
        """The parties' own values, and the pooled ones: `learner`, `provider`, `pooled`."""
        rng = np.random.default_rng(seed)
        learner, provider = (draw(rng, self.environments).tolist() for draw in (self.learner, self.provider))
        return {"learner": learner, "provider": provider, "pooled": [*learner, *provider]}

    def test(self, name: str, seed: int, count: int) -> list[float]:
        """`count` values to be tested on."""
        number = sorted(self.tests).index(name)
        values: list[float] = self.tests[name](np.random.default_rng([seed, number]), count).tolist()
        return values


CARTPOLE = Game(
    constant="pole length",
    environments=5,
    learner=lambda rng, n: rng.uniform(4, 5, n),
    provider=lambda rng, n: rng.uniform(0, 1, n),
    tests={"Test I": lambda rng, n: rng.uniform(0, 5, n), "Test II": lambda rng, n: 5 * rng.beta(5, 1, n)},
)
LUNAR_LANDER = Game(
    constant="main engine power",
    environments=10,
    learner=lambda rng, n: rng.uniform(10, 15, n),
    provider=lambda rng, n: rng.uniform(35, 40, n),
    tests={"Test I": lambda rng, n: rng.uniform(10, 40, n), "Test II": lambda rng, n: 30 * rng.beta(5, 1, n) + 10},
)
