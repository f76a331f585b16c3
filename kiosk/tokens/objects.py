"""What lies on a token: found, read, and put there. By class, since one damaged object breaks other searches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pkcs11
from pkcs11 import Attribute, ObjectClass, exceptions

from kiosk.tokens import templates, wire
from kiosk.tokens.failures import NOT_TOLD, Failure, needing_room
from kiosk.tokens.templates import until_taken, without
from kiosk.tokens.wire import EcPublic, FailureKind, ObjectKind, Public, RsaPublic, StoredObject

CLASSES = {
    ObjectKind.CERTIFICATE: ObjectClass.CERTIFICATE,
    ObjectKind.PRIVATE_KEY: ObjectClass.PRIVATE_KEY,
    ObjectKind.PUBLIC_KEY: ObjectClass.PUBLIC_KEY,
}


def find_objects(session: pkcs11.Session, kind: ObjectKind, attributes: dict[Attribute, object]) -> list[pkcs11.Object]:
    """The objects of a kind, all of them: what is left of a search that is broken off prints to standard error."""
    found = list(session.get_objects({Attribute.CLASS: CLASSES[kind], **attributes}))
    if len(found) > wire.MOST_OBJECTS:
        raise Failure(FailureKind.DEVICE, f"the token shows {len(found)} objects of one kind")
    return found


def create_object(session: pkcs11.Session, template: templates.Template, less: Sequence[frozenset[Attribute]]) -> None:
    """Put it there, without the attributes of `less` that the module refuses, one set after another."""
    with needing_room():
        until_taken(lambda left_out: session.create_object(without(template, left_out)), less)


def as_stored(kind: ObjectKind, each: pkcs11.Object) -> StoredObject:
    """As the kiosk knows it; what is larger than it should be is told as far as that, or not at all."""
    certificate = kind is ObjectKind.CERTIFICATE
    return StoredObject(
        kind=kind,
        key_id=(attribute_of(each, Attribute.ID) or b"")[: wire.LARGEST_ATTRIBUTE],
        label=(attribute_of(each, Attribute.LABEL) or "")[: wire.LARGEST_ATTRIBUTE],
        der=_certificate_of(each) if certificate else b"",
        public=None if certificate else _told_half(kind, each),
    )


def _told_half(kind: ObjectKind, key: pkcs11.Object) -> Public | None:
    """The public half of a key; None too of a public key that is nothing but a name.

    OpenSC calls it a general error where a card lists a public key whose file a cut has taken (docs/token-stacks.md).
    Once may be any fault: it is taken for that where it is said again.
    """
    if kind is ObjectKind.PUBLIC_KEY:
        for _ in range(2):
            with suppress(exceptions.GeneralError):
                return public_of(key)
        return None
    return public_of(key)


def _certificate_of(each: pkcs11.Object) -> bytes:
    value: bytes = attribute_of(each, Attribute.VALUE) or b""
    return value if len(value) <= wire.LARGEST_CERTIFICATE else b""


def public_of(key: pkcs11.Object) -> Public | None:
    """The public half of a key; None where the key does not tell it."""
    modulus = attribute_of(key, Attribute.MODULUS)
    exponent = attribute_of(key, Attribute.PUBLIC_EXPONENT)
    if modulus and exponent:
        return public_from({Attribute.MODULUS: modulus, Attribute.PUBLIC_EXPONENT: exponent})
    parameters, point = attribute_of(key, Attribute.EC_PARAMS), attribute_of(key, Attribute.EC_POINT)
    if parameters and point:
        return public_from({Attribute.EC_PARAMS: parameters, Attribute.EC_POINT: point})
    return None


def public_from(numbers: templates.Template) -> Public | None:
    """The public half of a key with these attributes; None where one of them is too large to be one."""
    if any(len(number) > wire.LARGEST_ATTRIBUTE for number in numbers.values()):
        return None
    if Attribute.MODULUS in numbers:
        return RsaPublic(numbers[Attribute.MODULUS], numbers[Attribute.PUBLIC_EXPONENT])
    return EcPublic(numbers[Attribute.EC_PARAMS], numbers[Attribute.EC_POINT])


def attribute_of(each: pkcs11.Object, attribute: Attribute) -> Any:  # noqa: ANN401 - whatever the attribute holds
    """An attribute; None where the object has none such, or keeps it."""
    try:
        return each[attribute]
    except NOT_TOLD:
        return None


def shows(session: pkcs11.Session, certificates: frozenset[bytes]) -> bool | None:
    """Whether one of `certificates` (SHA-256 of each) is on the token; None where nothing is known or shown."""
    if not certificates:
        return None
    objects = list(session.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE}))
    return any(fingerprint(_certificate_of(each)) in certificates for each in objects) if objects else None


def shows_before_login(token: pkcs11.Token, certificates: frozenset[bytes]) -> bool | None:
    """As `shows`, of a token nobody is logged in to; None too where it answers nothing before that."""
    if not certificates:
        return None
    try:
        session = token.open()
        try:
            return shows(session, certificates)
        finally:
            session.close()
    except exceptions.PKCS11Error:
        return None


def fingerprint(der: bytes) -> bytes:
    """SHA-256 of a certificate."""
    return hashlib.sha256(der).digest()
