#!/usr/bin/env bash
# What the builds of all four workspaces depend on, against deny.toml; and whether their lock files are current.
#
#     tools/deny.sh               licences, sources, banned crates
#     tools/deny.sh warn          also crates that a build has in several versions
#     tools/deny.sh advisories    known vulnerabilities: tools/advisories.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/path.sh
need cargo-deny cargo-deny

level=error checks=(licenses sources bans)
case "${1:-}" in
    "") ;;
    warn) level=warn ;;
    advisories) level=warn checks=(advisories) ;;
    *) echo "$0: \"$1\" is none of warn, advisories" >&2; exit 2 ;;
esac

failed=0
check() {
    local manifest="$1"
    shift
    echo "$manifest"
    cargo deny --log-level "$level" --locked --config deny.toml --manifest-path "$manifest" "${features[@]}" \
        check --hide-inclusion-graph "$@" "${checks[@]}" || failed=1
}

# Every feature that users are told of; CUDA has a workspace of its own. Exceptions are those of all workspaces
# together.
features=(--features consilium/gpu-training,consilium/spirv)
check Cargo.toml --allow license-exception-not-encountered
features=()
for manifest in cuda/Cargo.toml he-agg/fuzz/Cargo.toml protocol/fuzz/Cargo.toml; do
    check "$manifest" --allow license-exception-not-encountered --allow license-not-encountered
done
exit "$failed"
