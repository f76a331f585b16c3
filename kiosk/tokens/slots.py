"""Cards with a fixed set of places for keys (PIV, OpenPGP).

A key that is made where one is already silently destroys it, so a key is made in a free place only.
"""

from __future__ import annotations

from kiosk.tokens.wire import TokenFacts

_PIV = (b"\x01", *(bytes([number]) for number in range(0x05, 0x19)))
"""Place 9A, and the retired places 82 to 95, as OpenSC and ykcs11 number them. 9C wants the PIN at every signature, 9D
is for decryption, and 9E signs without a PIN."""
_OPENPGP = (b"\x03",)
"""Its key for authentication; the signature key is behind another PIN."""


def fixed_key_ids(facts: TokenFacts) -> tuple[bytes, ...]:
    """The only CKA_IDs under which this token can have a key for logging in; empty where any ID will do."""
    if facts.manufacturer.lower().startswith(("yubico", "piv_ii")):
        return _PIV
    if facts.manufacturer.startswith(("OpenPGP project", "ZeitControl")) or facts.label.startswith("OpenPGP card"):
        return _OPENPGP
    return ()
