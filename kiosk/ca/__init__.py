"""The issuing CA that ships with the kiosk: for demos, tests, training and small banks.

One process over one SQLite ledger. Every answer is durable before it leaves.
"""
