from __future__ import annotations

import itertools
from collections.abc import Callable

import httpx
import pytest

from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from tests.cmp.fake_ca import FakeCa
from tests.cmp.pki import NOW, Pki

URL = "http://ca.invalid/.well-known/cmp"


async def no_time(_: float) -> None:
    """A sleep that nobody notices."""


@pytest.fixture(scope="session")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="session")
def foreign() -> Pki:
    return Pki("Foreign ")


@pytest.fixture
def trust(pki: Pki) -> Trust:
    return Trust((pki.root.certificate,), (pki.issuing.certificate,))


@pytest.fixture
def random() -> Callable[[int], bytes]:
    numbers = itertools.count(1)
    return lambda length: next(numbers).to_bytes(length, "big")


@pytest.fixture
def client_of(trust: Trust, random: Callable[[int], bytes]) -> Callable[[FakeCa], CmpClient]:
    def make(ca: FakeCa) -> CmpClient:
        http = httpx.AsyncClient(transport=httpx.MockTransport(ca))
        return CmpClient(http, URL, trust, clock=lambda: NOW, random=random, sleep=no_time, monotonic=lambda: 0.0)

    return make
