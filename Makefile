# Everything a checkout needs: a Rust toolchain, a C compiler, make.
CARGO ?= cargo

.PHONY: test postgres judges release

# Format, lints and all tests, on a throw-away PostgreSQL cluster.
test: postgres
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUST_BACKTRACE=$${RUST_BACKTRACE-0} $(CARGO) test --locked

# A PostgreSQL server for the tests: TEST_DATABASE_URL's, an installed one, or one from the system's packages.
postgres:
	@sh scripts/postgres

# Programs that none of us wrote, against which the tests hold ours: a Python environment in target/judges.
judges:
	@sh scripts/judges

release:
	$(CARGO) build --locked --release
