"""The CA's own keys and certificates, in one directory that is either whole or not there."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from kiosk.ca import profile
from kiosk.ca.profile import Issuer, Validity
from kiosk.ca.vault import Vault
from kiosk.certificates import Certificate, PublicKey, UnreadableCertificate, read_certificate
from kiosk.clock import Clock, one_year_after, system_clock
from kiosk.cmp.randomness import RandomBytes
from kiosk.cmp.signing import Signer, SoftwareKey

_ORGANIZATION = "The Shinkin Banks Information System Center Co.,Ltd"
_UNIT = "Shinkin Internet Banking Intermediate CA"
_YEAR = timedelta(days=365)


class AuthorityDamaged(Exception):
    """There is no complete authority in this directory; the message names what is missing or unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a new authority is called."""

    organization: str = _ORGANIZATION
    unit: str = _UNIT
    root: str = "Demo Root CA"
    issuing: str = "Demo Issuing CA"
    signer: str = "Demo CMP Signer"
    tls_root: str = "Demo TLS Root"
    tls: str = "localhost"

    def full(self, common_name: str) -> x509.Name:
        """The distinguished name of one of them."""
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organization),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, self.unit),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A CA at work."""

    directory: Path
    root: Certificate
    issuing: Certificate
    signer: Signer
    """Who signs CMP answers: never the CA's own key."""
    issuing_key: ec.EllipticCurvePrivateKey = field(repr=False)
    random: RandomBytes = field(default=secrets.token_bytes, repr=False)

    @property
    def tls_certificate(self) -> Path:
        """PEM of the TLS server's certificate."""
        return self.directory / "tls.pem"

    @property
    def tls_key(self) -> Path:
        """PEM of its key."""
        return self.directory / "tls.key"

    @property
    def tls_root(self) -> Path:
        """PEM of the root that clients are to trust for TLS, and for nothing else."""
        return self.directory / "tls-root.pem"

    def issue(self, subject: x509.Name, key: PublicKey, not_before: datetime, not_after: datetime) -> Certificate:
        """A holder's certificate with a new serial, for exactly this subject; it never outlives the CA's own."""
        validity = Validity(not_before, not_after)
        serial = profile.new_serial(self.random)
        return profile.holder_certificate(Issuer(self.issuing_key, self.issuing), subject, key, validity, serial)

    def issue_for_a_year(
        self, subject: x509.Name, key: PublicKey, now: datetime, back_dating: timedelta
    ) -> Certificate:
        """`issue`, from a little before `now` until the same second a year later."""
        return self.issue(subject, key, now - back_dating, one_year_after(now))


def create_authority(
    directory: Path,
    *,
    clock: Clock = system_clock,
    names: Names | None = None,
    random: RandomBytes = secrets.token_bytes,
) -> Authority:
    """Make a root, an issuing CA, a signer of CMP answers and a TLS server's certificate, once.

    Where there is an authority already, it is loaded as it is. The CA certificates begin two years ago, so that old
    holder certificates lie within them. Everything is made aside and moved into place at once; where the directory is
    a symbolic link, into the place it leads to.

    Raises:
        AuthorityDamaged: the directory holds something else, or an authority that is not whole.
        OSError: it cannot be written.
    """
    directory = directory.resolve()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _alone_in(directory.parent):
        if not directory.exists() or not any(directory.iterdir()):
            aside = directory.parent / f".{directory.name}.new"
            shutil.rmtree(aside, ignore_errors=True)
            try:
                aside.mkdir(mode=0o700)
                _write_authority(aside, names or Names(), clock().replace(microsecond=0), random)
                aside.rename(directory)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
            _sync(directory.parent)
    return load_authority(directory, random=random)


def load_authority(directory: Path, *, random: RandomBytes = secrets.token_bytes) -> Authority:
    """Read an authority that `create_authority` has made.

    Raises:
        AuthorityDamaged: with the name of the first file that is missing or unreadable.
    """
    root, issuing = _read_certificate(directory / "root.pem"), _read_certificate(directory / "issuing.pem")
    issuing_key = _read_key(directory / "issuing.key", issuing)
    signer = _read_certificate(directory / "signer.pem")
    signer_key = SoftwareKey(_read_key(directory / "signer.key", signer))
    _read_certificate(directory / "tls-root.pem")
    _read_key(directory / "tls.key", _read_certificate(directory / "tls.pem"))
    return Authority(
        directory=directory,
        root=root,
        issuing=issuing,
        issuing_key=issuing_key,
        signer=Signer(signer_key, signer, (issuing,)),
        random=random,
    )


def _write_authority(directory: Path, names: Names, now: datetime, random: RandomBytes) -> None:
    begin = now - 2 * _YEAR

    def serial() -> int:
        return profile.new_serial(random)

    root_key, issuing_key, signer_key, tls_root_key, tls_key = (_new_key() for _ in range(5))
    twenty, ten = Validity(begin, now + 20 * _YEAR), Validity(begin, now + 10 * _YEAR)
    root = profile.authority_certificate(
        Issuer(root_key), names.full(names.root), root_key.public_key(), twenty, serial(), path_length=1
    )
    issuing = profile.authority_certificate(
        Issuer(root_key, root), names.full(names.issuing), issuing_key.public_key(), ten, serial(), path_length=0
    )
    signer = profile.signer_certificate(
        Issuer(issuing_key, issuing), names.full(names.signer), signer_key.public_key(), ten, serial()
    )
    tls_root = profile.authority_certificate(
        Issuer(tls_root_key), names.full(names.tls_root), tls_root_key.public_key(), ten, serial(), path_length=0
    )
    tls = profile.loopback_certificate(
        Issuer(tls_root_key, tls_root), names.full(names.tls), tls_key.public_key(), ten, serial()
    )
    certificates = {
        "root": (root,),
        "issuing": (issuing,),
        "chain": (root, issuing),
        "signer": (signer,),
        "tls-root": (tls_root,),
        "tls": (tls,),
    }
    keys = {"root": root_key, "issuing": issuing_key, "signer": signer_key, "tls": tls_key}
    for name, content in certificates.items():
        pem = b"".join(each.x509.public_bytes(Encoding.PEM) for each in content)
        _write(directory / f"{name}.pem", pem, mode=0o644)
    for name, key in keys.items():
        _write(directory / f"{name}.key", _pem(key), mode=0o600)
    Vault.of(directory, random)
    _sync(directory)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes, *, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Hold the directory's own lock, so that two makers do not meet; the kernel frees it whatever happens."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuthorityDamaged(f"{path} cannot be read: {error.strerror}") from error


def _read_certificate(path: Path) -> Certificate:
    content = _read_file(path)
    try:
        return read_certificate(x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER))
    except (ValueError, UnreadableCertificate) as error:
        raise AuthorityDamaged(f"{path} holds no certificate") from error


def _read_key(path: Path, certificate: Certificate) -> ec.EllipticCurvePrivateKey:
    content = _read_file(path)
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise AuthorityDamaged(f"{path} holds no key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key:
        raise AuthorityDamaged(f"{path} is not the key of its certificate")
    return key
