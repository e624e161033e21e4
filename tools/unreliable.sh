#!/bin/sh
# Stands for the program, on a machine that keeps failing: services are killed without a warning at random moments once
# their key epoch begins, and started again as a service manager would; everything else runs as it is.
#
#   REAL=target/release/consilium KILLS=6 ROUNDS=20 CONSILIUM=tools/unreliable.sh deploy/try-it.sh
#
#   REAL    the program, where every user may run it (consilium)
#   KILLS   how often each service is killed (6)      SEED    of the moments (1)
#   LONGEST seconds that one lives at most (6)        AFTER   seconds that it is left alone first (0)
set -eu
real=$(command -v "${REAL:-consilium}") || { echo "set REAL to the program" >&2; exit 4; }
for last in "$@"; do :; done
[ "${last:-}" = serve ] || exec "$real" "$@"

# Who serves tells one service's moments from another's.
folder=
for word in "$@"; do
  case $word in /*) folder=$word ;; esac
done
name=$(basename "$(dirname "$folder")")-$(basename "$folder")
log=$(readlink "/proc/$$/fd/1")
[ -f "$log" ] || { echo "unreliable: send the service's output to a file" >&2; exit 4; }

service=
ask() {
  trap '' TERM INT
  kill -TERM "$service" 2>/dev/null || :
  wait "$service" || exit $?
  exit 0
}
trap ask TERM INT

moment() {
  printf "%s %s %s" "${SEED:-1}" "$name" "$1" | cksum |
    awk -v most="${LONGEST:-6}" '{ printf "%.2f", 0.1 + ($1 % 1000) / 1000 * most }'
}

left=${KILLS:-6}
while :; do
  "$real" "$@" &
  service=$!
  until [ "$left" = 0 ] || grep -q "begins, or goes on\|takes part" "$log"; do
    kill -0 "$service" 2>/dev/null || break
    sleep 0.2
  done
  if [ "$left" = 0 ]; then
    wait "$service" && exit 0 || exit $?
  fi
  [ "$left" != "${KILLS:-6}" ] || sleep "${AFTER:-0}"
  sleep "$(moment "$left")"
  if kill -KILL "$service" 2>/dev/null; then
    wait "$service" 2>/dev/null || :
    echo "unreliable: killed, $((left - 1)) times more"
  else
    # It ended by itself, which is what this looks for.
    code=0
    wait "$service" || code=$?
    echo "unreliable: it ended with $code"
    exit "$code"
  fi
  left=$((left - 1))
  sleep 0.5
done
