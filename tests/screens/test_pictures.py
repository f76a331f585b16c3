"""The page of pictures has a line for every screen of the gallery, and no other."""

from __future__ import annotations

from tests.screens.gallery import NAMES
from tests.screens.pictures import ORDER, shown


def test_every_screen_has_its_place_on_the_page() -> None:
    assert set(NAMES) - set(ORDER) == set(), "add them to ORDER, where the manual has them"
    assert set(ORDER) - set(NAMES) == set(), "these are in the gallery no more"


def test_every_screen_is_shown_once() -> None:
    assert sorted(shown()) == sorted(NAMES)
