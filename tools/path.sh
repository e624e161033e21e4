# Sourced by the scripts beside it: programs that tools/install.sh put into the build folder come first.
tools="${CARGO_TARGET_DIR:-$PWD/target}/tools"
PATH="$tools/bin:$PATH"

# Ends the script where the program $1 is missing; $2 is the crate that brings it.
need() {
    if ! command -v "$1" >/dev/null; then
        echo "$0: $1 is not installed: tools/install.sh, or cargo install $2 --locked" >&2
        exit 2
    fi
}
