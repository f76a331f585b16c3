"""A third language is one file: nothing else is touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import assets
from tests.screens import third_language
from tests.screens.third_language import THIRD, translated

PROJECT = Path(__file__).parents[2]


def test_one_file_more_is_one_language_more_on_every_screen(tmp_path: Path) -> None:
    texts = tmp_path / "assets" / "texts"
    shutil.copytree(Path(assets.__file__).parent, tmp_path / "assets")
    english = (texts / "en.po").read_text(encoding="utf-8")
    (texts / f"{THIRD}.po").write_text(in_another_language(english), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-P", third_language.__file__],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def in_another_language(catalogue: str) -> str:
    """The catalogue with every text in the other language; of CLDR's patterns for dates only the quoted words."""

    def entry(match: re.Match[str]) -> str:
        key, text = match[1], match[2]
        if key.startswith("moment."):
            words = re.sub(r"'[^']*'", lambda quoted: translated(quoted[0]), text)
        else:
            words = _translated_lines(text)
        return f'msgid "{key}"\nmsgstr "{words}"'

    return re.sub(r'msgid "(.+)"\nmsgstr "(.*)"', entry, catalogue).replace("Language: en", f"Language: {THIRD}")


def _translated_lines(text: str) -> str:
    return "\\n".join(translated(line) for line in text.split("\\n"))
