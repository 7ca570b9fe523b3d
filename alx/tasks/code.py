"""A user's own Python: run a file, import a module, call a function; whatever it raises is reported, with its line.

Knows Python; knows no task. What runs is the bytes of the file as it lies there (the plan's model is named by their
SHA-256), never a cached `.pyc`.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from alx.errors import AlxError, ConfigError, escape
from alx.tasks import torchvision_cpu

_NOT_THE_USERS = (
    "site-packages",
    "<frozen",
    f"{Path(__file__).parent.parent}{os.sep}",
    f"{Path(importlib.__file__).parent}{os.sep}",
)


def told(error: BaseException) -> str:
    """An exception in one line: its type, what it says, and the user's line that it came from."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not any(n in f.filename for n in _NOT_THE_USERS)]
    where = f" ({escape(Path(frames[-1].filename).name)}, line {frames[-1].lineno})" if frames else ""
    says = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {escape(says, 300)}{where}"


def call(what: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call a user's function.

    Args:
        what: it is called in messages.
        function: the user's.
        *arguments: by position.
        **named: by name.

    Raises:
        ConfigError: it raised something.
    """
    try:
        return function(*arguments, **named)
    except AlxError:
        raise
    except (Exception, SystemExit) as error:  # a user's own code may raise anything; it is reported
        raise ConfigError(f"{what} raised {told(error)}") from error


def number(what: str, function: Callable[..., Any], *arguments: Any) -> float:
    """Call a user's function that gives a number.

    Raises:
        ConfigError: it raised something, or gave something else.
    """
    found = call(what, function, *arguments)
    try:
        return float(found)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor of several numbers raises the last
        raise ConfigError(f"{what} gave a {type(found).__name__}, expected a number", "float(…) makes one") from error


def imported(name: str) -> ModuleType:
    """An installed module.

    Raises:
        ConfigError: it cannot be imported.
    """
    torchvision_cpu.declare()  # what runs may import torchvision as in any script
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # importing runs anybody's code
        raise ConfigError(f"cannot import '{escape(name)}': {told(error)}", "is it installed on this machine?") from error


def file(path: Path) -> ModuleType:
    """Run a source file as a module; it may import what lies beside it.

    Raises:
        ConfigError: it is not there, or cannot be run.
    """
    if not path.is_file():
        raise ConfigError(
            f"there is no file '{escape(str(path), 200)}'", "look at task in site.toml and at [model] in the plan"
        )
    torchvision_cpu.declare()  # as in `imported`
    name = f"alx_user_{path.stem}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses and pickling look their module up by name
    sys.path.insert(0, str(path.parent))
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102 - the user's own program
    except ImportError as error:
        raise ConfigError(
            f"'{escape(path.name)}' cannot be run: {told(error)}",
            f"install it on this machine, or put the file that is meant beside '{escape(str(path), 200)}'",
        ) from error
    except (Exception, SystemExit) as error:  # as in `call`
        raise ConfigError(f"'{escape(path.name)}' cannot be run: {told(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module
