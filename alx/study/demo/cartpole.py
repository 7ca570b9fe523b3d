"""The demo's game: CartPole, the learner with long poles and the provider with short ones (paper, section 4.3)."""

from pathlib import Path

from alx import files
from alx.site.site_file import SiteFile
from alx.study.demo.case import Case
from alx.study.games import CARTPOLE

ROUNDS, TURN_STEPS = 5, 20
TESTED = 100  # poles of Test I
PLAN = """\
# The demo's agreement: docs/plan.md describes every field.
name = "cartpole"
rounds = {rounds}
round_steps = {{ learner = {steps}, provider = {steps} }}
sampling_period = 4
batch_size = 32                  # episodes a step
candidates = "trajectory"        # the paper's AssistPG
loss = "own"                     # minus a return
seed = {seed}

[optimiser]
name = "adam"
lr = 0.005

[model]
source = "alx.tasks.models:mlp"
arguments = {{ inputs = 4, classes = 2, hidden = 4 }}

[settings]                       # alx.tasks.policy_gradient
estimator = "reward_to_go"
discount = 0.99
max_steps = 200                  # of an episode
evaluation_episodes = 32         # an environment, for the loss
"""
TASK = '''\
"""CartPole with the pole lengths of site.toml, [settings]."""

from alx.tasks import policy_gradient
from alx.tasks.cartpole import cartpole


def make_task(settings):
    return policy_gradient(
        policy=settings.model,
        environments=cartpole,
        parameters=settings.own["lengths"],
        held_out=settings.own["test_lengths"],
        optimiser=settings.optimiser,
        batch_size=settings.plan.batch_size,
        seed=settings.plan.seed,  # of its own where the constants are worth guessing: settings.own["seed"]
        device=settings.device,
        distillation=settings.plan.distillation,
        training=settings.plan.training,
        **settings.plan.settings,
    )
'''


def case(folder: Path, rounds: int, seed: int) -> Case:
    """Write task.py into `folder`; `seed` decides who has which poles."""
    files.replace(folder / "task.py", TASK.encode("utf-8"))
    tested = CARTPOLE.test("Test I", seed, TESTED)
    values = CARTPOLE.values(seed)
    return Case(
        plan=PLAN.format(rounds=rounds, steps=TURN_STEPS, seed=seed),
        configs={
            name: SiteFile(
                role="provider" if name == "provider" else "learner",
                task=str(folder / "task.py"),
                device="cpu",  # a network of 54 weights is slower on a GPU
                settings={"lengths": list(lengths), "test_lengths": list(tested)},
            )
            for name, lengths in values.items()
        },
        steps=2 * TURN_STEPS,
        intro=f"learner: 5 poles of length {_range(values['learner'])}; provider: 5 of {_range(values['provider'])}",
        score="test_1_return",
        scored=f"return, Test I: {TESTED} other poles",
        digits=1,
        returns=True,
    )


def _range(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"
