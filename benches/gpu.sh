#!/usr/bin/env bash
# Every figure of a GPU, and the same of the processor beside it: benches/gpu.sh [CONSILIUM] > gpu.txt
#
# CONSILIUM is a built binary, so that a machine without Rust will do; it is built here if absent.
# Rows are tables; FORMAT=json gives one line per operation. THREADS is what the processor may use.
set -euo pipefail
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
threads="${THREADS:-16}"
format="${FORMAT:-text}"

if [ $# -ge 1 ]; then
    consilium="$1"
else
    (cd "$repository" && cargo build --release --locked -p consilium)
    consilium="${CARGO_TARGET_DIR:-$repository/target}/release/consilium"
fi

echo "# date       $(date -u +%Y-%m-%dT%H:%M:%SZ)"
echo "# commit     $(git -C "$repository" rev-parse HEAD 2>/dev/null || echo "${COMMIT:-unknown}")"
echo "# binary     $("$consilium" --version), sha256 $(sha256sum "$consilium" | cut -c1-16)"
processor="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | sort -u | head -1)"
echo "# system     $(uname -sr), $(nproc) cores, $processor"
if command -v nvidia-smi >/dev/null; then
    echo "# driver     $(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | head -1)"
fi

# A failed measurement is said and the others still run; the exit code tells at the end.
failed=0
bench() {
    echo
    echo "\$ consilium bench $*"
    "$consilium" bench "$@" --format "$format" || { failed=$?; echo "# exit code $failed"; }
}

# The same on the device and on the processor.
both() {
    bench "$@" --device gpu
    bench "$@" --device cpu --threads "$threads"
}

for preset in INF15-90 INF14-30 AGG13; do
    both he --preset "$preset" --batch 16
done

both aggregate --resident --hospitals 100 --megabytes 40 --preset AGG13

for preset in INF14-30 INF15-90; do
    both infer --network tutorial --preset "$preset" --queries 16
done
both infer --network tutorial --preset INF14-30 --queries 64
both infer --network tutorial --preset INF14-30 --per-query best --images 5 --queries 4
both infer --network two-conv-256 --preset INF14-30 --queries 8

exit "$failed"
