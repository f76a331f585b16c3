"""Texts, the bank's mark and set-up files."""
