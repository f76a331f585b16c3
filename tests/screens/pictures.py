"""`make pictures`: what every screen looks like on a real terminal, into docs/pictures, and the page that shows them.

It lives beside the gallery because it walks through it, with the same facts as the tests. The terminal is foot, full
screen under Weston, on a display in memory. One kiosk a language shows one screen after another and takes each picture
itself, once the terminal has drawn it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from textual.geometry import Region
from textual.widget import Widget

from kiosk.app import KioskApp
from styles.palette import NORMAL
from tests.screens.gallery import BOARDS, NAMES, SCENES
from tests.screens.tour import LANGUAGES, Guide, tour_app

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "screens.md"
DISPLAY = (1280, 800)
FONT = "Noto Sans Mono CJK JP:size=16"
COLOURS = 24
DRAWN_AFTER = 0.35
"""Seconds after which the terminal has drawn what it was told."""

STILL_LOOKS = 5
"""Looks in a row at a screen on which nothing has moved."""

ORDER = {
    "standby": "Standby: the kiosk waits for a token.",
    "standby-ready": "Standby with a token that stays in: a touch begins.",
    "standby-pc": "Standby at somebody's PC, whose certificates can be used as well.",
    "standby-pc-ready": "The same with a token that stays in.",
    "standby-blank": "A token is in that nobody has initialised: staff have to prepare it.",
    "standby-out-of-order": "Out of order, with the code for the staff.",
    "between": "Between two questions, where the token is slow.",
    "choose-token": "Two tokens are in: which one?",
    "pin": "The PIN, asked once a visit.",
    "pin-refused": "The PIN was wrong, and few tries are left.",
    "pin-repeated": "The same wrong PIN again: it was not sent.",
    "pin-last": "The customer has agreed to the last try.",
    "last-try": "One try is left: is it to be taken? Enter says no.",
    "last-try-maybe": "The same where only the kiosk's own count says so.",
    "last-try-called": "Somebody was called first.",
    "pad": "A card reader with keys: the PIN is typed there, once the customer is ready.",
    "pad-cancelled": "The reader's cancel key was pressed.",
    "pad-timed-out": "The reader has waited in vain.",
    "pad-change": "暗証番号変更 at the reader, required by the token, after a new PIN that was not taken.",
    "pad-prove": "The proof needs the PIN once more; nothing has kept it. It goes on by itself.",
    "pad-sign": "A key that wants the PIN for each of its signatures. Until the request it can be done without.",
    "at-pad": "The reader waits for the PIN.",
    "at-pad-prove": "The reader waits for the PIN for the proof.",
    "at-pad-sign": "It waits for the PIN for a signature, where the key wants that each time.",
    "password": "The password of this PC's certificate database, where a certificate of this PC is used.",
    "password-refused": "It was wrong.",
    "choose-id": "Several IDs on one token: which one?",
    "choose-id-many": "More IDs than fit: they are leafed through.",
    "enrol-choose-id": "電子証明書取得: for which ID?",
    "enrol-choose-id-many": "The same with more IDs than fit.",
    "enrol-id": "An ID that the token does not know is typed; with ten keys a letter takes two of them.",
    "enrol-id-prefix": "The same where all the bank's IDs begin alike.",
    "enrol-code": "The one-time code that the bank handed out.",
    "enrol-code-refused": "The CA does not take it; a slip of the finger would have been told before.",
    "enrol-code-unfinished": "An enrolment that was cut goes on.",
    "enrol-web-access": "From here on as a renewal, in other words where they have to be others.",
    "enrol-completion": "The end of 電子証明書取得.",
    "renewal-notice": "電子証明書更新通知: thirty days or less.",
    "renewal-notice-last-day": "The same on the last day.",
    "renewal-notice-last-hour": "In the last hour.",
    "renewal-notice-last-minute": "In the last minute.",
    "resumption": "An earlier renewal was cut: 前回の更新が途中です。",
    "resumption-written": "The same, where the new certificate is on the USB already.",
    "resumption-pc": "The same in this PC.",
    "cleaning": "Earlier visits have left something that nobody can use any more.",
    "main-menu-unfinished": "メイン, where the customer does not go on with it now.",
    "choose-id-unfinished": "Several IDs, one with an unfinished renewal.",
    "main-menu": "メイン, with a certificate that can be renewed.",
    "main-menu-pc": "メイン, with a certificate of this PC.",
    "main-menu-early": "メイン, with one that cannot be renewed yet.",
    "certificate-details": "証明書情報.",
    "pin-change-present": "暗証番号変更: the present PIN.",
    "pin-change-required": "The same where the token wants another PIN before anything else.",
    "pin-change-new": "暗証番号変更: the new one.",
    "pin-change-again": "The new one once more.",
    "pin-changed": "It holds from now on.",
    "preprocessing": "電子証明書更新前処理中: moves on by itself.",
    "preprocessing-busy": "The authority is busy: how long until it is asked again, and the way out.",
    "preprocessing-not-reached": "It cannot be reached.",
    "preprocessing-pc": "The same where no token has to stay in.",
    "renewal-start": "電子証明書更新開始: where to save.",
    "renewal-start-pc": "The same where this PC is offered too.",
    "renewal-start-no-usb": "The same with a certificate of this PC, and no token in.",
    "help-page": "The help behind its link.",
    "web-access-1": "Webアクセスの確認, the first time.",
    "web-access-2": "Webアクセスの確認, the second time.",
    "web-access-last": "The same into this PC: the last point to turn back.",
    "key-export": "秘密交換キーをエクスポートします: the last point to turn back.",
    "web-access-by-kiosk": "Webアクセスの確認, for a token that cannot make keys.",
    "key-export-by-kiosk": "The last point to turn back, for such a token: the manual's literal way.",
    "saving": "The wait itself.",
    "saving-not-reached": "The authority cannot be reached: it goes on by itself.",
    "saving-pc": "The same into this PC.",
    "certificate-import": "証明書インポート: what is about to be written.",
    "import-complete": "インポート完了.",
    "retirement": "After a renewal into this PC: is the old certificate to go from the USB?",
    "retirement-pc": "After a renewal from this PC into the USB: is the old one to go from here?",
    "completion-pc": "電子証明書のインストールが完了しました.",
    "completion-usb": "電子証明書の更新と専用USBへの保存が完了いたしました。",
    "completion-usb-others": "The same, where other IDs still need theirs.",
    "reminder": "スマートフォンに残す.",
    "problem": "Something went wrong: what, and what to do now.",
    "problem-called": "Staff are on their way.",
    "problem-empty": "A token with no certificate on it.",
    "problem-expired": "The certificate has ended: 電子証明書取得 is the way on.",
    "problem-expired-called": "The same, once staff are called.",
    "problem-pc": "Nothing could be saved to this PC.",
    "problem-pc-in-use": "Another program holds this PC's certificate database.",
    "problem-pc-unprotected": "It has no password, and policy wants one.",
    "problem-stored-from-pc": "Renewed from this PC into the USB, but for the CA's acknowledgement.",
    "problem-elsewhere": "The renewal was begun at the customer's PC, and the CA has not confirmed it.",
    "problem-code": "The one-time code is not taken.",
    "problem-code-paused": "Too many wrong codes: later again.",
    "problem-enrolling": "Something went wrong while enrolling.",
    "problem-unfinished": "A renewal that was cut: the next visit goes on.",
    "idle-warning": "Nobody has touched the kiosk for a while.",
    "take-out": "The token is to be taken out.",
    "forgotten": "It has not been taken out: it rings, and staff are called.",
    "take-out-fixed": "Goodbye, where there is nothing to take out.",
}
"""The order of the manual, with a line each; what the gallery has besides comes behind, and is named by itself."""


def shown() -> list[str]:
    """Every screen of the gallery, in the order of the page."""
    return [*(name for name in ORDER if name in NAMES), *(name for name in NAMES if name not in ORDER)]


def page() -> str:
    """docs/screens.md."""
    lines = [
        "# The screens",
        "",
        "Every screen on a real terminal, in the order of the manual. `make pictures` takes the pictures and writes",
        "this page.",
    ]
    for name in shown():
        lines += ["", f"## {name}", "", ORDER.get(name, name.replace("-", " ").capitalize() + "."), ""]
        lines += [" ".join(f"![{name}, {language}](pictures/{name}.{language}.png)" for language in LANGUAGES)]
    return "\n".join(lines) + "\n"


class Camera:
    """Walks the kiosk through the gallery and takes the pictures."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._guide = Guide()
        self.app: KioskApp = tour_app(self._guide, language)

    def run(self) -> None:
        """On the terminal this process was started on."""
        self.app.run(mouse=False)

    async def walk(self) -> None:
        """Show and take every screen, then end."""
        await asyncio.sleep(1.5)
        for name in (*BOARDS, *(name for name in shown() if name in SCENES)):
            self._guide.tell(SCENES.get(name), BOARDS.get(name))
            await self._rest()
            await asyncio.sleep(DRAWN_AFTER)
            await self._take(PICTURES / f"{name}.{self._language}.png")
        self.app.exit()

    async def _rest(self) -> None:
        """Wait until nothing has moved for a while: on a busy machine a screen is not laid out all at once."""
        places: list[Region] = []
        still = 0
        while still < STILL_LOOKS:
            await asyncio.sleep(DRAWN_AFTER / STILL_LOOKS)
            now = [widget.region for widget in self.app.screen.query(Widget)]
            still = still + 1 if now == places else 0
            places = now

    async def _take(self, target: Path) -> None:
        options = ("-strip", "+dither", "-colors", str(COLOURS), "-define", "png:compression-level=9")
        taking = await asyncio.create_subprocess_exec(
            "import", "-window", "root", *options, f"png8:{target}", stderr=subprocess.DEVNULL
        )
        await taking.wait()


def camera(language: str) -> None:
    """What runs inside the terminal."""
    taker = Camera(language)
    taker.app.call_later(lambda: taker.app.run_worker(taker.walk(), name="camera", description="camera"))
    taker.run()


@contextmanager
def running(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program in the background, ended with what it started."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def wait_until_there(path: Path, seconds: float = 10.0) -> None:
    """Wait for a socket or file that says that a program is ready."""
    end = time.monotonic() + seconds
    while not path.exists() or (path.is_file() and not path.read_text().strip()):
        if time.monotonic() > end:
            raise TimeoutError(f"{path.name} did not come")
        time.sleep(0.05)


def take_all() -> None:
    """Start display, compositor and terminal, and have the camera walk once a language."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    width, height = DISPLAY
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place = Path(name)
        number = place / "display"
        start = f"exec Xvfb -displayfd 3 -screen 0 {width}x{height}x24 -nolisten tcp 3>'{number}'"
        stack.enter_context(running("sh", "-c", start))
        wait_until_there(number)
        there = {"DISPLAY": f":{number.read_text().strip()}", "XDG_RUNTIME_DIR": name, "LC_ALL": "C.UTF-8"}
        screen = (f"--width={width}", f"--height={height}", "--use-pixman")
        shell = ("--backend=x11-backend.so", "--shell=kiosk-shell.so", "--socket=pictures")
        stack.enter_context(running("weston", *shell, *screen, **there))
        wait_until_there(place / "pictures")
        settings = place / "foot.ini"
        settings.write_text(f"font={FONT}\npad=0x0\n[colors]\nbackground={NORMAL.ground[1:]}\n")
        subprocess.run(["xdotool", "mousemove", str(width), str(height)], env={**os.environ, **there}, check=True)
        for language in LANGUAGES:
            inside = (sys.executable, "-m", "tests.screens.pictures", language)
            foot = ("foot", "-c", str(settings), "--fullscreen", *inside)
            with running(*foot, WAYLAND_DISPLAY="pictures", COLORTERM="truecolor", **there) as terminal:
                terminal.wait(300)


def main() -> None:
    if sys.argv[1:]:
        camera(sys.argv[1])
        return
    take_all()
    PAGE.write_text(page(), encoding="utf-8")
    wanted = {PICTURES / f"{name}.{language}.png" for name in shown() for language in LANGUAGES}
    missing = sorted(each.name for each in wanted if not each.exists())
    if missing:
        sys.exit(f"no picture of {missing}")
    size = sum(each.stat().st_size for each in PICTURES.glob("*.png"))
    print(f"{len(wanted)} pictures in {PICTURES}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
