import itertools

import lightning
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from alx.tasks import looped

WEIGHTS = torch.tensor([2.0, 1.0])  # a malignant tumour missed is worse
BATCH, CLIP = 16, 1.0


def rows(path, part):
    with np.load(path) as arrays:
        return TensorDataset(*(torch.from_numpy(arrays[f"{part}_{what}"]) for what in ("rows", "labels")))


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(30, 32), nn.LayerNorm(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, index):
        x, labels = batch
        noisy = x + 0.1 * torch.randn_like(x)
        return nn.functional.cross_entropy(self(noisy), labels, weight=WEIGHTS.to(self.device))

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.003)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def train(model, loader, steps):
    if not model.automatic_optimization:
        raise TypeError("manual optimization: the module takes its steps itself, and no loop can stop at each of them")
    model.steps = steps
    made = model.configure_optimizers()
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    for _ in itertools.count():
        model.train()
        model.on_train_epoch_start()
        for index, batch in enumerate(loader):
            model.on_train_batch_start(batch, index)
            loss = model.training_step(model.transfer_batch_to_device(batch, model.device, 0), index)
            model.on_before_zero_grad(optimizer)
            optimizer.zero_grad()
            model.backward(loss)
            model.on_after_backward()
            model.on_before_optimizer_step(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            scheduler.step()
            model.on_train_batch_end(loss, batch, index)
            yield loss, optimizer, scheduler
        model.on_train_epoch_end()


def make_task(settings):
    path = settings.folder / "own.npz"
    return looped(
        model=Classifier,
        train=train,
        loader=DataLoader(rows(path, "train"), batch_size=BATCH, shuffle=True),
        data=rows(path, "train"),
        loss=nn.CrossEntropyLoss(weight=WEIGHTS.to(settings.device), reduction="none"),
        held_out=rows(path, "test"),
        device=settings.device,
    )
