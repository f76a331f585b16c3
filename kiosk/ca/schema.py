"""The tables of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    insert,
    text,
)


class CertificateState(StrEnum):
    """What the CA thinks of a certificate."""

    UNCONFIRMED = "unconfirmed"
    """Issued, but nobody has said that it was stored: it signs no requests yet."""
    VALID = "valid"
    SUPERSEDED = "superseded"
    """Its confirmed successor has taken its place."""
    REVOKED = "revoked"


class PromiseKind(StrEnum):
    """What entitles somebody to a certificate; by the names that policies use."""

    UPDATE = "update"
    """A certificate that is replaced by the new one (`kur`)."""
    CODE = "code"
    """A one-time code (電子証明書取得)."""
    ADDITIONAL = "additional"
    """A certificate of the same holder that stays valid beside the new one."""


class PromiseState(StrEnum):
    """How far a promise has come."""

    WAITING = "waiting"
    """For a teller."""
    ISSUED = "issued"
    """A certificate went out, and its confirmation has not come yet."""
    CONFIRMED = "confirmed"
    REVOKED = "revoked"
    """It came to nothing: rejected, replaced, not decided or not confirmed in time."""
    REFUSED = "refused"
    """By a teller, who does not approve of it, or has revoked its certificate before that was confirmed."""


class CodeState(StrEnum):
    """Whether a one-time code is still good; whether it has expired is told by its time."""

    OPEN = "open"
    USED = "used"
    """Its certificate has been confirmed."""
    REPLACED = "replaced"
    """By a newer code of the same holder."""


class NoticeState(StrEnum):
    """What became of one notice."""

    SENDING = "sending"
    """Somebody is at it, until the end of his lease; where he has died the mail may have gone out."""
    SENT = "sent"
    """The mail server has taken it."""
    DEFERRED = "deferred"
    """The mail server did not take it this time."""
    REFUSED = "refused"
    """The mail server will never take it for this address."""
    UNREACHABLE = "unreachable"
    """The holder has no address."""
    SKIPPED = "skipped"
    """A later notice day had come before it went out."""


class Act(StrEnum):
    """What the audit tells of."""

    HOLDER_ADDED = "holder added"
    HOLDER_CHANGED = "holder changed"
    CODE_MADE = "code made"
    CODE_REPLACED = "code replaced"
    ASKED = "asked"
    """A request waits for a teller."""
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    """A request that waited for a teller comes to nothing: replaced, or not decided in time."""
    ISSUED = "issued"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    """By its client, which does not take the certificate."""
    GIVEN_UP = "given up"
    """A certificate that waited for its confirmation is revoked: replaced, or not confirmed in time."""
    SUPERSEDED = "superseded"
    REVOKED = "revoked"
    CERTIFICATE_IMPORTED = "certificate imported"
    CRL_MADE = "crl made"
    EXPORTED = "exported"


class Moment(TypeDecorator[datetime]):
    """An aware time, kept in UTC also by databases that know no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"known_{column}")


METADATA = MetaData()

HOLDERS = Table(
    "holders",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("subject", LargeBinary, nullable=False),
    Column("name", String(64)),
    Column("email", String(254)),
    Column("language", String(16), nullable=False, server_default="ja"),
)
"""Whose certificates they are; `kind` is `administrator` or `user`, `subject` the DER of what they are issued for.

`name` stands in it after the ID; `language` is the CLDR code of the texts in which mails to `email` are written.
"""

CERTIFICATES = Table(
    "certificates",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("issuer", LargeBinary(32), nullable=False),
    Column("serial", String(40), nullable=False),
    Column("fingerprint", LargeBinary(32), nullable=False, unique=True),
    Column("key_hash", LargeBinary(32), nullable=False, index=True),
    Column("holder", ForeignKey("holders.id"), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column("not_after", Moment, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("der", LargeBinary, nullable=False),
    UniqueConstraint("issuer", "serial", name="one_serial_an_issuer"),
    _one_of("state", CertificateState),
)
"""Every certificate this CA has issued, and those of its holders that were issued elsewhere.

`issuer` is SHA-256 over the DER of the issuer's name; `reason` is a CRLReason of RFC 5280 §5.3.1.
"""

Index("revoked_since", CERTIFICATES.c.state, CERTIFICATES.c.not_after)

CODES = Table(
    "codes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("holder", ForeignKey("holders.id"), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    _one_of("state", CodeState),
)
"""One-time codes, `sealed` under a key that is not in here, and empty once they are not open any more."""

_CODE_OPEN = text("state = 'open'")
Index("one_open_code", CODES.c.holder, unique=True, sqlite_where=_CODE_OPEN, postgresql_where=_CODE_OPEN)

TRIES = Table(
    "tries",
    METADATA,
    Column("reference", LargeBinary(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("paused_until", Moment),
    Column("tried_at", Moment, nullable=False, index=True),
)
"""MACs that did not verify, by what their messages gave as reference, whether anybody has that ID or not."""

PROMISES = Table(
    "promises",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("by_certificate", ForeignKey("certificates.id"), index=True),
    Column("by_code", ForeignKey("codes.id"), unique=True),
    Column("key_hash", LargeBinary(32), nullable=False, unique=True),
    Column("key", LargeBinary, nullable=False),
    Column("new", ForeignKey("certificates.id"), index=True),
    Column("state", String(16), nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("deadline", Moment, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    CheckConstraint("(kind = 'code') = (by_code IS NOT NULL)", name="code_has_a_code"),
    CheckConstraint("(by_code IS NULL) <> (by_certificate IS NULL)", name="one_asker"),
    CheckConstraint("state NOT IN ('issued', 'confirmed') OR new IS NOT NULL", name="issued_has_a_certificate"),
    _one_of("kind", PromiseKind),
    _one_of("state", PromiseState),
)
"""One row for each asker and new key, whatever becomes of it: what a client asks anew finds it again.

A key has one row, whoever asks with it; a code has one too, and so is bound to the key of its first good request.
"""

_CONFIRMED = text("kind = 'update' AND state = 'confirmed'")
_PENDING = text("state IN ('waiting', 'issued')")
Index(
    "one_confirmed_successor",
    PROMISES.c.by_certificate,
    unique=True,
    sqlite_where=_CONFIRMED,
    postgresql_where=_CONFIRMED,
)
Index(
    "one_pending_promise",
    PROMISES.c.kind,
    PROMISES.c.by_certificate,
    unique=True,
    sqlite_where=_PENDING,
    postgresql_where=_PENDING,
)
Index("pending_until", PROMISES.c.deadline, sqlite_where=_PENDING, postgresql_where=_PENDING)

TRANSACTIONS = Table(
    "transactions",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("promise", ForeignKey("promises.id"), nullable=False, index=True),
    Column("certificate", ForeignKey("certificates.id")),
    Column("body_type", Integer, nullable=False),
    Column("modified", Boolean, nullable=False),
    Column("implicit", Boolean, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("opened_at", Moment, nullable=False, index=True),
)
"""Transactions whose first message was granted, or waits; `nonce` is the one that the next message has to return."""

ENDED_TRANSACTIONS = Table(
    "ended_transactions",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("ended_at", Moment, nullable=False, index=True),
)
"""Ids of transactions whose first message was protected as it must be, and its answer the last."""

CRLS = Table(
    "crls",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("outdated", Boolean, nullable=False),
    Column("this_update", Moment, nullable=False),
    Column("next_update", Moment, nullable=False),
    Column("der", LargeBinary, nullable=False),
)
"""One row, the newest CRL: given out until it is outdated by a revocation, or by half its time.

It is there before there is any, as number 0, so that who revokes and who makes one have a row to lock.
"""

AUDIT = Table(
    "audit",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("act", String(32), nullable=False),
    Column("holder", String(64)),
    Column("serial", String(40)),
    Column("detail", String(256)),
)
"""Who did what, and when: entered in the transaction of the act, and never changed.

`act` is an `Act`. Neither it nor `holder` is checked against anything, so that what was written stays whatever comes.
"""

NOTICES = Table(
    "notices",
    METADATA,
    Column("certificate", ForeignKey("certificates.id"), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("message_id", String(320), nullable=False),
    Column("address", String(254)),
    Column("days_left", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("lease", Moment),
    Column("error", String(200)),
    Column("made_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False, index=True),
    _one_of("state", NoticeState),
)
"""The mails about a certificate's end, one for each notice day.

`days_left` and `address` are those of the last try, `made_at` is that of the first to this address.
"""

_UNDER_WAY = text("state = 'sending'")
Index("notices_under_way", NOTICES.c.lease, sqlite_where=_UNDER_WAY, postgresql_where=_UNDER_WAY)


def fill(connection: Connection) -> None:
    """Enter what stands in a ledger from its beginning."""
    never = datetime.fromtimestamp(0, UTC)
    no_crl = {"number": 0, "outdated": True, "this_update": never, "next_update": never, "der": b""}
    connection.execute(insert(CRLS).values(no_crl))
