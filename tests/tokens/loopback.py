"""Bring up the loopback of the network namespace this runs in: `python -m tests.tokens.loopback`."""

from tests.benchmarks.namespace import bring_up

bring_up("lo")
