"""What is sent to a token to make or store an object: what all of them take, and what can be left out for some.

Field notes §4, "key template that all of them take". Where a module refuses an attribute all the same, the object is
asked for again without it; what came of it is judged by reading it back, never by what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass, exceptions
from pkcs11.constants import DEFAULT, CertificateType
from pkcs11.util.ec import encode_named_curve_parameters

from kiosk.tokens import wire
from kiosk.tokens.wire import KeyKind

T = TypeVar("T")

Template = Mapping[Attribute, Any]

RSA_BITS = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072}
EC_BITS = {KeyKind.EC_P256: 256}
_CURVES = {KeyKind.EC_P256: "secp256r1"}

_REFUSED = (
    exceptions.AttributeTypeInvalid,
    exceptions.AttributeValueInvalid,
    exceptions.AttributeReadOnly,
    exceptions.TemplateInconsistent,
)
"""How modules say that an attribute is not to their liking; which one it is, they do not say."""

LESS_OF_A_KEY: Sequence[frozenset[Attribute]] = (
    frozenset({Attribute.EXTRACTABLE}),
    frozenset({Attribute.SENSITIVE}),
    frozenset({Attribute.PRIVATE}),
    frozenset({Attribute.SIGN, Attribute.VERIFY}),
    frozenset({Attribute.LABEL}),
)
"""What is left out of a key's template, one after another. A token that makes its keys not extractable anyway may
refuse to be told (ykcs11)."""

LESS_OF_A_CERTIFICATE: Sequence[frozenset[Attribute]] = (
    frozenset({Attribute.PRIVATE}),
    frozenset({Attribute.ISSUER, Attribute.SERIAL_NUMBER}),
    frozenset({Attribute.LABEL}),
)


class KeyPairOptions(TypedDict):
    """What python-pkcs11 is told besides the kind of key."""

    id: bytes
    label: str
    store: bool
    capabilities: MechanismFlag
    public_template: dict[Attribute, Any]
    private_template: dict[Attribute, Any]


def until_taken(ask: Callable[[frozenset[Attribute]], T], less: Sequence[frozenset[Attribute]]) -> T:
    """What `ask` answers, told what to leave out: nothing at first, then what `less` names, more and more.

    Raises:
        PKCS11Error: the module refuses the attributes even so, or something else went wrong.
    """
    left_out: frozenset[Attribute] = frozenset()
    for more in less:
        try:
            return ask(left_out)
        except _REFUSED:
            left_out |= more
    return ask(left_out)


def without(template: Template, left_out: frozenset[Attribute]) -> dict[Attribute, Any]:
    """The rest of `template`."""
    return {attribute: value for attribute, value in template.items() if attribute not in left_out}


def key_pair_options(
    key_id: bytes, label: str, public_label: str | None, left_out: frozenset[Attribute]
) -> KeyPairOptions:
    """For a key pair that signs and stays inside; capabilities that we do not want are not mentioned."""
    private = {
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.DECRYPT: DEFAULT,
        Attribute.UNWRAP: DEFAULT,
        Attribute.DERIVE: DEFAULT,
    }
    public: dict[Attribute, Any] = {Attribute.ENCRYPT: DEFAULT, Attribute.WRAP: DEFAULT}
    if public_label is not None:
        public[Attribute.LABEL] = public_label
    not_sent = dict.fromkeys(left_out, DEFAULT)
    return {
        "id": key_id,
        "label": label,
        "store": True,
        "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "public_template": public | not_sent,
        "private_template": private | not_sent,
    }


def curve_parameters(kind: KeyKind) -> bytes:
    """CKA_EC_PARAMS."""
    return encode_named_curve_parameters(_CURVES[kind])


def private_key(key_type: KeyType, key_id: bytes, label: str, numbers: Template) -> Template:
    """A private key that is put into a token, to stay there."""
    return {
        Attribute.CLASS: ObjectClass.PRIVATE_KEY,
        Attribute.KEY_TYPE: key_type,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.SIGN: True,
        Attribute.LABEL: label,
        Attribute.ID: key_id,
        **numbers,
    }


def public_key(key_type: KeyType, key_id: bytes, label: str, numbers: Template) -> Template:
    """Its public half."""
    return {
        Attribute.CLASS: ObjectClass.PUBLIC_KEY,
        Attribute.KEY_TYPE: key_type,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: False,
        Attribute.VERIFY: True,
        Attribute.LABEL: label,
        Attribute.ID: key_id,
        **numbers,
    }


def certificate(request: wire.WriteCertificate) -> Template:
    """A certificate object."""
    return {
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
