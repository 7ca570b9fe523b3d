from alx.tasks import policy_gradient
from alx.tasks.lunar_lander import lunar_landers


def make_task(settings):
    return policy_gradient(
        policy=settings.model,
        environments=lunar_landers,
        parameters=settings.own["powers"],
        optimiser=settings.optimiser,
        batch_size=settings.plan.batch_size,
        seed=settings.plan.seed,  # of its own where the constants are worth guessing: settings.own["seed"]
        device=settings.device,
        distillation=settings.plan.distillation,
        **settings.plan.settings,
    )
