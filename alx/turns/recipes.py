"""Which tensors a blend averages, and is a blend that came with its weights what its recipe says?

A blend that travels as its recipe is made by whoever wants it (`alx.bundle.recipe`). What only the task's model tells is
which tensors are parameters: the sender says it, and its receiver holds it against its own.
"""

from alx.bundle.layout import FLOATS, Layout
from alx.bundle.manifest import Manifest, Version2
from alx.errors import ModelError, escape
from alx.learning import state
from alx.learning.task import Task
from alx.steps.incoming import Staged


def averaged(task: Task, layout: Layout) -> list[str]:
    """The tensors of real or complex numbers that are no parameters of the task's model, in the layout's order."""
    parameters = state.parameters(task.new_model())
    return [t.name for t in layout.tensors if t.dtype in FLOATS and t.name not in parameters]


def same_averaged(task: Task, manifest: Manifest) -> None:
    """The sender averages what is no parameter here either.

    Raises:
        ModelError: names a tensor that is a parameter on one side alone.
    """
    if not isinstance(manifest, Version2):
        return
    own = averaged(task, manifest.layout)
    odd = next((n for n in (*manifest.averaged, *own) if (n in own) != (n in manifest.averaged)), None)
    if odd is not None:
        here, there = ("a parameter", "none") if odd not in own else ("none", "a parameter")
        raise ModelError(
            f"'{escape(odd)}' is {here} of the model here, and {there} by what the bundle says of its blends",
            "both sites need the same model",
        )


def check(staged: Staged, task: Task, index: int) -> None:
    """Make a blend that came with its weights, and compare its digest with the signed one; another was made already.

    Args:
        staged: the bundle.
        task: its model tells parameters from other tensors.
        index: of a candidate.

    Raises:
        MalformedError: it is another model than its recipe gives.
    """
    candidate = staged.manifest.candidates[index]
    if candidate.blend is not None and candidate.files:
        staged.blend(index, averaged(task, staged.manifest.layout))
