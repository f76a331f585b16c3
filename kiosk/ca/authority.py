"""The CA's own keys and certificates, in one directory that is either whole or not there."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kiosk.alone_in import alone_in
from kiosk.ca import files, key_files, profile, vault
from kiosk.ca.key_files import KeyUnusable
from kiosk.ca.passphrase import PASSPHRASE_FILE, Passphrase, PassphraseUnusable, ensure_passphrase, read_passphrase
from kiosk.ca.policy import Policy, load_policy
from kiosk.ca.profile import HolderProfile, Issuer, Validity
from kiosk.ca.vault import Vault
from kiosk.certificates import Certificate, PublicKey, UnreadableCertificate, read_certificate
from kiosk.clock import Clock, months_after, system_clock
from kiosk.cmp.randomness import RandomBytes
from kiosk.cmp.signing import Signer, SoftwareKey

_ORGANIZATION = "The Shinkin Banks Information System Center Co.,Ltd"
_UNIT = "Shinkin Internet Banking Intermediate CA"
_YEAR = timedelta(days=365)
_KEYS = ("root", "issuing", "signer", "ocsp", "tls")


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
    ocsp: str = "Demo OCSP Signer"
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
    ocsp: Certificate
    """Who signs OCSP answers, and nothing else."""
    issuing_key: ec.EllipticCurvePrivateKey = field(repr=False)
    ocsp_key: ec.EllipticCurvePrivateKey = field(repr=False)
    vault: Vault = field(repr=False)
    """In which one-time codes lie."""
    passphrase: Passphrase = field(repr=False)
    """Under which every key file is encrypted."""
    status_url: str = ""
    """What its certificates say of where their status is told (`policy.status_url`)."""
    random: RandomBytes = field(default=secrets.token_bytes, repr=False)

    @property
    def tls_certificate(self) -> Path:
        """PEM of the TLS server's certificate."""
        return self.directory / "tls.pem"

    @property
    def tls_key(self) -> Path:
        """PEM of its key, encrypted."""
        return self.directory / "tls.key"

    @property
    def tls_root(self) -> Path:
        """PEM of the root that clients are to trust for TLS, and for nothing else."""
        return self.directory / "tls-root.pem"

    def issue(
        self,
        subject: x509.Name,
        key: PublicKey,
        not_before: datetime,
        not_after: datetime,
        bank_profile: HolderProfile | None = None,
    ) -> Certificate:
        """A holder's certificate with a new serial, for exactly this subject; it never outlives the CA's own."""
        validity = Validity(not_before, not_after)
        serial = profile.new_serial(self.random)
        issuer = Issuer(self.issuing_key, self.issuing)
        return profile.holder_certificate(
            issuer, subject, key, validity, serial, bank_profile, status_url=self.status_url
        )

    def issue_by(
        self, policy: Policy, subject: x509.Name, key: PublicKey, now: datetime, email: str | None = None
    ) -> Certificate:
        """`issue` as the policy has it, from a little before `now`; `email` is for where it wants the holder's."""
        end = months_after(now, policy.validity_months)
        return self.issue(subject, key, now - policy.back_dating, end, policy.profile(email))


def create_authority(
    directory: Path,
    *,
    clock: Clock = system_clock,
    names: Names | None = None,
    random: RandomBytes = secrets.token_bytes,
    passphrase_file: Path | None = None,
) -> Authority:
    """Make a root, an issuing CA, signers of CMP and of OCSP answers and a TLS server's certificate, once.

    Where there is an authority already, it is loaded as it is; one that an earlier version has made gets what it lacks:
    its keys are encrypted in place, and it gets a signer of OCSP answers. The CA certificates begin two years ago, so
    that old holder certificates lie within them. Everything is made aside and moved into place at once; where the
    directory is a symbolic link, into the place it leads to.

    Args:
        directory: Where it lives.
        clock: Tells when its certificates begin.
        names: What it is called.
        random: Where serial numbers and the passphrase come from.
        passphrase_file: Where the passphrase lies, or is to be made; in the directory, if None.

    Raises:
        AuthorityDamaged: the directory holds something else, or an authority that is not whole.
        OSError: it cannot be written.
    """
    directory = directory.resolve()
    directory.parent.mkdir(parents=True, exist_ok=True)
    names, now = names or Names(), clock().replace(microsecond=0)
    with alone_in(directory.parent), _as_damage():
        if not directory.exists() or not any(directory.iterdir()):
            aside = directory.parent / f".{directory.name}.new"
            shutil.rmtree(aside, ignore_errors=True)
            try:
                aside.mkdir(mode=0o700)
                passphrase = ensure_passphrase(passphrase_file or aside / PASSPHRASE_FILE, random)
                _write_authority(aside, names, now, random, passphrase)
                aside.rename(directory)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
            files.sync(directory.parent)
        elif (directory / "issuing.key").exists():
            _bring_up_to_date(directory, passphrase_file or directory / PASSPHRASE_FILE, names, now, random)
    return load_authority(directory, random=random, passphrase_file=passphrase_file)


def load_authority(
    directory: Path, *, random: RandomBytes = secrets.token_bytes, passphrase_file: Path | None = None
) -> Authority:
    """Read an authority that `create_authority` has made; the passphrase lies in its directory, if nowhere else.

    Raises:
        AuthorityDamaged: with the name of the first file that is missing or unreadable.
        VaultDamaged: the key of the one-time codes is not under the same passphrase.
        PolicyError: its rules are not understood.
    """
    with _as_damage():
        root, issuing = _read_certificate(directory / "root.pem"), _read_certificate(directory / "issuing.pem")
        passphrase = read_passphrase(passphrase_file or directory / PASSPHRASE_FILE)
        issuing_key = _read_key(directory / "issuing.key", issuing, passphrase)
        signer, ocsp = _read_certificate(directory / "signer.pem"), _read_certificate(directory / "ocsp.pem")
        signer_key = SoftwareKey(_read_key(directory / "signer.key", signer, passphrase))
        ocsp_key = _read_key(directory / "ocsp.key", ocsp, passphrase)
        _read_certificate(directory / "tls-root.pem")
        _read_key(directory / "tls.key", _read_certificate(directory / "tls.pem"), passphrase)
    return Authority(
        directory=directory,
        root=root,
        issuing=issuing,
        issuing_key=issuing_key,
        signer=Signer(signer_key, signer, (issuing,)),
        ocsp=ocsp,
        ocsp_key=ocsp_key,
        vault=Vault.of(directory, passphrase, random),
        passphrase=passphrase,
        status_url=load_policy(directory).status_url,
        random=random,
    )


def _write_authority(directory: Path, names: Names, now: datetime, random: RandomBytes, passphrase: Passphrase) -> None:
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
        files.write_new(directory / f"{name}.pem", pem, mode=0o644)
    for name, key in keys.items():
        files.write_new(directory / f"{name}.key", key_files.encrypted(key, passphrase), mode=0o600)
    _write_ocsp_signer(directory, Issuer(issuing_key, issuing), names, now, random, passphrase)
    Vault.of(directory, passphrase, random)


def _write_ocsp_signer(
    directory: Path, issuer: Issuer, names: Names, now: datetime, random: RandomBytes, passphrase: Passphrase
) -> None:
    key = _new_key()
    validity, serial = Validity(now - 2 * _YEAR, now + 10 * _YEAR), profile.new_serial(random)
    certificate = profile.responder_certificate(issuer, names.full(names.ocsp), key.public_key(), validity, serial)
    # The certificate last: by it the pair is known to be whole.
    files.replace(directory / "ocsp.key", key_files.encrypted(key, passphrase), mode=0o600)
    files.replace(directory / "ocsp.pem", certificate.x509.public_bytes(Encoding.PEM), mode=0o644)


def _bring_up_to_date(directory: Path, passphrase_file: Path, names: Names, now: datetime, random: RandomBytes) -> None:
    """Give an authority of an earlier version what it lacks; cut anywhere, it goes on where it was."""
    found = {path: _read_file(path) for name in _KEYS if (path := directory / f"{name}.key").exists()}
    # A new passphrase only where nothing is under an old one yet.
    is_old = not any(key_files.is_encrypted(content) for content in found.values())
    passphrase = ensure_passphrase(passphrase_file, random) if is_old else read_passphrase(passphrase_file)
    for path, content in found.items():
        if not key_files.is_encrypted(content):
            key = key_files.read_key(path, content, None)
            files.replace(path, key_files.encrypted(key, passphrase), mode=0o600)
    vault.encrypt_bare(directory, passphrase, random)
    if not (directory / "ocsp.pem").exists():
        issuing = _read_certificate(directory / "issuing.pem")
        issuer = Issuer(_read_key(directory / "issuing.key", issuing, passphrase), issuing)
        _write_ocsp_signer(directory, issuer, names, now, random, passphrase)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuthorityDamaged(f"{path} cannot be read: {error.strerror}") from error


def _read_certificate(path: Path) -> Certificate:
    if path.name == "ocsp.pem" and not path.exists():
        raise AuthorityDamaged(f"{path} is missing; kiosk ca init --directory {path.parent} makes it")
    content = _read_file(path)
    try:
        return read_certificate(x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER))
    except (ValueError, UnreadableCertificate) as error:
        raise AuthorityDamaged(f"{path} holds no certificate") from error


def _read_key(path: Path, certificate: Certificate, passphrase: Passphrase) -> ec.EllipticCurvePrivateKey:
    key = key_files.read_key(path, _read_file(path), passphrase)
    if key.public_key() != certificate.public_key:
        raise AuthorityDamaged(f"{path} is not the key of its certificate")
    return key


@contextmanager
def _as_damage() -> Iterator[None]:
    try:
        yield
    except (KeyUnusable, PassphraseUnusable) as error:
        raise AuthorityDamaged(str(error)) from error
