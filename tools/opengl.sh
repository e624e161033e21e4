#!/usr/bin/env bash
# The GPU's tests again on OpenGL, which has no 64-bit integers. Runs what `cargo test --workspace` built, because for
# he-gpu alone cargo would compile half the tree once more: shared crates have fewer features then.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t programs < <(
    cargo test --workspace --locked --no-run --message-format=json |
        sed -n '/"package_id":"[^"]*\/he-gpu#/s/.*"executable":"\([^"]*\)".*/\1/p'
)
if [ "${#programs[@]}" -lt 2 ]; then
    echo "$0: ${#programs[@]} test programs of he-gpu were found" >&2
    exit 1
fi

# No Vulkan driver; and no adapter at all is a failure, not a reason to skip.
export CONSILIUM_TEST_GPU=1 VK_ICD_FILENAMES=/none VK_DRIVER_FILES=/none XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}"
cd he-gpu
for program in "${programs[@]}"; do
    "$program" --quiet
done
