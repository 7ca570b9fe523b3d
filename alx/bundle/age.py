"""Encryption to the receiver with age (X25519, ChaCha20-Poly1305), where the plan asks for it.

Knows bytes and age's keys; knows no bundle. What is signed is the ciphertext, so nothing is decrypted before its digest was
compared, and nothing decrypted is ever written. `age -d -i age.key FILE` opens the same files.
"""

from collections.abc import Sequence
from typing import Any

from alx.errors import MalformedError, PeerError, UsageError, escape

SUFFIX = ".age"
MAX_KEY_BYTES = 4096  # an age key has 74 characters
MAX_HEADER_BYTES = 1024  # ours, for two recipients, has up to 400; the library's time grows with its square
_HEADER_ENDS = b"\n--- "
MAX_RECIPIENT = 128  # characters; `age1…` has 62


def _pyrage() -> Any:
    try:
        import pyrage  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError("this plan encrypts bundles, and pyrage is not installed", "pip install 'alx[age]'") from error
    return pyrage


def generate() -> str:
    """A new secret key: `AGE-SECRET-KEY-1…`.

    Raises:
        UsageError: pyrage is not installed.
    """
    return str(_pyrage().x25519.Identity.generate())


def recipient(secret: str) -> str:
    """The public half of a secret key: `age1…`.

    Raises:
        UsageError: it is no age secret key; pyrage is not installed.
    """
    return str(_identity(secret).to_public())


def check_recipient(text: str) -> None:
    """Refuse what is no X25519 recipient.

    Raises:
        MalformedError: it is none.
        UsageError: pyrage is not installed.
    """
    pyrage = _pyrage()
    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise MalformedError(f"'{escape(text)}' is no age recipient") from error


def encrypt(data: bytes, recipients: Sequence[str]) -> bytes:
    """Encrypt to all of the recipients; any of them opens it.

    Args:
        data: at most a file of a bundle.
        recipients: `age1…` each, checked.
    """
    pyrage = _pyrage()
    return bytes(pyrage.encrypt(data, [pyrage.x25519.Recipient.from_str(r) for r in recipients]))


def decrypt(data: bytes, secret: str | None, name: str) -> bytes:
    """Decrypt a file whose digest was compared already; the plaintext is smaller than it.

    Args:
        data: the file.
        secret: this site's age key; None where there is none at hand.
        name: the file's, for messages.

    Raises:
        PeerError: it was encrypted to somebody else, or no key is at hand.
        MalformedError: it is no age file.
    """
    if secret is None:
        raise PeerError(
            "signature and files are good, and what they hold is encrypted to the bundle's two sites",
            "run this inside one of them to see it",
        )
    if data.find(_HEADER_ENDS, 0, MAX_HEADER_BYTES) < 0:
        raise MalformedError(f"'{escape(name)}' does not decrypt: it has no age header of at most {MAX_HEADER_BYTES} bytes")
    pyrage, identity = _pyrage(), _identity(secret)
    try:
        return bytes(pyrage.decrypt(data, [identity]))
    except pyrage.DecryptError as error:
        if "No matching keys" in str(error):
            raise PeerError(
                f"'{escape(name)}' is encrypted to somebody else", "is the bundle meant for this site?"
            ) from error
        raise MalformedError(f"'{escape(name)}' does not decrypt: {escape(str(error))}") from error


def _identity(secret: str) -> Any:
    pyrage = _pyrage()
    try:
        return pyrage.x25519.Identity.from_str(secret)
    except pyrage.IdentityError as error:
        raise UsageError("the site's age key is none", "restore the site from its backup") from error
