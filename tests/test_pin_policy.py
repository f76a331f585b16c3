"""What may be done about a PIN: the whole table, and what holds for every cell of it."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest

from kiosk.pin_policy import LONGEST_PASSWORD, Lengths, PinPolicy, PinStanding
from kiosk.settings import Policy
from kiosk.tokens.wire import FailureKind, StoreKind, TokenFacts

FACTS = TokenFacts(
    slot_id=1,
    serial="01",
    label="SHINKIN-USB",
    manufacturer="",
    model="",
    removable=True,
    pin_set=True,
    pin_few_tries=False,
    pin_last_try=False,
    pin_locked=False,
    pin_to_be_changed=False,
)
FLAGS = {
    "none": {},
    "few": {"pin_few_tries": True},
    "last": {"pin_last_try": True},
    "few+last": {"pin_few_tries": True, "pin_last_try": True},
    "locked": {"pin_locked": True},
    "locked+last": {"pin_locked": True, "pin_last_try": True},
    "unset": {"pin_set": False},
}

OK, FEW, MAYBE, LAST = PinStanding.PLENTY, PinStanding.FEW, PinStanding.MAYBE_LAST, PinStanding.LAST
NEVER, OFTEN = PinStanding.NONE_BUT_LAST, PinStanding.TOO_OFTEN
LOCKED, UNSET = PinStanding.LOCKED, PinStanding.NOT_SET

TABLE = {
    # by the flags now and the wrong PINs of this visit: 0, 1, 2, 3 of 3
    ("ask", "none"): (OK, OK, MAYBE, OFTEN),
    ("ask", "few"): (FEW, FEW, MAYBE, OFTEN),
    ("ask", "last"): (LAST, LAST, LAST, OFTEN),
    ("ask", "few+last"): (LAST, LAST, LAST, OFTEN),
    ("ask", "locked"): (LOCKED, LOCKED, LOCKED, LOCKED),
    ("ask", "locked+last"): (LOCKED, LOCKED, LOCKED, LOCKED),
    ("ask", "unset"): (UNSET, UNSET, UNSET, UNSET),
    ("never", "none"): (OK, OK, OFTEN, OFTEN),
    ("never", "few"): (FEW, FEW, OFTEN, OFTEN),
    ("never", "last"): (NEVER, NEVER, NEVER, OFTEN),
    ("never", "few+last"): (NEVER, NEVER, NEVER, OFTEN),
    ("never", "locked"): (LOCKED, LOCKED, LOCKED, LOCKED),
    ("never", "locked+last"): (LOCKED, LOCKED, LOCKED, LOCKED),
    ("never", "unset"): (UNSET, UNSET, UNSET, UNSET),
}

CARE = {OK: 0, FEW: 1, MAYBE: 2, LAST: 3, NEVER: 4, OFTEN: 4, UNSET: 4, LOCKED: 4}
"""How careful that is; with 4 nobody types any more."""


def facts(flags: str) -> TokenFacts:
    return msgspec.structs.replace(FACTS, **FLAGS[flags])


def after(wrong: int, rules: Policy | None = None, store: StoreKind = StoreKind.USB, first: str = "none") -> PinPolicy:
    """The policy after so many wrong PINs, at a token whose flags were `first` when the visit began."""
    pins = PinPolicy(rules or Policy(), store)
    pins.standing(facts(first))
    for _ in range(wrong):
        pins.note(FailureKind.PIN_WRONG)
    return pins


def rule(last_try: str) -> Policy:
    return msgspec.convert({"last_try": last_try}, Policy)


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(product(("ask", "never"), FLAGS))


@pytest.mark.parametrize(("last_try", "flags"), TABLE)
def test_every_cell(last_try: str, flags: str) -> None:
    found = tuple(after(wrong, rule(last_try)).standing(facts(flags)) for wrong in range(4))
    assert found == TABLE[last_try, flags]


@pytest.mark.parametrize(("last_try", "flags"), TABLE)
def test_a_try_spent_before_the_visit_counts_as_one(last_try: str, flags: str) -> None:
    """A token without CKF_USER_PIN_FINAL_TRY may be about to lock after one wrong PIN of the visit."""
    spent = after(1, rule(last_try), first="few").standing(facts(flags))
    assert spent is TABLE[last_try, flags][2]


def test_a_flag_never_makes_anybody_less_careful() -> None:
    for last_try, wrong, flags in product(("ask", "never"), range(5), FLAGS):
        pins = after(wrong, rule(last_try))
        assert CARE[pins.standing(facts(flags))] >= CARE[pins.standing(FACTS)]


@pytest.mark.parametrize("flags", FLAGS)
def test_the_exception_comes_before_the_flags(flags: str) -> None:
    """The locking try raises PinLocked on some tokens, and PinIncorrect with CKF_USER_PIN_LOCKED on others."""
    pins = after(0)
    pins.note(FailureKind.PIN_LOCKED)
    assert pins.standing(facts(flags)) is LOCKED


def test_only_a_wrong_pin_counts() -> None:
    for kind in FailureKind:
        pins = after(0)
        pins.note(kind)
        assert pins.refused == (kind is FailureKind.PIN_WRONG), kind


def test_a_right_pin_begins_the_count_anew() -> None:
    pins = after(2, first="few")
    pins.note(None)
    assert (pins.refused, pins.last, pins.standing(FACTS)) == (0, None, OK)
    pins.note(FailureKind.PIN_WRONG)
    assert pins.standing(facts("few")) is FEW


@pytest.mark.parametrize("tries", [1, 2, 3, 10])
def test_the_own_count_alone_asks_before_the_last_and_ends_after_it(tries: int) -> None:
    rules = Policy(pin_tries=tries)
    found = [after(wrong, rules).standing(FACTS) for wrong in range(tries + 1)]
    asked = [MAYBE] if tries > 1 else []
    assert found == [OK] * (tries - len(asked)) + asked + [OFTEN]


def test_a_database_of_this_pc_locks_nothing() -> None:
    found = [after(wrong, store=StoreKind.PC).standing(FACTS) for wrong in range(4)]
    assert found == [OK, OK, OK, OFTEN]


@pytest.mark.parametrize("flag", [False, True])
def test_what_must_be_changed(flag: bool) -> None:
    changed = msgspec.structs.replace(FACTS, pin_to_be_changed=flag)
    assert after(0).must_be_changed(changed) is flag
    pins = after(0)
    pins.note(FailureKind.PIN_TO_BE_CHANGED)
    assert pins.must_be_changed(changed)
    pins.note(None)
    assert pins.must_be_changed(changed) is flag


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((0, 0), (4, 16)),
        ((4, 255), (4, 16)),
        ((6, 8), (6, 8)),
        ((0, 8), (4, 8)),
        ((6, 0), (6, 16)),
        ((17, 32), (4, 16)),
        ((1, 3), (4, 16)),
    ],
)
def test_lengths_are_what_the_bank_wants_and_the_token_takes(told: tuple[int, int], expected: tuple[int, int]) -> None:
    token = msgspec.structs.replace(FACTS, pin_shortest=told[0], pin_longest=told[1])
    assert PinPolicy(Policy()).lengths(token) == Lengths(*expected)
    assert PinPolicy(Policy(), StoreKind.PC).lengths(token) == Lengths(1, LONGEST_PASSWORD)


@pytest.mark.parametrize(("lets", "store"), product([False, True], StoreKind))
def test_staff_unblock_tokens_only_where_policy_lets_them(lets: bool, store: StoreKind) -> None:
    assert PinPolicy(Policy(staff_unblock=lets), store).may_unblock is (lets and store is StoreKind.USB)
