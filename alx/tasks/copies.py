"""Which of rank 0's models the other ranks have copies of, by number, and which of these are as their models are now.

Knows models and numbers; knows no process.
"""

import weakref
from collections.abc import Callable

from torch import nn


class Copies:
    """Numbers of models; one whose model is gone is given again.

    Args:
        send: makes the copy of a number one of this model as it is now.
    """

    def __init__(self, send: Callable[[int, nn.Module], None]) -> None:
        self._send, self._free, self._most = send, list[int](), 0
        self._slots, self._same = weakref.WeakKeyDictionary[nn.Module, int](), set[int]()

    def changed(self, model: nn.Module) -> None:
        """A model is no longer what was sent."""
        self._same.discard(self._slots.get(model, -1))

    def slot(self, model: nn.Module) -> int:
        """Its number; the copies are as it is now."""
        if model not in self._slots:
            if not self._free:
                self._free.append(self._most)
                self._most += 1
            slot = self._slots[model] = self._free.pop()
            self._same.discard(slot)
            weakref.finalize(model, self._free.append, slot)
        slot = self._slots[model]
        if slot not in self._same:
            self._send(slot, model)
            self._same.add(slot)
        return slot
