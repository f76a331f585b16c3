"""What the settings say of how something comes onto a token: the officer's PIN, where keys are made, its traits."""

from __future__ import annotations

from collections.abc import Iterable

from kiosk.doctor.configuration import NOT_TOLD
from kiosk.doctor.findings import Check, Finding, bad, good, not_applicable, warning
from kiosk.doctor.module import NO_MODULE, NO_TOKEN, Seen, seen_by_process
from kiosk.doctor.site import Site
from kiosk.tokens.modules import About, Known
from kiosk.tokens.so_pin import SoPinUnusable, check_so_pin_file
from kiosk.tokens.wire import KeyKind, KeyOrigin, TokenFacts

_SO_PIN_NONE = not_applicable("doctor.so-pin.none")
_SO_PIN_GOOD = good("doctor.so-pin.good")
_SO_PIN_MISSING = bad("doctor.so-pin.missing")
_SO_PIN_UNUSABLE = bad("doctor.so-pin.unusable")
_SO_PIN_NEEDLESS = warning("doctor.so-pin.needless")

_MADE_INSIDE = good("doctor.key-origin.inside")
_IMPORTED = good("doctor.key-origin.export")
_CANNOT_MAKE = bad("doctor.key-origin.cannot-make")
_NEEDLESSLY_IMPORTED = warning("doctor.key-origin.needless")

_NO_ROWS = not_applicable("doctor.known.none")
_ROW_GOOD = good("doctor.known.good")
_ROW_ELSEWHERE = not_applicable("doctor.known.elsewhere")
_ROW_OF_ALL = warning("doctor.known.all")
_ROW_OF_NOTHING = warning("doctor.known.nothing")


async def _look_at_so_pin(site: Site) -> Iterable[Finding]:
    settings = site.known.token
    if settings is None:
        return [NOT_TOLD()]
    seen = await site.once(seen_by_process)
    by_tokens = [each.traits.so_login_to_write for each in seen.tokens] if seen else []
    wanted = any(by_tokens) or any(row.so_login_to_write for row in settings.known)
    if not settings.so_pin_file:
        return [_SO_PIN_MISSING() if wanted else _SO_PIN_NONE()]
    try:
        check_so_pin_file(settings.so_pin_file)
    except SoPinUnusable as error:
        return [_SO_PIN_UNUSABLE(file=settings.so_pin_file, detail=error)]
    needless = by_tokens and not wanted
    return [(_SO_PIN_NEEDLESS if needless else _SO_PIN_GOOD)(file=settings.so_pin_file)]


async def _look_at_origin(site: Site) -> Iterable[Finding]:
    seen = await site.once(seen_by_process)
    if seen is None or seen.module is None:
        return [NO_MODULE()]
    if not seen.tokens:
        return [NO_TOKEN()]
    policy = site.known.policy
    pairs = zip(seen.tokens, seen.makes, strict=True)
    return [_of_origin(token, makes, policy.key_origin, policy.key_kinds) for token, makes in pairs]


def _of_origin(
    token: TokenFacts, makes: list[KeyKind] | None, origin: KeyOrigin, wanted: tuple[KeyKind, ...]
) -> Finding:
    if origin is KeyOrigin.EXPORT:
        able = [kind for kind in wanted if kind in (makes or [])]
        return (_NEEDLESSLY_IMPORTED if able else _IMPORTED)(label=token.label, able=", ".join(able))
    return (_CANNOT_MAKE if makes == [] else _MADE_INSIDE)(label=token.label)


async def _look_at_known(site: Site) -> Iterable[Finding]:
    settings = site.known.token
    if settings is None:
        return [NOT_TOLD()]
    if not settings.known:
        return [_NO_ROWS()]
    seen = await site.once(seen_by_process)
    about = _seen_about(seen) if seen else []
    return [_of_row(number, row, about) for number, row in enumerate(settings.known, start=1)]


def _of_row(number: int, row: Known, about: list[About]) -> Finding:
    if row.tells_nothing:
        return _ROW_OF_NOTHING(number=number)
    if row.means_all:
        return _ROW_OF_ALL(number=number)
    return (_ROW_GOOD if any(map(row.means, about)) else _ROW_ELSEWHERE)(number=number)


def _seen_about(seen: Seen) -> list[About]:
    """What the module says of itself and of each token that is in."""
    if seen.module is None:
        return []
    module = About(seen.module.description, seen.module.manufacturer)
    tokens = [About(module.library, module.library_manufacturer, *_names(each)) for each in seen.tokens]
    return [module, *tokens]


def _names(token: TokenFacts) -> tuple[str, str, str]:
    return token.manufacturer, token.model, token.label


CHECKS = (
    Check(
        "doctor.check.so-pin",
        _look_at_so_pin,
        (_SO_PIN_GOOD, _SO_PIN_NONE, _SO_PIN_MISSING, _SO_PIN_UNUSABLE, _SO_PIN_NEEDLESS, NOT_TOLD),
    ),
    Check(
        "doctor.check.key-origin",
        _look_at_origin,
        (_MADE_INSIDE, _IMPORTED, _CANNOT_MAKE, _NEEDLESSLY_IMPORTED, NO_TOKEN, NO_MODULE),
    ),
    Check(
        "doctor.check.known",
        _look_at_known,
        (_ROW_GOOD, _NO_ROWS, _ROW_ELSEWHERE, _ROW_OF_ALL, _ROW_OF_NOTHING, NOT_TOLD),
    ),
)
