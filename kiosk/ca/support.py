"""What the CA tells about itself: `genm` (RFC 9810 §5.3.19, RFC 9483 §4.3)."""

from __future__ import annotations

from datetime import datetime

from kiosk.ca import standing
from kiosk.ca.admission import Admitted
from kiosk.ca.authority import Authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.ca.replies import Reply
from kiosk.cmp.general import read_general, write_general, write_list, write_template
from kiosk.cmp.infos import Info
from kiosk.cmp.vocabulary import CA_CERTIFICATES, REQUEST_TEMPLATE, BodyType, FailInfo

_MOST_QUESTIONS = 10


class Support:
    """Support messages of one authority."""

    def __init__(self, authority: Authority, book: Ledger, policy: Policy) -> None:
        self._book = book
        self._policy = policy
        self._told = {
            CA_CERTIFICATES: write_list([authority.issuing.der]),
            REQUEST_TEMPLATE: write_template(policy.key_kinds),
        }

    def tell(self, admitted: Admitted, now: datetime) -> Reply:
        """Answer a `genm` by whoever could go on to renew, or to finish.

        Raises:
            Refusal: the signer may not speak any more, or asks what is not told here.
            MalformedMessage: the body cannot be read.
        """
        with self._book.read() as connection:
            updates = standing.updates_of(connection, admitted.signer.id)
        standing.check_speaker(admitted.signer, updates, self._policy, now)
        asked = read_general(admitted.message.body)
        if not 1 <= len(asked) <= _MOST_QUESTIONS or any(each.kind not in self._told for each in asked):
            raise Refusal(FailInfo.BAD_REQUEST, "what is asked is not told here")
        return Reply(BodyType.GENP, write_general(Info(each.kind, self._told[each.kind]) for each in asked))
