"""Big letters of half blocks: what the eye is to meet first."""

from __future__ import annotations

_GLYPHS = {
    "0": ("####", "#  #", "#  #", "#  #", "####"),
    "1": (" ## ", "  # ", "  # ", "  # ", "####"),
    "2": ("####", "   #", "####", "#   ", "####"),
    "3": ("####", "   #", " ###", "   #", "####"),
    "4": ("#  #", "#  #", "####", "   #", "   #"),
    "5": ("####", "#   ", "####", "   #", "####"),
    "6": ("####", "#   ", "####", "#  #", "####"),
    "7": ("####", "   #", "   #", "   #", "   #"),
    "8": ("####", "#  #", "####", "#  #", "####"),
    "9": ("####", "#  #", "####", "   #", "####"),
    "-": ("   ", "   ", "###", "   ", "   "),
    "C": ("####", "#   ", "#   ", "#   ", "####"),
    "K": ("#  #", "# # ", "##  ", "# # ", "#  #"),
    "N": ("#   #", "##  #", "# # #", "#  ##", "#   #"),
    "P": ("####", "#  #", "####", "#   ", "#   "),
    "T": ("#####", "  #  ", "  #  ", "  #  ", "  #  "),
}
_BLOCKS = {("#", "#"): "█", ("#", " "): "▀", (" ", "#"): "▄", (" ", " "): " "}

BIG_ROWS = 3


def big_letters(text: str) -> list[str]:
    """`text` in three rows of half blocks; a letter there is no shape for is left out."""
    glyphs = [_GLYPHS[letter] for letter in text if letter in _GLYPHS]
    pixels = [" ".join(glyph[row] for glyph in glyphs) for row in range(5)]
    pixels.insert(0, " " * len(pixels[0]))
    return [
        "".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(pixels[::2], pixels[1::2], strict=True)
    ]
