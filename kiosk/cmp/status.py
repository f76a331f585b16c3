"""What became of a request: PKIStatusInfo, and the error message (RFC 9810 §5.2.3, §5.3.21)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat import asn1

from kiosk.cmp import der
from kiosk.cmp.messages import ErrorMsgContent, PkiStatusInfo
from kiosk.cmp.vocabulary import FailInfo, Status


@dataclass(frozen=True, slots=True)
class StatusInfo:
    """A PKIStatus with its words and reasons. Failure bits nobody has named are dropped."""

    status: int
    text: tuple[str, ...] = ()
    failures: frozenset[FailInfo] = frozenset()

    @classmethod
    def read(cls, raw: PkiStatusInfo) -> StatusInfo:
        """From the structure."""
        return cls(raw.status, tuple(raw.text or ()), _read_bits(raw.fail_info))

    def structure(self) -> PkiStatusInfo:
        """The structure of it."""
        return PkiStatusInfo(
            status=self.status,
            text=list(self.text) or None,
            fail_info=_write_bits(self.failures) if self.failures else None,
        )

    @property
    def failure_names(self) -> frozenset[str]:
        """The reasons by the names of RFC 9810."""
        return frozenset(each.field_name for each in self.failures)


def rejection(failures: Iterable[FailInfo], text: str) -> StatusInfo:
    """No, and why."""
    return StatusInfo(Status.REJECTION, (text,) if text else (), frozenset(failures))


def read_error(body: bytes) -> StatusInfo:
    """The content of an `error`.

    Raises:
        MalformedMessage: it is none.
    """
    content = der.decode(ErrorMsgContent, body)
    info = StatusInfo.read(content.status)
    return StatusInfo(info.status, (*info.text, *(content.details or ())), info.failures)


def write_error(info: StatusInfo) -> bytes:
    """The content of an `error`."""
    return der.encode(ErrorMsgContent(status=info.structure()))


def _read_bits(bits: asn1.BitString | None) -> frozenset[FailInfo]:
    if bits is None:
        return frozenset()
    data = bits.as_bytes()
    named = (each for each in FailInfo if each < len(data) * 8)
    return frozenset(each for each in named if data[each // 8] >> (7 - each % 8) & 1)


def _write_bits(failures: frozenset[FailInfo]) -> asn1.BitString:
    """A named bit list: it ends with its last set bit (X.690 §11.2.2)."""
    length = max(failures) + 1
    value = sum(1 << (length - 1 - each) for each in failures)
    padding = -length % 8
    return asn1.BitString((value << padding).to_bytes((length + padding) // 8, "big"), padding)
