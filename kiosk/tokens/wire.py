"""What the UI's process and a token process say to each other, over one Unix socket.

Every message is a length (4 bytes, big-endian) and that many bytes of MessagePack. An order is followed by two
more such frames with its secrets, empty for most: so a PIN stays in the bytearray it was typed into and is never part
of a structure that could be printed.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kiosk.tokens.modules import Traits

LARGEST_FRAME = 1 << 20
"""Bytes; everything on a token fits many times."""

LENGTH_BYTES = 4

SECRETS = 2
"""How many frames with a secret follow every order."""

LARGEST_CERTIFICATE = 16 * 1024
"""Bytes; a certificate object that holds more is told without its content, and so is unreadable."""

LARGEST_ATTRIBUTE = 2 * 1024
"""Bytes, or characters of a label; one that is larger is told as far as this, and a key's number not at all."""

LABEL_BYTES = 32
"""Of a token's label in CK_TOKEN_INFO and C_InitToken; what is shorter is filled up with blanks."""

MOST_OBJECTS = 512
"""Of one kind; a token that shows more is not read."""


class KeyKind(StrEnum):
    """The kinds of key pair the kiosk can have made."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    EC_P256 = "ec-p256"


class KeyOrigin(StrEnum):
    """Where a new key is made."""

    INSIDE = "token"
    """Inside the token, which it never leaves."""
    EXPORT = "export"
    """In a token process, which puts it into the token before anything is asked for, and ends: for tokens that cannot
    make keys."""


class SignatureKind(StrEnum):
    """The ways in which a token signs for us."""

    RSA_PKCS1 = "rsa-pkcs1"
    RSA_PSS = "rsa-pss"
    ECDSA = "ecdsa"


class Digest(StrEnum):
    """What a signature is over; the names are those of `hashlib`."""

    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class ObjectKind(StrEnum):
    """The PKCS#11 object classes the kiosk deals with."""

    CERTIFICATE = "certificate"
    PRIVATE_KEY = "private-key"
    PUBLIC_KEY = "public-key"


class StoreKind(StrEnum):
    """Where a credential can live."""

    USB = "usb"
    """The customer's USB."""
    PC = "pc"
    """The certificate database of this computer's user."""


class FailureKind(StrEnum):
    """What went wrong in a token process, as far as the kiosk acts on it."""

    MODULE = "module"
    """The module cannot be loaded or initialised."""
    GONE = "gone"
    """The token is no longer there."""
    SWAPPED = "swapped"
    """Another token is where the one was that this is about."""
    SEVERAL = "several"
    """Several tokens answer to the serial number."""
    PIN_WRONG = "pin-wrong"
    PIN_LOCKED = "pin-locked"
    PIN_NOT_SET = "pin-not-set"
    PIN_LENGTH = "pin-length"
    """Nothing of this length, or so simple, is a PIN of this token."""
    PIN_REPEATED = "pin-repeated"
    """The token has refused it in this visit, so it was not sent again."""
    PIN_TO_BE_CHANGED = "pin-to-be-changed"
    """The PIN is right, but opens nothing before it was changed."""
    SO_PIN_WRONG = "so-pin-wrong"
    """The security officer's PIN; the user's has not changed."""
    SO_PIN_LOCKED = "so-pin-locked"
    SO_PIN_LENGTH = "so-pin-length"
    """Nothing of this length, or so simple, is a security officer's PIN of this token."""
    PAD_CANCELLED = "pad-cancelled"
    """Typing the PIN was broken off at the reader."""
    PAD_TIMED_OUT = "pad-timed-out"
    """The reader waited for the PIN in vain."""
    PAD_WANTED = "pad-wanted"
    """The key wants the PIN for this signature, and it is typed at the reader: `SignAtPad` has it typed."""
    PAD_NOT_ENOUGH = "pad-not-enough"
    """What was asked wants the PIN once more, and it cannot be typed at the reader for that."""
    FULL = "full"
    """No room on the token."""
    OCCUPIED = "occupied"
    """A key is where another one was to be made; it has not been touched."""
    UNSUITABLE = "unsuitable"
    """The token offers no mechanism for what was asked."""
    NOT_FOUND = "not-found"
    WRITING_FORBIDDEN = "writing-forbidden"
    """Only the security officer may write, and the one the settings name cannot be it."""
    AMBIGUOUS = "ambiguous"
    """More than one object answers the description, so none was touched."""
    DEVICE = "device"
    """Anything else a module may raise."""


class TokenFacts(msgspec.Struct, frozen=True):
    """A token that is in now."""

    slot_id: int
    serial: str
    label: str
    manufacturer: str
    model: str
    removable: bool
    """Whether the slot says that its token can be taken out."""
    pin_set: bool
    pin_few_tries: bool
    pin_last_try: bool
    pin_locked: bool
    pin_to_be_changed: bool
    needs_pin: bool = True
    """Whether anything can be done only after the PIN was given; a database without a password wants none."""
    reader: str = ""
    """What the slot calls itself."""
    traits: Traits = Traits()
    """What is known of it besides."""
    pin_shortest: int = 0
    """Characters; 0 where the token does not tell."""
    pin_longest: int = 0
    """Characters; 0 where the token does not tell."""
    so_pin_few_tries: bool = False
    so_pin_last_try: bool = False
    so_pin_locked: bool = False
    pin_pad: bool = False
    """Whether the PIN is typed at the reader (CKF_PROTECTED_AUTHENTICATION_PATH)."""


class SlotFacts(msgspec.Struct, frozen=True):
    """A slot of a module, with or without a token in it."""

    description: str
    removable: bool
    """Whether its token can be taken out (CKF_REMOVABLE_DEVICE)."""
    hardware: bool
    """Whether it is a device (CKF_HW_SLOT)."""


class ModuleFacts(msgspec.Struct, frozen=True):
    """What a module says of itself (C_GetInfo), and its slots."""

    manufacturer: str
    description: str
    version: str
    cryptoki_version: str
    """Of the interface, as 2.40."""
    slots: tuple[SlotFacts, ...]


class RsaPublic(msgspec.Struct, frozen=True, tag="rsa"):
    """The public half of an RSA key, big-endian."""

    modulus: bytes
    exponent: bytes


class EcPublic(msgspec.Struct, frozen=True, tag="ec"):
    """The public half of an EC key: CKA_EC_PARAMS and CKA_EC_POINT as the token tells them."""

    parameters: bytes
    point: bytes


Public = RsaPublic | EcPublic


class Room(msgspec.Struct, frozen=True):
    """How many bytes a token says that it has free; None where it does not tell."""

    public: int | None = None
    """For certificates and public keys."""
    private: int | None = None
    """For private keys."""


class MadeKeyPair(msgspec.Struct, frozen=True):
    """The public half of a key pair just made."""

    public: Public


class StoredObject(msgspec.Struct, frozen=True):
    """An object found on a token."""

    kind: ObjectKind
    key_id: bytes
    label: str
    der: bytes = b""
    """The certificate."""
    public: Public | None = None
    """The key's public half, where the token tells it."""


class DescribeModule(msgspec.Struct, frozen=True, tag=True):
    """→ ModuleFacts."""


class FindTokens(msgspec.Struct, frozen=True, tag=True):
    """→ list[TokenFacts]: every initialised token that is in."""


class FindBlankTokens(msgspec.Struct, frozen=True, tag=True):
    """→ list[TokenFacts]: every token that is in and blank; nothing but `Initialise` is for it."""


class Initialise(msgspec.Struct, frozen=True, tag=True):
    """→ str: empty the token of `serial` in this slot, with the security officer's PIN, the first secret.

    The second one becomes the user's PIN. A blank token takes the first one as its officer's. What is answered is the
    serial number, which may be a new one.
    """

    slot_id: int
    serial: str
    label: str


class LogIn(msgspec.Struct, frozen=True, tag=True):
    """→ None: open a session with the PIN that follows as the secret; an accepted PIN is kept for `LendPin`."""

    serial: str


class LogInAtPad(msgspec.Struct, frozen=True, tag=True):
    """→ None: open a session; the PIN is typed at the reader, and nobody here knows it."""

    serial: str
    time_out: float
    """Seconds; a reader that breaks off later than that has waited in vain: modules say the same of both."""


class OpenWithoutPin(msgspec.Struct, frozen=True, tag=True):
    """→ None: open a session with a token that wants no PIN."""

    serial: str


class ChangePin(msgspec.Struct, frozen=True, tag=True):
    """→ None: change the PIN from the first secret to the second, and go on with that, logged in.

    It needs no session before: a PIN that must be changed first may open none.
    """

    serial: str


class ChangePinAtPad(msgspec.Struct, frozen=True, tag=True):
    """→ None: change the PIN; the present and the new one are typed at the reader."""

    serial: str
    time_out: float
    """As for `LogInAtPad`."""


class Unblock(msgspec.Struct, frozen=True, tag=True):
    """→ None: with the security officer's PIN, the first secret, make the second one the user's."""

    serial: str


class LendPin(msgspec.Struct, frozen=True, tag=True):
    """→ None: write the accepted PIN, and what the token is known by, into the pipe whose end comes with this."""


class LogInWithLentPin(msgspec.Struct, frozen=True, tag=True):
    """→ None: as `LogIn`, with the PIN that comes through the pipe whose end comes with this message."""

    serial: str


class ListObjects(msgspec.Struct, frozen=True, tag=True):
    """→ list[StoredObject]: certificates and keys on the token the session is with."""


class KeyKinds(msgspec.Struct, frozen=True, tag=True):
    """→ list[KeyKind]: what the token can make, or sign with once it was put in."""

    origin: KeyOrigin = KeyOrigin.INSIDE


class SignatureKinds(msgspec.Struct, frozen=True, tag=True):
    """→ list[SignatureKind]: how the token can sign."""


class KeyKindsInSlot(msgspec.Struct, frozen=True, tag=True):
    """→ list[KeyKind]: as `KeyKinds`, of the token in this slot, without a session."""

    slot_id: int
    origin: KeyOrigin = KeyOrigin.INSIDE


class AskRoom(msgspec.Struct, frozen=True, tag=True):
    """→ Room: how much is free on the token in this slot; nobody has to be logged in."""

    slot_id: int


class MakeKeyPair(msgspec.Struct, frozen=True, tag=True):
    """→ MadeKeyPair: make a key pair inside the token, sensitive and not extractable, where no key is yet."""

    kind: KeyKind
    key_id: bytes
    label: str
    public_label: str | None = None
    """Of the public half, where that has another one."""


class ImportKeyPair(msgspec.Struct, frozen=True, tag=True):
    """→ MadeKeyPair: make a key pair in this process, put it into the token, sensitive and not extractable.

    Whoever asks for it ends the process then: its memory has held the private key.
    """

    kind: KeyKind
    key_id: bytes
    label: str
    public_label: str | None = None


class Sign(msgspec.Struct, frozen=True, tag=True):
    """→ bytes: an X.509-form signature with `digest` over `data` by the private key `key_id`.

    Where several private keys have that ID, it is the one whose public half is `public`.
    """

    key_id: bytes
    public: Public | None
    data: bytes
    pss: bool = False
    """RSA by RSASSA-PSS, with a salt as long as the digest, in place of PKCS #1 v1.5."""
    digest: Digest = Digest.SHA256


class SignAtPad(msgspec.Struct, frozen=True, tag=True):
    """→ bytes: as `Sign`, by a key that wants the PIN for it, which is typed at the reader meanwhile."""

    wanted: Sign
    time_out: float
    """As for `LogInAtPad`."""


class WriteCertificate(msgspec.Struct, frozen=True, tag=True):
    """→ None: write a certificate object; one with the same ID and bytes is left as it is, and suffices."""

    key_id: bytes
    label: str
    der: bytes
    subject: bytes
    issuer: bytes
    serial_number: bytes
    """DER INTEGER."""
    by_label: bool = False
    """Whether one with another label does not suffice."""


class Relabel(msgspec.Struct, frozen=True, tag=True):
    """→ bool: give certificates and public keys of `key_id` another label; false where the token does not let us."""

    key_id: bytes
    label: str


class Remove(msgspec.Struct, frozen=True, tag=True):
    """→ bool: remove the one object that is exactly this, re-read just before; false where there is none."""

    stored: StoredObject


Request = (
    DescribeModule
    | FindTokens
    | FindBlankTokens
    | Initialise
    | LogIn
    | LogInAtPad
    | OpenWithoutPin
    | ChangePin
    | ChangePinAtPad
    | Unblock
    | LendPin
    | LogInWithLentPin
    | ListObjects
    | KeyKinds
    | KeyKindsInSlot
    | AskRoom
    | SignatureKinds
    | MakeKeyPair
    | ImportKeyPair
    | Sign
    | SignAtPad
    | WriteCertificate
    | Relabel
    | Remove
)
WRITING = (
    Initialise,
    LogIn,
    LogInWithLentPin,
    ChangePin,
    Unblock,
    MakeKeyPair,
    ImportKeyPair,
    Sign,
    WriteCertificate,
    Relabel,
    Remove,
)
"""Requests that write: where one has begun it is let come to its end, or it could tear what lies on a token.

Whatever checks a PIN writes how often it was wrong, and a signature may check one. Those at a pad wait for a person,
and the reader finishes what it has begun without us.
"""


class Order(msgspec.Struct, frozen=True):
    """A request, and the seconds it may take, which its process has to know: it may be alone before they are over."""

    request: Request
    seconds: float


class Done(msgspec.Struct, frozen=True, tag=True):
    """The request was carried out; `value` is MessagePack of what its docstring promises."""

    value: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The request was not carried out. `detail` is the name of what the module raised, nothing more."""

    kind: FailureKind
    detail: str


Reply = Done | Failed
