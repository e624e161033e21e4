#!/bin/sh
# A whole consortium on this machine, as it would stand on six: one coordinator and five hospitals, each a process of
# its own with its own folder; as root also with a user and a network namespace of its own. They are enrolled with
# pasted invitations, their officers compare words and approve, they train on equal shares of PneumoniaMNIST, publish,
# and one of them asks the encrypted model for a diagnosis. Prints how long each step took.
#
#   deploy/try-it.sh [pneumoniamnist.npz]
#
#   CONSILIUM  the program (consilium)       ROUNDS  training rounds (3)
#   PLACE      a folder that does not exist (a new one below /tmp); its processes end with this script
#   KEEP=1     leave the folder behind
set -eu

program=$(command -v "${CONSILIUM:-consilium}") || { echo "set CONSILIUM to the program" >&2; exit 4; }
data=${1:-${CONSILIUM_TEST_DATA:-.}/pneumoniamnist/pneumoniamnist.npz}
[ -f "$data" ] || { echo "no such archive: $data" >&2; exit 4; }
data=$(realpath "$data")
plan=$(dirname "$(realpath "$0")")/../configs/consortium.toml
place=${PLACE:-$(mktemp -d /tmp/consilium-try.XXXXXX)}
mkdir -p "$place"
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
if [ "$(id -u)" = 0 ] && command -v ip setpriv >/dev/null && ip netns add "ct-$$-probe" 2>/dev/null; then
  ip netns del "ct-$$-probe"
  apart=yes
fi

# Runs the program as one party: in its namespace and with its user where there are any.
as() {
  party=$1
  shift
  if [ $apart = yes ]; then
    owner=$(uid "$party")
    ip netns exec "ct-$$-$party" setpriv --reuid "$owner" --regid "$owner" --clear-groups "$program" "$@"
  else
    "$program" "$@"
  fi
}

coordinator() { as coordinator coordinator --folder "$place/coordinator" "$@"; }
hospital() {
  site=$1
  shift
  as "$site" hospital --folder "$place/$site/site" "$@"
}

# Waits until a file has a line like this, for as long as the process that writes it lives.
until_line() {
  until grep -q "$2" "$1" 2>/dev/null; do
    kill -0 "$3" 2>/dev/null || { cat "$1" >&2; echo "try-it: the process that writes $1 has ended" >&2; exit 1; }
    sleep 0.1
  done
}

# Types a line on a terminal of its own: an approval takes no pipe.
typed() {
  line=$1
  shift
  printf '%s\n' "$line" | script -qec "$*" /dev/null
}

stop() {
  trap - EXIT INT TERM
  for file in "$place"/*/pid; do
    [ -f "$file" ] && kill "$(cat "$file")" 2>/dev/null || :
  done
  wait
  if [ $apart = yes ]; then
    for party in coordinator $sites; do ip netns del "ct-$$-$party" 2>/dev/null || :; done
    ip link del "ct-$$" 2>/dev/null || :
  fi
  [ "${KEEP:-}" = 1 ] || rm -rf "$place"
}
trap stop EXIT
trap 'stop; exit 130' INT TERM

for party in coordinator $sites; do
  mkdir -p "$place/$party"
  [ $apart = no ] || chown "$(uid "$party")" "$place/$party"
done
if [ $apart = yes ]; then
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
  address=127.0.0.1:4433
  echo "six folders; run as root for six users and network namespaces as well"
fi

# --- the consortium ---------------------------------------------------------------------------------------------------
coordinator init --address "$address" --listen "$address" >/dev/null
coordinator serve >"$place/coordinator/log" 2>&1 &
serving=$!
echo $serving >"$place/coordinator/pid"
until_line "$place/coordinator/log" "^listening" $serving
took "coordinator set up and in service"

for site in $sites; do
  invite=$(coordinator invite "$site" 2>/dev/null)
  hospital "$site" join "$invite" --organisation "Clinic $site" >"$place/$site/join" 2>&1 &
  joining=$!
  until_line "$place/$site/join" "^    " $joining
  words=$(sed -n 's/^    //p' "$place/$site/join")
  coordinator approve "$site" --words "$words" >/dev/null
  wait $joining
done
took "five sites joined, each by an invitation and six words"

number=0
for site in $sites; do
  number=$((number + 1))
  cp "$data" "$place/$site/images.npz"
  chmod 644 "$place/$site/images.npz"
  hospital "$site" data add cxr "$place/$site/images.npz" --share "$number/5" >/dev/null
  hospital "$site" serve >"$place/$site/log" 2>&1 &
  echo $! >"$place/$site/pid"
done
sed "s/^rounds = .*/rounds = ${ROUNDS:-3}/" "$plan" >"$place/plan.toml"
coordinator run "$place/plan.toml"
took "plan proposed"

# One officer reads the words aloud, the others type what they hear.
reader="$place/north/reader"
mkfifo "$reader.in"
command="$program hospital --folder $place/north/site approve membership --read-aloud"
if [ $apart = yes ]; then
  owner=$(uid north)
  command="ip netns exec ct-$$-north setpriv --reuid $owner --regid $owner --clear-groups $command"
fi
script -qec "$command" /dev/null <"$reader.in" >"$reader.out" 2>&1 &
reading=$!
exec 3>"$reader.in"
until_line "$reader.out" "^    [a-z]" $reading
words=$(sed -n 's/^    \([a-z ]*\).*/\1/p' "$reader.out")
for site in east south west centre; do
  command="$program hospital --folder $place/$site/site approve membership"
  if [ $apart = yes ]; then
    owner=$(uid "$site")
    command="ip netns exec ct-$$-$site setpriv --reuid $owner --regid $owner --clear-groups $command"
  fi
  typed "$words" "$command" >"$place/$site/approved" || { cat "$place/$site/approved"; exit 1; }
done
echo "all match" >&3
exec 3>&-
wait $reading || { cat "$reader.out"; exit 1; }
for site in $sites; do
  terms=$(hospital "$site" terms | sed -n 's/.*approve terms \([0-9a-f]*\)$/\1/p')
  hospital "$site" approve terms "$terms" >/dev/null
done
took "members and terms approved by five officers"

until_line "$place/coordinator/log" "all keys exist" $serving
took "keys made together"
round=0
while [ $round -lt "${ROUNDS:-3}" ]; do
  round=$((round + 1))
  until_line "$place/coordinator/log" " round $round closed with " $serving
  took "round $round: trained, encrypted, added up, opened"
done
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
  grep -q "no key epoch" "$place/east/predict" || { cat "$place/east/predict"; exit 1; }
  sleep 0.2
done
took "an image diagnosed under encryption"
hospital east sent --totals
mark=$first
took "in all"
