"""The table of what is known of modules and tokens, and what a bank adds to it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kiosk.tokens.modules import KNOWN, About, AfterChange, Known, Traits, traits_of
from kiosk.tokens.process import ModuleSettings

PAGE = Path(__file__).parents[2] / "docs" / "tokens.md"

YKCS11 = About("PKCS#11 PIV Library (SP-800-73)", "Yubico (www.yubico.com)", "Yubico", "YubiKey YK5", "YubiKey PIV #1")
OPENSC_PIV = About("OpenSC smartcard framework", "OpenSC Project", "piv_II", "PKCS#15 emulated", "PIV_II")
OPENSC_PGP = About(
    "OpenSC smartcard framework", "OpenSC Project", "ZeitControl", "PKCS#15 emulated", "OpenPGP card (User PIN)"
)
OPENSC_OTHER = About("OpenSC smartcard framework", "OpenSC Project", "JavaCard", "PKCS#15", "SHINKIN-USB (User PIN)")
OPENCRYPTOKI = About("Meta PKCS11 LIBRARY", "IBM", "IBM Corp.", "IBM SoftTok", "USB")
TPM2 = About("TPM2.0 Cryptoki", "tpm2-software.github.io", "IBM", "SW   TPM", "USB")
SOFTHSM = About("Implementation of PKCS11", "SoftHSM", "SoftHSM project", "SoftHSM v2", "SHINKIN-USB")

ROWS = {
    YKCS11: Traits(so_login_to_write=True, key_ids=("01", "02", *(f"{slot:02x}" for slot in range(5, 25)))),
    OPENSC_PIV: Traits(key_ids=("01", "02")),
    OPENSC_PGP: Traits(key_ids=("01", "03")),
    OPENSC_OTHER: Traits(),
    OPENCRYPTOKI: Traits(after_change=AfterChange.NEW_PROCESS),
    TPM2: Traits(after_change=AfterChange.NEW_PROCESS, fresh_session_after_removal=True),
    SOFTHSM: Traits(),
}


@pytest.mark.parametrize("about", ROWS, ids=lambda about: f"{about.library} {about.label}")
def test_what_is_known(about: About) -> None:
    assert traits_of(about) == ROWS[about]


def test_every_row_is_about_something_here_and_has_its_source() -> None:
    for row in KNOWN:
        assert any(row.means(about) for about in ROWS), row
        assert row.source


def test_every_fact_and_row_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in Traits.__struct_fields__:
        assert f"`{name}`" in page
    for row in KNOWN:
        says = {row.library, row.library_manufacturer, row.manufacturer, row.label} - {"*"}
        assert any(f"`{pattern}`" in page for pattern in says), row


def test_a_module_that_nothing_is_known_of_is_taken_as_the_standard_has_it() -> None:
    assert traits_of(About("Acme", "Acme", "Acme", "Acme", "Acme")) == Traits()


SETTINGS = """
module = "/usr/lib/libykcs11.so"
so_pin_file = "/etc/renewal-kiosk/so-pin"

[[known]]
library = "PKCS#11 PIV*"
so_login_to_write = false

[[known]]
manufacturer = "Acme*"
model = "Token 3"
source = "tried in the head office"
key_ids = ["0a", "0b0c"]
after_change = "new-process"
"""


def test_a_bank_says_more_or_otherwise() -> None:
    settings = msgspec.toml.decode(SETTINGS, type=ModuleSettings)
    ours = traits_of(YKCS11, settings.known)
    assert not ours.so_login_to_write, "a bank's row is the last word"
    assert ours.key_ids == ROWS[YKCS11].key_ids, "on what it is about"
    acme = traits_of(About("Any", "Any", "Acme KK", "Token 3"), settings.known)
    assert acme == Traits(after_change=AfterChange.NEW_PROCESS, key_ids=("0a", "0b0c"))
    assert acme.allows_key_id(b"\x0b\x0c")
    assert not acme.allows_key_id(bytes(16))
    assert traits_of(About("Any", "Any", "Acme KK", "Token 4"), settings.known) == Traits()


@pytest.mark.parametrize(
    "wrong", ['key_ids = ["0A"]', 'key_ids = ["1"]', 'after_change = "never"', "fixed_labels = true", "library = 1"]
)
def test_a_row_that_is_not_understood_is_refused(wrong: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.toml.decode(f'module = "m"\n[[known]]\n{wrong}\n', type=ModuleSettings)


def test_a_row_survives_being_written_and_read() -> None:
    rows = (Known(library="A*", so_login_to_write=True, key_ids=("01",)),)
    settings = ModuleSettings(module="m", known=rows)
    assert msgspec.toml.decode(msgspec.toml.encode(settings), type=ModuleSettings) == settings
