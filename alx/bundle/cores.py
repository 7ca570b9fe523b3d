"""How many parts of states are worked on at once.

Knows the machine; knows no file and no codec. A pool lives within one call: a process that forks has no thread left over.
"""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

# Beyond it, the SHA-256 of a state, which is one run, takes longer than the work on all its parts; and each holds
# about three parts in memory.
MAX_THREADS = 4


@contextlib.contextmanager
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for numpy, zstd and SHA-256, which all let go of the interpreter; what has not begun on leaving never does."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = ThreadPoolExecutor(min(MAX_THREADS, cores))
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)
