"""The journal in the hands of staff: shown in words, exported for an audit, and verified. Nothing here writes it."""
