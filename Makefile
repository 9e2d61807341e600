# Requirements: a Rust toolchain, a C compiler and make.
CARGO ?= cargo
DEMO = --manifest-path demo/Cargo.toml --target-dir target/demo

.PHONY: check test test-matrix demo postgres judges previous deny unused doc gate release bench size chaos mutants fuzz

# The version in rust-toolchain.toml, if rustup has it installed under another name.
ifndef RUSTUP_TOOLCHAIN
export RUSTUP_TOOLCHAIN := $(shell sh scripts/toolchain)
endif

# Run this before a commit: format, lints, documentation, unit tests and the architecture test. It needs no database, and less
# than a minute after the first build.
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

# Format, lints and all tests, on a temporary PostgreSQL cluster. The demo is built first because a test runs it.
test: postgres previous
	@$(call needs,fmt,rustfmt) $(CARGO) fmt --check && for of in demo fuzz; do $(CARGO) fmt --check --manifest-path $$of/Cargo.toml || exit; done
	@$(call needs,clippy,clippy) $(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) build --locked $(DEMO)
	RUST_BACKTRACE=$${RUST_BACKTRACE-0} $(CARGO) test --locked

# Runs all tests on the other supported versions of PostgreSQL, whose servers come from npm, in an hour.
# VERSIONS="14 18" runs only these; TESTS="trail:: statements::" only the tests with such names.
VERSIONS ?= 14 16 17 18
test-matrix:
	@CARGO="$(CARGO)" sh scripts/postgres-matrix $(VERSIONS) -- $(TESTS)

# A component that the toolchain lacks is skipped with a message.
needs = $(CARGO) $(1) --version >/dev/null 2>&1 || { echo "SKIPPED: cargo $(1) (rustup component add $(2))"; exit 0; };

# Checks licences, duplicates, sources and security advisories of the dependencies; see deny.toml.
deny:
	@sh scripts/deny

# Finds unused dependencies in every Cargo.toml of the repository.
unused:
	@[ -x target/tools/bin/cargo-machete ] || $(CARGO) install --quiet --debug --locked --root target/tools cargo-machete@0.9.2
	@target/tools/bin/cargo-machete --skip-target-dir .

# Checks the documentation comments, including those of private items, for broken links and similar errors.
doc:
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --locked --no-deps --lib --document-private-items

# Fails if the function is larger than its budget, logs below `info`, or starts later, compared to an empty function.
gate:
	@sh scripts/size-gate

# Simulates a day of bookings on an embedded PostgreSQL, then runs the program on the real clock. DEMO_EXIT=1 stops after the
# simulated day.
demo:
	$(CARGO) run --locked $(DEMO)

# Provides a PostgreSQL server for the tests: that of TEST_DATABASE_URL, an installed one, or a system package.
postgres:
	@sh scripts/postgres

# Installs independent programs that the tests use to check ours, most of them in a Python environment in target/judges.
judges:
	@sh scripts/judges

# Builds the previous release for the upgrade test.
previous:
	@sh scripts/previous-release

release:
	$(CARGO) build --locked --release

# Compares the program with its alternatives and writes docs/generated/benchmarks.md, in under 20 minutes on two cores.
# PART=idle runs one part (bench/bench.py lists them); BENCH=full runs more rounds.
bench:
	@sh scripts/benchmarks
	@python3 bench/bench.py

# Kills the program ten thousand times while everything around it fails, checks the results and writes
# docs/generated/chaos.md, in an hour. SEED=7 repeats the random choices of a run. KILLS=500 is shorter and writes nothing.
chaos: postgres
	CHAOS=1 RUST_BACKTRACE=$${RUST_BACKTRACE-0} $(CARGO) test --locked --test it -- chaos:: chaos_clock::

# Removes conditions, constraints and locks from the SQL and changes the code, checks that a test fails each time, and writes
# docs/generated/mutants.md. It takes hours and continues where the last run stopped. FILES="src/delivery/claim.sql" tries
# only these files. It needs python3 and cargo-mutants.
mutants: postgres
	scripts/mutate sql $(FILES)
	scripts/mutate code $(FILES)

# Fuzzes everything that reads external input, a million executions for each target, in ten minutes after the build. It needs a
# stable toolchain and a C++ compiler. RUNS=10000000 is the run in docs/generated/fuzz.md; TARGET=address runs one target.
fuzz:
	@python3 fuzz/fuzz.py

# Shows the size of the function and how much of it each dependency adds.
size:
	@sh scripts/size
