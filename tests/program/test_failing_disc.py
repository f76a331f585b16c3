"""A real kiosk on a pty whose journal's disc is full or read-only: it says K-02, and serves again once it can write."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest

from kiosk import terminal as kiosk_terminal
from kiosk.crashes import Patience
from kiosk.errors import Code
from kiosk.journal import ROOM
from kiosk.settings import DEMO_PIN, save_settings
from screens.widgets.big import big_letters
from tests.bank import Bank
from tests.program.descendants import Descendants, watching_descendants
from tests.program.on_failing_disc import Disc
from tests.program.terminal import Terminal
from tests.tokens.full_disc import is_possible

pytestmark = pytest.mark.skipif(not is_possible(), reason="nothing can be mounted here")
"""Not even in a namespace of one's own."""
STANDBY = "はじめる"
BOARD = ("調整中", "Out of order", Code.JOURNAL_NOT_WRITABLE)
"""The launcher's, while no kiosk can begin."""
CODE = tuple(big_letters(Code.JOURNAL_NOT_WRITABLE))
"""As the screens have it."""
KIOSK = str(kiosk_terminal.__file__)

Start = Callable[[str], tuple[Terminal, Disc]]


@pytest.fixture
def descendants() -> Iterator[Descendants]:
    with watching_descendants() as descendants:
        yield descendants


@pytest.fixture
def start(bank: Bank, descendants: Descendants) -> Iterator[Start]:
    """Starts the launcher, which tries again after half a second, with a disc that fails as named."""
    started: list[Terminal] = []

    def begin(failing: str) -> tuple[Terminal, Disc]:
        directory = bank.directory / "disc"
        directory.mkdir()
        path = bank.directory / "kiosk.toml"
        save_settings(msgspec.structs.replace(bank.settings, journal=str(directory / "journal.sqlite")), path)
        patience = msgspec.json.encode(Patience(first_pause=0.5)).decode()
        launching = ("tests.program.launching", KIOSK, path, patience)
        started.append(Terminal(failing, directory, *launching, module="tests.program.on_failing_disc"))
        return started[-1], Disc(started[-1].pid, directory)

    yield begin
    for terminal in started:
        terminal.process.close(force=True)
    assert descendants.are_gone()


def test_a_disc_that_is_full_from_the_start(start: Start) -> None:
    terminal, disc = start("full")
    terminal.wait_for(*BOARD)
    disc.make_room()
    terminal.wait_for(STANDBY)


def test_a_disc_that_is_read_only_from_the_start(start: Start) -> None:
    terminal, disc = start("read-only")
    terminal.wait_for(*BOARD)
    disc.make_writable()
    terminal.wait_for(STANDBY)


def test_a_disc_that_fills_while_the_kiosk_stands_by(start: Start, descendants: Descendants) -> None:
    terminal, disc = start("full")
    terminal.wait_for(*BOARD)
    disc.make_room()
    terminal.wait_for(STANDBY)
    kiosk = descendants.the_one(f"-P {KIOSK}").pid
    disc.fill(ROOM // 2)
    terminal.wait_for("調整中", *CODE)
    disc.make_room()
    terminal.wait_for(STANDBY)
    assert descendants.the_one(f"-P {KIOSK}").pid == kiosk, "nothing was started again"


def test_a_disc_that_fills_while_a_customer_types_the_pin(start: Start, bank: Bank) -> None:
    """The visit ends with what it had changed, which is nothing, and the next one has all it needs."""
    terminal, disc = start("full")
    terminal.wait_for(*BOARD)
    disc.make_room()
    terminal.wait_for(STANDBY)
    terminal.press("1")
    terminal.wait_for("暗証番号を入力してください", "数字キーで入力")
    disc.fill()
    terminal.press(f"{DEMO_PIN}\r")
    terminal.wait_for("お客様の電子証明書は、何も変わっていません。", *CODE)
    disc.make_room()
    terminal.press("1")
    terminal.wait_for(STANDBY)
    terminal.press("1")
    terminal.wait_for("暗証番号を入力してください", "数字キーで入力")
    terminal.press(f"{DEMO_PIN}\r")
    terminal.wait_for("今すぐ更新する")
    assert len(bank.states()) == 1, "nobody has asked the CA for anything"
