"""A stylesheet that remembers what it has read."""

from __future__ import annotations

from typing import Any

from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.css.types import CSSLocation

_Rules = dict[tuple[Any, ...], list[RuleSet]]
_READ: dict[frozenset[tuple[str, str]], _Rules] = {}
"""Rules by the variables they were read with: one entry a theme, and nothing of a customer."""


class CompiledStylesheet(Stylesheet):
    """Textual's, which reads each source once with the colours of each theme, for as long as the program lives.

    Textual 8.2.8 reads all of them anew when a theme is put on and for the first screen of a mode, which here is each
    customer's.
    """

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._read = _read_with(self._variables)

    def set_variables(self, variables: dict[str, str]) -> None:
        """Resolve these colours from now on."""
        super().set_variables(variables)
        self._read = _read_with(variables)

    def reparse(self) -> None:
        """Apply new variables; `parse` changes nothing where it fails, so it needs no second stylesheet."""
        self.parse()

    def _parse_rules(
        self,
        css: str,
        read_from: CSSLocation,
        is_default_rules: bool = False,
        tie_breaker: int = 0,
        scope: str = "",
    ) -> list[RuleSet]:
        source = (css, read_from, is_default_rules, tie_breaker, scope)
        if source not in self._read:
            self._read[source] = super()._parse_rules(*source)
        return self._read[source]


def _read_with(variables: dict[str, str]) -> _Rules:
    return _READ.setdefault(frozenset(variables.items()), {})
