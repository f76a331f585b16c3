"""What a visit may come to, by what goes wrong and where: the written rule of the fault table, as data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kiosk.errors import Changed, Code
from tests.faults.faulty_module import Call, Fault


@dataclass(frozen=True)
class End:
    """How a visit ends: with a problem that is told, or where `code` is None as if nothing had been."""

    code: Code | None
    changed: Changed = Changed.NOTHING


DONE = End(None)

ERRORS = (Fault.GENERAL_ERROR, Fault.DEVICE_MEMORY, Fault.PIN_LOCKED, Fault.GENERAL_ERROR_AFTER)
"""The module goes on, and so can the kiosk."""
GONE = (Fault.REMOVED, Fault.RETURNED, Fault.ANOTHER)
ENDED = (Fault.HANG, Fault.CRASH)
"""The token process has to be replaced."""

_CODES = {
    Fault.REMOVED: Code.TOKEN_TAKEN_OUT,
    Fault.RETURNED: Code.TOKEN_TAKEN_OUT,
    Fault.ANOTHER: Code.TOKEN_SWAPPED,
    **dict.fromkeys(ERRORS, Code.TOKEN_FAILED),
    Fault.HANG: Code.TOKEN_HANGS,
    Fault.CRASH: Code.TOKEN_FAILED,
}

_CHANGED = {
    "request": Changed.UNFINISHED,
    "write": Changed.UNFINISHED,
    "prove": Changed.UNFINISHED,
    "confirm": Changed.UNFINISHED,
    "retire": Changed.RENEWED,
}
"""By step; before there is a key nothing is changed."""

_OF_SLOTS = ("GetSlotList", "GetSlotInfo", "GetTokenInfo")
_SHOWING = ("FindObjectsInit", "FindObjects", "FindObjectsFinal", "GetAttributeValue", "CloseSession")
_LOADING = ("GetFunctionList", "Initialize", "GetInfo")


@dataclass(frozen=True)
class Rule:
    """Where all of this is so, these are the codes; None for a visit that is finished as if nothing had been."""

    codes: tuple[Code | None, ...]
    faults: Collection[Fault] = tuple(Fault)
    steps: Collection[str] = ()
    requests: Collection[str] = ()
    functions: Collection[str] = ()
    repeated: bool = False
    """Only where the function was called for the same request before."""

    def fits(self, fault: Fault, call: Call) -> bool:
        """Whether the rule is about this case; an empty collection means any."""
        place = call.place
        told = ((self.steps, place.step), (self.requests, place.request), (self.functions, call.function))
        return (
            fault in self.faults
            and call.is_repeated >= self.repeated
            and all(not wanted or each in wanted for wanted, each in told)
        )


RULES = (
    # Looking for tokens: whoever sees nothing asks a fresh process once more, before anybody is told anything.
    Rule((Code.TOKEN_TAKEN_OUT,), (Fault.REMOVED,), requests=("FindTokens",)),
    Rule((None, Code.TOKEN_TAKEN_OUT, Code.TOKEN_SWAPPED), GONE, requests=("FindTokens",)),
    Rule((None,), requests=("FindTokens",)),
    # Before a lent PIN is given, certificates are looked at in a session for that; a token that shows none is let in.
    Rule((None, Code.PIN_LOCKED), (Fault.PIN_LOCKED,), requests=("LogInWithLentPin",), functions=("OpenSession",)),
    Rule((None, Code.TOKEN_FAILED), ERRORS, requests=("LogInWithLentPin",), functions=("OpenSession",)),
    Rule((None,), ERRORS, requests=("LogInWithLentPin",), functions=_SHOWING),
    # Only who logs in can meet a locked PIN; python-pkcs11 opens a session and logs in by one call.
    Rule((Code.PIN_LOCKED,), (Fault.PIN_LOCKED,), functions=("OpenSession", "Login")),
    # Asked for again for what python-pkcs11 does not tell, such as lengths of PINs: without it nobody is told that.
    Rule((None,), ERRORS, requests=("LogInWithLentPin",), functions=("GetFunctionList",), repeated=True),
    # The fresh process that proves the new credential loads the module anew.
    Rule((Code.MODULE_UNUSABLE,), ERRORS, requests=("LogInWithLentPin",), functions=_LOADING),
    # A slot that tells nothing of its token is passed over, and looked at once more where no other has the token.
    Rule((None, Code.TOKEN_FAILED), ERRORS, requests=("LogIn", "LogInWithLentPin"), functions=_OF_SLOTS),
    # Seen to be out, and in again when looked at once more: it is not logged in to before.
    Rule((None, Code.TOKEN_TAKEN_OUT), (Fault.RETURNED,), requests=("LogIn", "LogInWithLentPin")),
    # A search that the module would not end bars the next one, and so the removal.
    Rule((None, Code.OLD_CREDENTIAL_NOT_REMOVED), ERRORS, requests=("Relabel",), functions=("FindObjectsFinal",)),
    # A token that does not tell its room may have enough.
    Rule((None,), ERRORS, requests=("AskRoom",)),
    # Nothing hangs on a label.
    Rule((None,), ERRORS, requests=("Relabel",)),
    # After pkiConf the renewal has not failed, whatever happens to the old credential.
    Rule((None, Code.OLD_CREDENTIAL_NOT_REMOVED), ERRORS, steps=("retire",), functions=("GetAttributeValue",)),
    Rule((Code.OLD_CREDENTIAL_NOT_REMOVED,), steps=("retire",)),
    # What is to be kept on the token is tried once more in a fresh process, unless there is no room for it.
    Rule((Code.TOKEN_FULL,), (Fault.DEVICE_MEMORY,), functions=("GenerateKeyPair", "CreateObject")),
    Rule((None,), ERRORS, requests=("MakeKeyPair", "WriteCertificate")),
    # Some attributes are read only to know an object better.
    Rule((None, Code.TOKEN_FAILED), ERRORS, functions=("GetAttributeValue",)),
)
"""The first that fits counts; where none does it is `_CODES`."""


def ends_of(fault: Fault, call: Call) -> set[End]:
    """What a visit in which `fault` struck `call` may come to."""
    codes = next((rule.codes for rule in RULES if rule.fits(fault, call)), (_CODES[fault],))
    return {DONE if code is None else End(code, _changed(code, call)) for code in codes}


def _changed(code: Code, call: Call) -> Changed:
    if code is Code.TOKEN_FULL:
        return Changed.NOTHING  # the key is removed, and the CA told
    if call.place.request == "MakeKeyPair":
        return Changed.UNFINISHED  # nobody knows whether there is a key
    return _CHANGED.get(call.place.step, Changed.NOTHING)
