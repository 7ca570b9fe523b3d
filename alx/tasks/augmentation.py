"""Images changed at random before they are trained on, each by itself: torchvision's transforms, as the plan names them.

Knows tensors and torchvision; knows no model. A transform of torchvision's draws one number for all that it is given, from
torch's global generator. So it is asked for one image after the other, but for those that change an image or leave it as
it is (half of a batch is mirrored at once) and for crops; and it draws from a stream of its own, so that dropout and the
order of samples are the same with it and without. All is drawn on the CPU: a GPU sees what a CPU sees.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from alx.errors import ConfigError
from alx.tasks import code
from alx.tasks.data.samples import Pixels, Samples, first
from alx.tasks.torchvision_cpu import torchvision
from alx.training import Training
from alx.transforms import Transform

NO_CLASS = -100  # of a place that an image did not have before it was turned: torch's losses leave it out (ignore_index)
LOOKED_AT = 64  # samples whose numbers are looked at: enough to tell pixels from what is normalised
_IMAGES = 4  # dimensions of [n, channels, height, width]
_LABELS_OF_PLACES = 3  # dimensions of [n, height, width]
_DRAWN_EACH = ("RandomPerspective", "RandomErasing")  # they have a `p`, and draw more than whether

Step = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]
"""(images [n, channels, height, width], class numbers of their places [n, height, width] or None) -> the same, changed."""


class Augmented:
    """A turn's samples as they are trained on: other ones each time they are asked for.

    Args:
        data: the turn's samples; where they are made of pixels, these are changed before they are scaled.
        transforms: the plan's, one after the other.
        seed: of the turn.

    Raises:
        ConfigError: torchvision refuses the arguments, or they do not fit the images.
    """

    def __init__(self, data: Samples, transforms: Sequence[Transform], seed: int) -> None:
        self._data = data
        images, targets = _read(data, torch.zeros(1, dtype=torch.int64, device=data.home))
        self._marks = any(t.kind.moves for t in transforms) and targets.ndim >= _LABELS_OF_PLACES
        with torch.random.fork_rng(devices=[]):
            self._steps = [_step(t, images, marks=self._marks) for t in transforms]
        # another stream than the order's; torch's generator looks at the lower 32 bits alone
        self._stream = torch.Generator().manual_seed(~seed).get_state()

    def samples_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """See `Samples`."""
        images, targets = _read(self._data, indices)
        marks = targets if self._marks else None
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._stream)
            for step in self._steps:
                images, marks = step(images, marks)
            self._stream = torch.get_rng_state()
        inputs = self._data.inputs_of(images) if isinstance(self._data, Pixels) else images
        return inputs, targets if marks is None else marks

    def state(self) -> Tensor:
        """Of the stream that is drawn from."""
        return self._stream

    def go_on(self, state: Tensor) -> None:
        """Go on from `state()`."""
        self._stream = state


def _read(data: Samples, indices: Tensor) -> tuple[Tensor, Tensor]:
    return data.pixels_at(indices) if isinstance(data, Pixels) else data.samples_at(indices)


def refuse_misfit(training: Training, data: Samples) -> None:
    """Are the data what [training] treats them as?

    Args:
        training: the plan's.
        data: the turn's samples.

    Raises:
        ConfigError: images are asked for and these are none, or none of pixels; their labels would have to move with
            them and cannot; or see `Augmented`.
    """
    inputs, targets = first(data)
    if inputs.ndim != _IMAGES:
        asked = "channels_last" if not training.augment else f"augment {training.augment[0].name}"
        raise ConfigError(
            f"[training] {asked} in the plan is for images [channels, height, width], and a sample of the data has the "
            f"shape {list(inputs.shape[1:])}",
            "leave it out of the plan, on both sides",
        )
    for each in training.augment:
        if each.kind.moves and targets.ndim >= _LABELS_OF_PLACES:
            _refuse_labels(each, inputs, targets)
        if each.kind.colours:
            _refuse_colours(each, data)
    if training.augment:
        Augmented(data, training.augment, 0)


def _refuse_labels(transform: Transform, inputs: Tensor, targets: Tensor) -> None:
    """Labels of places move with an image where they are class numbers, one a pixel, and torchvision moves them alike."""
    fit = targets.dtype == torch.int64 and targets.shape[1:] == inputs.shape[2:]
    if fit and not transform.kind.colours:
        return
    got = f"labels of shape {list(targets.shape[1:])} ({str(targets.dtype).removeprefix('torch.')})"
    raise ConfigError(
        f"[training] augment {transform.name} moves what is in an image, and a sample has {got}, which would have to move "
        "with it",
        "class numbers (int64), one a pixel, move with all transforms but AutoAugment, RandAugment and TrivialAugmentWide; "
        "else leave it out of the plan, on both sides, or augment in a task of your own",
    )


def _refuse_colours(transform: Transform, data: Samples) -> None:
    """Brightness or grey means something of pixels alone, before they are normalised."""
    some, _ = _read(data, torch.arange(min(LOOKED_AT, len(data)), device=data.home))
    if some.shape[1] not in (1, 3):
        raise ConfigError(
            f"[training] augment {transform.name} is for images of 1 or 3 channels, and these have {some.shape[1]}",
            "leave it out of the plan, on both sides",
        )
    least, most = float(some.min()), float(some.max())
    if some.dtype != torch.uint8 and not (some.is_floating_point() and least >= 0 and most <= 1):
        raise ConfigError(
            f"[training] augment {transform.name} is for pixels, numbers from 0 to 1 or uint8, and the data's go from "
            f"{least:g} to {most:g}",
            "give alx pixels as they are, uint8, and let [images] mean and std in the plan normalise them; or leave it out",
        )


def _step(transform: Transform, images: Tensor, *, marks: bool) -> Step:
    """What a transform does to a batch.

    Args:
        transform: the plan's.
        images: one, [1, channels, height, width], to try it on.
        marks: labels of places are moved with them.

    Raises:
        ConfigError: torchvision refuses it, or it makes images of another size.
    """
    told = f"[training] augment {transform.words()} in the plan: torchvision"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # that two numbers stand the wrong way round, say
            made, tried = code.call(told, _tried, transform, images, marks=marks)
    except ConfigError as error:
        size = " x ".join(map(str, images.shape[1:]))
        raise ConfigError(
            error.message,
            f"images are {size}; what {', '.join(transform.kind.arguments)} mean, torchvision.transforms.v2 says",
        ) from error
    if tried.shape != images.shape:
        was, becomes = (" x ".join(map(str, each.shape[2:])) for each in (images, tried))
        raise ConfigError(
            f"[training] augment {transform.name} makes images of {becomes} pixels out of {was}, and losses are measured "
            "on the latter",
            "leave its size out: it is then the images' own; [images] size in the plan says which",
        )
    if transform.name == "RandomCrop":
        return _cropped(transform, made)
    at_once = "p" in transform.kind.arguments and transform.name not in _DRAWN_EACH
    return (_chosen if at_once else _each)(made, moves=transform.kind.moves)


def _tried(transform: Transform, images: Tensor, *, marks: bool) -> tuple[Any, Tensor]:
    """The transform itself, and what it makes of an image."""
    v2 = torchvision().transforms.v2
    arguments: dict[str, Any] = dict(transform.arguments)
    for name, kind in (("interpolation", v2.InterpolationMode), ("policy", v2.AutoAugmentPolicy)):
        if name in arguments:
            arguments[name] = kind(arguments[name])
    if "size" in transform.kind.arguments:
        arguments.setdefault("size", list(images.shape[2:]))
    if marks and "fill" in transform.kind.arguments:
        arguments["fill"] = _fills(arguments.get("fill", 0))
    made = getattr(v2, transform.name)(**arguments)
    if "p" in transform.kind.arguments:  # else the dice might leave it out
        return made, made.transform(images, made.make_params([images]))
    return made, made(images)


def _fills(fill: Any) -> dict[Any, Any]:
    """What comes in where an image leaves a place free."""
    tensors = _tensors()
    return {torch.Tensor: fill, tensors.Image: fill, tensors.Mask: NO_CLASS}


def _tensors() -> Any:
    return torchvision().tv_tensors


def _each(made: Any, *, moves: bool) -> Step:
    """One image after the other."""

    def step(images: Tensor, marks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if marks is None or not moves:
            return torch.stack([made(each) for each in images]), marks
        tensors = _tensors()
        pairs = zip(images, marks, strict=True)
        done = [made(tensors.Image(image), tensors.Mask(mark)) for image, mark in pairs]
        return torch.stack([image for image, _ in done]), torch.stack([mark for _, mark in done])

    return step


def _chosen(made: Any, *, moves: bool) -> Step:
    """Those on which the dice fall, at once."""

    def step(images: Tensor, marks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        rows = (torch.rand(len(images)) < made.p).nonzero().squeeze(1).to(images.device)
        if len(rows):
            these = images[rows]
            how = made.make_params([these])
            images = images.index_copy(0, rows, made.transform(these, how))
            if marks is not None and moves:
                marks = marks.index_copy(0, rows, made.transform(_tensors().Mask(marks[rows]), how))
        return images, marks

    return step


def _cropped(transform: Transform, made: Any) -> Step:
    """RandomCrop: a batch is padded at once, and of each image a part is taken."""
    padding, (height, width) = transform.arguments.get("padding"), made.size
    pad = torchvision().transforms.v2.Pad(padding or 0, fill=made.fill, padding_mode=made.padding_mode)

    def step(images: Tensor, marks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        wide = pad(images)
        tops = torch.randint(wide.shape[2] - height + 1, (len(wide),)).tolist()
        lefts = torch.randint(wide.shape[3] - width + 1, (len(wide),)).tolist()

        def cut(given: Tensor) -> Tensor:
            parts = zip(given, tops, lefts, strict=True)
            return torch.stack([each[..., top : top + height, left : left + width] for each, top, left in parts])

        return cut(wide), None if marks is None else cut(pad(_tensors().Mask(marks)))

    return step
