"""A model cut into shards, one on each rank: torch's FSDP2 (`fully_shard`), and what it leaves to others.

That is: which modules are gathered together, a model made without any rank but the first holding it whole, and a state
taken out of it or put into it one tensor after another. Knows models, optimisers and a mesh of ranks; knows no task, no site
and no file. Every function here is called on all ranks at once, in the same order.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.learning.task import State
from alx.tasks import code
from alx.training import Training

if TYPE_CHECKING:  # a second to import, and only ranks need it
    from torch.distributed.device_mesh import DeviceMesh

LEAST_BYTES = 1 << 20  # of what is gathered at once: below, a gather takes its own time, whatever is in it
FIRST = 0  # the rank that owns the site
UNMADE = (
    "make the model without looking at values (as `.item()` and `.tolist()` do), each parameter of at least one dimension; "
    "or leave sharding out of site.toml"
)


def made(make: Callable[[], nn.Module], mesh: "DeviceMesh", *, values: bool = True) -> nn.Module:
    """A model in shards, on the mesh's devices.

    The first rank makes it whole, on its CPU; the others make it of the meta device, without values, and are sent theirs.

    Args:
        make: makes the model, the same on each rank, on torch's default device.
        mesh: of the ranks, of one dimension.
        values: those of `make`; without, the model has none yet, and no rank ever holds it whole.

    Raises:
        ConfigError: it cannot be made without values, or cannot be cut.
    """
    whole = tensors(make()) if values and _first(mesh) else {}
    model = unfilled(make)
    _cut(model, mesh)
    _empty(model, torch.device(mesh.device_type))
    if values:
        fill(tensors(model), whole, mesh)
    return model


def unfilled(make: Callable[[], nn.Module]) -> nn.Module:
    """A model without values, of the meta device.

    Raises:
        ConfigError: it cannot be made so, or could not be cut.
    """
    try:
        with torch.device("meta"):
            model: nn.Module = code.call("the model, made without values,", make)
    except ConfigError as error:
        raise error.within("sharding", UNMADE) from error
    odd = next((name for name, value in model.named_parameters() if not value.dim()), None)
    if odd is not None:
        raise ConfigError(f"sharding: the parameter '{escape(odd)}' is a single number, which torch does not cut", UNMADE)
    return model


def refuse_misfit(training: Training) -> None:
    """What a plan asks of training fits a model in shards.

    Raises:
        ConfigError: it does not.
    """
    for name in ("compile", "channels_last"):
        if getattr(training, name):
            raise ConfigError(
                f"site.toml says sharding, and [training] in the plan says {name}, which goes with whole models alone",
                "leave sharding out of site.toml, or agree on a plan without it, on both sides",
            )


def is_cut(model: nn.Module) -> bool:
    """Whether its parameters are in shards."""
    return torch.distributed.is_available() and any(hasattr(p, "device_mesh") for p in model.parameters())


def mesh(model: nn.Module) -> "DeviceMesh":
    """That of a model that is cut."""
    found: DeviceMesh = next(p.device_mesh for p in model.parameters() if hasattr(p, "device_mesh"))
    return found


def copied(make: Callable[[], nn.Module], model: nn.Module) -> nn.Module:
    """Another model in shards, in the same state."""
    other, there = made(make, mesh(model), values=False), tensors(model)
    with torch.no_grad():
        for name, value in tensors(other).items():
            value.copy_(there[name])
    return other


def _first(mesh: "DeviceMesh") -> bool:
    return mesh.get_local_rank() == FIRST


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """All of a model by name, each once, what its state leaves out too."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def blocks(model: nn.Module) -> list[nn.Module]:
    """The modules whose parameters are gathered together, the inner ones first; what is left goes with the model.

    These are the parts of a Sequential or of a list of modules: the repeated blocks of most models, which are called as
    modules; of others only their own code knows. None has a parameter that stands outside of it too.
    """
    owners = Counter(id(p) for m in model.modules() for p in m._parameters.values() if p is not None)  # noqa: SLF001
    found: list[nn.Module] = []

    def within(module: nn.Module, *, called: bool) -> int:
        """Bytes of what is in it and in no block yet."""
        parts = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
        left = sum(p.nbytes for p in module.parameters(recurse=False))
        left += sum(within(child, called=parts) for child in module.children())
        here = Counter(id(p) for m in module.modules() for p in m._parameters.values() if p is not None)  # noqa: SLF001
        alone = all(owners[number] == times for number, times in here.items())
        if called and alone and left >= LEAST_BYTES and not isinstance(module, nn.ModuleList | nn.ModuleDict):
            found.append(module)
            return 0
        return left

    within(model, called=False)
    return found


def _cut(model: nn.Module, mesh: "DeviceMesh") -> None:
    from torch.distributed.fsdp import fully_shard  # noqa: PLC0415 - a second, and only ranks need it

    try:
        for module in (*blocks(model), model):
            # the outermost too: what a rank holds between two steps is its own shards
            part = fully_shard(module, mesh=mesh, reshard_after_forward=True)
            part.set_gradient_divide_factor(1.0)  # a step's gradient is the sum of what ranks have
            part.set_force_sum_reduction_for_comms(enable=True)  # gloo knows no other
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(f"sharding: torch does not cut the model: {escape(str(error), 200)}", UNMADE) from error


def _empty(model: nn.Module, place: torch.device) -> None:
    """Give what has no values memory on a device; a tensor of several names stays one."""
    names: dict[int, str] = {}
    tied = [(name, names.setdefault(id(p), name)) for name, p in model.named_parameters(remove_duplicate=False)]
    model.to_empty(device=place)
    for name, first in tied:
        if name != first:
            owner, _, own = name.rpartition(".")
            setattr(model.get_submodule(owner), own, model.get_parameter(first))


def gathered(held: State, mesh: "DeviceMesh") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a state one after another, each whole on the first rank's CPU; on the others of the meta device.

    So at any time a rank has its shards and one tensor. What is no shard is the first rank's own.
    """
    for name, value in held.items():
        yield name, _whole(value, mesh)


@torch.no_grad()
def _whole(value: Tensor, mesh: "DeviceMesh") -> Tensor:
    from torch.distributed.tensor import DTensor  # noqa: PLC0415 - as above

    full = value.full_tensor() if isinstance(value, DTensor) else value
    if not _first(mesh):
        return torch.empty_like(full, device="meta")
    # a copy, unless it was made here
    return full.to("cpu") if full is not value else full.detach().to("cpu", copy=True)


@torch.no_grad()
def fill(held: State, given: State, mesh: "DeviceMesh") -> None:
    """Put a state into a model, one tensor after another: each rank is sent it whole, and keeps its shard.

    Args:
        held: the model's own tensors by name.
        given: on the first rank, whole tensors by the same names, each asked for once, in order; on the others nothing.
        mesh: of the ranks.

    Raises:
        RuntimeError: a name or a shape is another; on all ranks, as those that went on would wait for the others for ever.
    """
    fault = None
    if _first(mesh):
        odd = next((name for name in (*held, *given) if name not in held or name not in given), None)
        fault = None if odd is None else f"'{odd}' is in one of the model's state and what is loaded, and not in both"
    for name, value in held.items():
        whole = given.get(name)
        if whole is not None and whole.shape != value.shape:
            fault = fault or f"'{name}' has the shape {list(whole.shape)}, expected {list(value.shape)}"
            whole = None
        _put(value, _sent(whole, value.shape, value.dtype, mesh))
    told = _told((fault or "").encode() if _first(mesh) else None, mesh)
    if told:
        raise RuntimeError(told.decode())


def _told(data: bytes | None, mesh: "DeviceMesh") -> bytes:
    """What the first rank says."""
    size = torch.tensor([0 if data is None else len(data)])
    torch.distributed.broadcast(size, group=mesh.get_group(), group_src=FIRST)
    said = torch.from_numpy(np.frombuffer(bytearray(int(size)) if data is None else bytearray(data), dtype=np.uint8))
    if int(size):
        torch.distributed.broadcast(said, group=mesh.get_group(), group_src=FIRST)
    return said.numpy().tobytes()


def _sent(value: Tensor | None, shape: Iterable[int], dtype: torch.dtype, mesh: "DeviceMesh") -> Tensor:
    """A whole tensor of the first rank, on every rank's device."""
    place = torch.device(mesh.device_type)
    if value is None:
        full = torch.empty(tuple(shape), dtype=dtype, device=place)
    else:
        full = value.detach().to(place, dtype).contiguous()
    if full.numel():  # as bytes: gloo knows some types alone
        flat = full.reshape(-1).view(torch.uint8)
        torch.distributed.broadcast(flat, group=mesh.get_group(), group_src=FIRST)
    return full


def _put(value: Tensor, full: Tensor) -> None:
    from torch.distributed.tensor import DTensor  # noqa: PLC0415 - as above

    if isinstance(value, DTensor):
        value.to_local().copy_(_cut_as(value, full).to_local())  # type: ignore[attr-defined]
    else:
        value.copy_(full)


def _cut_as(like: Tensor, full: Tensor) -> Tensor:
    """A rank's shard of a tensor that all ranks have."""
    from torch.distributed.tensor import DTensor, distribute_tensor  # noqa: PLC0415 - as above

    if not isinstance(like, DTensor):
        return full
    cut = distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)
    local = cut.to_local().clone()  # a part of the whole tensor would keep all of it
    return DTensor.from_local(local, like.device_mesh, like.placements, shape=like.shape, stride=like.stride())


def gathered_tree(tree: Any, mesh: "DeviceMesh") -> Any:
    """What a trainer saves, with every shard made whole as in `gathered`: an optimiser's state as one rank would save it."""
    if isinstance(tree, Tensor):
        return _whole(tree, mesh)
    if isinstance(tree, Mapping):
        return {key: gathered_tree(value, mesh) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [gathered_tree(value, mesh) for value in tree]
    return tree


def spread(saved: Any, parameters: Sequence[Tensor], mesh: "DeviceMesh") -> Any:
    """The inverse: what a trainer of the cut model loads, on each rank in the shards of its parameters.

    Args:
        saved: on the first rank, what any number of ranks saved, with whole tensors; on the others nothing.
        parameters: of the optimiser, in its order; in an optimiser's state a tensor of a parameter's shape is cut as it is.
        mesh: of the ranks.
    """
    tensors: list[Tensor] = []
    told = _told(_hollow(saved, tensors) if _first(mesh) else None, mesh)
    values = iter(tensors)

    def filled(tree: Any, like: Tensor | None = None) -> Any:
        if isinstance(tree, Tensor):
            value = _sent(next(values, None), tree.shape, tree.dtype, mesh)
            return _cut_as(like, value) if like is not None and like.shape == value.shape else value.to("cpu")
        if isinstance(tree, dict):
            if "param_groups" in tree:  # torch.optim.Optimizer.state_dict
                state = {number: filled(each, parameters[number]) for number, each in tree["state"].items()}
                return {**tree, "state": state}
            return {key: filled(value, like) for key, value in tree.items()}
        return [filled(value) for value in tree] if isinstance(tree, list) else tree

    return filled(torch.load(io.BytesIO(told), weights_only=True))


def _hollow(tree: Any, tensors: list[Tensor]) -> bytes:
    """A tree with tensors of the meta device in place of its own, which are put into a list, in the order of the tree."""

    def emptied(tree: Any) -> Any:
        if isinstance(tree, Tensor):
            tensors.append(tree)
            return torch.empty(tree.shape, dtype=tree.dtype, device="meta")
        if isinstance(tree, Mapping):
            return {key: emptied(value) for key, value in tree.items()}
        return [emptied(value) for value in tree] if isinstance(tree, list | tuple) else tree

    buffer = io.BytesIO()
    torch.save(emptied(tree), buffer)
    return buffer.getvalue()
