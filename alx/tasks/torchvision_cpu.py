"""torchvision next to a CPU build of torch: import it from here, or as ever in a user's own file.

The torchvision of the package index carries ops compiled for CUDA; beside a CPU build of torch they do not load, and
`import torchvision` ends in "operator torchvision::nms does not exist", because it registers a fake for `nms` that
nobody declared. Declaring the two schemas first is enough for models, data sets and transforms (0.28.0); the ops
themselves (box suppression for detectors) stay unusable, and alx uses none of them.
"""

import functools
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # torch forgets the schemas when the Library object goes


def torchvision() -> ModuleType:
    """The torchvision package, importable whatever build of torch stands beside it."""
    declare()
    for name in ("datasets", "models", "transforms.v2.functional"):
        importlib.import_module(f"torchvision.{name}")
    return importlib.import_module("torchvision")


@functools.cache
def declare() -> None:
    """Make `import torchvision` work in this process, wherever it stands; 1 to 5 ms, and nothing after the first time."""
    if _ops_do_not_load():
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for schema in _SCHEMAS:
            library.define(schema)  # type: ignore[no-untyped-call]
        _declared.append(library)


def _ops_do_not_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False  # the import itself will say that it is missing
    for compiled in Path(spec.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(str(compiled))  # type: ignore[no-untyped-call] # torchvision loads it again, to no effect
        except OSError:
            return True
    return False
