"""The only file that calls a PKCS#11 module. It runs in a token process, in its one thread.

What real modules do is in `docs` of this house's field notes: they differ in what they accept, so nothing is sent
that one of them refuses, and searches are by object class, because one damaged object breaks an unfiltered one.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypedDict

import pkcs11
from pkcs11 import MGF, Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, SlotFlag, TokenFlag, exceptions
from pkcs11.constants import DEFAULT, CertificateType
from pkcs11.types import SignMixin
from pkcs11.util.ec import encode_ecdsa_signature, encode_named_curve_parameters

from kiosk.tokens import wire
from kiosk.tokens.wire import EcPublic, FailureKind, KeyKind, ObjectKind, Public, RsaPublic, StoredObject

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Module  # noqa: N812 - the binding's own name for a loaded module says nothing

_CLASSES = {
    ObjectKind.CERTIFICATE: ObjectClass.CERTIFICATE,
    ObjectKind.PRIVATE_KEY: ObjectClass.PRIVATE_KEY,
    ObjectKind.PUBLIC_KEY: ObjectClass.PUBLIC_KEY,
}

_RSA_BITS = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072}

_SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""What stands before a SHA-256 digest in a PKCS#1 v1.5 signature (RFC 8017 §9.2, note 1)."""

_PRIVATE_TEMPLATE: dict[Attribute, Any] = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.DECRYPT: DEFAULT,
    Attribute.UNWRAP: DEFAULT,
    Attribute.DERIVE: DEFAULT,
}
_PUBLIC_TEMPLATE: dict[Attribute, Any] = {Attribute.ENCRYPT: DEFAULT, Attribute.WRAP: DEFAULT}

_LOOK_ANEW_EVERY = 2.0
"""Seconds."""

_NOT_TOLD = (
    exceptions.AttributeTypeInvalid,
    exceptions.AttributeSensitive,
    NotImplementedError,
    ValueError,
)
"""An object has no such attribute, or keeps it. Anything else is a fault, and not to be taken for that."""

_FAILURES: tuple[tuple[type[Exception], FailureKind], ...] = (
    (exceptions.PinIncorrect, FailureKind.PIN_WRONG),
    (exceptions.PinLocked, FailureKind.PIN_LOCKED),
    (exceptions.PinLenRange, FailureKind.PIN_LENGTH),
    (exceptions.PinInvalid, FailureKind.PIN_LENGTH),
    (exceptions.UserPinNotInitialized, FailureKind.PIN_NOT_SET),
    (exceptions.PinExpired, FailureKind.PIN_TO_BE_CHANGED),
    (exceptions.DeviceRemoved, FailureKind.GONE),
    (exceptions.TokenNotPresent, FailureKind.GONE),
    (exceptions.NoSuchToken, FailureKind.GONE),
    (exceptions.SlotIDInvalid, FailureKind.GONE),
    (exceptions.DeviceMemory, FailureKind.FULL),
    (exceptions.NoSuchKey, FailureKind.NOT_FOUND),
    (exceptions.MultipleObjectsReturned, FailureKind.AMBIGUOUS),
    (exceptions.MechanismInvalid, FailureKind.UNSUITABLE),
    (exceptions.PKCS11Error, FailureKind.DEVICE),
)


class _KeyPairOptions(TypedDict):
    id: bytes
    label: str
    store: bool
    capabilities: MechanismFlag
    public_template: dict[Attribute, Any]
    private_template: dict[Attribute, Any]


def _key_pair_options(key_id: bytes, label: str) -> _KeyPairOptions:
    return {
        "id": key_id,
        "label": label,
        "store": True,
        "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "public_template": _PUBLIC_TEMPLATE,
        "private_template": _PRIVATE_TEMPLATE,
    }


class Failure(Exception):
    """A request that was not carried out."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(kind, detail)
        self.reply = wire.Failed(kind, detail)


def failure_of(error: exceptions.PKCS11Error) -> Failure:
    """What a module raised, in the kiosk's terms."""
    return Failure(next(kind for raised, kind in _FAILURES if isinstance(error, raised)), type(error).__name__)


class Cryptoki:
    """One loaded module, and at most one session with one of its tokens."""

    def __init__(self, path: str, label: str = "") -> None:
        """Use the module at `path`; it is loaded at the first request, so that a spare process can wait unloaded.

        Only its tokens with this `label` count, or all where it is empty.
        """
        self._path = path
        self._label = label
        self._module: Module | None = None
        self._session: pkcs11.Session | None = None
        self._look_anew_at = 0.0

    def describe_module(self) -> wire.ModuleFacts:
        """What the module says of itself, and every slot it has."""
        module = self._loaded()
        return wire.ModuleFacts(
            manufacturer=module.manufacturer_id,
            description=module.library_description,
            version=_version(module.library_version),
            cryptoki_version=_version(module.cryptoki_version),
            slots=tuple(
                wire.SlotFacts(
                    description=slot.slot_description,
                    removable=SlotFlag.REMOVABLE_DEVICE in slot.flags,
                    hardware=SlotFlag.HW_SLOT in slot.flags,
                )
                for slot in module.get_slots()
            ),
        )

    def find_tokens(self) -> list[wire.TokenFacts]:
        """Every initialised token that is in.

        Some modules see a new reader or token only after they were initialised anew, so while nothing is found that is
        done from time to time.
        """
        found = self._look()
        if not found and self._session is None and time.monotonic() >= self._look_anew_at:
            self._look_anew_at = time.monotonic() + _LOOK_ANEW_EVERY
            self._loaded().reinitialize()
            found = self._look()
        return found

    def _look(self) -> list[wire.TokenFacts]:
        """One vanished token does not hide the others."""
        found = []
        for slot in self._loaded().get_slots(token_present=True):
            try:
                token = slot.get_token()
            except exceptions.PKCS11Error:
                continue
            if TokenFlag.TOKEN_INITIALIZED in token.flags and self._label in ("", token.label):
                found.append(_facts(slot, token))
        return found

    def log_in(self, serial: str, pin: str) -> None:
        """Open the session with the token of `serial`."""
        self._session = self._token(serial).open(rw=True, user_pin=pin)

    def open_without_pin(self, serial: str) -> None:
        """Open the session with the token of `serial`, which wants no PIN."""
        self._session = self._token(serial).open(rw=True)

    def change_pin(self, serial: str, present: str, new: str) -> None:
        """Change the PIN, in the session there is or in one of its own; nobody has to be logged in for that."""
        if self._session is not None:
            self._session.set_pin(present, new)
            return
        session = self._token(serial).open(rw=True)
        try:
            session.set_pin(present, new)
        finally:
            with suppress(exceptions.PKCS11Error):
                session.close()

    def list_objects(self) -> list[StoredObject]:
        """Every certificate, private key and public key that the token shows."""
        return [_stored(kind, each) for kind in _CLASSES for each in self._all(kind)]

    def key_kinds(self) -> list[KeyKind]:
        """The kinds of key pair that the token says it can make and sign with."""
        return _key_kinds(self._slot())

    def key_kinds_in_slot(self, slot_id: int) -> list[KeyKind]:
        """As `key_kinds`, of the token in this slot; nobody has to be logged in."""
        slot = next((each for each in self._loaded().get_slots(token_present=True) if each.slot_id == slot_id), None)
        if slot is None:
            raise Failure(FailureKind.GONE, "no token is in this slot")
        return _key_kinds(slot)

    def make_key_pair(self, kind: KeyKind, key_id: bytes, label: str) -> wire.MadeKeyPair:
        """Make a key pair that never leaves the token; an extractable one is removed again.

        Cards with places for keys would silently destroy the key that is where another one is made.
        """
        if any(self._search(each, {Attribute.ID: key_id}) for each in (ObjectKind.PRIVATE_KEY, ObjectKind.PUBLIC_KEY)):
            raise Failure(FailureKind.OCCUPIED, "a key has this ID")
        session, options = self._open(), _key_pair_options(key_id, label)
        if kind is KeyKind.EC_P256:
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
            public, private = parameters.generate_keypair(**options)
        else:
            public, private = session.generate_keypair(KeyType.RSA, _RSA_BITS[kind], **options)
        if private[Attribute.EXTRACTABLE]:
            private.destroy()
            public.destroy()
            raise Failure(FailureKind.UNSUITABLE, "the token made an extractable key")
        told = _public(public)
        if told is None:
            raise Failure(FailureKind.DEVICE, "the token does not tell the public key it made")
        return wire.MadeKeyPair(told)

    def sign(self, key_id: bytes, public: Public | None, data: bytes, *, pss: bool = False) -> bytes:
        """Sign with the oldest mechanisms, which nearly every token has: RSA over DigestInfo, ECDSA over the digest.

        RSASSA-PSS is younger; a token that does not have it says so.
        """
        key = self._private_key(key_id, public)
        digest = hashlib.sha256(data).digest()
        offered = self._offered()
        if key.key_type is KeyType.RSA and pss:
            parameters = (Mechanism.SHA256, MGF.SHA256, len(digest))
            if Mechanism.RSA_PKCS_PSS in offered:
                return bytes(key.sign(digest, mechanism=Mechanism.RSA_PKCS_PSS, mechanism_param=parameters))
            return bytes(key.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS_PSS, mechanism_param=parameters))
        if key.key_type is KeyType.RSA:
            if Mechanism.RSA_PKCS in offered:
                return bytes(key.sign(_SHA256_DIGEST_INFO + digest, mechanism=Mechanism.RSA_PKCS))
            return bytes(key.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS))
        if Mechanism.ECDSA in offered:
            return encode_ecdsa_signature(key.sign(digest, mechanism=Mechanism.ECDSA))
        return encode_ecdsa_signature(key.sign(data, mechanism=Mechanism.ECDSA_SHA256))

    def write_certificate(self, request: wire.WriteCertificate) -> None:
        """Write the certificate beside its key; nothing is written twice."""
        beside = self._search(ObjectKind.CERTIFICATE, {Attribute.ID: request.key_id})
        if any(each[Attribute.VALUE] == request.der for each in beside):
            return
        self._open().create_object(
            {
                Attribute.CLASS: ObjectClass.CERTIFICATE,
                Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
                Attribute.TOKEN: True,
                Attribute.PRIVATE: False,
                Attribute.LABEL: request.label,
                Attribute.ID: request.key_id,
                Attribute.SUBJECT: request.subject,
                Attribute.ISSUER: request.issuer,
                Attribute.SERIAL_NUMBER: request.serial_number,
                Attribute.VALUE: request.der,
            }
        )

    def relabel(self, key_id: bytes, label: str) -> bool:
        """Change the label of everything with `key_id`; some tokens do not let labels change."""
        try:
            for kind in _CLASSES:
                for each in self._search(kind, {Attribute.ID: key_id}):
                    each[Attribute.LABEL] = label
        except (exceptions.DeviceRemoved, exceptions.TokenNotPresent):
            raise
        except exceptions.PKCS11Error:
            return False  # modules say "labels do not change here" in many ways, and nothing hangs on a label
        return True

    def remove(self, stored: StoredObject) -> bool:
        """Remove exactly `stored`: handles are reused by some modules, so it is read again just before."""
        same = [
            each
            for each in self._search(stored.kind, {Attribute.ID: stored.key_id})
            if _stored(stored.kind, each) == stored
        ]
        if not same:
            return False
        if len(same) > 1:
            raise Failure(FailureKind.AMBIGUOUS, f"{len(same)} objects")
        same[0].destroy()
        return True

    def _loaded(self) -> Module:
        if self._module is None:
            try:
                self._module = pkcs11.lib(self._path)
            except (exceptions.PKCS11Error, RuntimeError, OSError) as error:
                raise Failure(FailureKind.MODULE, type(error).__name__) from error
        return self._module

    def _token(self, serial: str) -> pkcs11.Token:
        for facts in self.find_tokens():
            if facts.serial == serial:
                slots = self._loaded().get_slots(token_present=True)
                return next(slot for slot in slots if slot.slot_id == facts.slot_id).get_token()
        raise Failure(FailureKind.GONE, "no token of this serial is in")

    def _open(self) -> pkcs11.Session:
        if self._session is None:
            raise Failure(FailureKind.DEVICE, "nobody is logged in")
        return self._session

    def _slot(self) -> pkcs11.Slot:
        return self._open().token.slot

    def _offered(self) -> set[Mechanism]:
        return set(self._slot().get_mechanisms())

    def _all(self, kind: ObjectKind) -> list[pkcs11.Object]:
        return self._search(kind, {})

    def _search(self, kind: ObjectKind, attributes: dict[Attribute, object]) -> list[pkcs11.Object]:
        return list(self._open().get_objects({Attribute.CLASS: _CLASSES[kind], **attributes}))

    def _private_key(self, key_id: bytes, public: Public | None) -> SignMixin:
        found = [
            each for each in self._search(ObjectKind.PRIVATE_KEY, {Attribute.ID: key_id}) if isinstance(each, SignMixin)
        ]
        if len(found) > 1:
            found = [each for each in found if _public(each) == public]
        if len(found) != 1:
            raise Failure(FailureKind.AMBIGUOUS if found else FailureKind.NOT_FOUND, f"{len(found)} private keys")
        return found[0]


def _version(parts: tuple[int, int]) -> str:
    return f"{parts[0]}.{parts[1]}"


def _key_kinds(slot: pkcs11.Slot) -> list[KeyKind]:
    offered = set(slot.get_mechanisms())
    kinds: list[KeyKind] = []
    if Mechanism.RSA_PKCS_KEY_PAIR_GEN in offered and offered & {Mechanism.RSA_PKCS, Mechanism.SHA256_RSA_PKCS}:
        largest = slot.get_mechanism_info(Mechanism.RSA_PKCS_KEY_PAIR_GEN).max_key_length
        kinds += [kind for kind, bits in _RSA_BITS.items() if largest is None or bits <= largest]
    if Mechanism.EC_KEY_PAIR_GEN in offered and offered & {Mechanism.ECDSA, Mechanism.ECDSA_SHA256}:
        kinds.append(KeyKind.EC_P256)
    return kinds


def _facts(slot: pkcs11.Slot, token: pkcs11.Token) -> wire.TokenFacts:
    flags = token.flags
    return wire.TokenFacts(
        slot_id=slot.slot_id,
        serial=token.serial.decode("ascii", "backslashreplace").strip(),
        label=token.label,
        manufacturer=token.manufacturer_id,
        model=token.model,
        removable=SlotFlag.REMOVABLE_DEVICE in slot.flags,
        pin_set=TokenFlag.USER_PIN_INITIALIZED in flags,
        pin_few_tries=TokenFlag.USER_PIN_COUNT_LOW in flags,
        pin_last_try=TokenFlag.USER_PIN_FINAL_TRY in flags,
        pin_locked=TokenFlag.USER_PIN_LOCKED in flags,
        pin_to_be_changed=TokenFlag.USER_PIN_TO_BE_CHANGED in flags,
        needs_pin=TokenFlag.LOGIN_REQUIRED in flags,
    )


def _stored(kind: ObjectKind, each: pkcs11.Object) -> StoredObject:
    certificate = kind is ObjectKind.CERTIFICATE
    return StoredObject(
        kind=kind,
        key_id=_attribute(each, Attribute.ID) or b"",
        label=_attribute(each, Attribute.LABEL) or "",
        der=_certificate(each) if certificate else b"",
        public=None if certificate else _public(each),
    )


def _certificate(each: pkcs11.Object) -> bytes:
    value: bytes = _attribute(each, Attribute.VALUE) or b""
    return value if len(value) <= wire.LARGEST_CERTIFICATE else b""


def _public(key: pkcs11.Object) -> Public | None:
    modulus = _attribute(key, Attribute.MODULUS)
    exponent = _attribute(key, Attribute.PUBLIC_EXPONENT)
    if modulus and exponent:
        return RsaPublic(modulus, exponent)
    parameters, point = _attribute(key, Attribute.EC_PARAMS), _attribute(key, Attribute.EC_POINT)
    if parameters and point:
        return EcPublic(parameters, point)
    return None


def _attribute(each: pkcs11.Object, attribute: Attribute) -> Any:  # noqa: ANN401 - whatever the attribute holds
    try:
        return each[attribute]
    except _NOT_TOLD:
        return None
