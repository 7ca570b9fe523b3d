"""gymnasium's CartPole with poles of several lengths (paper, section 4.3). Knows gymnasium; knows no policy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import VectorEnv

SHORTEST = 0.05  # gymnasium divides by the length: at 0 nothing is defined, and close to it nobody can balance


def cartpole(lengths: Sequence[float]) -> VectorEnv[Any, Any, Any]:
    """Gymnasium's vectorised CartPole, one pole length for each slot; the usual limit of 500 steps.

    Args:
        lengths: gymnasium's `length` (half of the drawn pole, in metres; 0.5 is its own); below 0.05 counts as 0.05.
    """
    envs = CartPoleVectorEnv(len(lengths))
    length: Any = np.maximum(np.asarray(lengths, dtype=np.float64), SHORTEST)
    envs.length, envs.polemass_length = length, envs.masspole * length
    return envs
