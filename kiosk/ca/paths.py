"""Where messages go: the paths of RFC 9811 §3.6, with the operation labels of RFC 9483 §6.1, and OCSP's."""

from __future__ import annotations

from collections.abc import Iterable

from kiosk.cmp.vocabulary import BodyType

WELL_KNOWN = "/.well-known/cmp"
"""The plain endpoint, which takes every message."""

OCSP_PATH = "/ocsp"
"""Requests by POST, or by GET in base64 behind it (RFC 6960 app. A.1)."""
CRL_PATH = "/crl"
"""The newest CRL, in DER (RFC 5280 §4.2.1.13)."""
ISSUING_PATH = "/issuing.cer"
"""The issuing CA's certificate, in DER (RFC 5280 §4.2.2.1)."""

OPERATIONS = {
    "initialization": BodyType.IR,  # §4.1.1
    "certification": BodyType.CR,  # §4.1.2
    "keyupdate": BodyType.KUR,  # §4.1.3
    "pkcs10": BodyType.P10CR,  # §4.1.4
    "revocation": BodyType.RR,  # §4.2
    "getcacerts": BodyType.GENM,  # §4.3.1
    "getrootupdate": None,  # §4.3.2
    "getcertreqtemplate": BodyType.GENM,  # §4.3.3
    "getcrls": BodyType.GENM,  # §4.3.4
    "nested": None,  # §5.2.2.2
}
"""Every label of RFC 9483 §6.1 and the message that begins its operation; None for what this CA does not offer."""

FOLLOWING = frozenset({BodyType.CERTCONF, BodyType.POLLREQ, BodyType.ERROR})
"""What goes to wherever the first message of its operation went (RFC 9483 §6.1)."""


def accepted_at(profiles: Iterable[str]) -> dict[str, frozenset[int] | None]:
    """Every path the CA has, and which body types it takes there; None for all of them.

    Args:
        profiles: The names after `/p/` that it goes by.
    """
    accepted: dict[str, frozenset[int] | None] = {}
    for prefix in (WELL_KNOWN, *(f"{WELL_KNOWN}/p/{name}" for name in sorted(profiles))):
        accepted[prefix] = None
        for label, first in OPERATIONS.items():
            if first is not None:
                accepted[f"{prefix}/{label}"] = FOLLOWING | {first}
    return accepted
