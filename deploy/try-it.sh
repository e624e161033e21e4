#!/bin/sh
# A whole consortium on this machine, as it would stand on six: one coordinator and five hospitals, each a process of
# its own with its own folder; as root also with a user and a network namespace of its own. They are enrolled with
# pasted invitations, their officers compare words and approve, they train on equal shares of PneumoniaMNIST, publish,
# and one of them asks the encrypted model for a diagnosis. Prints how long each step took.
#
#   deploy/try-it.sh [pneumoniamnist.npz]
#
#   CONSILIUM  the program (consilium)       ROUNDS  training rounds (3)
#   PLACE      a folder that does not exist (a new one below /tmp); it and all processes end with this script
#   KEEP=1     leave the folder behind
set -eu
umask 022
# Nobody here is behind a proxy, whatever this machine's own way out is.
export NO_PROXY='*' no_proxy='*'

program=$(command -v "${CONSILIUM:-consilium}") || { echo "set CONSILIUM to the program" >&2; exit 4; }
program=$(realpath "$program")
data=${1:-${CONSILIUM_TEST_DATA:-.}/pneumoniamnist/pneumoniamnist.npz}
[ -f "$data" ] || { echo "no such archive: $data" >&2; exit 4; }
data=$(realpath "$data")
for tool in python3 script; do
  command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 4; }
done
plan=$(dirname "$(realpath "$0")")/../configs/consortium.toml
if [ -n "${PLACE:-}" ]; then
  # It is removed at the end: it must not be anybody's.
  mkdir "$PLACE"
  place=$(realpath "$PLACE")
else
  place=$(mktemp -d "${TMPDIR:-/tmp}/consilium-try.XXXXXX")
fi
chmod 755 "$place"
sites="north east south west centre"
mark=$(date +%s%N)
first=$mark

took() {
  now=$(date +%s%N)
  printf '%-58s %6d ms\n' "$1" $(((now - mark) / 1000000))
  mark=$(date +%s%N)
}

# --- who runs where ---------------------------------------------------------------------------------------------------
uid() {
  number=61000
  for one in coordinator $sites; do
    number=$((number + 1))
    [ "$one" = "$1" ] && echo $number && return
  done
}

apart=no
if [ "$(id -u)" = 0 ] && command -v ip >/dev/null && command -v setpriv >/dev/null &&
  ip netns add "ct-$$-probe" 2>/dev/null; then
  ip netns del "ct-$$-probe"
  apart=yes
fi

# Becomes the program as one party: in its namespace and with its user where there are any. In the background it is the
# shell's own child, so that a signal to the child reaches it.
become() {
  party=$1
  shift
  if [ $apart = yes ]; then
    owner=$(uid "$party")
    exec ip netns exec "ct-$$-$party" setpriv --reuid "$owner" --regid "$owner" --clear-groups "$program" "$@"
  fi
  exec "$program" "$@"
}

coordinator() { (become coordinator coordinator --folder "$place/coordinator" "$@"); }
hospital() {
  site=$1
  shift
  (become "$site" hospital --folder "$place/$site/site" "$@")
}

# The same on a terminal of its own, since an approval takes no pipe; only in a pipe or in the background.
officer() {
  site=$1
  shift
  set -- "$program" hospital --folder "$place/$site/site" "$@"
  if [ $apart = yes ]; then
    owner=$(uid "$site")
    set -- ip netns exec "ct-$$-$site" setpriv --reuid "$owner" --regid "$owner" --clear-groups "$@"
  fi
  line=
  for word in "$@"; do
    line="$line '$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'"
  done
  export SHELL=/bin/sh
  exec script -qec "$line" /dev/null
}

# Waits until a file has a line like this, for as long as the process that writes it lives.
until_line() {
  until grep -q "$2" "$1" 2>/dev/null; do
    kill -0 "$3" 2>/dev/null || { cat "$1" >&2; echo "try-it: the process that writes $1 has ended" >&2; exit 1; }
    sleep 0.1
  done
}

# Ends processes, and those that do not listen within ten seconds without asking.
end() {
  [ $# = 0 ] || kill "$@" 2>/dev/null || :
  left=100
  for process in "$@"; do
    while [ $left -gt 0 ] && kill -0 "$process" 2>/dev/null; do
      left=$((left - 1))
      sleep 0.1
    done
    kill -9 "$process" 2>/dev/null || :
  done
}

hospitals=
serving=
passing=
stop() {
  trap - EXIT
  trap '' HUP INT TERM
  exec 3>&-
  # Hospitals first: they take leave of the coordinator.
  # shellcheck disable=SC2086
  for group in "$passing" "$hospitals" "$serving"; do end $group; done
  wait
  if [ $apart = yes ]; then
    for party in coordinator $sites; do ip netns del "ct-$$-$party" 2>/dev/null || :; done
    ip link del "ct-$$" 2>/dev/null || :
  fi
  if [ "${KEEP:-}" = 1 ]; then echo "kept: $place"; else rm -rf "$place"; fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

for party in coordinator $sites; do
  mkdir "$place/$party"
  [ $apart = no ] || chown "$(uid "$party")" "$place/$party"
done
if [ $apart = yes ]; then
  # A program that lies where only root may go is copied to where the six users may.
  if ! setpriv --reuid 61001 --regid 61001 --clear-groups test -x "$program"; then
    cp "$program" "$place/consilium"
    chmod 755 "$place/consilium"
    program=$place/consilium
  fi
  ip link add "ct-$$" type bridge
  ip link set "ct-$$" up
  number=0
  for party in coordinator $sites; do
    number=$((number + 1))
    ip netns add "ct-$$-$party"
    ip link add "ctv$number-$$" type veth peer name eth0 netns "ct-$$-$party"
    ip link set "ctv$number-$$" master "ct-$$" up
    ip -n "ct-$$-$party" addr add "10.86.0.$number/24" dev eth0
    ip -n "ct-$$-$party" link set eth0 up
    ip -n "ct-$$-$party" link set lo up
  done
  address=10.86.0.1:4433
  echo "six network namespaces and six users"
else
  # Whatever port is free now.
  address=127.0.0.1:$(python3 -c 'import socket as s; u = s.socket(s.AF_INET, s.SOCK_DGRAM)
u.bind(("127.0.0.1", 0)); print(u.getsockname()[1])')
  echo "six folders; run as root for six users and network namespaces as well"
fi

# --- the consortium ---------------------------------------------------------------------------------------------------
coordinator init --address "$address" --listen "$address" >/dev/null
become coordinator coordinator --folder "$place/coordinator" serve >"$place/coordinator/log" 2>&1 &
serving=$!
until_line "$place/coordinator/log" "^listening" $serving
took "coordinator set up and in service"

for site in $sites; do
  (umask 077 && coordinator invite "$site" >"$place/$site/invite" 2>/dev/null)
  become "$site" hospital --folder "$place/$site/site" join - --organisation "Clinic $site" \
    <"$place/$site/invite" >"$place/$site/join" 2>&1 &
  joining=$!
  passing=$joining
  until_line "$place/$site/join" "^    " $joining
  words=$(sed -n 's/^    //p' "$place/$site/join")
  coordinator approve "$site" --words "$words" >/dev/null
  wait $joining || { cat "$place/$site/join" >&2; exit 1; }
  passing=
done
took "five sites joined, each by an invitation and six words"

number=0
for site in $sites; do
  number=$((number + 1))
  cp "$data" "$place/$site/images.npz"
  chmod 644 "$place/$site/images.npz"
  hospital "$site" data add cxr "$place/$site/images.npz" --share "$number/5" >/dev/null
  become "$site" hospital --folder "$place/$site/site" serve >"$place/$site/log" 2>&1 &
  hospitals="$hospitals $!"
done
sed "s/^rounds = .*/rounds = ${ROUNDS:-3}/" "$plan" >"$place/plan.toml"
coordinator run "$place/plan.toml"
took "plan proposed"

# One officer reads the words aloud, the others type what they hear.
reader="$place/north/reader"
mkfifo "$reader.in"
officer north approve membership --read-aloud <"$reader.in" >"$reader.out" 2>&1 &
reading=$!
passing=$reading
exec 3>"$reader.in"
until_line "$reader.out" "^    [a-z]" $reading
words=$(sed -n 's/^    \([a-z ]*\).*/\1/p' "$reader.out")
for site in east south west centre; do
  printf '%s\n' "$words" | officer "$site" approve membership >"$place/$site/approved" ||
    { cat "$place/$site/approved" >&2; exit 1; }
done
echo "all match" >&3
exec 3>&-
wait $reading || { cat "$reader.out" >&2; exit 1; }
passing=
for site in $sites; do
  terms=$(hospital "$site" terms | sed -n 's/.*approve terms \([0-9a-f]*\)$/\1/p')
  hospital "$site" approve terms "$terms" >/dev/null
done
took "members and terms approved by five officers"

# A coordinator that is killed between an act and its line does not say it afterwards: the next one counts as well.
until_line "$place/coordinator/log" "all keys exist\|closed with " $serving
took "keys made together"
round=0
while [ $round -lt "${ROUNDS:-3}" ]; do
  round=$((round + 1))
  until_line "$place/coordinator/log" " round $round closed with \|figures are added up" $serving
  took "round $round: trained, encrypted, added up, opened"
done
until_line "$place/coordinator/log" "figures are added up\|is served" $serving
took "figures on five sites' test images added up encrypted"
until_line "$place/coordinator/log" "is served" $serving
coordinator status
took "model published encrypted"

# An image of the archive's test part, as a file: a clinician has it from elsewhere.
python3 - "$data" "$place/east/image.png" <<'PYTHON'
import struct, sys, zipfile, zlib
raw = zipfile.ZipFile(sys.argv[1]).read("test_images.npy")
header = 10 + struct.unpack("<H", raw[8:10])[0]
side = 28
pixels = raw[header:header + side * side]
rows = b"".join(b"\0" + pixels[at * side:(at + 1) * side] for at in range(side))
def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
open(sys.argv[2], "wb").write(png)
PYTHON
until hospital east predict "$place/east/image.png" 2>"$place/east/predict"; do
  grep -q "no key epoch" "$place/east/predict" || { cat "$place/east/predict" >&2; exit 1; }
  sleep 0.2
done
took "an image diagnosed under encryption"
hospital east models
hospital east sent --totals
mark=$first
took "in all"
