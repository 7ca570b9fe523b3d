"""Images mirrored and shifted at random, a whole batch at once, on whatever device it lies.

Knows tensors; knows no data set and no model. What becomes of each sample of an epoch is drawn beforehand, on the CPU:
the same on every device, and a GPU is not asked step by step.
"""

import torch
from torch import Tensor, nn

from alx.errors import ConfigError
from alx.plan import Training

_IMAGES = 4  # dimensions of [n, channels, height, width]
_ONE_LABEL_A_SAMPLE = 2  # dimensions of [n, labels]; more are labels of places in the image


def refuse_misfit(training: Training, inputs: Tensor, targets: Tensor) -> None:
    """Are the data what [training] treats them as?

    Args:
        training: the plan's.
        inputs: a batch of one sample or more, as the model takes it.
        targets: theirs.

    Raises:
        ConfigError: an image is asked for and these are none, or it would be shifted out of sight, or its labels would
            have to move with it.
    """
    moves = training.flip or training.shift > 0
    if inputs.ndim != _IMAGES and (moves or training.channels_last):
        asked = "flip" if training.flip else "shift" if training.shift else "channels_last"
        raise ConfigError(
            f"[training] {asked} in the plan is for images [channels, height, width], and a sample of the data has the "
            f"shape {list(inputs.shape[1:])}",
            f"leave {asked} out of the plan, on both sides",
        )
    if training.shift and training.shift >= min(inputs.shape[2:]):
        raise ConfigError(
            f"[training] shift in the plan is {training.shift}, and images have {' x '.join(map(str, inputs.shape[2:]))} "
            "pixels: nothing may be left of one",
            "make it an eighth of the image or less",
        )
    if moves and targets.ndim > _ONE_LABEL_A_SAMPLE:
        raise ConfigError(
            f"[training] flip and shift move the image alone, and a sample has labels of shape {list(targets.shape[1:])}, "
            "which would have to move with it",
            "leave them out of the plan, on both sides, or augment in a task of your own",
        )


def draw(count: int, training: Training, generator: torch.Generator) -> Tensor:
    """What becomes of each sample of an epoch.

    Args:
        count: samples.
        training: says what is asked for; as many numbers are drawn whatever it is.
        generator: on the CPU.

    Returns:
        uint8 [count, 3]: whether mirrored (0 or 1), and rows and columns to leave out of the padded image (0 to
        2·shift; `shift` leaves it where it is).
    """
    mirrored = torch.randint(1 + training.flip, (count, 1), dtype=torch.uint8, generator=generator)
    left_out = torch.randint(2 * training.shift + 1, (count, 2), dtype=torch.uint8, generator=generator)
    return torch.cat([mirrored, left_out], 1)


def apply(inputs: Tensor, moves: Tensor, shift: int) -> Tensor:
    """Mirror each image, pad it with `shift` zeros on each side and cut it to its size again.

    Args:
        inputs: [n, channels, height, width].
        moves: [n, 3] of `draw`, on the same device.
        shift: pixels.

    Returns:
        As `inputs`, in memory of its own.
    """
    _, channels, height, width = inputs.shape
    mirrored, top, left = moves.to(torch.int64).unsqueeze(2).unbind(1)  # [n, 1] each
    rows = torch.arange(height, device=inputs.device) + top  # [n, height]
    columns = torch.arange(width, device=inputs.device) + left
    wide = width + 2 * shift
    columns = torch.where(mirrored.bool(), wide - 1 - columns, columns)  # the padding is as wide on both sides
    places = (rows.unsqueeze(2) * wide + columns.unsqueeze(1)).flatten(1)  # [n, height · width]
    padded = nn.functional.pad(inputs, [shift] * 4).flatten(2)
    return padded.gather(2, places.unsqueeze(1).expand(-1, channels, -1)).view(inputs.shape)
