"""A whole small bank for tests: a real CA process, a real software token, and eyes that look into both."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from kiosk.ca import office
from kiosk.ca.policy import POLICY_FILE
from kiosk.clock import JAPAN, one_year_after, system_clock
from kiosk.cmp.client import CmpClient
from kiosk.cmp.retry import NEVER, Retry
from kiosk.credentials import Credential, HolderRule
from kiosk.demo_bank import TOKEN_LABEL, Customer, DemoBank, RunCa, issue_onto_token, opened, prepare
from kiosk.desk import Errand
from kiosk.journal import Journal
from kiosk.pin import Pin
from kiosk.reception import FrontDesk
from kiosk.revocation.check import RevocationCheck
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN, Settings
from kiosk.tokens.errors import TokenError
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.pc import PcStore
from kiosk.tokens.process import ModuleSettings, TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import KeyKind, ObjectKind
from kiosk.visit import Outcome
from tests.ready_ca import running_ready_ca
from tests.scripted_desk import ScriptedDesk


@dataclass
class Bank:
    """What the demo sets up, and what tests want to know of it."""

    demo: DemoBank

    @property
    def settings(self) -> Settings:
        return self.demo.settings

    @property
    def directory(self) -> Path:
        return self.demo.directory

    def with_pc(self, **settings: object) -> Bank:
        """The same bank at a kiosk that has other settings for this PC."""
        pc = msgspec.structs.replace(self.settings.pc, **settings)
        return Bank(DemoBank(self.directory, msgspec.structs.replace(self.settings, pc=pc)))

    def at(self, module: ModuleSettings) -> Bank:
        """The same bank at a kiosk with another module for its tokens."""
        return Bank(DemoBank(self.directory, msgspec.structs.replace(self.settings, token=module)))

    @property
    def database(self) -> Path:
        """This PC's certificate database."""
        return self.settings.pc.folder

    def certutil(self, *arguments: str) -> str:
        """What NSS's own tool says of the database."""
        command = ["certutil", *arguments, "-d", f"sql:{self.database}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def pc_store(self, user: int, **elsewhere: Iterable[str]) -> PcStore:
        """This PC's database as `user` would find it."""
        return PcStore(self.settings.pc, self.directory / "p11-kit-of-tests", user, **elsewhere)

    @asynccontextmanager
    async def open_pc(self) -> AsyncIterator[Token]:
        """The database, in a process of its own."""
        async with await self.pc_store(os.geteuid()).open(HolderRule()) as pc:
            yield pc

    async def until_another_second(self) -> None:
        """Until a certificate that is issued now is newer than those that are there; in a bank days lie between."""
        there = await (self.pc_inventory() if self.settings.pc.offered else self.inventory())
        newest = max(each.certificate.not_after for each in there.credentials)
        while one_year_after(system_clock()) <= newest + timedelta(seconds=1):  # noqa: ASYNC110 - nothing tells of time
            await asyncio.sleep(0.05)

    async def pc_inventory(self) -> Inventory:
        """What lies in the database, seen by a process of its own."""
        async with self.open_pc() as pc:
            return await pc.inventory()

    async def pc_credential(self) -> Credential:
        """The one credential in the database, which must sign."""
        async with self.open_pc() as pc:
            (credential,) = (await pc.inventory()).credentials
            assert await pc.proves(credential)
            return credential

    def with_policy(self, **rules: object) -> Bank:
        policy = msgspec.structs.replace(self.settings.policy, **rules)
        settings = msgspec.structs.replace(self.settings, policy=policy)
        return Bank(DemoBank(self.directory, settings))

    def code(self, holder_id: str = Customer().holder_id) -> str:
        """A one-time code, as the teller makes one while the CA runs."""
        with office.opened(self.directory / "ca") as counter:
            return office.make_code(counter, holder_id)[0].secret.decode()

    async def visit(
        self,
        desk: ScriptedDesk,
        through: Callable[[CmpClient], CmpClient] | None = None,
        pc: PcStore | None = None,
        errand: Errand = Errand.RENEWAL,
        revocation: RevocationCheck | None = None,
        retry: Retry = NEVER,
    ) -> Outcome:
        """One visit of the customer with the token, as the kiosk would hold it.

        `through` may stand before the CA, `pc` in the place of this PC's database, and `revocation` in that of the
        kiosk's own check. After a fault of the way the CA is asked again only by a `retry`.
        """
        async with open_services(self.settings) as services:
            services = replace(services, retry=retry)
            if through:
                services = replace(services, ca=through(services.ca))
            if pc:
                services = replace(services, pc=pc)
            if revocation:
                services = replace(services, revocation=revocation)
            front_desk = FrontDesk(services, self.settings.token)
            try:
                if errand is Errand.PC_LOGIN:
                    outcome = await front_desk.serve_pc(desk)
                else:
                    token = await front_desk.the_token(desk)
                    outcome = await front_desk.serve_token(desk, token, errand) if token else Outcome()
            finally:
                await front_desk.close()
        if outcome.fault and not desk.bears_faults:
            raise outcome.fault
        return outcome

    async def inventory(self, label: str = "") -> Inventory:
        """What lies on the token, seen by a process of its own; in one order, which no module promises."""
        async with await self.open_token(label) as token:
            found = await token.inventory()
        return replace(
            found,
            objects=tuple(sorted(found.objects, key=repr)),
            credentials=tuple(sorted(found.credentials, key=lambda each: (each.holder.id, each.certificate.not_after))),
        )

    async def open_token(self, label: str = "", pin: str = DEMO_PIN) -> Token:
        process = TokenProcess.start(self.settings.token)
        label = label or self.settings.token.token_label or TOKEN_LABEL
        facts = next(each for each in await find_tokens(process) if each.label == label)
        token = Token(self.settings.token, process, facts, HolderRule())
        try:
            await token.log_in(Pin(bytearray(pin, "ascii")))
        except TokenError:
            await process.end()
            raise
        return token

    async def credential(self) -> Credential:
        """The one credential on the token, which must sign."""
        async with await self.open_token() as token:
            (credential,) = (await token.inventory()).credentials
            assert await token.proves(credential)
            return credential

    def reading_ledger(self) -> closing[sqlite3.Connection]:
        """The CA's ledger, beside the CA."""
        return closing(sqlite3.connect(f"file:{self.directory / 'ca' / 'ledger.sqlite'}?mode=ro", uri=True))

    def ledger(self) -> dict[str, list[tuple[object, ...]]]:
        """Certificates, promises and codes, as the CA has them."""
        with self.reading_ledger() as database:
            tables = ("certificates", "promises", "codes")
            return {table: database.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in tables}  # noqa: S608

    def states(self) -> dict[str, str]:
        """The state of each certificate, by serial."""
        with self.reading_ledger() as database:
            return dict(database.execute("SELECT serial, state FROM certificates"))

    def events(self) -> list[str]:
        """What the journal tells."""
        with Journal(Path(self.settings.journal)) as journal:
            return [entry.event for entry in journal.entries()]

    def journal_bytes(self) -> bytes:
        path = Path(self.settings.journal)
        return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


@asynccontextmanager
async def open_bank(
    directory: Path,
    *,
    days_left: int = 20,
    kind: KeyKind = KeyKind.EC_P256,
    keep: bool = False,
    others: Sequence[Customer] = (),
    pc: bool = False,
    ca_policy: str = "",
    module: ModuleSettings | None = None,
    beforehand: Callable[[Path], Awaitable[None]] | None = None,
    run_ca: RunCa = running_ready_ca,
) -> AsyncIterator[Bank]:
    """A bank in `directory`, whose customer's certificate has so many days left.

    `others` share the token; `pc` says whether policy offers to save into this PC; `ca_policy` is the CA's policy file,
    which `run_ca` serves. The token is the one that `module` shows, or else a software token made here. `beforehand` is
    done with the CA's directory before it serves.
    """
    directory.mkdir(exist_ok=True)
    customers = () if module else (Customer(days_left, kind), *others)
    if not any(directory.iterdir()):
        shutil.copytree(await prepared(customers), directory, dirs_exist_ok=True)
        keep = True
    await prepare(directory, customers, keep=keep)
    if ca_policy:
        (directory / "ca" / POLICY_FILE).write_text(ca_policy)
    if beforehand:
        await beforehand(directory / "ca")
    if module:
        whose, pin = (Customer(days_left, kind), *others), Pin(bytearray(DEMO_PIN, "ascii"))
        await issue_onto_token(directory / "ca", module, whose, pin, label=module.token_label)
    with opened(directory, "ja", run_ca) as demo:
        bank = Bank(demo).with_pc(offered=pc)
        yield bank.at(module) if module else bank


_PREPARED: dict[tuple[object, ...], Path] = {}
_ALL_PREPARED = TemporaryDirectory(prefix="prepared-banks-")


async def prepared(customers: Sequence[Customer]) -> Path:
    """A directory with the CA and the token of `customers`, made once a day and never used itself."""
    key = (system_clock().astimezone(JAPAN).date(), *customers)
    if key not in _PREPARED:
        directory = Path(_ALL_PREPARED.name) / str(len(_PREPARED))
        directory.mkdir()
        await prepare(directory, customers, keep=False)
        _PREPARED[key] = directory
    return _PREPARED[key]


def child_processes() -> set[int]:
    """The processes this one has started and that have not ended."""
    children: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        children.update(int(each) for each in (task / "children").read_text().split())
    return children


def labels_shown(inventory: Inventory) -> set[str]:
    """The labels of certificates and public keys; a private key keeps the one it was made with: the ID, or its name."""
    return {each.label for each in inventory.objects if each.kind is not ObjectKind.PRIVATE_KEY}
