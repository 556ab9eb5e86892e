PORT ?= 6379
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
REDIS_CLI := redis-cli$(if $(filter-out 6379,$(PORT)), -p $(PORT))
# Asked for by what measures it only.
REDIS_CELL_SO ?= $(shell scripts/redis-cell || echo "redis-cell cannot be built here: measuring without it" >&2)
# How long `make fuzz` tries each target.
SECONDS ?= 60
MSRV := $(shell sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)

.PHONY: help setup build run test test-matrix test-containers lint msrv fuzz bench instructions performance valgrind soak dist clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

setup: ## install what is missing to build, run and test
	@scripts/setup

build: setup ## target/release/libpremier.so
	cargo build --release

run: build ## a redis-server with the module in the foreground; PORT=7000 for another port, CLUSTER=yes for a cluster of one
	@mkdir -p target/run/cluster
	@echo "In another terminal, try:"
	@echo "    $(REDIS_CLI) PREMIER.TOKEN user:42 5 10s"
	@echo "    $(REDIS_CLI) PREMIER.SLIDING login:203.0.113.7 3 1m"
	@$(if $(CLUSTER),(for try in $$(seq 100); do redis-cli -p $(PORT) CLUSTER ADDSLOTSRANGE 0 16383 2>&1 | grep -qE 'OK|busy' && break; sleep 0.1; done) &) \
	exec redis-server redis.conf --port $(PORT) --loadmodule $(TARGET)/release/libpremier.so \
	    --dir $(CURDIR)/target/run$(if $(CLUSTER),/cluster --cluster-enabled yes)

test: setup ## every test
	cargo test --workspace --all-features

test-matrix: setup ## the integration tests on Redis 7.0, 8.0 and 8.2, Valkey 8.1 and 9.1
	scripts/test-matrix

test-containers: setup ## the same in containers, and the Dockerfile with compose.yaml; says what is skipped where no engine answers
	scripts/test-matrix --images
	scripts/test-dockerfile

lint: setup ## formatter, clippy and rustdoc, warnings are errors; the client with each of its features alone
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	for feature in "" tokio memory macros cache cluster tls "cache macros"; do \
	    cargo clippy --quiet -p premier-client --no-default-features --features "$$feature" -- -D warnings || exit 1; \
	done
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps --all-features

msrv: setup ## that everything builds with the oldest Rust it is meant for, where rustup can get that
	@if rustup toolchain install $(MSRV) --profile minimal; then \
	    cargo +$(MSRV) check --workspace --all-features --all-targets --target-dir $(TARGET)/msrv; \
	else echo "make msrv: not checked, as there is no Rust $(MSRV) to be had here"; fi

fuzz: ## what hostile bytes do to arguments and states, a minute each; SECONDS=600 for longer
	@scripts/setup g++
	@cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --version 0.13.2 --locked
	@# Without a sanitizer, which takes a nightly compiler: it would find nothing, as no unsafe code is called.
	@for target in arguments state; do \
	    mkdir -p fuzz/corpus/$$target; \
	    cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	        -max_total_time=$(SECONDS) -print_final_stats=1 || exit 1; \
	done

bench: setup ## timings (criterion), then ratios to INCR, Lua and redis-cell by rounds, which docs/performance/throughput.csv gets
	REDIS_CELL_SO="$(REDIS_CELL_SO)" cargo bench --workspace --bench algorithms --bench commands --bench memory
	REDIS_CELL_SO="$(REDIS_CELL_SO)" cargo bench --bench performance -- throughput

instructions: ## instructions a call, which must not have grown since benches/instructions.md; WRITE=yes writes that
	@scripts/setup valgrind
	$(if $(WRITE),REDIS_CELL_SO="$(REDIS_CELL_SO)") cargo bench --bench instructions $(if $(WRITE),-- write)

performance: ## docs/performance.md again: measures all that it tells, and makes its tables and plots
	$(MAKE) instructions WRITE=yes
	REDIS_CELL_SO="$(REDIS_CELL_SO)" cargo bench --bench performance
	cargo bench --bench performance -- report

valgrind: ## the integration tests with the server under valgrind: nothing lost, no invalid access; TESTS=persistence for some
	scripts/valgrind $(TESTS)

soak: setup ## ten million calls over a million expiring keys, after which the memory must be what it was
	cargo test --release --test soak

dist: build ## target/dist: what a release ships for this system and architecture
	scripts/dist

clean: ## remove everything that was built, and the data of `make run`
	cargo clean
	cargo clean --manifest-path fuzz/Cargo.toml
