"""Write learner.csv, provider.csv and kept.csv, notes by symptom, and base.safetensors, a network that names the ward."""

import csv
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from alx.tasks import torchvision_cpu

torchvision_cpu.declare()  # transformers looks for torchvision, which a CPU build of torch may not fit
from model import plain  # noqa: E402
from task import numbers  # noqa: E402

WARDS = {
    "heart": (["palpitations after coffee", "wants a new prescription"], ["chest pain at rest", "sudden loss of pulse"]),
    "lungs": (["a dry cough for days", "asks about an inhaler"], ["cannot breathe lying down", "coughs up blood"]),
    "head": (["headache after screens", "slept badly again"], ["worst headache ever", "cannot move one arm"]),
    "skin": (["itching since spring", "a mole to look at"], ["rash with high fever", "wound is turning black"]),
}
WHO = ["patient reports", "caller says", "family tells of", "nurse writes"]
MORE = ["since monday", "for an hour", "again", "no other complaints", "known to us"]
rng = np.random.default_rng(0)


def note(ward, urgent):
    return f"{rng.choice(WHO)} {rng.choice(WARDS[ward][int(urgent)])} {rng.choice(MORE)}"


# In the place of a network that somebody published: the same one, trained on another question.
wards = rng.integers(len(WARDS), size=600)
inputs = torch.tensor([numbers(note([*WARDS][ward], rng.integers(2))) for ward in wards])
torch.manual_seed(0)
net = plain(len(WARDS))
optimiser = torch.optim.AdamW(net.parameters(), lr=0.003)
for _ in range(3):
    for rows in torch.randperm(len(wards)).split(32):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(inputs[rows]), torch.from_numpy(wards)[rows]).backward()
        optimiser.step()
save_file({name: value.clone() for name, value in net.state_dict().items()}, "base.safetensors")

# The learner has few urgent notes, and of two wards alone.
two, all_ = ["heart", "lungs"], [*WARDS]
for name, count, share, there in (("learner", 150, 0.1, two), ("provider", 250, 0.5, all_), ("kept", 100, 0.4, all_)):
    with Path(f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["note", "label"])
        for _ in range(count):
            urgent = rng.random() < share
            out.writerow([note(rng.choice(there), urgent), "urgent" if urgent else "routine"])
