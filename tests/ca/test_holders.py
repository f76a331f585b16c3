"""`kiosk ca holder`."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kiosk.ca import holders
from kiosk.ca.holders import HolderRefused
from tests.ca.office import fail, records, run

HEAD = "id,kind,name,email,language\n"


def write(directory: Path, text: str, encoding: str = "utf-8") -> str:
    path = directory / "holders.csv"
    path.write_bytes(text.encode(encoding))
    return str(path)


def everybody(directory: Path) -> list[tuple[object, ...]]:
    return [
        (each["id"], each["kind"], each["name"], each["email"], each["language"])
        for each in records(directory, "holder", "list")
    ]


def test_a_holder_is_entered_shown_and_changed(directory: Path) -> None:
    details = ("--name", "見本　太郎", "--email", "taro@example.jp", "--language", "en")
    run(directory, "holder", "add", "FIRST", "--kind", "user", *details)
    (shown,) = records(directory, "holder", "show", "FIRST")
    assert shown["subject"].endswith("OU=USER/PE - 2, OU=CERT/SUEDNUM - 3, CN=FIRST 見本　太郎")
    run(directory, "holder", "change", "FIRST", "--email", "hanako@example.jp")
    assert everybody(directory) == [("FIRST", "user", "見本　太郎", "hanako@example.jp", "en")]
    run(directory, "holder", "change", "FIRST", "--kind", "administrator", "--name", "", "--email", "")
    (shown,) = records(directory, "holder", "show", "FIRST")
    assert (shown["name"], shown["email"]) == (None, None)
    assert shown["subject"].endswith("OU=ADMIN/PE - 2, OU=CERT/SUEDNUM - 3, CN=FIRST")
    before = records(directory, "list", "audit")
    run(directory, "holder", "change", "FIRST", "--language", "en")
    assert records(directory, "list", "audit") == before, "nothing was changed"
    assert [(each["act"], each["detail"]) for each in before] == [
        ("holder added", None),
        ("holder changed", "email"),
        ("holder changed", "kind, name, email"),
    ]


def test_who_is_told_nothing_of_is_written_to_in_japanese(directory: Path) -> None:
    run(directory, "holder", "add", "FIRST", "--kind", "user")
    assert everybody(directory) == [("FIRST", "user", None, None, "ja")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["add", "NEW", "--kind", "user", "--email", "nobody"], "NAME@DOMAIN"),
        (["add", "NEW", "--kind", "user", "--email", "a@example.jp\nBcc: b@example.jp"], "NAME@DOMAIN"),
        (["add", "NEW", "--kind", "user", "--language", "klingon"], "CLDR"),
        (["change", "NOBODY", "--name", "x"], "no holder NOBODY"),
        (["change", "KNOWN", "--email", "x"], "NAME@DOMAIN"),
        (["change", "KNOWN", "--name", "n" * 64], "at most 64"),
        (["show", "NOBODY"], "no holder NOBODY"),
        (["import", "/nowhere.csv"], "does not exist"),
    ],
)
def test_what_cannot_be_is_told_in_words(directory: Path, arguments: list[str], told: str) -> None:
    run(directory, "holder", "add", "KNOWN", "--kind", "user")
    assert told in fail(directory, "holder", *arguments)
    assert everybody(directory) == [("KNOWN", "user", None, None, "ja")]


def test_a_file_is_entered_as_a_whole(directory: Path) -> None:
    file = write(directory, HEAD + "A,user,見本太郎,a@example.jp,en\nB,管理者,,,\nC,利用者,,,\n")
    assert run(directory, "holder", "import", file, "--dry-run") == "3 added (nothing was done: --dry-run)\n"
    assert everybody(directory) == []
    assert run(directory, "holder", "import", file) == "3 added\n"
    assert everybody(directory) == [
        ("A", "user", "見本太郎", "a@example.jp", "en"),
        ("B", "administrator", None, None, "ja"),
        ("C", "user", None, None, "ja"),
    ]
    assert [(each["act"], each["holder"]) for each in records(directory, "list", "audit")] == [
        ("holder added", each) for each in "ABC"
    ]
    assert records(directory, "holder", "import", file) == [
        {"where": f"line {line}", "id": each, "outcome": "unchanged"} for line, each in ((2, "A"), (3, "B"), (4, "C"))
    ]
    assert len(records(directory, "list", "audit")) == 3


def test_every_bad_line_is_told_and_none_of_the_good_is_entered(directory: Path) -> None:
    run(directory, "holder", "add", "KNOWN", "--kind", "user")
    lines = [
        "GOOD,user,,,",
        "two words,user,,,",
        "A,nobody,,,",
        "B,user,,not an address,",
        "C,user,,,xx_unknown",
        "D,user," + "n" * 64 + ",,",
        "KNOWN,administrator,,,",
        "E,,,,",
        "GOOD,administrator,,,",
    ]
    told = fail(directory, "holder", "import", write(directory, HEAD + "\n".join(lines)))
    assert [line.removeprefix("Error: ").partition(":")[0] for line in told.splitlines()] == [
        f"line {number}" for number in range(3, 11)
    ]
    reasons = ("an ID is", "a kind is", "NAME@DOMAIN", "CLDR", "at most 64", "--update", "the kind of", "line 2 says")
    assert all(reason in line for reason, line in zip(reasons, told.splitlines(), strict=True))
    assert [each[0] for each in everybody(directory)] == ["KNOWN"]


def test_a_file_changes_what_is_known_only_when_told_to(directory: Path) -> None:
    run(directory, "holder", "import", write(directory, HEAD + "A,user,Taro,a@example.jp,en\n"))
    file = write(directory, "id,kind,email\nA,user,b@example.jp\n")
    assert "--update" in fail(directory, "holder", "import", file)
    assert run(directory, "holder", "import", file, "--update") == "1 changed\n"
    assert everybody(directory) == [("A", "user", "Taro", "b@example.jp", "en")], (
        "columns that are not there say nothing"
    )
    run(directory, "holder", "import", write(directory, "id,kind,email\nA,user,\n"), "--update")
    assert everybody(directory) == [("A", "user", "Taro", None, "en")], "an empty cell says that there is none"


def test_what_is_exported_is_imported_elsewhere(directory: Path, tmp_path: Path) -> None:
    run(directory, "holder", "import", write(directory, HEAD + "=A,user,=1+1,a@example.jp,en\nB,管理者,見本　太郎,,\n"))
    before = everybody(directory)
    text = run(directory, "holder", "export").replace("\n", "\r\n")
    assert [row[2] for row in csv.reader(io.StringIO(text, newline=""))] == ["name", "'=1+1", "見本　太郎"]
    target = tmp_path / "out.csv"
    run(directory, "holder", "export", "--bom", "--out", str(target))
    assert target.read_bytes() == b"\xef\xbb\xbf" + text.encode()
    (directory / "ledger.sqlite").unlink()
    for leftover in directory.glob("ledger.sqlite-*"):
        leftover.unlink()
    run(directory, "holder", "import", str(target))
    assert everybody(directory) == before


def test_excel_of_japan_is_read_when_said_so(directory: Path) -> None:
    file = write(directory, HEAD + "A,user,見本太郎,,\n", "cp932")
    assert "--encoding cp932" in fail(directory, "holder", "import", file)
    run(directory, "holder", "import", file, "--encoding", "cp932")
    assert everybody(directory) == [("A", "user", "見本太郎", None, "ja")]


@pytest.mark.parametrize(
    ("pattern", "name", "common_name"),
    [
        ("{id} {name}", "見本 {id}", "FIRST 見本 {id}"),
        ("{id} {name}", None, "FIRST"),
        ("{id}", "見本", "FIRST"),
        ("{id} of Bank, {name}", "見本", "FIRST of Bank, 見本"),
    ],
)
def test_the_policy_tells_the_common_name(directory: Path, pattern: str, name: str | None, common_name: str) -> None:
    (directory / "policy.toml").write_text(f'common_name = "{pattern}"\n')
    (added,) = records(directory, "holder", "add", "FIRST", "--kind", "user", *(("--name", name) if name else ()))
    assert added["subject"].endswith(f", CN={common_name}")
    assert added["name"] == name


@pytest.mark.parametrize("address", ["a@example.jp", "taro.mihon+bank@mail.example.co.jp", "x@xn--wgv71a.jp", "'@a.b"])
def test_an_address_stays_as_it_was_given(address: str) -> None:
    assert holders.check_email(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "a@",
        "@b.jp",
        "a@localhost",
        "a b@example.jp",
        "a..b@example.jp",
        ".a@example.jp",
        "a@example..jp",
        "a@-x.jp",
        "a@example.jp\n",
        "a@example.jp\r\nBcc: x@y.z",
        "a@example.jp, b@example.jp",
        "<a@example.jp>",
        "山田@example.jp",
        "x" * 65 + "@example.jp",
        "a@" + "x" * 64 + ".jp",
        "a@" + "x." * 126 + "jp",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(HolderRefused):
        holders.check_email(address)


@given(st.text())
@example("a@example.jp\u2028")
def test_no_address_can_end_a_header(text: str) -> None:
    try:
        address = holders.check_email(text)
    except HolderRefused:
        return
    assert address.isascii()
    assert address.isprintable()
    assert not set(address) & set(' ,;:<>()[]\\"')


@given(st.text(max_size=20))
def test_no_language_is_anything_but_a_code(text: str) -> None:
    try:
        assert holders.check_language(text).replace("_", "").isalnum()
    except HolderRefused:
        return
