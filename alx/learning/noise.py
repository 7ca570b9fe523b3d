"""Random numbers that nobody can guess who has not the key: noise, and who is drawn into a batch.

Knows a key and places in a stream; knows no model. The stream is SHAKE-256 (FIPS 202) of the key, a purpose and a number,
so that whatever was drawn once is drawn again, to the bit, wherever a run goes on. torch's own generator will not do: on a
CPU it takes 32 bits of its seed, and all it gives can be foretold from some of it; a plan's seed is known to the peer, who
could subtract the noise again.
"""

import hashlib
import hmac
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 32
_UNIFORM_BITS = 53  # a float64's; of the 64 drawn the others are left out


class Noise:
    """A stream of random numbers for each purpose.

    Args:
        key: secret, of `KEY_BYTES` bytes; the same one gives the same numbers.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def under(self, what: str) -> "Noise":
        """Streams of their own for one thing: a turn, a choice."""
        return Noise(hmac.digest(self._key, what.encode("utf-8"), "sha256"))

    def name(self) -> str:
        """What tells this key from any other, in hexadecimal, and tells nothing of it."""
        return hmac.digest(self._key, b"name", "sha256").hex()

    def seed(self) -> int:
        """For generators that see one sample at a time, as dropout's: 63 bits, of which torch's own takes what it takes."""
        return int.from_bytes(hmac.digest(self._key, b"seed", "sha256")[:8]) >> 1

    def uniform(self, purpose: str, number: int, count: int) -> NDArray[np.float64]:
        """Numbers above 0 and below 1, float64 [count].

        Args:
            purpose: which sort of number.
            number: which of it: a step.
            count: how many.
        """
        place = f"{purpose}/{number}".encode()
        bits = hashlib.shake_256(self._key + place).digest(8 * count)
        whole = np.frombuffer(bits, dtype="<u8") >> np.uint64(64 - _UNIFORM_BITS)
        found: NDArray[np.float64] = (whole.astype(np.float64) + 0.5) * 2.0**-_UNIFORM_BITS
        return found

    def normal(self, purpose: str, number: int, count: int) -> NDArray[np.float64]:
        """Normal numbers of mean 0 and variance 1, float64 [count]: Box and Muller's, from two uniform ones each pair."""
        half = -(-count // 2)
        radius, angle = self.uniform(purpose, number, 2 * half).reshape(2, half)
        radius, angle = np.sqrt(-2.0 * np.log(radius)), (2.0 * math.pi) * angle
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]

    def gumbel(self, purpose: str, number: int, count: int) -> NDArray[np.float64]:
        """Standard Gumbel numbers, float64 [count]: added before the greatest is taken, the exponential mechanism."""
        found: NDArray[np.float64] = -np.log(-np.log(self.uniform(purpose, number, count)))
        return found


@dataclass(frozen=True, slots=True)
class Guard:
    """How a turn's steps are made private.

    Attributes:
        noise: where batches and noise are drawn from.
        multiplier: standard deviation of a step's noise, as a multiple of `clip`.
        rate: the chance of each sample to be in a step's batch, by itself.
        clip: the norm that no sample's gradient exceeds.
    """

    noise: Noise
    multiplier: float
    rate: float
    clip: float
