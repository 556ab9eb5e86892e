PORT ?= 6379
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
REDIS_CLI := redis-cli$(if $(filter-out 6379,$(PORT)), -p $(PORT))
# Only targets that measure it build redis-cell.
REDIS_CELL_SO ?= $(shell scripts/redis-cell || echo "redis-cell cannot be built here: measuring without it" >&2)
# How long `make fuzz` tries each target.
SECONDS ?= 60
MSRV := $(shell sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
# One set of features for all tests, so that they share what is compiled.
TEST_FEATURES := --workspace --features $(shell scripts/features)

.PHONY: help setup build run test test-libraries test-clients test-matrix test-containers images test-images test-dockerfile packages lint msrv fuzz bench instructions performance pictures valgrind soak chaos leases scale dist dist-all test-dist test-watching clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

setup: ## install what is missing to build, run and test
	@scripts/setup

build: setup ## build target/release/libpremier.so
	cargo build --release

run: build ## run a redis-server with the module; PORT=7000 for another port, CLUSTER=yes for a cluster of one node
	@mkdir -p target/run/cluster
	@echo "In another terminal, try:"
	@echo "    $(REDIS_CLI) PREMIER.TOKEN user:42 5 10s"
	@echo "    $(REDIS_CLI) PREMIER.SLIDING login:203.0.113.7 3 1m"
	@$(if $(CLUSTER),(for try in $$(seq 100); do redis-cli -p $(PORT) CLUSTER ADDSLOTSRANGE 0 16383 2>&1 | grep -qE 'OK|busy' && break; sleep 0.1; done) &) \
	exec redis-server redis.conf --port $(PORT) --loadmodule $(TARGET)/release/libpremier.so \
	    --dir $(CURDIR)/target/run$(if $(CLUSTER),/cluster --cluster-enabled yes)

test: setup ## run every test, on the redis-server of this machine
	cargo test $(TEST_FEATURES) -- --skip real_time::
	cargo test $(TEST_FEATURES) --test integration -- --test-threads 1 real_time::

test-libraries: setup ## run the tests of the algorithms, the client and the test server
	@# Tests mostly wait.
	cargo test $(TEST_FEATURES) --exclude premier -- --test-threads 6
	cargo test -p premier-client --no-default-features --features memory --test without_tls

test-clients: setup ## run the programs of docs/clients.md with Redis clients of six languages; CLIENTS="redis-py go-redis" for some
	cargo test $(TEST_FEATURES) --test clients -- $(CLIENTS)

test-matrix: setup ## run the tests of the module on Redis 7.0, 8.0, 8.2 and 8.6 and Valkey 8.1 and 9.1
	scripts/test-matrix

test-containers: test-images test-dockerfile ## run a selection of the module's tests in containers, and the Dockerfile with compose.yaml

images: setup
	scripts/test-dockerfile --images

test-images: images
	scripts/test-matrix --images

test-dockerfile: images
	scripts/test-dockerfile

packages: setup ## package the crates as `cargo publish` does, and test a service that depends on these packages only
	scripts/packages

lint: setup ## check formatting and line width, run clippy and rustdoc; warnings are errors
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo fmt --manifest-path tests/consumer/Cargo.toml --check
	scripts/check-width
	scripts/shown-programs --check
	@# These crates have `test = false`, so that nothing is compiled for tests that they don't have.
	! grep -rn 'cfg(test)' client/src client/blocking client/tower/src src docs/pictures tests/server/src
	cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	for feature in "" tokio memory macros cache cluster tls serde jiff script tracing metrics policies "cache macros"; do \
	    cargo clippy --quiet -p premier-client --lib --no-default-features --features "$$feature" -- -D warnings || exit 1; \
	done
	for feature in "" axum policies reqwest tonic; do \
	    cargo clippy --quiet -p premier-tower --lib --no-default-features --features "$$feature" -- -D warnings || exit 1; \
	done
	@# With examples, as the features of dependencies are then the same as above.
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps --all-features --lib --examples

msrv: setup ## check that the module and the client build with the oldest supported Rust
	@if rustup toolchain install $(MSRV) --profile minimal; then \
	    nice cargo +$(MSRV) check --quiet -p premier -p premier-client -p premier-tower --all-features --target-dir $(TARGET)/msrv; \
	else echo "make msrv: skipped, as Rust $(MSRV) cannot be installed here"; fi

fuzz: ## search for bytes that break arguments, states or headers, a minute each; SECONDS=600 for longer
	@scripts/setup g++
	@cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --version 0.13.2 --locked
	@# Without a sanitizer: it needs a nightly compiler and would find nothing, as no unsafe code runs.
	@for target in arguments forwarded received state; do \
	    mkdir -p fuzz/corpus/$$target; \
	    cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	        -max_total_time=$(SECONDS) -print_final_stats=1 || exit 1; \
	done

bench: setup ## time decisions and commands (criterion), compared with INCR, Lua and redis-cell
	REDIS_CELL_SO="$(REDIS_CELL_SO)" cargo bench -p premier-benches -p premier-client --all-features \
	    --bench algorithms --bench commands --bench layer --bench memory

instructions: setup ## compare the instructions of a call with benches/instructions.md; WRITE=yes writes it
	@scripts/setup valgrind
	cargo build --release
	@# The program that counts needs no optimizations. The tests have built most of it.
	PREMIER_MODULE=$(TARGET)/release/libpremier.so $(if $(WRITE),REDIS_CELL_SO="$(REDIS_CELL_SO)") \
	    cargo bench --profile dev $(TEST_FEATURES) --bench instructions $(if $(WRITE),-- write)

performance: setup ## measure all of docs/performance.md again, and write its tables; on a quiet machine
	$(MAKE) instructions WRITE=yes
	REDIS_CELL_SO="$(REDIS_CELL_SO)" cargo bench -p premier-benches --bench performance

pictures: setup ## draw docs/algorithms/*.svg from the algorithms
	cargo run --quiet -p premier-pictures

valgrind: ## run the tests of the module with servers under valgrind; TESTS=persistence for some
	scripts/valgrind $(TESTS)

soak: setup ## make ten million calls over a million expiring keys, and check that no memory is lost
	cargo test --release --test soak

chaos: setup ## let eight processes share 50 places for a minute while they are killed at random, and count the places in use
	cargo test $(TEST_FEATURES) --test chaos

leases: setup ## let eight processes lease the units of a key while they are killed at random, and check that never too many are admitted; CALLS=… for fewer than 10^8
	$(if $(CALLS),PREMIER_CALLS=$(CALLS)) cargo test --profile bench -p premier-client --test leases

scale: setup ## measure what leases and remembered denials save, compared with governor
	cargo bench -p premier-client --bench scale

dist: build ## build what a release ships for this system and architecture, in target/dist
	scripts/dist

dist-all: setup ## build all that a release ships, for every system and architecture, with a bill of materials
	scripts/dist --sbom --all

test-dist: dist ## install, upgrade and remove what `make dist` built, on fresh Debian systems in containers
	scripts/test-dist

test-watching: build ## try the metrics, alerts and dashboard of contrib/ with Debian's Prometheus and redis_exporter
	scripts/test-watching

clean: ## remove everything that was built, and the data of `make run`
	cargo clean
	cargo clean --manifest-path fuzz/Cargo.toml
