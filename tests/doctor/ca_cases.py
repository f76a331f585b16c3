"""CAs and trust that are not as they should be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from kiosk.certificates import Certificate
from kiosk.clock import system_clock
from kiosk.cmp.status import rejection, write_error
from kiosk.cmp.vocabulary import BodyType, FailInfo
from kiosk.doctor.site import Known, Site
from kiosk.settings import CaSettings
from tests.cmp.fake_ca import FakeCa
from tests.cmp.pki import NOW, Pki, certificate, new_key
from tests.cmp.spoiled_answers import on_wire, strip_protection
from tests.cmp.test_tls import Presented
from tests.doctor.cases import House, case
from tests.doctor.small_server import serving, silent
from tests.revocation.teller import CrlTeller


def pem(file: Path, *certificates: Certificate) -> Path:
    file.write_bytes(b"".join(each.x509.public_bytes(Encoding.PEM) for each in certificates))
    return file


def with_ca(
    house: House, url: str, now: Callable[[], datetime] = lambda: NOW, roots: Pki | None = None, **settings: object
) -> Site:
    """A kiosk in front of the CA at `url`, which trusts it unless told otherwise."""
    pki = roots or house.pki
    file = pem(house.folder / "roots.pem", pki.root.certificate, pki.issuing.certificate)
    told = {"url": url, "roots": str(file), "tls_roots": str(file)} | settings
    site = house.site(Known(ca=CaSettings(**told)))  # type: ignore[arg-type]
    site.clock = now
    return site


def with_root(house: House, begin: timedelta, end: timedelta) -> Site:
    """A kiosk that trusts a root of this validity."""
    key = new_key()
    root = certificate(
        "Root", key.public_key(), signing_key=key, authority=True, signs=False, begin=NOW + begin, end=NOW + end
    )
    file = pem(house.folder / "other.pem", root)
    return with_ca(house, "http://127.0.0.1:1/", roots=house.pki, tls_roots=str(file))


@case("doctor.trust.unreadable")
async def unreadable(house: House) -> AsyncIterator[Site]:
    (house.folder / "empty.pem").touch()
    yield with_ca(house, "http://127.0.0.1:1/", tls_roots=str(house.folder / "empty.pem"))


@case("doctor.trust.expired")
async def expired(house: House) -> AsyncIterator[Site]:
    yield with_root(house, -timedelta(days=9), -timedelta(seconds=1))


@case("doctor.trust.not-yet")
async def not_yet(house: House) -> AsyncIterator[Site]:
    yield with_root(house, timedelta(seconds=1), timedelta(days=900))


@case("doctor.trust.expires")
async def expires(house: House) -> AsyncIterator[Site]:
    yield with_root(house, -timedelta(days=900), timedelta(days=29))


@case("doctor.ca.unreachable")
async def unreachable(house: House) -> AsyncIterator[Site]:
    yield with_ca(house, "http://127.0.0.1:1/")


@case("doctor.ca.slow")
async def slow(house: House) -> AsyncIterator[Site]:
    async with silent() as url:
        yield with_ca(house, url, time_limit=0.2)


@case("doctor.ca.untrusted")
async def untrusted(house: House) -> AsyncIterator[Site]:
    context = Presented(by_another_root=True).write(house.folder)
    async with serving(context=context) as url:
        yield with_ca(house, url, tls_roots=str(house.folder / "root.pem"))


@case("doctor.ca.out-of-order")
async def out_of_order(house: House) -> AsyncIterator[Site]:
    async with serving(status=503) as url:
        yield with_ca(house, url)


@case("doctor.tls.expires")
async def tls_expires(house: House) -> AsyncIterator[Site]:
    context = Presented(end=datetime.now(UTC) + timedelta(days=1)).write(house.folder)
    async with serving(context=context) as url:
        yield with_ca(house, url, now=system_clock, tls_roots=str(house.folder / "root.pem"))


@case("doctor.signer.unauthorised")
async def unauthorised(house: House) -> AsyncIterator[Site]:
    """A customer answers in place of the CA."""
    async with serving(FakeCa(house.pki, signer=house.pki.customer).answer) as url:
        yield with_ca(house, url)


@case("doctor.signer.untrusted")
async def of_another_root(house: House) -> AsyncIterator[Site]:
    async with serving(FakeCa(house.pki).answer) as url:
        yield with_ca(house, url, roots=house.foreign)


@case("doctor.signer.no-cmp")
async def no_cmp(house: House) -> AsyncIterator[Site]:
    async with serving() as url:
        yield with_ca(house, url)


def refusing(_: int, __: bytes) -> tuple[int, bytes]:
    return BodyType.ERROR, write_error(rejection([FailInfo.SIGNER_NOT_TRUSTED], "who is that"))


@case("doctor.signer.unsigned")
async def unsigned(house: House) -> AsyncIterator[Site]:
    ca = FakeCa(house.pki, body=refusing, **on_wire(strip_protection)(house.pki, house.foreign))
    async with serving(ca.answer) as url:
        yield with_ca(house, url)


@case("doctor.clock.noted")
async def clock_noted(house: House) -> AsyncIterator[Site]:
    async with serving(FakeCa(house.pki).answer) as url:
        yield with_ca(house, url, now=lambda: NOW + timedelta(seconds=90))


@case("doctor.clock.refused")
async def clock_refused(house: House) -> AsyncIterator[Site]:
    async with serving(FakeCa(house.pki, body=refusing).answer) as url:
        yield with_ca(house, url, now=lambda: NOW - timedelta(minutes=6))


async def crl_of(house: House) -> bytes:
    return CrlTeller(pki=house.pki).crl()


@case("doctor.revocation.silent")
async def nobody_tells(house: House) -> AsyncIterator[Site]:
    yield with_ca(house, "http://127.0.0.1:1/", crl_url="http://127.0.0.1:1/")


@case("doctor.revocation.one-silent")
async def one_way_is_silent(house: House) -> AsyncIterator[Site]:
    async with serving(get=lambda: crl_of(house), kind="application/pkix-crl") as url:
        yield with_ca(house, "http://127.0.0.1:1/", crl_url=url, ocsp_url="http://127.0.0.1:1/")


@case("doctor.revocation.not-trusted")
async def of_somebody_else(house: House) -> AsyncIterator[Site]:
    async with serving(get=lambda: crl_of(house), kind="application/pkix-crl") as url:
        yield with_ca(house, "http://127.0.0.1:1/", crl_url=url, roots=house.foreign)
