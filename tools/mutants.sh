#!/usr/bin/env bash
# Changes the code line by line and asks whether a test notices: a check that can be removed unnoticed does not exist.
#
#   tools/mutants.sh decides              every mutant of the files that decide who gets what
#   tools/mutants.sh drawn [SEED]         some 300 of each crate's other files, drawn by the seed (1)
#   tools/mutants.sh files FILE...        every mutant of these files
#
# Needs cargo-mutants and cargo-nextest, and hours: a mutant is compiled and the tests of its crate run, JOBS (1) at a
# time. Counts and what survived are printed, and lie under target/mutants; the exit status is 1 where more than 5 % of
# the viable ones survived, not counting those that tools/mutants.accepted lists with their reason.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-1} sample=300
out=target/mutants
# Random federations in each of which everything may fail: fewer than the suite runs, since each mutant meets them all.
export CONSILIUM_SCHEDULES=${CONSILIUM_SCHEDULES:-100}

# By crate: what decides who may join, what is added, who is told what.
decides=(
  "protocol protocol/src/drive/**/*.rs protocol/src/verifier.rs protocol/src/verifier/*.rs protocol/src/roster.rs
    protocol/src/membership.rs protocol/src/hospital.rs protocol/src/hospital/*.rs protocol/src/serving.rs
    protocol/src/serving/*.rs protocol/src/publish.rs protocol/src/ceremony.rs protocol/src/ceremony/*.rs
    protocol/src/round.rs protocol/src/round/*.rs protocol/src/campaign.rs"
  "he-agg he-agg/src/aggregation/ledger.rs he-agg/src/multiparty/decrypt_policy.rs"
  "client client/src/ledger.rs client/src/vault.rs client/src/vault/*.rs client/src/policy.rs"
  "coordinator coordinator/src/desk.rs"
)

# Runs cargo-mutants on one crate with the options given, and adds what came of it to the table.
try() {
  local crate=$1 name=$2; shift 2
  local folder=$out/$name-$crate
  mkdir -p "$folder"
  # 2: some were missed; 3: some timed out. Both are counted below.
  cargo mutants --no-shuffle --jobs "$jobs" --test-tool nextest --package "$crate" --output "$folder" \
    --minimum-test-timeout 60 --build-timeout 600 "$@" || { local rc=$?; [ $rc = 2 ] || [ $rc = 3 ]; }
  local lists=$folder/mutants.out
  local caught missed unviable timeout survived
  caught=$(wc -l < "$lists/caught.txt") missed=$(wc -l < "$lists/missed.txt")
  unviable=$(wc -l < "$lists/unviable.txt") timeout=$(wc -l < "$lists/timeout.txt")
  # Without line and column, which move.
  survived=$(sed -E 's/:[0-9]+:[0-9]+:/:/' "$lists/missed.txt" | grep -vcxFf <(accepted) || true)
  local viable=$((caught + missed + timeout))
  printf '%-12s %-8s %6s tried %6s caught %5s timed out %5s unviable %5s missed, %s of them without a reason\n' \
    "$crate" "$name" $((viable + unviable)) "$caught" "$timeout" "$unviable" "$missed" "$survived" | tee -a "$out/table"
  sed 's/^/    /' "$lists/missed.txt" | tee -a "$out/table"
  if [ $((survived * 20)) -gt "$viable" ]; then failed=1; fi
}

# Survivors that change nothing that anybody could notice: `mutant # reason`.
accepted() { sed -E '/^#/d; s/ +#.*//; /^$/d' tools/mutants.accepted; }

failed=0
mkdir -p "$out"
case ${1:-} in
  decides)
    for of in "${decides[@]}"; do
      read -r -a words <<< "${of//$'\n'/ }"
      options=()
      for glob in "${words[@]:1}"; do options+=(--file "$glob"); done
      try "${words[0]}" decides "${options[@]}"
    done
    ;;
  drawn)
    seed=${2:-1}
    for of in "${decides[@]}"; do
      read -r -a words <<< "${of//$'\n'/ }"
      options=()
      for glob in "${words[@]:1}"; do options+=(--exclude "$glob"); done
      count=$(cargo mutants --list --package "${words[0]}" "${options[@]}" | wc -l)
      # One of so many, every one as likely: a place in the round that the seed names.
      rounds=$(((count + sample - 1) / sample))
      place=$(printf '%s %s' "$seed" "${words[0]}" | cksum | cut -d' ' -f1)
      try "${words[0]}" "drawn-$seed" "${options[@]}" --sharding round-robin --shard "$((place % rounds))/$rounds"
    done
    ;;
  files)
    shift
    for file in "$@"; do try "${file%%/*}" "$(basename "$file" .rs)" --file "$file"; done
    ;;
  *)
    sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'
    exit 2
    ;;
esac
exit "$failed"
