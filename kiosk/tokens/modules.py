"""What is known of PKCS#11 modules and tokens that they do not say themselves; one table, which a bank can add to.

Only what code acts on is here. What a module does say (its mechanisms, its flags, what it refuses) is asked or tried,
never looked up. Rows go by what a module says of itself (C_GetInfo) and a token of itself (C_GetTokenInfo).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from msgspec import Meta

KeyIdHex = Annotated[str, Meta(pattern=r"^([0-9a-f]{2})+\Z", max_length=64)]
"""A CKA_ID, as lower-case hexadecimal digits."""


class AfterChange(StrEnum):
    """What a module needs before it can be believed again once a token has come or gone."""

    INITIALISE = "initialise"
    """To be initialised anew (C_Finalize, C_Initialize); enough for most."""
    NEW_PROCESS = "new-process"
    """To be loaded anew, in a fresh process."""


class Traits(msgspec.Struct, frozen=True):
    """What is known of one token behind one module."""

    so_login_to_write: bool = False
    """Only the security officer may make keys, and write or remove anything."""
    after_change: AfterChange = AfterChange.INITIALISE
    fresh_session_after_removal: bool = False
    """After an object was removed its handle is given to another one, within the session."""
    key_ids: tuple[str, ...] = ()
    """The only CKA_IDs (hexadecimal) under which a key for signing can be made: one for each slot of a card that has
    slots, where a new key silently destroys the one that is there. Empty where any ID will do."""

    def allows_key_id(self, key_id: bytes) -> bool:
        """Whether a key can be made under this CKA_ID, as far as is known."""
        return not self.key_ids or key_id.hex() in self.key_ids


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A row: which modules and tokens are meant (shell patterns; `*` for any), and what is known of them."""

    library: str = "*"
    """The module's own description."""
    library_manufacturer: str = "*"
    manufacturer: str = "*"
    """The token's."""
    model: str = "*"
    label: str = "*"
    source: str = ""
    """Where that is known from."""
    so_login_to_write: bool | None = None
    after_change: AfterChange | None = None
    fresh_session_after_removal: bool | None = None
    key_ids: tuple[KeyIdHex, ...] | None = None

    @property
    def means_all(self) -> bool:
        """Whether this row is about every module and token."""
        patterns = (self.library, self.library_manufacturer, self.manufacturer, self.model, self.label)
        return all(each == "*" for each in patterns)

    @property
    def tells_nothing(self) -> bool:
        """Whether this row leaves everything as it is."""
        return all(getattr(self, name) is None for name in Traits.__struct_fields__)

    def means(self, about: About) -> bool:
        """Whether this row is about that module and token."""
        pairs = (
            (about.library, self.library),
            (about.library_manufacturer, self.library_manufacturer),
            (about.manufacturer, self.manufacturer),
            (about.model, self.model),
            (about.label, self.label),
        )
        return all(fnmatchcase(told, pattern) for told, pattern in pairs)


class About(msgspec.Struct, frozen=True):
    """What a module says of itself, and a token behind it; the latter is empty where there is none."""

    library: str = ""
    library_manufacturer: str = ""
    manufacturer: str = ""
    model: str = ""
    label: str = ""


class WorkerSettings(msgspec.Struct, frozen=True):
    """What a token process is told as it starts. There is no secret in it."""

    module: str
    token_label: str = ""
    known: tuple[Known, ...] = ()
    so_pin_file: str = ""


_PIV_SIGNING = ("01", "02")
"""9A and 9C; 9D and the retired slots decrypt, and 9E wants no PIN."""
_PIV_RETIRED = tuple(f"{number:02x}" for number in range(0x05, 0x19))

KNOWN = (
    Known(
        library="PKCS#11 PIV Library (SP-800-73)",
        source="field notes §4, ykcs11 2.2: writing needs the management key, which is its SO PIN",
        so_login_to_write=True,
        key_ids=_PIV_SIGNING + _PIV_RETIRED,
    ),
    Known(
        library_manufacturer="OpenSC*",
        manufacturer="piv_II*",
        source="field notes §4, traps in tokens: slot-based cards; IDs as OpenSC 0.23 numbers them",
        key_ids=_PIV_SIGNING,
    ),
    Known(
        library_manufacturer="OpenSC*",
        label="OpenPGP card*",
        source="field notes §4, traps in tokens: slot-based cards; signature and authentication key",
        key_ids=("01", "03"),
    ),
    Known(
        library_manufacturer="IBM",
        source="field notes §4, opencryptoki 3.8.1: a token that is back is seen by a new process only",
        after_change=AfterChange.NEW_PROCESS,
    ),
    Known(
        library="TPM2.0 Cryptoki*",
        source="field notes §4, tpm2-pkcs11 1.9: new process after a pull; handles are reused after a removal",
        after_change=AfterChange.NEW_PROCESS,
        fresh_session_after_removal=True,
    ),
)
"""Later rows say more, or otherwise, than earlier ones; a bank's own come last."""


def traits_of(about: About, own: Iterable[Known] = ()) -> Traits:
    """What is known of a module and a token, by the table and by a bank's `own` rows."""
    told: dict[str, object] = {}
    for row in (*KNOWN, *own):
        if row.means(about):
            told |= {name: value for name in Traits.__struct_fields__ if (value := getattr(row, name)) is not None}
    return msgspec.convert(told, Traits)
