"""Protection by a secret that both sides know: PBM and PBMAC1 (RFC 9481 §6.1, RFC 9810 §5.1.3.1, RFC 8018 §7.1).

Whoever verifies does the work that the sender has asked for, so what is asked is judged first: iterations, salt, hash.
A bare HMAC and SHA-1 are not here, so they are never accepted; `openssl cmp` wants `-mac hmacWithSHA256` for that.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from kiosk.cmp import der
from kiosk.cmp.algorithms import DIGESTS, NULL, PBM, PBMAC1, Algorithm
from kiosk.cmp.errors import CmpError, MalformedMessage
from kiosk.cmp.messages import Pbkdf2Parameters, Pbmac1Parameters, PbmParameters

FEWEST_ITERATIONS = 100
MOST_ITERATIONS = 100_000
SHORTEST_SALT = 8
LONGEST_SALT = 64
"""Bytes."""
_SHORTEST_KEY = 16
_LONGEST_KEY = 64
_LONGEST_PARAMETERS = 512
"""Bytes of the AlgorithmIdentifier's parameters; honest ones have about a hundred."""
_SALT_LENGTH = 16
_ITERATIONS = 10_000

_PBKDF2 = "1.2.840.113549.1.5.12"
_HMACS: dict[str, hashes.HashAlgorithm] = {
    "1.2.840.113549.2.9": hashes.SHA256(),
    "1.2.840.113549.2.10": hashes.SHA384(),
    "1.2.840.113549.2.11": hashes.SHA512(),
}
_HMAC_SHA256 = Algorithm("1.2.840.113549.2.9", NULL)
_SHA256 = Algorithm("2.16.840.1.101.3.4.2.1", NULL)


class UnsupportedMac(CmpError):
    """A MAC that is not accepted here, or one that asks for too much or too little work. No work was done."""


class WrongMac(CmpError):
    """The MAC is not by this secret over these bytes."""


class MacKind(StrEnum):
    """How the key of the MAC is made from the secret; by the names that policies use."""

    PBM = "pbm"
    PBMAC1 = "pbmac1"


@dataclass(frozen=True, slots=True)
class MacParameters:
    """What one MAC asks for, judged."""

    kind: MacKind
    salt: bytes
    iterations: int
    derivation: hashes.HashAlgorithm
    """PBM: the one-way function; PBMAC1: the hash of PBKDF2's pseudo-random function."""
    mac: hashes.HashAlgorithm
    """The hash of the HMAC."""
    key_length: int
    """Bytes; of PBMAC1 only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSecret:
    """Whoever protects a message by a secret; the same object protects each message of a transaction.

    `reference` tells the other side which secret it is, and goes out as senderKID (RFC 9483 §3.1).
    """

    reference: bytes
    secret: bytes = field(repr=False)
    kind: MacKind = MacKind.PBM
    sender: bytes = der.EMPTY_SEQUENCE
    """DER of the name that the header gives: the empty one where the sender has none yet."""
    iterations: int = _ITERATIONS
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(_SALT_LENGTH), repr=False)
    extra_certificates: tuple[bytes, ...] = ()

    @property
    def key_id(self) -> bytes:
        """The senderKID."""
        return self.reference

    @property
    def algorithm(self) -> Algorithm:
        """The protectionAlg, with this salt."""
        if self.kind is MacKind.PBM:
            parameters = PbmParameters(
                salt=self.salt, one_way=_SHA256.items(), iterations=self.iterations, mac=_HMAC_SHA256.items()
            )
            return Algorithm(PBM, der.encode(parameters))
        derivation = Pbkdf2Parameters(
            salt=self.salt,
            iterations=self.iterations,
            key_length=hashes.SHA256.digest_size,
            pseudo_random=_HMAC_SHA256.items(),
        )
        scheme = Pbmac1Parameters(
            derivation=Algorithm(_PBKDF2, der.encode(derivation)).items(), mac=_HMAC_SHA256.items()
        )
        return Algorithm(PBMAC1, der.encode(scheme))

    async def protect(self, data: bytes) -> bytes:
        """The MAC over header and body."""
        return compute_mac(read_mac_parameters(self.algorithm), self.secret, data)


def is_mac(algorithm: Algorithm) -> bool:
    """Whether this protects by a secret; of one that is never accepted too, such as a bare HMAC, it may say no."""
    return algorithm.identifier in (PBM, PBMAC1)


def read_mac_parameters(algorithm: Algorithm) -> MacParameters:
    """Judge what a MAC asks for, before any work is done for it.

    Raises:
        UnsupportedMac: it is not accepted, or asks for too much or too little.
    """
    if len(algorithm.parameters or b"") > _LONGEST_PARAMETERS:
        raise UnsupportedMac("parameters that are too long")
    try:
        found = _read_parameters(algorithm)
    except MalformedMessage as error:
        raise UnsupportedMac("parameters that cannot be read") from error
    if not SHORTEST_SALT <= len(found.salt) <= LONGEST_SALT:
        raise UnsupportedMac(f"a salt of {len(found.salt)} bytes")
    if not FEWEST_ITERATIONS <= found.iterations <= MOST_ITERATIONS:
        raise UnsupportedMac("a number of iterations out of bounds")
    if not _SHORTEST_KEY <= found.key_length <= _LONGEST_KEY:
        raise UnsupportedMac("a key length out of bounds")
    return found


def compute_mac(parameters: MacParameters, secret: bytes, data: bytes) -> bytes:
    """The MAC over `data`; costs what the parameters say."""
    return _started(parameters, secret, data).finalize()


def verify_mac(algorithm: Algorithm, secret: bytes, mac: bytes, data: bytes) -> None:
    """Check a MAC.

    Raises:
        UnsupportedMac: it is not accepted, or asks for too much or too little; no work was done.
        WrongMac: it does not verify.
    """
    started = _started(read_mac_parameters(algorithm), secret, data)
    try:
        started.verify(mac)
    except InvalidSignature as error:
        raise WrongMac(algorithm.identifier) from error


def _started(parameters: MacParameters, secret: bytes, data: bytes) -> hmac.HMAC:
    started = hmac.HMAC(_key(parameters, secret), parameters.mac)
    started.update(data)
    return started


def _key(parameters: MacParameters, secret: bytes) -> bytes:
    if parameters.kind is MacKind.PBMAC1:
        derivation = PBKDF2HMAC(parameters.derivation, parameters.key_length, parameters.salt, parameters.iterations)
        return derivation.derive(secret)
    key = secret + parameters.salt
    for _ in range(parameters.iterations):
        key = hashlib.new(parameters.derivation.name, key).digest()
    return key


def _read_parameters(algorithm: Algorithm) -> MacParameters:
    if algorithm.identifier == PBM:
        return _read_pbm(algorithm.parameters or b"")
    if algorithm.identifier == PBMAC1:
        return _read_pbmac1(algorithm.parameters or b"")
    raise UnsupportedMac(algorithm.identifier)


def _read_pbm(parameters: bytes) -> MacParameters:
    raw = der.decode(PbmParameters, parameters)
    return MacParameters(
        kind=MacKind.PBM,
        salt=raw.salt,
        iterations=raw.iterations,
        derivation=_hash(Algorithm.read(raw.one_way), DIGESTS),
        mac=_hash(Algorithm.read(raw.mac), _HMACS),
        key_length=_SHORTEST_KEY,
    )


def _read_pbmac1(parameters: bytes) -> MacParameters:
    raw = der.decode(Pbmac1Parameters, parameters)
    derivation = Algorithm.read(raw.derivation)
    if derivation.identifier != _PBKDF2:
        raise UnsupportedMac("a key derivation other than PBKDF2")
    pbkdf2 = der.decode(Pbkdf2Parameters, derivation.parameters or b"")
    if pbkdf2.pseudo_random is None:
        raise UnsupportedMac("PBKDF2 over SHA-1")
    mac = _hash(Algorithm.read(raw.mac), _HMACS)
    return MacParameters(
        kind=MacKind.PBMAC1,
        salt=pbkdf2.salt,
        iterations=pbkdf2.iterations,
        derivation=_hash(Algorithm.read(pbkdf2.pseudo_random), _HMACS),
        mac=mac,
        key_length=mac.digest_size if pbkdf2.key_length is None else pbkdf2.key_length,
    )


def _hash(algorithm: Algorithm, known: dict[str, hashes.HashAlgorithm]) -> hashes.HashAlgorithm:
    found = known.get(algorithm.identifier)
    if found is None or algorithm.parameters not in (None, NULL):
        raise UnsupportedMac(algorithm.identifier)
    return found
