"""site.toml: one site's own settings, none of which ever travels. Knows the fields; knows no folder."""

import json
from typing import Literal

from pydantic import Field

from alx.plan import Role, Scalar, Strict

DataKind = Literal["npz", "images", "csv", "cifar10", "svhn", "mnist"]


class Data(Strict):
    """The site's own data. Stays here: nothing of this table is ever sent."""

    kind: DataKind = Field(description="npz (MedMNIST's array names), images (a folder a class), csv, or torchvision's")
    path: str = Field(description="file or folder, relative to the site's folder")
    held_out: str | None = Field(default=None, description="file or folder kept apart for a score; csv and images")


class SiteFile(Strict):
    """site.toml."""

    role: Role = Field(description="learner: goes first and reads the last reply; provider: answers")
    task: str = Field(default="built-in", description="built-in, or the file that holds make_task, beside site.toml")
    device: str = Field(default="auto", description="auto (a GPU when there is one), cpu, cuda:0, …")
    data: Data | None = Field(default=None, description="for the built-in task")
    settings: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict, description="for a task of one's own")


def text(config: SiteFile) -> str:
    """What `alx init` writes into site.toml."""

    def quoted(value: Scalar | list[Scalar]) -> str:  # JSON's numbers, lists and escapes are TOML's too, but for DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

    lines = [
        "# This site's own settings: they never travel. docs/site.md describes every field.",
        f"role = {quoted(config.role)}",
        f"task = {quoted(config.task)}",
        f"device = {quoted(config.device)}",
    ]
    if config.data is not None:
        lines += ["", "[data]", f"kind = {quoted(config.data.kind)}", f"path = {quoted(config.data.path)}"]
        if config.data.held_out is not None:
            lines.append(f"held_out = {quoted(config.data.held_out)}")
    if config.task != "built-in" and not config.settings:
        lines += ["", "# What the task needs of this side alone goes below a line [settings]; it stays here."]
    if config.settings:
        lines += ["", "[settings]", *(f"{quoted(k)} = {quoted(v)}" for k, v in config.settings.items())]
    return "\n".join(lines) + "\n"
