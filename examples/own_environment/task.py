import gymnasium
from torch import nn

from alx.tasks import policy_gradient, sync_vector


def make(mass):
    env = gymnasium.make("Acrobot-v1", disable_env_checker=True)
    env.unwrapped.LINK_MASS_2 = mass
    return env


def make_task(settings):
    return policy_gradient(
        policy=lambda: nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 3)),
        environments=sync_vector(make),
        parameters=settings.own["masses"],
        optimiser=settings.optimiser,
        batch_size=settings.plan.batch_size,
        seed=settings.own["seed"],
        device=settings.device,
        distillation=settings.plan.distillation,
        training=settings.plan.training,
        **settings.plan.settings,
    )
