"""What the CA tells about itself: `genm` (RFC 9810 §5.3.19, RFC 9483 §4.3)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from kiosk.ca import askers, crl
from kiosk.ca.admission import Admitted
from kiosk.ca.authority import Authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.ca.replies import Reply
from kiosk.cmp.general import read_crl_statuses, read_general, write_general, write_list, write_template
from kiosk.cmp.infos import Info
from kiosk.cmp.vocabulary import (
    CA_CERTIFICATES,
    CRL_STATUS_LIST,
    CRLS,
    CURRENT_CRL,
    REQUEST_TEMPLATE,
    BodyType,
    FailInfo,
)

_MOST_QUESTIONS = 10
_ABOUT_CRLS = (CURRENT_CRL, CRL_STATUS_LIST)


class Support:
    """Support messages of one authority."""

    def __init__(self, authority: Authority, book: Ledger, policy: Policy) -> None:
        self._authority = authority
        self._book = book
        self._policy = policy
        self._told = {
            CA_CERTIFICATES: write_list([authority.issuing.der]),
            REQUEST_TEMPLATE: write_template(policy.key_kinds),
        }

    def tell(self, admitted: Admitted) -> Reply:
        """Answer a `genm` by whoever could go on to ask for a certificate, or to finish.

        Raises:
            Refusal: the speaker may not speak any more, or asks what is not told here.
            MalformedMessage: the body cannot be read.
        """
        with self._book.read() as connection:
            now = self._book.now(connection)
            askers.check_speaker(connection, askers.read_again(connection, admitted.speaker), self._policy, now)
        asked = read_general(admitted.message.body)
        if not 1 <= len(asked) <= _MOST_QUESTIONS:
            raise Refusal(FailInfo.BAD_REQUEST, "one to ten questions at a time")
        if any(each.kind not in self._told and each.kind not in _ABOUT_CRLS for each in asked):
            raise Refusal(FailInfo.BAD_REQUEST, "what is asked is not told here")
        told = [Info(each.kind, self._told[each.kind]) for each in asked if each.kind in self._told]
        about_crls = [each for each in asked if each.kind in _ABOUT_CRLS]
        if about_crls:
            with self._book.begin(by=admitted.actor) as connection:
                told += [self._tell_crl(connection, each, now) for each in about_crls]
        return Reply(BodyType.GENP, write_general(told))

    def _tell_crl(self, connection: Connection, asked: Info, now: datetime) -> Info:
        """The CRL; nothing to whoever has it already (RFC 9483 §4.3.4)."""
        if asked.kind == CURRENT_CRL:
            return Info(CURRENT_CRL, crl.current(connection, self._authority, self._policy, now).der)
        statuses = read_crl_statuses(asked.value or b"")
        if len(statuses) != 1 or statuses[0].issuer_der != self._authority.issuing.subject_der:
            raise Refusal(FailInfo.BAD_REQUEST, "one CRL, named by its issuer, which is this CA")
        known = statuses[0].this_update
        newest = crl.current(connection, self._authority, self._policy, now)
        news = known is None or known < newest.this_update
        return Info(CRLS, write_list([newest.der]) if news else None)
