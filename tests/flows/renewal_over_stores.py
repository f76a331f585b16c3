"""The one renewal that is shown over every store."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from kiosk.clock import one_year_after, system_clock
from kiosk.credentials import Credential, successor_key_id
from kiosk.tokens.wire import KeyKind, ObjectKind
from tests.bank import child_processes, labels_shown
from tests.flows.stores import Store

KINDS = (
    (KeyKind.RSA_2048, KeyKind.RSA_2048),
    (KeyKind.EC_P256, KeyKind.EC_P256),
    (KeyKind.EC_P256, KeyKind.RSA_2048),
)
"""The kinds of the old key and of the new one."""


async def until_outlasted(old: Credential) -> None:
    """A new certificate ends later than the old one: not one that was issued in the same second."""
    while one_year_after(system_clock()) <= old.certificate.not_after + timedelta(seconds=1):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def renew_over(store: Store, directory: Path, old_kind: KeyKind, new_kind: KeyKind) -> None:
    """Renew the credential in `store`, and see that store and ledger agree on everything."""
    async with store.prepare(directory, old_kind) as under:
        async with under.opened() as opened:
            (old,) = (await opened.inventory()).credentials
            assert await opened.proves(old)
        before, known = child_processes(), set(under.bank.states())

        await until_outlasted(old)
        desk = under.desk()
        outcome = await under.bank.with_policy(key_kinds=(new_kind,)).visit(desk, errand=under.errand)

        assert outcome.problem is None, outcome.problem
        assert outcome.completion is not None
        assert "retirement" not in desk.asked, "old and new are in one store: policy says that the old one goes"
        async with under.opened() as opened:
            inventory = await opened.inventory()
            (new,) = inventory.credentials
            assert await opened.proves(new)
        assert new.certificate == outcome.completion.certificate
        assert outcome.completion.replaced == old.certificate
        assert new.key_id == successor_key_id(old.certificate)
        assert new.certificate.subject_der == old.certificate.subject_der
        assert new.certificate.public_key_der != old.certificate.public_key_der
        assert new.holder == old.holder
        assert sorted(each.kind for each in inventory.objects) == sorted(ObjectKind), "no orphan, and nothing old"
        assert {each.key_id for each in inventory.objects} == {new.key_id}
        assert labels_shown(inventory) == {new.certificate.common_name}
        states = under.bank.states()
        assert set(states) - known == {new.certificate.serial}, "the CA issued this one and no other"
        assert states[new.certificate.serial] == "valid"
        assert states[old.certificate.serial] == "superseded"
        assert child_processes() == before
