"""Tokens that SoftHSM cannot play, at the border of python-pkcs11's objects: what a module refuses, forgets or loses.

Only what `kiosk.tokens.cryptoki` uses is here. Keys are real, so signatures can be checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, SlotFlag, TokenFlag, exceptions
from pkcs11.constants import DEFAULT
from pkcs11.types import PROTECTED_AUTH, SignMixin
from pkcs11.util.ec import encode_named_curve_parameters

from kiosk.tokens.cryptoki import Cryptoki
from kiosk.tokens.mechanisms import SigningWay
from kiosk.tokens.modules import Known, WorkerSettings
from kiosk.tokens.native import TokenInfo

PIN = "123456"
AT_PAD = "at the pad"
"""What stands for a PIN that was typed at the reader; the right one always is."""
SO_PIN = "010203040506070801020304050607080102030405060708"
_P256 = encode_named_curve_parameters("secp256r1")

Sent = dict[Attribute, Any]


@dataclass
class StandIn:
    """A token in its slot, with whatever is peculiar about it."""

    serial: str = "01"
    description: str = "Stand-in"
    mechanisms: frozenset[Mechanism] = frozenset({Mechanism.EC_KEY_PAIR_GEN, Mechanism.ECDSA})
    refuses: frozenset[Attribute] = frozenset()
    """Attributes that no template may have."""
    refusal: type[Exception] = exceptions.AttributeTypeInvalid
    keeps_in: bool = True
    """Whether keys cannot be taken out of it, whatever it is told."""
    tells_extractable: bool = True
    officer_writes: bool = False
    """Only the security officer makes keys, writes and removes."""
    most_sessions: int = 10
    asks_pin_silently: bool = False
    """A key wants the PIN at every signature, and does not say so."""
    at_pad: exceptions.PKCS11Error | None = None
    """What comes of typing at the pad for a signature, if not the right PIN."""
    stale: bool = False
    """It was taken out and put back: the right PIN is refused until the module is initialised anew."""
    closes: bool = True
    """Whether it lets a session log out."""
    flags: TokenFlag = TokenFlag.TOKEN_INITIALIZED | TokenFlag.USER_PIN_INITIALIZED | TokenFlag.LOGIN_REQUIRED
    pin: str = PIN
    so_pin: str = SO_PIN
    gone: bool = False
    objects: list[Held] = field(default_factory=list)
    templates: list[Sent] = field(default_factory=list)
    """Of private keys and certificates, as they were sent, also those that were refused."""
    pins: list[str] = field(default_factory=list)
    """Whatever was sent as a PIN, by whom and for what."""
    sessions: list[Session] = field(default_factory=list)

    def take(self, template: Sent) -> None:
        if template.keys() & self.refuses:
            raise self.refusal

    def check_writer(self, session: Session) -> None:
        if self.officer_writes and session.user != "officer":
            raise exceptions.UserNotLoggedIn

    def kinds(self) -> list[ObjectClass]:
        return [each.template[Attribute.CLASS] for each in self.objects]


class Held(SignMixin):
    """An object in a token."""

    def __init__(self, token: StandIn, template: Sent, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self.token = token
        self.template = template
        self.key = key

    @property
    def key_type(self) -> KeyType:
        return KeyType.EC

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, attribute: Attribute) -> Any:  # noqa: ANN401 - as the binding has it
        if attribute not in self.template:
            raise exceptions.AttributeTypeInvalid
        value = self.template[attribute]
        if isinstance(value, Exception):
            raise value
        return value

    def __setitem__(self, attribute: Attribute, value: object) -> None:
        self.template[attribute] = value

    def destroy(self) -> None:
        self.token.objects.remove(self)

    @property
    def handle(self) -> int:
        return id(self)

    def sign(self, data: object, **options: Any) -> bytes:  # noqa: ANN401 - as the binding has it
        assert isinstance(data, bytes)
        token, pin = self.token, options["pin"]
        if pin is not None:
            token.pins.append(f"signature {pin}")
            if pin != token.pin:
                raise exceptions.PinIncorrect
        elif token.asks_pin_silently:
            raise exceptions.UserNotLoggedIn
        return self.signature(data, options["mechanism"])

    def signature(self, data: bytes, mechanism: Mechanism) -> bytes:
        assert self.key is not None
        assert mechanism is Mechanism.ECDSA
        numbers = decode_dss_signature(self.key.sign(data, ec.ECDSA(Prehashed(hashes.SHA256()))))
        return b"".join(number.to_bytes(32, "big") for number in numbers)


class Session:
    """What `Token.open` answers."""

    def __init__(self, token: StandIn, user: str) -> None:
        self.held_by = token
        self.user = user
        self.token = SimpleNamespace(slot=Slot(token))
        self.handle = id(self)

    def close(self) -> None:
        if not self.held_by.closes:
            raise exceptions.GeneralError
        self.held_by.sessions.remove(self)

    def set_pin(self, present: str, new: str) -> None:
        if present != self.held_by.pin:
            raise exceptions.PinIncorrect
        self.held_by.pin = new

    def get_objects(self, wanted: Sent) -> Iterator[Held]:
        for each in list(self.held_by.objects):
            if all(each.template.get(name) == value for name, value in wanted.items()):
                yield each

    def create_object(self, template: Sent) -> Held:
        self.held_by.templates.append(template)
        self.held_by.take(template)
        self.held_by.check_writer(self)
        held = Held(self.held_by, dict(template))
        self.held_by.objects.append(held)
        return held

    def create_domain_parameters(self, key_type: KeyType, curve: Sent, *, local: bool) -> Session:
        assert (key_type, curve, local) == (KeyType.EC, {Attribute.EC_PARAMS: _P256}, True)
        return self

    def generate_keypair(self, **options: Any) -> tuple[Held, Held]:  # noqa: ANN401 - as the binding has it
        token = self.held_by
        common = {Attribute.ID: options["id"], Attribute.LABEL: options["label"]}
        private = _sent({**common, Attribute.SIGN: True}, options["private_template"])
        public = _sent({**common, Attribute.VERIFY: True}, options["public_template"])
        token.templates.append(dict(private))
        for template in (private, public):
            token.take(template)
        token.check_writer(self)
        key = ec.generate_private_key(ec.SECP256R1())
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        half = {Attribute.EC_PARAMS: _P256, Attribute.EC_POINT: bytes([4, len(point)]) + point}
        private |= {**common, Attribute.CLASS: ObjectClass.PRIVATE_KEY, **half}
        if token.tells_extractable:
            private[Attribute.EXTRACTABLE] = private.get(Attribute.EXTRACTABLE, not token.keeps_in)
        if not token.keeps_in:
            private[Attribute.EXTRACTABLE] = True
        made = (
            Held(token, {**public, **common, Attribute.CLASS: ObjectClass.PUBLIC_KEY, **half}),
            Held(token, private, key),
        )
        token.objects += made
        return made


def _sent(own: Sent, told: Sent) -> Sent:
    return {name: value for name, value in (own | told).items() if value is not DEFAULT}


class Slot:
    """What `get_slots` answers."""

    flags = SlotFlag.REMOVABLE_DEVICE
    slot_description = "reader"

    def __init__(self, token: StandIn) -> None:
        self.held = token
        self.slot_id = int(token.serial)

    def get_token(self) -> Token:
        if self.held.gone:
            raise exceptions.DeviceRemoved
        return Token(self.held)

    def get_mechanisms(self) -> set[Mechanism]:
        return set(self.held.mechanisms)

    def get_mechanism_info(self, mechanism: Mechanism) -> SimpleNamespace:
        assert mechanism in self.held.mechanisms
        return SimpleNamespace(min_key_length=256, max_key_length=384)


class Token:
    """What `get_token` answers."""

    label, manufacturer_id, model = "USB", "Maker", "Model"

    def __init__(self, held: StandIn) -> None:
        self.held = held
        self.slot = Slot(held)
        self.serial = held.serial.encode()
        self.flags = held.flags

    def open(self, *, rw: bool = False, user_pin: object = None, so_pin: str | None = None) -> Session:
        assert rw or (user_pin, so_pin) == (None, None), "an officer cannot log in beside a read-only session"
        token = self.held
        if len(token.sessions) >= token.most_sessions:
            raise exceptions.SessionCount
        session = Session(token, "nobody")
        token.sessions.append(session)  # as the binding leaves it, also where the login fails
        if user_pin is not None:
            self._log_in(session, "customer", AT_PAD if user_pin is PROTECTED_AUTH else user_pin, token.pin)
        if so_pin is not None:
            self._log_in(session, "officer", so_pin, token.so_pin)
        return session

    def _log_in(self, session: Session, user: str, pin: object, right: str) -> None:
        token = self.held
        if any(each.user not in ("nobody", user) for each in token.sessions):
            raise exceptions.AnotherUserAlreadyLoggedIn
        token.pins.append(f"{user} {pin}")
        if pin not in (right, AT_PAD) or token.stale:
            raise exceptions.PinIncorrect
        session.user = user


class Module:
    """What `pkcs11.lib` answers."""

    manufacturer_id = "Somebody"
    initialized = True

    def __init__(self, *tokens: StandIn) -> None:
        self.tokens = list(tokens)
        self.library_description = tokens[0].description
        self.initialised_anew = 0
        self.failing_lists = 0
        """How many of the next lists of slots fail, because a reader goes meanwhile."""

    def get_slots(self, *, token_present: bool) -> list[Slot]:
        assert token_present
        if self.failing_lists:
            self.failing_lists -= 1
            raise exceptions.SlotIDInvalid
        return [Slot(each) for each in self.tokens]

    def reinitialize(self) -> None:
        self.initialised_anew += 1
        for each in self.tokens:
            each.stale = False
            each.sessions.clear()


class FunctionList:
    """What `kiosk.tokens.native` has of a module."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def token_info(self, _slot_id: int) -> TokenInfo:
        return TokenInfo()

    def sign_at_pad(self, session: int, key: int, way: SigningWay, data: bytes) -> bytes:
        token = next(each for each in self._module.tokens if session in map(id, each.sessions))
        token.pins.append(f"signature {AT_PAD}")
        if token.at_pad:
            raise token.at_pad
        return next(each for each in token.objects if each.handle == key).signature(way.input_of(data), way.mechanism)

    def close_all_sessions(self, slot_id: int) -> bool:
        for each in self._module.tokens:
            if Slot(each).slot_id == slot_id:
                each.sessions.clear()
        return True


def opened(
    *tokens: StandIn, known: tuple[Known, ...] = (), so_pin_file: str = "", function_list: bool = False
) -> tuple[Cryptoki, Module]:
    """The kiosk's side, and the module it has loaded, with its `function_list` or without; time stands still."""
    module = Module(*tokens)
    settings = WorkerSettings("stand-in.so", known=known, so_pin_file=so_pin_file)
    cryptoki = Cryptoki(
        settings,
        load=lambda _: module,  # type: ignore[arg-type, return-value]
        load_native=lambda _: FunctionList(module) if function_list else None,  # type: ignore[arg-type, return-value]
        clock=lambda: 0.0,
    )
    return cryptoki, module
