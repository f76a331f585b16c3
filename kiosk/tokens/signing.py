"""A signature by a private key, by a mechanism that the slot offers, with the PIN where the key wants it for each."""

from __future__ import annotations

from typing import Any

import pkcs11
from pkcs11 import Attribute, KeyType, exceptions
from pkcs11.types import SignMixin
from pkcs11.util.ec import encode_ecdsa_signature

from kiosk.tokens import mechanisms, wire
from kiosk.tokens.contents import private_key
from kiosk.tokens.failures import NOT_TOLD, PIN_REFUSED, Failure, at_pad, failure_of, giving_a_pin
from kiosk.tokens.sessions import Sessions
from kiosk.tokens.wire import FailureKind, SignatureKind


def sign(sessions: Sessions, request: wire.Sign) -> bytes:
    """Sign by a mechanism that the slot offers; one that has none for this says so.

    No reader is woken: a key that wants the PIN typed there is `PAD_WANTED`.
    """
    key, way = _key_and_way(sessions, request)
    return _as_in_x509(way, _signed(sessions, key, way, request.data))


def sign_at_pad(sessions: Sessions, request: wire.Sign, time_out: float) -> bytes:
    """As `sign`, by a key that wants the PIN for it (PKCS #11 v2.40 §5.6, CKU_CONTEXT_SPECIFIC)."""
    key, way = _key_and_way(sessions, request)
    session = sessions.opened()
    with giving_a_pin(), at_pad(time_out):
        if sessions.slots.native is None:
            raise Failure(FailureKind.PAD_NOT_ENOUGH, "the module has no function list")
        signature = sessions.slots.native.sign_at_pad(session.handle, _handle(key), way, request.data)  # type: ignore[attr-defined]  # the stub leaves it out
    return _as_in_x509(way, signature)


def _key_and_way(sessions: Sessions, request: wire.Sign) -> tuple[SignMixin, mechanisms.SigningWay]:
    key = private_key(sessions, request.key_id, request.public)
    kind = _signature_kind(key, pss=request.pss)
    way = mechanisms.signing_way(kind, request.digest, sessions.offered())
    if way is None:
        raise Failure(FailureKind.UNSUITABLE, f"no mechanism for {kind} with {request.digest}")
    return key, way


def _signed(sessions: Sessions, key: SignMixin, way: mechanisms.SigningWay, data: bytes) -> bytes:
    """Some keys want the PIN at every signature (CKA_ALWAYS_AUTHENTICATE), and some of them do not say so."""
    wanted = _wants_pin(key)
    if wanted:
        _check_pin_is_known_to_sign(sessions)
    pin = sessions.pin if wanted else None
    try:
        return _signed_once(sessions, key, way, data, pin)
    except exceptions.UserNotLoggedIn:
        if pin is not None:
            raise
        _check_pin_is_known_to_sign(sessions)
        if sessions.pin is None:
            raise
    return _signed_once(sessions, key, way, data, sessions.pin)


def _check_pin_is_known_to_sign(sessions: Sessions) -> None:
    if sessions.pin is None and sessions.is_typed_at_reader():
        kind = FailureKind.PAD_WANTED if sessions.slots.native else FailureKind.PAD_NOT_ENOUGH
        raise Failure(kind, "the key wants the PIN for each signature")
    sessions.check_pin_is_known()


def _signed_once(sessions: Sessions, key: SignMixin, way: mechanisms.SigningWay, data: bytes, pin: str | None) -> bytes:
    try:
        signed = key.sign(way.input_of(data), mechanism=way.mechanism, mechanism_param=way.parameter, pin=pin)
    except PIN_REFUSED as error:
        if pin is None:
            raise
        sessions.pin = None  # refused once, it is never sent again; that the customer mistyped it, it does not say
        if isinstance(error, exceptions.PinLocked):
            raise failure_of(error, gave_pin=True) from error
        detail = f"the accepted PIN is refused for a signature: {type(error).__name__}"
        raise Failure(FailureKind.DEVICE, detail) from error
    return bytes(signed)


def _handle(key: Any) -> int:  # noqa: ANN401 - the stub says that there may be none
    handle: int = key.handle
    return handle


def _as_in_x509(way: mechanisms.SigningWay, signature: bytes) -> bytes:
    return encode_ecdsa_signature(signature) if way.kind is SignatureKind.ECDSA else signature


def _signature_kind(key: SignMixin, *, pss: bool) -> SignatureKind:
    if key.key_type is KeyType.RSA:
        return SignatureKind.RSA_PSS if pss else SignatureKind.RSA_PKCS1
    return SignatureKind.ECDSA


def _wants_pin(key: pkcs11.Object) -> bool:
    try:
        return bool(key[Attribute.ALWAYS_AUTHENTICATE])
    except (*NOT_TOLD, exceptions.FunctionFailed):
        return False
