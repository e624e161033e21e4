#!/usr/bin/env bash
# Whether every combination of features that users are told of compiles; the default one is what the tests run. Checked,
# not built: what differs is which code is there, not what it becomes.
set -euo pipefail
cd "$(dirname "$0")/.."

check() {
    echo "cargo check $*"
    cargo check --locked --quiet "$@"
}

# README: `cargo build --release --features gpu-training`, a hospital that trains on its GPU.
check -p consilium --features gpu-training
# README: SPIR-V for drivers of real GPUs.
check -p consilium --features spirv
# A reader of data without tables.
check -p datasets --no-default-features
# CONTRIBUTING: `cargo lean`.
check -p client --no-default-features
