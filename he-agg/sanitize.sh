#!/bin/sh
# Memory checks of the code that holds `unsafe`: the vector kernels against the scalar code.
#
#     he-agg/sanitize.sh          both
#     he-agg/sanitize.sh address  address sanitizer, on what this processor has, with the decoders
#     he-agg/sanitize.sh miri     Miri, scalar, AVX2 and AVX-512, small sizes: some minutes
#
# Both take a nightly toolchain; Miri also its components:
#     rustup toolchain install nightly --component miri --component rust-src
set -eu
cd "$(dirname "$0")/.."
what=${1:-all}
target=x86_64-unknown-linux-gnu

# Flags of their own need build folders of their own, or every change rebuilds everything.
build=${CARGO_TARGET_DIR:-target}

if [ "$what" = all ] || [ "$what" = address ]; then
    # Leaks are off: the tests keep small parameter sets for ever on purpose.
    RUSTFLAGS="-Zsanitizer=address" ASAN_OPTIONS=detect_leaks=0 CARGO_TARGET_DIR="$build/asan" \
        cargo +nightly test -p he-agg --target "$target" --lib -- simd ring
    RUSTFLAGS="-Zsanitizer=address" ASAN_OPTIONS=detect_leaks=0 CARGO_TARGET_DIR="$build/asan" \
        cargo +nightly test -p he-agg --target "$target" --test conformance
fi

if [ "$what" = all ] || [ "$what" = miri ]; then
    # Miri runs what the target features promise, whatever the processor.
    for features in +avx2 +avx2,+avx512f,+avx512bw,+avx512dq,+avx512vl; do
        RUSTFLAGS="-C target-feature=$features" MIRIFLAGS=-Zmiri-disable-isolation CARGO_TARGET_DIR="$build/miri" \
            cargo +nightly miri test -p he-agg --lib -- simd::parity
    done
fi
