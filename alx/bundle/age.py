"""Encryption to the receiver with age (X25519, ChaCha20-Poly1305), where the plan asks for it.

Knows bytes and age's keys; knows no bundle. What is signed is the ciphertext, so nothing is decrypted before its digest was
compared, and nothing decrypted is ever written. `age -d -i age.key FILE` opens the same files.
"""

import re
from collections.abc import Sequence
from typing import Any

from alx.errors import MalformedError, PeerError, UsageError, escape

SUFFIX = ".age"
MAX_KEY_BYTES = 4096  # an age key has 74 characters
MAX_HEADER_BYTES = 1024  # ours, for two recipients, has up to 400; the library's time grows with its square
RECIPIENTS = 2  # the receiver, and the sender, which reads its own turns again
_STANZA = rb"-> [!-~]+(?: [!-~]+)*\n(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n"
_HEADER = re.compile(rb"age-encryption\.org/v1\n((?:%b)+)--- [A-Za-z0-9+/]{43}\n" % _STANZA)
_X25519 = re.compile(rb"-> X25519 [A-Za-z0-9+/]{43}\n[A-Za-z0-9+/]{43}\n")
_GREASE = re.compile(rb"-> [!-~]*-grease(?: [!-~]+)*\n[A-Za-z0-9+/\n]*")  # noise that age's libraries add, for no recipient
_LEAST_PAYLOAD = 16 + 16  # a nonce, and the tag of a chunk of nothing
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


def check_header(data: bytes, name: str) -> None:
    """Read an age file's header, which needs no key: two X25519 recipients, and no other. Who they are it does not show.

    Args:
        data: the file; its digest was compared already.
        name: the file's, for messages.

    Raises:
        MalformedError: no age file, or one with other recipients.
    """
    head = _HEADER.match(data, 0, MAX_HEADER_BYTES)
    if head is None or len(data) < head.end() + _LEAST_PAYLOAD:
        raise MalformedError(
            f"'{escape(name)}' is named as encrypted, and is not: it has no age header of at most {MAX_HEADER_BYTES} bytes"
        )
    stanzas = re.findall(_STANZA, head[1])
    recipients, grease = ([s for s in stanzas if kind.fullmatch(s)] for kind in (_X25519, _GREASE))
    if len(recipients) != RECIPIENTS or len(grease) > 1 or len(recipients) + len(grease) != len(stanzas):
        others = len(stanzas) - len(recipients) - len(grease)
        raise MalformedError(
            f"'{escape(name)}' is encrypted to {len(recipients)} X25519 and {others} other recipients, expected "
            f"{RECIPIENTS} X25519 and no other",
            "only the bundle's two sites may read it; ask the sender",
        )


def decrypt(data: bytes, secret: str | None, name: str) -> bytes:
    """Decrypt a file whose digest was compared already; the plaintext is smaller than it.

    Args:
        data: the file.
        secret: this site's age key; None where there is none at hand.
        name: the file's, for messages.

    Raises:
        PeerError: it was encrypted to somebody else, or no key is at hand.
        MalformedError: see `check_header`; or it does not decrypt.
    """
    if secret is None:
        raise PeerError(
            "signature and files are good, and what they hold is encrypted",
            "run this inside one of the bundle's two sites to see it",
        )
    check_header(data, name)
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
        raise UsageError("age.key is not a valid age key", "restore the site from its backup") from error
