#!/bin/sh
# Whether the files of this folder are well-formed, in seconds and without a network: the units are what systemd
# understands and as closed as they should be, the scripts are shell.
set -eu
cd "$(dirname "$0")"

for script in *.sh; do sh -n "$script"; done
if command -v shellcheck >/dev/null; then
  shellcheck ./*.sh
else
  echo "deploy: no shellcheck, so scripts are only parsed"
fi

if ! command -v systemd-analyze >/dev/null; then
  echo "deploy: no systemd-analyze, so units are not checked"
  exit 0
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 130' HUP INT TERM

# A unit is only valid where its program exists.
for unit in systemd/*.service; do
  grep -q '^ExecStart=/usr/local/bin/consilium ' "$unit"
  sed "s#^ExecStart=/usr/local/bin/consilium #ExecStart=/bin/true #" "$unit" >"$place/${unit#systemd/}"
done
# Other units of this machine are none of our business. Some mistakes are told and leave the exit code at 0.
verify() {
  told=$(systemd-analyze verify --man=no "$place"/*.service 2>&1 | grep -e consilium -e gpu.conf || :)
  [ -z "$told" ] || { printf 'deploy: %s\n%s\n' "$1" "$told" >&2; exit 1; }
}
verify "units"
if systemd-analyze --help | grep -q -e --offline; then
  for unit in "$place"/*.service; do
    # Tenths of systemd's measure, on which 100 is a service that nothing holds.
    rated=$(systemd-analyze security --offline=true --threshold=20 --no-pager "$unit" 2>&1) ||
      { printf '%s\n' "$rated" >&2; exit 1; }
    printf 'deploy: %s\n' "$(printf '%s\n' "$rated" | sed -n 's/.*\(exposure level for .*: [0-9.]*\).*/\1/p')"
  done
fi
for unit in "$place"/*.service; do
  mkdir "$unit.d"
  cp systemd/gpu.conf "$unit.d/"
done
verify "units with gpu.conf"
if command -v systemd-sysusers >/dev/null; then
  mkdir -p "$place/root/etc"
  systemd-sysusers --root="$place/root" "$PWD/systemd/sysusers.conf" >/dev/null 2>"$place/told" ||
    { cat "$place/told" >&2; exit 1; }
fi
