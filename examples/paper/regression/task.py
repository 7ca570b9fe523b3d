from dataclasses import replace
from typing import get_args

import torch
from torch import nn
from torch.utils.data import TensorDataset

from alx.records import Role
from alx.tasks import supervised
from alx.tasks.objective import losses
from alx.tasks.supervised import MiniBatches
from alx.turns.train import turn_seed


def make_task(settings):
    plan = settings.plan
    data = TensorDataset(torch.eye(2), torch.tensor(settings.own["responses"]))
    loss = losses(plan.loss)
    # A plan has one rate for all rounds, and a trainer is told no round; but its seed is that of one turn.
    rounds = {turn_seed(plan.seed, r, role): r for r in range(1, plan.rounds + 1) for role in get_args(Role)}

    def model():
        made = nn.Linear(2, 1, bias=False)
        made.weight = nn.Parameter(torch.tensor([plan.settings["start"]]))
        return made

    def trainer(net, seed):
        rate = plan.optimiser.lr ** rounds.get(seed, 1)  # `alx check` has a seed of its own
        return MiniBatches(
            net, seed, data, loss, lambda weights: torch.optim.SGD(weights, rate), plan.batch_size, settings.device
        )

    made = supervised(model, data, loss, settings.optimiser, batch_size=plan.batch_size, device=settings.device)
    return replace(made, trainer=trainer)
