PORT ?= 6379
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
REDIS_CLI := redis-cli$(if $(filter-out 6379,$(PORT)), -p $(PORT))

.PHONY: help setup build run test lint bench instructions clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 16

setup: ## install what is missing to build, run and test
	@scripts/setup

build: setup ## target/release/libpremier.so
	cargo build --release

run: build ## a redis-server with the module in the foreground; PORT=7000 for another port
	@mkdir -p target/run
	@echo "In another terminal, try:"
	@echo "    $(REDIS_CLI) PREMIER.TOKEN user:42 5 10s"
	@echo "    $(REDIS_CLI) PREMIER.SLIDING login:203.0.113.7 3 1m"
	@exec redis-server redis.conf --port $(PORT) --loadmodule $(TARGET)/release/libpremier.so

test: setup ## every test
	cargo test --workspace

lint: setup ## formatter and clippy, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

bench: setup ## timings (criterion)
	cargo bench --bench algorithms --bench commands

instructions: ## instructions a call and bytes a key, beside their budgets
	@scripts/setup valgrind
	cargo bench --bench instructions

clean: ## remove everything that was built, and the data of `make run`
	cargo clean
