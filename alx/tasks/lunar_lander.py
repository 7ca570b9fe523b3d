"""gymnasium's LunarLander with main engines of several powers (paper, section 4.3). Knows gymnasium; knows no policy."""

import warnings
from typing import Any

from alx.tasks.rollout import sync_vector

with warnings.catch_warnings():
    # Box2D's generated types warn while they are imported, and crash Python where warnings are errors.
    warnings.simplefilter("ignore", DeprecationWarning)
    from gymnasium.envs.box2d import lunar_lander


class PoweredLander(lunar_lander.LunarLander):
    """gymnasium's LunarLander with a main engine of its own power (13 is gymnasium's).

    Args:
        power: of the main engine.
        **options: gymnasium's, `render_mode` for example.
    """

    def __init__(self, power: float, **options: Any) -> None:
        super().__init__(**options)
        self._power = power

    def step(self, action: Any) -> Any:
        """One step; gymnasium reads the power from its module while it lasts."""
        usual = lunar_lander.MAIN_ENGINE_POWER
        lunar_lander.MAIN_ENGINE_POWER = self._power
        try:
            return super().step(action)  # type: ignore[no-untyped-call]
        finally:
            lunar_lander.MAIN_ENGINE_POWER = usual


lunar_landers = sync_vector(PoweredLander)
"""(powers) -> LunarLanders side by side; without a time limit of their own."""
