"""The PKCS#11 module and the tokens behind it, asked through a token process as a kiosk does, and never with a PIN."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kiosk.doctor.configuration import NOT_TOLD
from kiosk.doctor.findings import Check, Finding, Saying, bad, good, not_applicable, warning
from kiosk.doctor.site import Site
from kiosk.tokens import wire
from kiosk.tokens.errors import StoreFault, TokenError, TokenHangs
from kiosk.tokens.process import ModuleSettings, TokenProcess
from kiosk.tokens.token import find_tokens
from kiosk.tokens.wire import KeyKind, KeyOrigin, ModuleFacts, TokenFacts

_CONNECT_SECONDS = 5.0

_GOOD = good("doctor.module.good")
_NO_SOFTWARE_TOKEN = bad("doctor.module.no-software-token")
_MISSING = bad("doctor.module.missing")
_UNUSABLE = bad("doctor.module.unusable")
_HANGS = bad("doctor.module.hangs")
_DIED = bad("doctor.module.died")

NO_MODULE = not_applicable("doctor.tokens.no-module")

NO_TOKEN = not_applicable("doctor.tokens.none")
_TOKEN_GOOD = good("doctor.tokens.good")
_LOCKED = bad("doctor.tokens.locked")
_PIN_NOT_SET = bad("doctor.tokens.pin-not-set")
_ALIKE = bad("doctor.tokens.alike")
_FEW_TRIES = warning("doctor.tokens.few-tries")
_PIN_TO_BE_CHANGED = warning("doctor.tokens.pin-to-be-changed")

_ALL_KINDS = good("doctor.mechanisms.good")
_SOME_KINDS = warning("doctor.mechanisms.some")
_NO_KINDS = bad("doctor.mechanisms.none")
_KINDS_UNKNOWN = bad("doctor.mechanisms.unknown")

_SOFTWARE = not_applicable("doctor.pcsc.software")
_WITHOUT = not_applicable("doctor.pcsc.without")
_READERS = good("doctor.pcsc.good")
_NO_READER = warning("doctor.pcsc.no-reader")
_NO_PCSCD = bad("doctor.pcsc.not-running")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a module has told, as far as it did."""

    fault: Finding | None = None
    module: ModuleFacts | None = None
    tokens: tuple[TokenFacts, ...] = ()
    kinds: tuple[list[KeyKind] | None, ...] = ()
    """What each token can make, or take where policy says so; None where it did not say."""
    makes: tuple[list[KeyKind] | None, ...] = ()
    """What each token can make, whatever policy says."""


async def seen_by_process(site: Site) -> Seen | None:
    """What the module of the settings tells; None where they name none."""
    settings = site.known.token
    if settings is None and site.known.file is not None:
        return None
    settings = settings or _software_token(site)
    if settings is None:
        return Seen(fault=_NO_SOFTWARE_TOKEN())
    if not _is_there(settings):
        return Seen(fault=_MISSING(module=settings.module))
    process = TokenProcess.start(settings)
    try:
        return await _asked(process, site.known.policy.key_origin)
    except TokenError as error:
        return Seen(fault=_UNUSABLE(module=settings.module, detail=error.detail))
    except TokenHangs:
        return Seen(fault=_HANGS(module=settings.module, seconds=f"{settings.limits.look:g}"))
    except StoreFault:
        return Seen(fault=_DIED(module=settings.module))
    finally:
        await process.end()


def _is_there(settings: ModuleSettings) -> bool:
    return Path(settings.module).is_file()


async def _asked(process: TokenProcess, origin: KeyOrigin) -> Seen:
    look = process.limits.look
    module = await process.call(wire.DescribeModule(), ModuleFacts, look)
    tokens = await find_tokens(process)
    makes = [await _kinds(process, token, KeyOrigin.INSIDE) for token in tokens]
    kinds = makes if origin is KeyOrigin.INSIDE else [await _kinds(process, token, origin) for token in tokens]
    return Seen(module=module, tokens=tuple(tokens), kinds=tuple(kinds), makes=tuple(makes))


async def _kinds(process: TokenProcess, token: TokenFacts, origin: KeyOrigin) -> list[KeyKind] | None:
    try:
        return await process.call(wire.KeyKindsInSlot(token.slot_id, origin), list[KeyKind], process.limits.look)
    except TokenError:
        return None


def _software_token(site: Site) -> ModuleSettings | None:
    """Without settings: the module that the demo uses, with no token."""
    module = next((path for path in site.software_modules if path.exists()), None)
    if module is None:
        return None
    configuration, tokens = site.folder / "softhsm2.conf", site.folder / "tokens"
    tokens.mkdir()
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n", encoding="utf-8")
    return ModuleSettings(module=str(module), environment={"SOFTHSM2_CONF": str(configuration)})


async def _look_at_module(site: Site) -> Iterable[Finding]:
    seen = await site.once(seen_by_process)
    if seen is None:
        return [NOT_TOLD()]
    if seen.module is None:
        return [seen.fault] if seen.fault else []
    facts = seen.module
    return [
        _GOOD(
            description=facts.description,
            version=facts.version,
            cryptoki=facts.cryptoki_version,
            manufacturer=facts.manufacturer,
        )
    ]


async def _look_at_tokens(site: Site) -> Iterable[Finding]:
    seen = await site.once(seen_by_process)
    if seen is None or seen.module is None:
        return [NO_MODULE()]
    if not seen.tokens:
        return [NO_TOKEN()]
    serials = Counter(token.serial for token in seen.tokens)
    alike = [_ALIKE(serial=serial) for serial, count in serials.items() if count > 1]
    return alike + [_of_token(token)(label=token.label, serial=token.serial) for token in seen.tokens]


def _of_token(token: TokenFacts) -> Saying:
    if not token.needs_pin:
        return _TOKEN_GOOD
    if token.pin_locked:
        return _LOCKED
    if not token.pin_set:
        return _PIN_NOT_SET
    if token.pin_to_be_changed:
        return _PIN_TO_BE_CHANGED
    return _FEW_TRIES if token.pin_few_tries or token.pin_last_try else _TOKEN_GOOD


async def _look_at_mechanisms(site: Site) -> Iterable[Finding]:
    seen = await site.once(seen_by_process)
    if seen is None or seen.module is None:
        return [NO_MODULE()]
    if not seen.tokens:
        return [NO_TOKEN()]
    wanted = site.known.policy.key_kinds
    return [_of_kinds(token, kinds, wanted) for token, kinds in zip(seen.tokens, seen.kinds, strict=True)]


def _of_kinds(token: TokenFacts, kinds: list[KeyKind] | None, wanted: tuple[KeyKind, ...]) -> Finding:
    if kinds is None:
        return _KINDS_UNKNOWN(label=token.label)
    able = [kind for kind in wanted if kind in kinds]
    missing = [kind for kind in wanted if kind not in kinds]
    saying = _NO_KINDS if not able else _SOME_KINDS if missing else _ALL_KINDS
    return saying(label=token.label, able=", ".join(able), missing=", ".join(missing))


async def _look_at_pcsc(site: Site) -> Iterable[Finding]:
    seen = await site.once(seen_by_process)
    if seen is None or seen.module is None:
        return [NO_MODULE()]
    slots = seen.module.slots
    if slots and not any(slot.removable or slot.hardware for slot in slots):
        return [_SOFTWARE()]
    if not await _listens(site.pcscd):
        return [_WITHOUT() if seen.tokens else _NO_PCSCD(socket=site.pcscd)]
    if not slots:
        return [_NO_READER()]
    return [_READERS(readers=", ".join(dict.fromkeys(slot.description for slot in slots)))]


async def _listens(socket: Path) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_unix_connection(socket)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


CHECKS = (
    Check(
        "doctor.check.module",
        _look_at_module,
        (_GOOD, _NO_SOFTWARE_TOKEN, _MISSING, _UNUSABLE, _HANGS, _DIED, NOT_TOLD),
    ),
    Check(
        "doctor.check.tokens",
        _look_at_tokens,
        (_TOKEN_GOOD, _LOCKED, _PIN_NOT_SET, _ALIKE, _PIN_TO_BE_CHANGED, _FEW_TRIES, NO_TOKEN, NO_MODULE),
    ),
    Check(
        "doctor.check.mechanisms",
        _look_at_mechanisms,
        (_ALL_KINDS, _SOME_KINDS, _NO_KINDS, _KINDS_UNKNOWN, NO_TOKEN, NO_MODULE),
    ),
    Check("doctor.check.pcsc", _look_at_pcsc, (_READERS, _NO_READER, _NO_PCSCD, _SOFTWARE, _WITHOUT, NO_MODULE)),
)
