"""電子証明書更新通知: how long the certificate is still valid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from textual import on

from kiosk.desk import NoticeAnswer, RenewalNotice
from kiosk.moments import Left, date_words, left_of, today_words, until_words
from kiosk.words import holder_words
from screens.countdown import count_down
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Beside, Big, Block, Facts, Gap, Heading, Meter, Prose, Together
from screens.widgets.choice import Choice
from screens.widgets.looks import Look
from screens.widgets.page import Page
from screens.widgets.trail import Stage

_LAST_DAY = timedelta(days=1)


class RenewalNoticeScreen(Question[NoticeAnswer]):
    """Says whose certificate ends when, and offers to renew it now."""

    STAGE = Stage.NOTICE

    def __init__(self, lobby: Lobby, notice: RenewalNotice) -> None:
        super().__init__(lobby)
        self._notice = notice
        self._shown_at = lobby.clock()
        self._said: Left | None = None
        """What is told to be left."""

    def blocks(self) -> Sequence[Block]:
        """The time left first, then whose and until when, then the year."""
        texts = self.lobby.texts
        certificate = self._notice.credential.certificate
        return [
            Heading(texts("notice.heading")),
            Gap(),
            Prose(texts("notice.body")),
            Gap(),
            Beside(self._time_left(), self._facts(), left_width=24),
            Gap(),
            Meter(
                used_up(certificate.not_before, certificate.not_after, self._notice.now),
                date_words(certificate.not_before, texts),
                date_words(certificate.not_after, texts),
            ),
            Gap(),
            Prose(texts("notice.yearly"), Look.QUIET),
        ]

    def choices(self) -> Sequence[Choice]:
        """「今すぐ更新する」 「後で更新する」."""
        texts = self.lobby.texts
        return [Choice(texts("notice.now"), digit="1", id="now"), Choice(texts("notice.later"), digit="2", id="later")]

    def on_mount(self) -> None:
        """The last hours and minutes go by while this is read."""
        count_down(self, _LAST_DAY.total_seconds(), _nothing, self._tick)

    def _tick(self) -> None:
        if self._left() != self._said:
            self.query_one(Page).show(self.blocks())

    def _left(self) -> Left | None:
        now = self._notice.now + (self.lobby.clock() - self._shown_at)
        return left_of(self._notice.credential.certificate.not_after, now, self._notice.days_left)

    def _time_left(self) -> Block:
        texts, self._said = self.lobby.texts, self._left()
        if self._said is None:
            return Prose(texts("days.over"), Look.WARNING)
        left = Big(str(self._said.number), before=texts("days.before"), behind=texts(self._said.unit))
        if self._notice.days_left > 0:
            return left
        end = self._notice.credential.certificate.not_after
        return Together((Prose(today_words(end, texts), Look.WARNING), left))

    def _facts(self) -> Block:
        texts, credential = self.lobby.texts, self._notice.credential
        return Facts(
            [
                (texts("fact.holder"), holder_words(credential.holder, texts)),
                (texts("fact.common-name"), credential.certificate.common_name),
                (texts("fact.expiry"), until_words(credential.certificate.not_after, texts)),
            ]
        )

    @on(Choice.Pressed, "#now")
    def _now(self) -> None:
        self.answer(NoticeAnswer.NOW)

    @on(Choice.Pressed, "#later")
    def _later(self) -> None:
        self.answer(NoticeAnswer.LATER)


def _nothing() -> None:
    """When the countdown has ended there is nothing to be said anew."""


def used_up(begin: datetime, end: datetime, now: datetime) -> float:
    """The part of the validity that has gone by, from 0 to 1."""
    whole = (end - begin).total_seconds()
    return 1.0 if whole <= 0 else max(0.0, min(1.0, (now - begin).total_seconds() / whole))
