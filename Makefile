# make run   sets up everything and starts the demo kiosk
# make test  sets up everything and runs every test but those of make test-tokens, which start daemons
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := run
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# program-or-file : Debian package that brings it
RUN_NEEDS := /usr/lib/softhsm/libsofthsm2.so:softhsm2 certutil:libnss3-tools p11-kit:p11-kit
TEST_NEEDS := $(RUN_NEEDS) pkcs11-tool:opensc openssl:openssl setpriv:util-linux chromium:chromium \
	/usr/libexec/p11-kit/p11-kit-server:p11-kit-modules /usr/lib/postgresql/*/bin/postgres:postgresql \
	cc:gcc /usr/include/stdio.h:libc6-dev

# what `make test-tokens` wants besides; pcscd and pkcsslotd are not started on this machine: tests start their own
TOKENS_NEEDS := $(TEST_NEEDS) pkcs15-init:opensc /usr/lib/*/opensc-pkcs11.so:opensc-pkcs11 /usr/sbin/pcscd:pcscd \
	/usr/lib/pcsc/drivers/serial/libifdvpcd.so:vsmartcard-vpcd /usr/sbin/pkcsslotd:opencryptoki nsenter:util-linux

PICTURE_NEEDS := Xvfb:xvfb weston:weston foot:foot import:imagemagick xdotool:xdotool chromium:chromium \
	/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc:fonts-noto-cjk

BENCH ?= $(basename $(notdir $(wildcard tests/benchmarks/bench_*.py)))

.PHONY: bench snapshots pictures system-pictures run setup test test-tokens soak check format lock clean \
	system-run system-test system-tokens

run: setup
	@$(BIN)/python -m kiosk demo $(ARGS)

setup: system-run $(READY)

# ARGS="-n 0 ..." runs in one process, as a debugger wants it
test: system-test $(READY)
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "not tokens" $(ARGS)

# renewals over other makers' stacks (opencryptoki, OpenSC over pcscd), and a fault at each function of a module in each
# request; says what it has to skip, and fails if that is all
test-tokens: system-tokens $(READY)
	@$(BIN)/python -m pytest -n auto --dist worksteal -m tokens $(ARGS)

# takes the screens as they are now for what they should be; look at the changes before committing them
snapshots: $(READY)
	@$(BIN)/python -m pytest -n 0 -q tests/screens/test_snapshots.py --snapshot-update

# the tests that try things at random or everywhere, for as long as it takes. KIOSK_SOAK is how much is tried of each kind;
# 5000 gives the parsers a million spoiled inputs
soak: system-tokens $(READY)
	@KIOSK_SOAK=$${KIOSK_SOAK:-5000} $(BIN)/python -m pytest -n auto --dist worksteal \
		tests/test_any_bytes.py tests/ca/test_mutation.py \
		tests/audit/test_any_file.py tests/ca/test_ocsp.py tests/revocation/test_answers.py tests/processes \
		tests/flows/test_cut_table.py tests/flows/test_journal_table.py tests/flows/test_many_visits.py \
		tests/screens/test_many_visits.py tests/faults tests/kills tests/tokens/test_card_cut.py -rP $(ARGS)

# BENCH=bench_standby runs one of them alone
bench: system-test $(READY)
	@for each in $(BENCH); do $(BIN)/python -m tests.benchmarks.$$each $(ARGS); done

# what every screen looks like on a real terminal, for docs/screens.md, and the mails in a browser, for docs/notices.md
pictures: system-pictures $(READY)
	@$(BIN)/python -m tests.screens.pictures
	@$(BIN)/python -m tests.notices.pictures

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY)
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

lock: $(READY)
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --all-extras --group dev \
		pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

system-run:
	@assets/setup/debian $(RUN_NEEDS)

system-pictures:
	@assets/setup/debian $(PICTURE_NEEDS)

system-test:
	@assets/setup/debian $(TEST_NEEDS)

system-tokens:
	@assets/setup/debian $(TOKENS_NEEDS)

# One at a time: two `make run` in a fresh checkout must not build the same environment twice.
$(READY): requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" flock .venv.lock assets/setup/environment $(VENV)
