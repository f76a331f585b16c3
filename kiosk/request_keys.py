"""A store's keys, as they sign requests to the CA that the settings name."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256

from kiosk.certificates import Certificate, PublicKey
from kiosk.cmp.algorithms import Family, SignatureScheme, pss_scheme
from kiosk.cmp.peer import Peer
from kiosk.cmp.signing import Signer, SigningKey
from kiosk.services import Services
from kiosk.tokens.token import TokenKey


def requesting(key: TokenKey, peer: Peer) -> SigningKey:
    """`key`, signing as this CA wants requests signed, or as its token can if there is no other way."""
    wanted = peer.request_protection is Family.RSA_PSS and isinstance(key.public_key, rsa.RSAPublicKey)
    return _PssKey(key) if wanted or key.signs_by_pss_only else key


def request_signer(key: TokenKey, certificate: Certificate, services: Services) -> Signer:
    """Whoever asks the CA by `certificate`, whose private key is `key`."""
    return Signer(requesting(key, services.peer), certificate, services.anchors.chain_of(certificate))


class _PssKey:
    """An RSA key inside a token that signs by RSASSA-PSS; keeps `HasScheme`."""

    def __init__(self, key: TokenKey) -> None:
        self._key = key
        self.scheme: SignatureScheme = pss_scheme(SHA256())

    @property
    def public_key(self) -> PublicKey:
        return self._key.public_key

    async def sign(self, data: bytes) -> bytes:
        return await self._key.sign_pss(data)
