"""Which of torchvision's transforms a plan may name for its images, and with what arguments: [[training.augment]].

Knows names and arguments; knows no torch. A test holds both against torchvision's own signatures.
"""

from collections.abc import Mapping
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from alx.errors import escape, nearest
from alx.records import Scalar, Strict


class Kind(NamedTuple):
    """What is known of a transform beforehand.

    Attributes:
        arguments: torchvision's, those that a plan may give.
        moves: it moves what is in an image, so that labels of places in it have to move too.
        colours: it is for pixels, of grey or of three colours: it means something by black, white or red.
    """

    arguments: tuple[str, ...]
    moves: bool = False
    colours: bool = False


KINDS: Mapping[str, Kind] = {
    "RandomHorizontalFlip": Kind(("p",), moves=True),
    "RandomVerticalFlip": Kind(("p",), moves=True),
    "RandomCrop": Kind(("size", "padding", "fill", "padding_mode"), moves=True),
    "RandomResizedCrop": Kind(("size", "scale", "ratio", "interpolation", "antialias"), moves=True),
    "RandomRotation": Kind(("degrees", "interpolation", "center", "fill"), moves=True),
    "RandomAffine": Kind(("degrees", "translate", "scale", "shear", "interpolation", "fill", "center"), moves=True),
    "RandomPerspective": Kind(("distortion_scale", "p", "interpolation", "fill"), moves=True),
    "ElasticTransform": Kind(("alpha", "sigma", "interpolation", "fill"), moves=True),
    "GaussianBlur": Kind(("kernel_size", "sigma")),
    "RandomErasing": Kind(("p", "scale", "ratio", "value")),
    "ColorJitter": Kind(("brightness", "contrast", "saturation", "hue"), colours=True),
    "RandomGrayscale": Kind(("p",), colours=True),
    "RandomInvert": Kind(("p",), colours=True),
    "RandomPosterize": Kind(("bits", "p"), colours=True),
    "RandomSolarize": Kind(("threshold", "p"), colours=True),
    "RandomAdjustSharpness": Kind(("sharpness_factor", "p"), colours=True),
    "RandomAutocontrast": Kind(("p",), colours=True),
    "RandomEqualize": Kind(("p",), colours=True),
    "AutoAugment": Kind(("policy", "interpolation", "fill"), moves=True, colours=True),
    "RandAugment": Kind(("num_ops", "magnitude", "num_magnitude_bins", "interpolation", "fill"), moves=True, colours=True),
    "TrivialAugmentWide": Kind(("num_magnitude_bins", "interpolation", "fill"), moves=True, colours=True),
}
"""By torchvision's name. Left out: what gives images of another size, or several; what mixes samples, as their labels
would have to be mixed; what draws on a GPU itself, which would draw other numbers than a CPU (GaussianNoise)."""


def _known(name: str) -> str:
    if name not in KINDS:
        near = nearest(name, KINDS)
        raise ValueError(f"no transform is called '{escape(name, 60)}'{near and f', {near}'}")
    return name


class Transform(Strict):
    """One of torchvision.transforms.v2, by its name there, and its arguments as fields beside it."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Scalar | list[Scalar]] = Field(init=False)

    name: Annotated[str, AfterValidator(_known)] = Field(description="the class", json_schema_extra={"enum": list(KINDS)})

    @model_validator(mode="after")
    def _arguments_fit(self) -> Self:
        takes = self.kind.arguments
        for name in self.arguments:
            if name not in takes:
                near = nearest(name, takes) or f"it takes {', '.join(takes)}"
                raise ValueError(f"{self.name} takes no '{escape(name, 60)}', {near}")
        return self

    @property
    def kind(self) -> Kind:
        """What is known of it beforehand."""
        return KINDS[self.name]

    @property
    def arguments(self) -> dict[str, Scalar | list[Scalar]]:
        """As the plan gives them."""
        return dict(self.__pydantic_extra__)

    def words(self) -> str:
        """As people write it."""
        given = ", ".join(f"{escape(k)}={escape(repr(v))}" for k, v in self.arguments.items())
        return f"{self.name}({given})" if given else self.name
