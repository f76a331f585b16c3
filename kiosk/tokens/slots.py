"""The module that is loaded, its slots, and the tokens that are in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import pkcs11
from pkcs11 import Mechanism, SlotFlag, TokenFlag, exceptions

from kiosk.tokens import mechanisms, wire
from kiosk.tokens.failures import Failure
from kiosk.tokens.modules import About, AfterChange, Traits, WorkerSettings
from kiosk.tokens.modules import traits_of as known_traits
from kiosk.tokens.native import Native, TokenInfo
from kiosk.tokens.objects import shows_before_login
from kiosk.tokens.templates import EC_BITS, RSA_BITS
from kiosk.tokens.wire import FailureKind, KeyKind, KeyOrigin, SignatureKind

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Module  # noqa: N812 - the binding's own name for a loaded module says nothing

_LOOK_ANEW_EVERY = 2.0
"""Seconds."""
_LOAD_ANEW_EVERY = 10.0
"""Seconds; to load a module in a fresh process takes a part of one."""


class Slots:
    """One loaded module, and the tokens in its slots."""

    def __init__(
        self,
        settings: WorkerSettings,
        load: Callable[[str], Module],
        load_native: Callable[[str], Native | None],
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self._load = load
        self._load_native = load_native
        self._clock = clock
        self._module: Module | None = None
        self.native: Native | None = None
        self.session: pkcs11.Session | None = None
        """The one that is open, if any: then the module is not initialised anew."""
        self._present: frozenset[str] | None = None
        self._changed = False
        """Whether a token has come or gone since the module was initialised."""
        self._look_anew_at = 0.0
        self._load_anew_at = self._clock() + _LOAD_ANEW_EVERY

    @property
    def wants_fresh_process(self) -> bool:
        """Whether what the module says next can be believed only in a fresh process."""
        if self.session is not None or self._module is None:
            return False
        if self._traits_of_module().after_change is not AfterChange.NEW_PROCESS:
            return False
        return self._changed or (not self._present and self._clock() >= self._load_anew_at)

    def describe_module(self) -> wire.ModuleFacts:
        """What the module says of itself, and every slot it has."""
        module = self.module()
        return wire.ModuleFacts(
            manufacturer=module.manufacturer_id,
            description=module.library_description,
            version=_version(module.library_version),
            cryptoki_version=_version(module.cryptoki_version),
            slots=tuple(
                wire.SlotFacts(
                    description=slot.slot_description,
                    removable=SlotFlag.REMOVABLE_DEVICE in slot.flags,
                    hardware=SlotFlag.HW_SLOT in slot.flags,
                )
                for slot in module.get_slots()
            ),
        )

    def find_tokens(self) -> list[wire.TokenFacts]:
        """Every initialised token that is in.

        Some modules see a new reader or token only after they were initialised anew, so while nothing is found that is
        done from time to time.
        """
        try:
            found = self._look()
            if not found and self.session is None and self._clock() >= self._look_anew_at:
                self._look_anew_at = self._clock() + _LOOK_ANEW_EVERY
                self.module().reinitialize()
                found = self._look()
        except exceptions.PKCS11Error:
            self._changed = True
            raise
        present = frozenset(each.serial for each in found)
        self._changed = self._changed or self._present not in (None, present)
        self._present = present
        return found

    def _look(self) -> list[wire.TokenFacts]:
        """One vanished token does not hide the others."""
        found = []
        for slot in self.slots_with_token():
            token = _token_in(slot)
            if token is None:
                continue
            if TokenFlag.TOKEN_INITIALIZED in token.flags and self.settings.token_label in ("", token.label):
                found.append(_facts(slot, token, self.traits_of(token), self._info(slot)))
        return found

    def find_blank_tokens(self) -> list[wire.TokenFacts]:
        """Every token that is in and that nobody has initialised, whatever its label."""
        tokens = [(slot, _token_in(slot)) for slot in self.slots_with_token()]
        return [
            _facts(slot, token, self.traits_of(token), self._info(slot))
            for slot, token in tokens
            if token is not None and TokenFlag.TOKEN_INITIALIZED not in token.flags
        ]

    def slots_with_token(self) -> list[pkcs11.Slot]:
        """A reader may go between the list of slots and what is asked of each; then both are asked once more."""
        try:
            return list(self.module().get_slots(token_present=True))
        except exceptions.PKCS11Error:
            return list(self.module().get_slots(token_present=True))

    def token(self, serial: str, known_by: frozenset[bytes] = frozenset()) -> pkcs11.Token:
        """The one token of `serial` that does not show itself to be another one than that with `known_by`."""
        slot_ids = {each.slot_id for each in self.find_tokens() if each.serial == serial}
        slots = self.module().get_slots(token_present=True)
        tokens = [each.get_token() for each in slots if each.slot_id in slot_ids]
        if not tokens:
            raise Failure(FailureKind.GONE, "no token of this serial is in")
        shown = [(each, shows_before_login(each, known_by)) for each in tokens]
        known = [each for each, is_it in shown if is_it] or [each for each, is_it in shown if is_it is None]
        if len(known) == 1:
            return known[0]
        raise Failure(FailureKind.SEVERAL if known else FailureKind.SWAPPED, f"{len(tokens)} tokens of this serial")

    def believe_again(self) -> None:
        """Some modules refuse the right PIN of a token that has come back (ykcs11), until they are initialised anew."""
        if self._changed and self.session is None:
            self.module().reinitialize()
            self._changed = False

    def key_kinds_in_slot(self, slot_id: int, origin: KeyOrigin) -> list[KeyKind]:
        """As `key_kinds`, of the token in this slot; nobody has to be logged in."""
        slot = next((each for each in self.module().get_slots(token_present=True) if each.slot_id == slot_id), None)
        if slot is None:
            raise Failure(FailureKind.GONE, "no token is in this slot")
        return key_kinds_of(slot, origin)

    def room(self, slot_id: int) -> wire.Room:
        """What C_GetTokenInfo says of free memory. Many modules say nothing, and some say 0 for that."""
        self.module()
        told = self.native.token_info(slot_id) if self.native else TokenInfo()
        return wire.Room(told.free_public or None, told.free_private or None)

    def module(self) -> Module:
        """The module; it is loaded at the first request."""
        if self._module is None or not self._module.initialized:
            try:
                self._module = self._load(self.settings.module)
            except (exceptions.PKCS11Error, RuntimeError, OSError) as error:
                raise Failure(FailureKind.MODULE, type(error).__name__) from error
            self.native = self._load_native(self.settings.module)
        return self._module

    def _info(self, slot: pkcs11.Slot) -> TokenInfo:
        return self.native.token_info(slot.slot_id) if self.native else TokenInfo()

    def traits_of(self, token: pkcs11.Token) -> Traits:
        """What is known of a token that it does not say."""
        module = self.module()
        about = About(
            library=module.library_description,
            library_manufacturer=module.manufacturer_id,
            manufacturer=token.manufacturer_id,
            model=token.model,
            label=token.label,
        )
        return known_traits(about, self.settings.known)

    def _traits_of_module(self) -> Traits:
        module = self.module()
        return known_traits(About(module.library_description, module.manufacturer_id), self.settings.known)


def key_kinds_of(slot: pkcs11.Slot, origin: KeyOrigin) -> list[KeyKind]:
    """The kinds of key pair that the token in the slot can make, or take, and sign with."""
    offered = set(slot.get_mechanisms())
    signs = mechanisms.signature_kinds(offered)
    kinds: list[KeyKind] = []
    if SignatureKind.RSA_PKCS1 in signs or SignatureKind.RSA_PSS in signs:
        kinds += _possible(slot, RSA_BITS, Mechanism.RSA_PKCS_KEY_PAIR_GEN, origin, offered)
    if SignatureKind.ECDSA in signs:
        kinds += _possible(slot, EC_BITS, Mechanism.EC_KEY_PAIR_GEN, origin, offered)
    return kinds


def _possible(
    slot: pkcs11.Slot, bits_of: Mapping[KeyKind, int], making: Mechanism, origin: KeyOrigin, offered: Collection[int]
) -> list[KeyKind]:
    """The kinds that can be made by this mechanism; a token that only takes them says nothing of their sizes."""
    if origin is KeyOrigin.EXPORT:
        return list(bits_of)
    if making not in offered:
        return []
    info = slot.get_mechanism_info(making)
    smallest, largest = info.min_key_length or 0, info.max_key_length
    return [kind for kind, bits in bits_of.items() if smallest <= bits and (largest is None or bits <= largest)]


def _facts(slot: pkcs11.Slot, token: pkcs11.Token, traits: Traits, info: TokenInfo) -> wire.TokenFacts:
    flags = token.flags
    return wire.TokenFacts(
        slot_id=slot.slot_id,
        serial=serial_of(token),
        label=token.label,
        manufacturer=token.manufacturer_id,
        model=token.model,
        removable=SlotFlag.REMOVABLE_DEVICE in slot.flags,
        pin_set=TokenFlag.USER_PIN_INITIALIZED in flags,
        pin_few_tries=TokenFlag.USER_PIN_COUNT_LOW in flags,
        pin_last_try=TokenFlag.USER_PIN_FINAL_TRY in flags,
        pin_locked=TokenFlag.USER_PIN_LOCKED in flags,
        pin_to_be_changed=TokenFlag.USER_PIN_TO_BE_CHANGED in flags,
        needs_pin=TokenFlag.LOGIN_REQUIRED in flags,
        reader=slot.slot_description[: wire.LARGEST_ATTRIBUTE],
        traits=traits,
        pin_shortest=info.shortest_pin,
        pin_longest=info.longest_pin,
        so_pin_few_tries=TokenFlag.SO_PIN_COUNT_LOW in flags,
        so_pin_last_try=TokenFlag.SO_PIN_FINAL_TRY in flags,
        so_pin_locked=TokenFlag.SO_PIN_LOCKED in flags,
        pin_pad=TokenFlag.PROTECTED_AUTHENTICATION_PATH in flags,
    )


def _token_in(slot: pkcs11.Slot) -> pkcs11.Token | None:
    """The token in `slot`; None where it has vanished.

    Modules tell that by any error, so one that comes again is taken for it.
    """
    for _ in range(2):
        with suppress(exceptions.PKCS11Error):
            return slot.get_token()
    return None


def serial_of(token: pkcs11.Token) -> str:
    """Its serial number; whatever is in there that is no ASCII is told in escapes."""
    return str(token.serial.decode("ascii", "backslashreplace").strip())


def _version(parts: tuple[int, int]) -> str:
    return f"{parts[0]}.{parts[1]}"
