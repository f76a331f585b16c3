from __future__ import annotations

from pathlib import Path

import pytest

from tests.cmp.pki import Pki
from tests.doctor.cases import House


@pytest.fixture(scope="session")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="session")
def foreign() -> Pki:
    return Pki("Foreign ")


@pytest.fixture
def house(tmp_path: Path, pki: Pki, foreign: Pki) -> House:
    return House(tmp_path, pki, foreign)
