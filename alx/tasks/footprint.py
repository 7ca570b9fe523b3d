"""What a task's model is and what a step of training takes, measured on this machine with the real trainer.

Knows the seam; knows no data and no plan.
"""

import resource
import sys
import time
from dataclasses import dataclass

import torch

from alx.learning import state, trajectory
from alx.learning.task import Task

WARM, TRIED = 2, 10  # steps that are not timed (a first one allocates, or compiles), and timed
PATIENCE = 5.0  # seconds after which no further step is timed: an episode of a game may take some
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, getrusage(2)


@dataclass(frozen=True, slots=True)
class Footprint:
    """A model and a step.

    Attributes:
        parameters, trained, buffers: numbers in the model, those of them that training changes, and those beside it.
        state: bytes of what travels of it, before compression.
        tensors: how many that is.
        personal: names of those that are this site's own and stay here.
        seconds: of one step, the median.
        memory: bytes at their peak: of the GPU, or of the whole process on a CPU.
        device: where it was.
    """

    parameters: int
    trained: int
    buffers: int
    state: int
    tensors: int
    personal: tuple[str, ...]
    seconds: float
    memory: int
    device: str

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "parameters": self.parameters,
            "trained": self.trained,
            "buffers": self.buffers,
            "state_bytes": self.state,
            "tensors": self.tensors,
            "personal": list(self.personal),
            "step_seconds": self.seconds,
            "peak_bytes": self.memory,
            "device": self.device,
        }


def of(task: Task, seed: int) -> Footprint:
    """Take a few steps of a fit task and look at its model.

    Draws from the global random states; changes nothing outside of the model it makes.
    """
    trajectory.seed_all(seed)
    start = state.fresh(task)
    sent, own = state.travels(task, start), state.personal(task, start)
    run = trajectory.Run(task, start, seed, WARM + TRIED)
    parameters = list(run.model.parameters())
    device = next((p.device for p in parameters), torch.device("cpu"))
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(WARM):
        run.trainer.step()
    taken: list[float] = []
    while len(taken) < TRIED and sum(taken) < PATIENCE:
        began = time.perf_counter()
        run.trainer.step()
        if on_gpu:
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - began)
    return Footprint(
        parameters=sum(p.numel() for p in parameters),
        trained=sum(p.numel() for p in parameters if p.requires_grad),
        buffers=sum(b.numel() for b in run.model.buffers()),
        state=sum(t.nbytes for t in sent.values()),
        tensors=len(sent),
        personal=tuple(own),
        seconds=sorted(taken)[len(taken) // 2],
        memory=torch.cuda.max_memory_allocated(device)
        if on_gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT,
        device=str(device),
    )
