"""What users get: functions that make a `Task` out of a model, data and a loss."""

from alx.learning.task import LossSum, State, Task, Trainer
from alx.tasks.check import check_task
from alx.tasks.load import Settings
from alx.tasks.supervised import supervised

__all__ = ["LossSum", "Settings", "State", "Task", "Trainer", "check_task", "supervised"]
