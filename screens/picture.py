"""SVG pictures of a screen in which Japanese can be read, in any viewer.

Rich gives a text the length of its letters instead of its cells, and draws blocks and frames with a font that may have
them in another width. Here each word stands at its own place with the length of its cells, and shapes are shapes.
"""

from __future__ import annotations

import html
import re
from itertools import groupby

from rich.cells import cell_len

_CELL = 12.2
"""Width of a cell in rich's pictures, in pixels; its height is twice that."""
_BASELINE = 20
_THIN, _HEAVY = 1.2, 2.4

_TEXT = re.compile(r'<text class="([^"]*-r\d+)" x="([\d.]+)" y="([\d.]+)"[^>]*(clip-path="[^"]*")>([^<]*)</text>')
_FONT_FACES = re.compile(r"\s*@font-face \{.*?\n    \}", re.DOTALL)
_FONT = '"Noto Sans Mono CJK JP", "Noto Sans CJK JP", monospace'

_Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a shape, as parts of its cell."""


def _line(left: float, top: float, right: float, bottom: float, weight: float) -> _Box:
    across, down = weight / _CELL / 2, weight / _CELL / 4
    return left - across, top - down, right + across, bottom + down


def _frame(signs: str, weight: float) -> dict[str, tuple[_Box, ...]]:
    """Horizontal, vertical, and the four corners of a frame."""
    left, right = _line(0, 0.5, 0.5, 0.5, weight), _line(0.5, 0.5, 1, 0.5, weight)
    up, down = _line(0.5, 0, 0.5, 0.5, weight), _line(0.5, 0.5, 0.5, 1, weight)
    shapes = ((left, right), (up, down), (right, down), (left, down), (right, up), (left, up))
    return dict(zip(signs, shapes, strict=True))


_SHAPES: dict[str, tuple[_Box, ...]] = {
    "█": ((0, 0, 1, 1),),
    "▀": ((0, 0, 1, 0.5),),
    "▄": ((0, 0.5, 1, 1),),
    "▌": ((0, 0, 0.5, 1),),
    "▁": ((0, 0.875, 1, 1),),
    **_frame("─│╭╮╰╯", _THIN),
    **_frame("━┃┏┓┗┛", _HEAVY),
}


def readable(svg: str) -> str:
    """Take rich's picture and set its text anew."""
    svg = _FONT_FACES.sub("", svg).replace("Fira Code, monospace", _FONT)
    svg = svg.replace("font-size: 20px", "font-size: 22px")
    return _TEXT.sub(_set_anew, svg.replace("font-variant-east-asian: full-width;", ""))


def _set_anew(text: re.Match[str]) -> str:
    look, x, y, clip = text[1], float(text[2]), float(text[3]), text[4]
    written = []
    for run in _runs(html.unescape(text[5])):
        if run[0] in _SHAPES:
            written.append(_drawn(run, look, x, y - _BASELINE))
        elif run.strip():
            length = f'textLength="{cell_len(run) * _CELL:g}"'
            written.append(f'<text class="{look}" x="{x:g}" y="{y:g}" {length} {clip}>{html.escape(run)}</text>')
        x += cell_len(run) * _CELL
    return "".join(written)


def _runs(text: str) -> list[str]:
    """Words, spaces, and rows of one shape."""

    def kind(sign: str) -> str:
        if sign in _SHAPES:
            return sign
        return "space" if sign.isspace() else "word"

    return ["".join(run) for _, run in groupby(text, kind)]


def _drawn(run: str, look: str, x: float, y: float) -> str:
    """A row of one shape; what reaches from edge to edge is drawn in one piece."""
    boxes: list[_Box] = []
    for left, top, right, bottom in _SHAPES[run[0]]:
        if left <= 0 and right >= 1:
            boxes.append((0, top, len(run), bottom))
        else:
            boxes += [(place + left, top, place + right, bottom) for place in range(len(run))]
    return "".join(_rectangle(box, look, x, y) for box in boxes)


def _rectangle(box: _Box, look: str, x: float, y: float) -> str:
    left, top, right, bottom = box[0] * _CELL, box[1] * 2 * _CELL, box[2] * _CELL, box[3] * 2 * _CELL
    place = f'x="{x + left:.1f}" y="{y + top + 1.5:.1f}"'
    return f'<rect class="{look}" {place} width="{right - left:.1f}" height="{bottom - top:.1f}"/>'
