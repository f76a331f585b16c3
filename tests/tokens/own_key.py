"""Makes a key pair in a SoftHSM token as some other program would: `python -m tests.tokens.own_key CURVE ALWAYS`.

A process of its own, because a module is never loaded into that of the tests. The token is the only one with keys to
come; its PIN is the demo's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pkcs11
from pkcs11 import Attribute, KeyType, MechanismFlag
from pkcs11.constants import DEFAULT
from pkcs11.util.ec import encode_named_curve_parameters

from kiosk.settings import DEMO_PIN
from kiosk.tokens.process import ModuleSettings

KEY_ID = b"\x07"


def make_key(module: ModuleSettings, label: str, curve: str, *, always_authenticates: bool = False) -> None:
    """A key pair with `KEY_ID` in the token `label`; the PIN at every signature is wanted where it is so said."""
    subprocess.run(
        [sys.executable, "-m", __name__, module.module, label, curve, "always" if always_authenticates else ""],
        env={**os.environ, **module.environment},
        cwd=Path(__file__).parents[2],
        check=True,
    )


def main(module: str, label: str, curve: str, always: str) -> None:
    private = {Attribute.EXTRACTABLE: False, Attribute.DERIVE: DEFAULT, Attribute.DECRYPT: DEFAULT}
    if always:
        private[Attribute.ALWAYS_AUTHENTICATE] = True
    with pkcs11.lib(module).get_token(token_label=label).open(rw=True, user_pin=DEMO_PIN) as session:
        parameters = session.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True
        )
        parameters.generate_keypair(
            id=KEY_ID,
            label=label,
            store=True,
            capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
            private_template=private,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
