from __future__ import annotations

import secrets

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kiosk.one_time_code import LENGTH, Mistake, MistypedCode, OneTimeCode, make, read

codes = st.binary(min_size=32, max_size=32).map(lambda given: make(lambda _: given))
places = st.integers(0, LENGTH - 1)


def text_of(code: OneTimeCode) -> str:
    return code.secret.decode("ascii")


def test_a_code_is_what_its_random_bytes_make_it() -> None:
    assert make(lambda length: (572).to_bytes(length, "big")).grouped == "0000 0000 0000 05724"  # Damm's own example
    assert make(lambda length: (10**16 + 1).to_bytes(length, "big")).secret[:16] == b"0000000000000001"


@given(codes)
def test_what_is_made_can_be_read_and_printed(code: OneTimeCode) -> None:
    assert len(code.secret) == 17
    assert read(text_of(code)) == read(code.grouped) == code
    assert [len(group) for group in code.grouped.split(" ")] == [4, 4, 4, 5]


@given(codes, places, st.integers(1, 9))
def test_every_single_wrong_digit_is_found(code: OneTimeCode, place: int, change: int) -> None:
    digits = text_of(code)
    wrong = digits[:place] + str((int(digits[place]) + change) % 10) + digits[place + 1 :]
    with pytest.raises(MistypedCode) as caught:
        read(wrong)
    assert caught.value.mistake is Mistake.CHECK_DIGIT


@given(codes, st.integers(0, LENGTH - 2))
def test_every_swap_of_neighbours_is_found(code: OneTimeCode, place: int) -> None:
    digits = text_of(code)
    assume(digits[place] != digits[place + 1])
    with pytest.raises(MistypedCode) as caught:
        read(digits[:place] + digits[place + 1] + digits[place] + digits[place + 2 :])
    assert caught.value.mistake is Mistake.CHECK_DIGIT


@pytest.mark.parametrize("separator", [" ", "-", "\u3000", "\uff0d", "\u2212", "\u30fc", "\n"])
def test_people_type_it_their_own_way(separator: str) -> None:
    code = make(secrets.token_bytes)
    typed = separator.join(code.grouped.split(" ")) + " "
    full_width = typed.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
    assert read(typed) == read(full_width) == code


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", Mistake.LENGTH),
        ("0" * 16, Mistake.LENGTH),
        ("0" * 18, Mistake.LENGTH),
        ("O" * 17, Mistake.CHARACTERS),
        ("٣" * 17, Mistake.CHARACTERS),
        ("0" * 16 + "\0", Mistake.CHARACTERS),
        ("0" * 16 + "1", Mistake.CHECK_DIGIT),
    ],
)
def test_what_is_no_code_is_told_by_its_mistake(text: str, mistake: Mistake) -> None:
    with pytest.raises(MistypedCode) as caught:
        read(text)
    assert caught.value.mistake is mistake


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_code_or_a_mistake(text: str) -> None:
    try:
        code = read(text)
    except MistypedCode:
        return
    assert len(code.secret) == LENGTH


def test_it_is_not_shown_by_accident() -> None:
    code = make(secrets.token_bytes)
    assert text_of(code) not in f"{code!r} {code} {[code]}"
    with pytest.raises(MistypedCode) as caught:
        read("1234567890123456x")
    assert "1234567890" not in repr(caught.value)
