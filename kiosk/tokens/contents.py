"""What the token of a session holds: listed, written, relabelled, removed, each exactly as it was read."""

from __future__ import annotations

from pkcs11 import Attribute, exceptions
from pkcs11.types import SignMixin

from kiosk.tokens import templates, wire
from kiosk.tokens.failures import Failure
from kiosk.tokens.objects import CLASSES, as_stored, attribute_of, create_object, find_objects, fingerprint, public_of
from kiosk.tokens.sessions import Sessions
from kiosk.tokens.wire import FailureKind, ObjectKind, Public, StoredObject


def list_objects(sessions: Sessions) -> list[StoredObject]:
    """Every certificate, private key and public key that the token shows."""
    found = [as_stored(kind, each) for kind in CLASSES for each in sessions.search(kind, {})]
    sessions.known_by = frozenset(fingerprint(each.der) for each in found if each.der)
    return found


def write_certificate(sessions: Sessions, request: wire.WriteCertificate) -> None:
    """Write the certificate beside its key; nothing is written twice."""
    beside = sessions.search(ObjectKind.CERTIFICATE, {Attribute.ID: request.key_id})
    same = [each for each in beside if each[Attribute.VALUE] == request.der]
    if any(not request.by_label or attribute_of(each, Attribute.LABEL) == request.label for each in same):
        return
    with sessions.writing() as session:
        create_object(session, templates.certificate(request), templates.LESS_OF_A_CERTIFICATE)
    sessions.known_by |= {fingerprint(request.der)}


def relabel(sessions: Sessions, key_id: bytes, label: str) -> bool:
    """Change the label of certificates and public keys with `key_id`; some tokens do not let labels change.

    Not of the private key, which has its own from the start: a card that is pulled while its list of private keys is
    written over loses keys (docs/token-stacks.md).
    """
    try:
        with sessions.writing() as session:
            for kind in (ObjectKind.CERTIFICATE, ObjectKind.PUBLIC_KEY):
                for each in find_objects(session, kind, {Attribute.ID: key_id}):
                    each[Attribute.LABEL] = label
    except (exceptions.DeviceRemoved, exceptions.TokenNotPresent):
        raise
    except exceptions.PKCS11Error:
        return False  # modules say "labels do not change here" in many ways, and nothing hangs on a label
    return True


def remove(sessions: Sessions, stored: StoredObject) -> bool:
    """Remove exactly `stored`: handles are reused by some modules, so it is read again just before."""
    if sessions.traits.fresh_session_after_removal:
        sessions.check_pin_is_known()
    with sessions.writing() as session:
        found = find_objects(session, stored.kind, {Attribute.ID: stored.key_id})
        same = [each for each in found if as_stored(stored.kind, each) == stored]
        if not same:
            return False
        if len(same) > 1:
            raise Failure(FailureKind.AMBIGUOUS, f"{len(same)} objects")
        same[0].destroy()
        sessions.known_by -= {fingerprint(stored.der)}
    if sessions.traits.fresh_session_after_removal and sessions.slots.session is not None:
        session, sessions.slots.session = sessions.slots.session, None
        sessions.close(session)
        sessions.begin(sessions.serial, sessions.pin, sessions.known_by)
    return True


def private_key(sessions: Sessions, key_id: bytes, public: Public | None) -> SignMixin:
    """The one private key with this ID; of several, the one whose public half is `public`."""
    found = [
        each for each in sessions.search(ObjectKind.PRIVATE_KEY, {Attribute.ID: key_id}) if isinstance(each, SignMixin)
    ]
    if len(found) > 1:
        found = [each for each in found if public_of(each) == public]
    if len(found) != 1:
        raise Failure(FailureKind.AMBIGUOUS if found else FailureKind.NOT_FOUND, f"{len(found)} private keys")
    return found[0]
