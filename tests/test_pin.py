from __future__ import annotations

import copy
import pickle

import pytest

from kiosk.pin import Pin, wipe


def test_a_pin_is_handed_over_once() -> None:
    typed = bytearray(b"123456")
    pin = Pin(typed)
    assert pin.take() is typed
    with pytest.raises(RuntimeError):
        pin.take()


def test_a_pin_shows_and_copies_nothing() -> None:
    pin = Pin(bytearray(b"123456"))
    assert "123456" not in repr(pin) + str(pin) + f"{pin}"
    with pytest.raises(TypeError):
        pickle.dumps(pin)
    with pytest.raises(TypeError):
        copy.deepcopy(pin)


def test_wiping_keeps_nothing() -> None:
    typed = bytearray(b"123456")
    wipe(typed)
    assert typed == bytes(6)
