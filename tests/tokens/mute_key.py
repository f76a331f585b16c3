"""Leaves a private key in a SoftHSM token that tells nothing of its public half: `python -m tests.tokens.mute_key`.

A card that was pulled while it made a key may have such a one. A process of its own, because a module is never loaded
into that of the tests. The token is the only one with this label; its PIN is the demo's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

from kiosk.settings import DEMO_PIN
from kiosk.tokens.process import ModuleSettings


def leave_mute_key(module: ModuleSettings, token: str, key_id: bytes, label: str = "") -> None:
    """In the place of everything that has `key_id` on `token`, a private key so labelled and nothing else."""
    subprocess.run(
        [sys.executable, "-m", __name__, module.module, token, key_id.hex(), label],
        env={**os.environ, **module.environment},
        cwd=Path(__file__).parents[2],
        check=True,
    )


def main(module: str, token: str, key_id: str, label: str) -> None:
    wanted = bytes.fromhex(key_id)
    value = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    with pkcs11.lib(module).get_token(token_label=token).open(rw=True, user_pin=DEMO_PIN) as session:
        for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY, ObjectClass.CERTIFICATE):
            for each in list(session.get_objects({Attribute.CLASS: kind, Attribute.ID: wanted})):
                each.destroy()
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.PRIVATE_KEY,
                Attribute.KEY_TYPE: KeyType.EC,
                Attribute.TOKEN: True,
                Attribute.PRIVATE: True,
                Attribute.SENSITIVE: True,
                Attribute.SIGN: True,
                Attribute.ID: wanted,
                Attribute.LABEL: label,
                Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1"),
                Attribute.VALUE: value.to_bytes(32, "big"),
            }
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
