"""Keys and fingerprints: ECDSA on P-256, private keys as PKCS8 PEM, public keys as SPKI PEM.

Knows keys; knows no bundle and no peer. A key is named by the SHA-256 of its public PEM file, which is also the key
hint of the OMS signature format, so `sha256sum public.pem` shows it.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from alx import files
from alx.errors import MalformedError, TrustError, UsageError, escape

MAX_PEM_BYTES = 4096  # a P-256 key has 178, a private one with a passphrase 412
MAX_PASSPHRASE_BYTES = 1023  # OpenSSL's own limit
WORDS_BYTES = 16  # 128 bits, 12 words: to forge another identity with the same words costs 2^128 tries

Unlock = Callable[[], bytes]
"""Called for the passphrase of a private key, and only if it has one."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A P-256 public key and its name."""

    key: ec.EllipticCurvePublicKey

    @property
    def pem(self) -> str:
        """SubjectPublicKeyInfo PEM, as in `public.pem`."""
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `pem`, in hexadecimal."""
        return hashlib.sha256(self.pem.encode("ascii")).hexdigest()


def generate() -> ec.EllipticCurvePrivateKey:
    """A new private key."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    """The PKCS8 PEM of a private key; the file must have mode 0600.

    Args:
        key: the key.
        passphrase: what encrypts it (`docs/keys.md` says how); None leaves it unencrypted.
    """
    encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def parse_public(pem: str, where: str) -> PublicKey:
    """Read a public key.

    Args:
        pem: SubjectPublicKeyInfo PEM.
        where: the file's name, for messages.

    Raises:
        MalformedError: not a PEM public key on P-256.
    """
    try:
        key = load_pem_public_key(pem[:MAX_PEM_BYTES].encode("ascii", "strict"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedError(f"{where} is not a PEM public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedError(f"{where} is not a key on the curve P-256")
    return PublicKey(key)


def load_public(path: Path) -> PublicKey:
    """Read the public key file at `path`.

    Raises:
        UsageError: there is no such file.
        MalformedError: see `parse_public`.
    """
    with files.storage(path):
        if not path.is_file():
            raise UsageError(f"there is no key file '{escape(str(path), 200)}'")
    return parse_public(files.read(path, MAX_PEM_BYTES).decode("ascii", "replace"), f"'{escape(str(path), 200)}'")


def read_private(path: Path) -> bytes:
    """The bytes of a private key's file, unless others could have read it too.

    Raises:
        TrustError: others than the owner may read the file.
        UsageError: there is no such file.
    """
    with files.storage(path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise UsageError(f"there is no private key '{path}'", "restore the site from its backup") from error
    with files.storage(path), os.fdopen(fd, "rb") as file:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & 0o077:
            raise TrustError(
                f"others may read the private key '{path}': its mode is {mode:04o}, expected 0600",
                f"if nobody did: chmod 600 {path}; otherwise make a new site with a new key; {files.NO_MODES}",
            )
        return file.read(MAX_PEM_BYTES)


def load_private(path: Path, unlock: Unlock | None = None) -> ec.EllipticCurvePrivateKey:
    """Read a private key, unless others could have read it too.

    Args:
        path: its PEM file.
        unlock: asked for the passphrase if the key has one.

    Raises:
        TrustError, UsageError: see `read_private`.
        UsageError: it is no P-256 PKCS8 key, or the passphrase is wrong or was not given.
    """
    data = read_private(path)
    try:
        try:
            key = load_pem_private_key(data, password=None)
        except TypeError:  # it is encrypted
            key = load_pem_private_key(data, password=ask(unlock, path))
    except (ValueError, UnsupportedAlgorithm) as error:
        if b"ENCRYPTED" in data:
            raise UsageError(f"the passphrase of the private key '{path}' is wrong") from error
        raise UsageError(f"'{path}' is not a PKCS8 private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UsageError(f"'{path}' is not a key on the curve P-256")
    return key


def ask(unlock: Unlock | None, path: Path) -> bytes:
    """The passphrase of the private key at `path`.

    Raises:
        UsageError: nobody to ask.
    """
    if unlock is None:
        raise UsageError(
            f"the private key '{path}' has a passphrase, and none was given",
            "run the command at a terminal, or give the passphrase with --passphrase-fd N",
        )
    return unlock()


def words(digest: str) -> str:
    """Twelve words (BIP-39, English, with checksum) for the first 128 bits of a digest, to be read out loud.

    Args:
        digest: SHA-256 in hexadecimal.
    """
    from mnemonic import Mnemonic  # noqa: PLC0415 - only for words

    return str(Mnemonic("english").to_mnemonic(bytes.fromhex(digest)[:WORDS_BYTES]))
