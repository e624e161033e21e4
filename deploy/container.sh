#!/bin/sh
# The image of the Containerfile from a program that is built already, with no base image to pull: a root file system
# of Debian 12 with the libraries that the program and a GPU's loader need and nothing else, not even a shell. Then it
# is tried as it is meant to run: another user than root, nothing writable but the volume. Prints how long each step
# took.
#
#   deploy/container.sh [target/release/consilium]
#
#   CONSILIUM  the program (consilium)       OUT     the image (consilium.oci.tar): podman load -i consilium.oci.tar
#   MIRROR     a mirror of Debian other than mmdebstrap's
#
# Installs what it lacks (mmdebstrap, buildah, podman, runc) on Debian or Ubuntu, which needs root.
set -eu
umask 022

program=$(command -v "${1:-${CONSILIUM:-consilium}}") || { echo "name the program" >&2; exit 4; }
out=${OUT:-consilium.oci.tar}
user=10001
mark=$(date +%s%N)
first=$mark

took() {
  now=$(date +%s%N)
  printf '%-58s %6d ms\n' "$1" $(((now - mark) / 1000000))
  mark=$(date +%s%N)
}

install() { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; }

lacking=
for tool in mmdebstrap buildah podman runc; do
  command -v "$tool" >/dev/null || lacking="$lacking $tool"
done
if [ -n "$lacking" ]; then
  # shellcheck disable=SC2086
  install $lacking >/dev/null
  took "installed:$lacking"
fi

place=$(mktemp -d "${TMPDIR:-/tmp}/consilium-image.XXXXXX")
# A store of its own, without overlay mounts, so that this works in a container too and leaves nothing behind.
store="--root $place/store --runroot $place/run --storage-driver vfs"
# shellcheck disable=SC2086
stop() {
  trap - EXIT
  podman $store rm --all --force >/dev/null 2>&1 || :
  podman $store unshare rm -rf "$place" 2>/dev/null || rm -rf "$place"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

# --- the root file system ---------------------------------------------------------------------------------------------
# Packages are unpacked and not configured. Converters of character sets are a third of the C library and unused.
# shellcheck disable=SC2016
mmdebstrap --quiet --variant=extract --include=libc6,libgcc-s1,libvulkan1 \
  --setup-hook='mkdir -p "$1/usr/lib" "$1/usr/lib64"; ln -s usr/lib "$1/lib"; ln -s usr/lib64 "$1/lib64"' \
  --customize-hook='rm -rf "$1"/usr/lib/*/gconv "$1/etc/apt" "$1/var/lib/apt" "$1/var/cache/apt" "$1/etc/hostname"' \
  --customize-hook='rm -rf "$1/etc/resolv.conf" "$1"/dev/*' \
  --customize-hook='ldconfig -r "$1"' \
  bookworm "$place/root.tar" ${MIRROR:+"$MIRROR"}
mkdir "$place/root"
tar -C "$place/root" -xf "$place/root.tar"
# What the program asks for and is not there shows here, not at the first start.
missing=$(ldd "$program" | sed -n 's/^[[:space:]]*\([^ /]*\.so[^ ]*\) =>.*/\1/p' | while read -r library; do
  [ -n "$(find "$place/root/usr/lib" "$place/root/usr/lib64" -name "$library")" ] || echo "$library"
done)
[ -z "$missing" ] || { echo "the program needs libraries that the image has not: $missing" >&2; exit 1; }
mkdir -p "$place/root/usr/local/bin" "$place/root/proc" "$place/root/sys"
cp "$program" "$place/root/usr/local/bin/consilium"
chmod 755 "$place/root/usr/local/bin/consilium"
printf 'root:x:0:0::/:/nonexistent\nconsilium:x:%s:%s::/var/lib/consilium:/nonexistent\n' $user $user \
  >"$place/root/etc/passwd"
printf 'root:x:0:\nconsilium:x:%s:\n' $user >"$place/root/etc/group"
printf 'hosts: files dns\n' >"$place/root/etc/nsswitch.conf"
took "root file system"

# --- the image --------------------------------------------------------------------------------------------------------
# shellcheck disable=SC2086
{
  container=$(buildah $store from scratch)
  # shellcheck disable=SC2115
  rm -rf "$place/root/tmp"
  mkdir -m 1777 "$place/root/tmp"
  mkdir "$place/empty"
  buildah $store copy --quiet "$container" "$place/root" / >/dev/null
  buildah $store copy --quiet --chown $user:$user --chmod 700 "$container" "$place/empty" /var/lib/consilium >/dev/null
  buildah $store config --user $user:$user --workingdir /var/lib/consilium --volume /var/lib/consilium \
    --port 4433/udp --port 4433/tcp --stop-signal SIGTERM --entrypoint '["/usr/local/bin/consilium"]' --cmd '' \
    --label org.opencontainers.image.title=consilium --label org.opencontainers.image.licenses=Apache-2.0 \
    "$container"
  buildah $store commit --quiet --rm "$container" consilium >/dev/null
}
took "image"

# --- tried ------------------------------------------------------------------------------------------------------------
# Limits are given because a container in a container may not raise them.
# shellcheck disable=SC2086
inside() {
  podman $store --runtime "$(command -v runc)" --cgroup-manager cgroupfs --events-backend file run --rm --read-only \
    --cap-drop all --security-opt no-new-privileges --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \
    --volume consilium-tried:/var/lib/consilium "$@"
}
inside consilium --version
inside consilium coordinator init --address consilium.example:4433
inside consilium coordinator invite st-anna --format json >/dev/null
! inside consilium coordinator --folder /elsewhere init --address consilium.example:4433 2>/dev/null ||
  { echo "container.sh: something besides the volume could be written" >&2; exit 1; }
took "tried as user $user, read-only but for the volume"

# shellcheck disable=SC2086
podman $store save --quiet --format oci-archive --output "$place/image.tar" consilium >/dev/null
mv "$place/image.tar" "$out"
took "written: $out"
size() { printf '%-58s %6d MB\n' "$1" $(($2 / 1000000)); }
# shellcheck disable=SC2086
size "size of the image, unpacked" "$(podman $store image inspect --format '{{.Size}}' consilium)"
size "size of the program in it" "$(wc -c <"$program")"
size "size of the archive" "$(wc -c <"$out")"
mark=$first
took "in all"
