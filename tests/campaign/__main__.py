"""`make campaign`: run every module of this folder, or those named, and print what each found.

python -m tests.campaign            all
python -m tests.campaign every_byte one
"""

import importlib
import pkgutil
import resource
import sys
import time

from tests import campaign


def main(names: list[str]) -> None:
    """Run the modules one after the other; a failure ends it with a traceback."""
    found = sorted(m.name for m in pkgutil.iter_modules(campaign.__path__) if not m.name.startswith("_"))
    for name in names or found:
        began = time.monotonic()
        figures = importlib.import_module(f"tests.campaign.{name}").campaign()
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        figures |= {"peak memory": f"{peak / 1024:.0f} MiB", "seconds": f"{time.monotonic() - began:.0f}"}
        print(f"{name.replace('_', ' ')}: " + ", ".join(f"{what} {value}" for what, value in figures.items()), flush=True)


main(sys.argv[1:])
