# Everything a checkout needs: a Rust toolchain, a C compiler, make.
CARGO ?= cargo
DEMO = --manifest-path demo/Cargo.toml --target-dir target/demo

.PHONY: check test demo postgres judges previous deny unused doc gate release bench size chaos mutants fuzz

# The compiler that rust-toolchain.toml names, where it is installed under another name.
ifndef RUSTUP_TOOLCHAIN
export RUSTUP_TOOLCHAIN := $(shell sh scripts/toolchain)
endif

# Before a commit, under a minute when warm, without a database: format, lints, documentation, unit tests, and the
# direction of the arrows between the modules.
check:
	@echo "check: format, and the lock files of all workspaces"
	@for of in . demo fuzz; do $(CARGO) fmt --check --manifest-path $$of/Cargo.toml || exit; done
	@for of in . demo fuzz bench/tools bench/empty-function; do \
		$(CARGO) metadata --locked --format-version 1 --manifest-path $$of/Cargo.toml >/dev/null || exit; \
	done
	@echo "check: lints of all targets (clippy)"
	@$(CARGO) clippy --quiet --locked --all-targets -- -D warnings
	@echo "check: documentation (rustdoc)"
	@$(MAKE) --no-print-directory doc
	@echo "check: unit tests"
	@$(CARGO) test --quiet --locked --lib
	@echo "check: architecture test"
	@$(CARGO) test --quiet --locked --test it -- architecture::

# Format, lints and all tests, on a throw-away PostgreSQL cluster; the demo is built first, since a test runs it.
test: postgres previous
	@$(call needs,fmt,rustfmt) $(CARGO) fmt --check && for of in demo fuzz; do $(CARGO) fmt --check --manifest-path $$of/Cargo.toml || exit; done
	@$(call needs,clippy,clippy) $(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) build --locked $(DEMO)
	RUST_BACKTRACE=$${RUST_BACKTRACE-0} $(CARGO) test --locked

# What a toolchain may lack is left out, and said.
needs = $(CARGO) $(1) --version >/dev/null 2>&1 || { echo "SKIPPED: cargo $(1) (rustup component add $(2))"; exit 0; };

# Licences, duplicates, sources and security advisories of the dependencies, by deny.toml.
deny:
	@sh scripts/deny

# Dependencies that nothing uses, of every Cargo.toml here.
unused:
	@[ -x target/tools/bin/cargo-machete ] || $(CARGO) install --quiet --locked --root target/tools cargo-machete@0.9.2
	@target/tools/bin/cargo-machete --skip-target-dir .

# Broken links and the like in what is written about the code, private items included.
doc:
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --locked --no-deps --lib --document-private-items

# Bytes of the function, and its start beside an empty one's: more than design allows is an error.
gate:
	@sh scripts/size-gate

# A day of bookings on an embedded PostgreSQL, and then the program itself on the real clock. DEMO_EXIT=1 ends after
# the day.
demo:
	$(CARGO) run --locked $(DEMO)

# A PostgreSQL server for the tests: TEST_DATABASE_URL's, an installed one, or one from the system's packages.
postgres:
	@sh scripts/postgres

# Programs that none of us wrote, against which the tests hold ours: a Python environment in target/judges.
judges:
	@sh scripts/judges

# The release before this one, for the test of upgrades.
previous:
	@sh scripts/previous-release

release:
	$(CARGO) build --locked --release

# The program beside what one would use instead, into docs/generated/benchmarks.md: under 20 minutes on two cores. PART=idle runs one
# part (bench/bench.py tells which there are), BENCH=full more rounds.
bench:
	@sh scripts/benchmarks
	@python3 bench/bench.py

# The program killed ten thousand times while everything around it fails, and what came of it, into
# docs/generated/chaos.md: an hour. SEED=7 repeats the choices of a run, KILLS=500 makes it shorter and writes nothing.
chaos: postgres
	CHAOS=1 RUST_BACKTRACE=$${RUST_BACKTRACE-0} $(CARGO) test --locked --test it -- chaos::

# Does a test fail when a condition, constraint or lock is taken out of the SQL, or the code turned round? Hours; goes on
# where it ended, into docs/generated/mutants.md. FILES="src/delivery/claim.sql" tries only those. Needs python3 and cargo-mutants.
mutants: postgres
	scripts/mutate sql $(FILES)
	scripts/mutate code $(FILES)

# Hostile input for what takes input from outside, on a stable toolchain and a C++ compiler: a million executions each, ten
# minutes after the build. RUNS=10000000 is the run of docs/generated/fuzz.md; TARGET=address runs one (fuzz/fuzz.py).
fuzz:
	@python3 fuzz/fuzz.py

# What the function weighs, and what of it comes from where.
size:
	@sh scripts/size
