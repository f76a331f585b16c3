"""The pictures of docs/notices.md: both mails, as a browser without network shows their pages (`make pictures`)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from kiosk.notices.message import compose
from tests.notices.samples import SETTINGS, days_before, notice

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
LANGUAGES = ("ja", "en")
SIZE = (680, 1400)
COLOURS = 48


def picture(language: str) -> Path:
    """Where the picture of a language's mail is."""
    return PICTURES / f"notice.{language}.png"


def take(language: str) -> None:
    """Show the page of one mail in Chromium, and keep what is not empty of it."""
    part = compose(notice(language), SETTINGS, days_before(30)).get_body(("html",))
    assert part is not None
    with tempfile.TemporaryDirectory() as name:
        page, shot = Path(name) / "page.html", Path(name) / "shot.png"
        page.write_text(part.get_content(), encoding="utf-8")
        # Chromium has no sandbox for root; the page is our own, and it has nothing to fetch.
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={name}/profile",
        ]
        size = f"--window-size={SIZE[0]},{SIZE[1]}"
        command = ["chromium", *options, size, f"--screenshot={shot}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        smaller = [
            "-trim",
            "+repage",
            "-strip",
            "+dither",
            "-colors",
            str(COLOURS),
            "-define",
            "png:compression-level=9",
        ]
        subprocess.run(["convert", str(shot), *smaller, f"png8:{picture(language)}"], check=True)


def main() -> None:
    for language in LANGUAGES:
        take(language)
    sizes = [f"{picture(language).name} {picture(language).stat().st_size // 1000} kB" for language in LANGUAGES]
    print(", ".join(sizes), file=sys.stderr)


if __name__ == "__main__":
    main()
