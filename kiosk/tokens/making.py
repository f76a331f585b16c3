"""A new key pair, made inside the token or put into it, never where another one is, and read back."""

from __future__ import annotations

from contextlib import suppress

import pkcs11
from pkcs11 import Attribute, KeyType, exceptions

from kiosk.tokens import templates, wire
from kiosk.tokens.contents import private_key, remove
from kiosk.tokens.failures import Failure, needing_room
from kiosk.tokens.objects import as_stored, attribute_of, create_object, find_objects, public_from, public_of
from kiosk.tokens.sessions import Sessions
from kiosk.tokens.templates import EC_BITS, RSA_BITS, until_taken
from kiosk.tokens.wire import FailureKind, KeyKind, ObjectKind, Public

_OUR_KEY_ID_BYTES = 16
"""What only the kiosk makes (design decision 7): nobody else's key has a hash for its CKA_ID."""


def make_key_pair(
    sessions: Sessions, kind: KeyKind, key_id: bytes, label: str, public_label: str | None
) -> wire.MadeKeyPair:
    """Make a key pair that never leaves the token; one that could leave it is removed again."""
    _make_sure_it_is_free(sessions, key_id)
    with sessions.writing() as session:
        _clear_public_halves(session, key_id)
        public = until_taken(
            lambda left_out: _generated(
                session, kind, templates.key_pair_options(key_id, label, public_label, left_out)
            ),
            templates.LESS_OF_A_KEY,
        )
    return _made(sessions, key_id, public)


def import_key_pair(
    sessions: Sessions, kind: KeyKind, key_id: bytes, label: str, public_label: str | None
) -> wire.MadeKeyPair:
    """Make a key pair here and put it into the token, whence it cannot be taken; the process must end then.

    The public half first: a private key alone, of which nobody can tell the public half, would be of no use.
    """
    from kiosk.tokens import software_keys  # no other token process needs `cryptography`

    _make_sure_it_is_free(sessions, key_id)
    key = software_keys.make(kind)
    public = templates.public_key(key.key_type, key_id, label if public_label is None else public_label, key.public)
    private = templates.private_key(key.key_type, key_id, label, key.private)
    with sessions.writing() as session:
        _clear_public_halves(session, key_id)
        try:
            for template in (public, private):
                create_object(session, template, templates.LESS_OF_A_KEY)
        except (exceptions.PKCS11Error, Failure):
            with suppress(exceptions.PKCS11Error):
                _clear_public_halves(session, key_id)
            raise
    return _made(sessions, key_id, public_from(key.public))


def _generated(session: pkcs11.Session, kind: KeyKind, options: templates.KeyPairOptions) -> Public | None:
    if kind in EC_BITS:
        curve = {Attribute.EC_PARAMS: templates.curve_parameters(kind)}
        parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
        with needing_room():
            public, _ = parameters.generate_keypair(**options)
    else:
        with needing_room():
            public, _ = session.generate_keypair(KeyType.RSA, RSA_BITS[kind], **options)
    return public_of(public)


def _make_sure_it_is_free(sessions: Sessions, key_id: bytes) -> None:
    """A card that has slots overwrites the key that is in one, silently; and no ID of ours is given twice."""
    if not sessions.traits.allows_key_id(key_id):
        raise Failure(FailureKind.UNSUITABLE, f"this card has no slot {key_id.hex()}")
    alone = bool(sessions.traits.key_ids) or len(key_id) == _OUR_KEY_ID_BYTES
    if alone and sessions.search(ObjectKind.PRIVATE_KEY, {Attribute.ID: key_id}):
        raise Failure(FailureKind.OCCUPIED, "there is a private key with this ID already")


def _clear_public_halves(session: pkcs11.Session, key_id: bytes) -> None:
    """Remove what a cut has left of an earlier key of ours: its public half would be taken for the new one's."""
    if len(key_id) == _OUR_KEY_ID_BYTES:
        for left in find_objects(session, ObjectKind.PUBLIC_KEY, {Attribute.ID: key_id}):
            left.destroy()


def _made(sessions: Sessions, key_id: bytes, public: Public | None) -> wire.MadeKeyPair:
    """What was made, once it has been read back.

    Whether tokens call a key sensitive differs (field notes §4), and what is not extractable is never told in the
    clear anyway (PKCS#11 2.40 §4.9).
    """
    private = private_key(sessions, key_id, public)
    if attribute_of(private, Attribute.EXTRACTABLE) is not False:
        halves = sessions.search(ObjectKind.PUBLIC_KEY, {Attribute.ID: key_id})
        made = [as_stored(ObjectKind.PUBLIC_KEY, each) for each in halves if public_of(each) == public]
        for stored in (as_stored(ObjectKind.PRIVATE_KEY, private), *made):
            remove(sessions, stored)
        raise Failure(FailureKind.UNSUITABLE, "the key in the token can be taken out, or may be")
    if public is None:
        raise Failure(FailureKind.DEVICE, "the token does not tell the public key it made")
    return wire.MadeKeyPair(public)
