"""What users get: functions that make a `Task` out of a model, data and a loss, or out of a policy and environments."""

from alx.learning.task import LossSum, State, Task, Trainer
from alx.tasks.check import check_task
from alx.tasks.load import Settings
from alx.tasks.loop import looped
from alx.tasks.policy_gradient import policy_gradient
from alx.tasks.rollout import sync_vector
from alx.tasks.supervised import supervised

__all__ = [
    "LossSum",
    "Settings",
    "State",
    "Task",
    "Trainer",
    "check_task",
    "looped",
    "policy_gradient",
    "supervised",
    "sync_vector",
]
