"""Codes stand in journals and in letters to customers: a number that was given once never means anything else."""

from __future__ import annotations

from kiosk.errors import Code

GIVEN = {
    "T-02": "TOKEN_TAKEN_OUT",
    "T-03": "MODULE_UNUSABLE",
    "T-04": "TOKEN_HANGS",
    "T-05": "TOKEN_FAILED",
    "T-06": "TOO_MANY_TOKENS",
    "T-07": "TOKEN_SWAPPED",
    "T-08": "TOKEN_FORGOTTEN",
    "T-09": "TOKEN_BLANK",
    "T-10": "PIN_LOCKED",
    "T-11": "PIN_REFUSED_TOO_OFTEN",
    "T-12": "PIN_LAST_TRY",
    "T-13": "PIN_NOT_SET",
    "T-14": "PAD_TIMED_OUT",
    "T-15": "PAD_CANCELLED",
    "T-16": "PAD_NOT_ENOUGH",
    "T-20": "NO_CERTIFICATE",
    "T-22": "KEY_NOT_PROVEN",
    "T-23": "CERTIFICATE_NOT_OURS",
    "T-24": "NO_SUITABLE_KEY_KIND",
    "T-25": "SUCCESSOR_NOT_READABLE",
    "T-26": "TOKEN_FULL",
    "T-27": "NO_FREE_SLOT",
    "T-30": "NEW_CREDENTIAL_NOT_PROVEN",
    "T-31": "OLD_CREDENTIAL_NOT_REMOVED",
    "T-40": "WRITING_NOT_SET_UP",
    "C-01": "REFUSED_BY_CA",
    "C-02": "CERTIFICATE_NOT_ACCEPTED",
    "C-04": "ANSWER_NOT_TRUSTED",
    "C-05": "ANSWER_NOT_UNDERSTOOD",
    "C-06": "NEW_CERTIFICATE_WRONG",
    "C-07": "WAITS_FOR_APPROVAL",
    "C-08": "REFUSAL_NOT_PROVEN",
    "C-09": "SUCCESSOR_UNDECIDED",
    "C-10": "CODE_NOT_ACCEPTED",
    "C-11": "CODE_PAUSED",
    "C-12": "CODE_BOUND",
    "C-13": "CODE_EXPIRED",
    "C-14": "CERTIFICATE_UNKNOWN",
    "C-15": "STATUS_NOT_TRUSTED",
    "C-16": "UNFINISHED_ELSEWHERE",
    "N-01": "CA_NOT_REACHED",
    "N-02": "CA_TOO_SLOW",
    "N-03": "CONNECTION_NOT_TRUSTED",
    "N-04": "CA_OUT_OF_ORDER",
    "N-05": "STATUS_NOT_TOLD",
    "N-06": "CA_BUSY",
    "N-07": "CONNECTION_OUT_OF_DATE",
    "K-01": "CLOCK_WRONG",
    "K-02": "JOURNAL_NOT_WRITABLE",
    "K-03": "KIOSK_CRASHED",
    "K-04": "JOURNAL_DAMAGED",
    "K-10": "PC_STORE_FAILED",
    "K-11": "PC_CREDENTIAL_NOT_PROVEN",
    "K-12": "PC_NO_DATABASE",
    "K-13": "PC_IN_USE",
    "K-14": "PC_SOFTWARE_MISSING",
    "K-15": "PC_UNUSABLE",
    "K-16": "PC_UNPROTECTED",
    "K-17": "PC_PASSWORD_REFUSED_TOO_OFTEN",
    "K-18": "PC_NO_CERTIFICATE",
    "K-19": "PC_AS_ROOT",
    "K-20": "PC_CERTIFICATE_EXPIRED",
    "K-21": "PC_READ_ONLY",
    "K-99": "UNEXPECTED",
    "P-01": "NOT_RENEWABLE_YET",
    "P-02": "EXPIRED",
}
"""A code that is new gets a line; the line of one that is given up goes to `RETIRED`, and none is ever changed."""

RETIRED = {
    "T-01": "TOKEN_NOT_READABLE",
    "T-21": "SEVERAL_IDS",
    "C-03": "NOT_RENEWABLE_AT_CA",
    "K-09": "PROGRAM_FAULT",
}
"""What nothing can end with any more."""


def test_every_code_means_what_it_meant_when_it_was_given() -> None:
    assert {each.value: each.name for each in Code} == GIVEN


def test_no_number_of_a_code_that_was_given_up_is_given_again() -> None:
    assert not RETIRED.keys() & {each.value for each in Code}
