"""`python -m tests.gpu`: every test marked `gpu`, after a line for each GPU that they run on.

Where torch finds none it says so, runs nothing, and ends well: nothing is claimed for GPUs then.
"""

import shutil
import subprocess
import sys

import pytest
import torch

NONE = "there is no GPU here: no GPU test was run, and nothing is claimed for one"


def found() -> list[str]:
    """A line for each GPU that torch finds: its name, its memory, its driver, and torch."""
    build = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
    return [
        f"cuda:{i}: {torch.cuda.get_device_name(i)}, {torch.cuda.get_device_properties(i).total_memory >> 20:,} MiB, "
        f"driver {_driver()}; {build}"
        for i in range(torch.cuda.device_count())
    ]


def _driver() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    asked = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.partition("\n")[0].strip() or "unknown"


def main() -> int:
    """Say what there is, and run; pytest's exit code, or 0 where there is nothing to run on."""
    gpus = found()
    if not gpus:
        print(f"{NONE} (torch {torch.__version__})")
        return 0
    print("\n".join(gpus), flush=True)
    return int(pytest.main(["-m", "gpu", "tests"]))


if __name__ == "__main__":
    sys.exit(main())
