#!/usr/bin/env python3
# Kills a run with SIGKILL in every phase and continues it: what `run --resume` promises, on the real program.
"""One demo for each phase, killed a moment after the phase began, then continued with `run --resume` until it ends. Each
has to end with exit code 0: every self-check holds, sums exact and answers equal among them.

    tools/killed.py target/release/consilium [--rounds 2] [--repeat 1]
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

# The name of the phase, the place in the run it is killed at, counted in beginnings of that phase.
PHASES = [("data", 1), ("connecting", 1), ("ceremony", 1), ("round", 1), ("round", 2), ("publishing", 1), ("serving", 1),
          ("checking", 1)]


def begin(binary, arguments, phase=None, turn=1, wait=0.0):
    """Runs the program to its end, or until `wait` seconds after the given phase began. Returns code and phases."""
    process = subprocess.Popen([binary, *arguments, "--format", "jsonl"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    seen, last, timer = [], {}, None
    for line in process.stdout:
        event = json.loads(line)
        last = event
        if event.get("event") != "phase-started":
            continue
        name = event["phase"]["phase"]
        seen.append(name)
        if name == phase and seen.count(name) == turn and timer is None:
            timer = threading.Timer(wait, process.kill)
            timer.start()
    code = process.wait()
    if timer:
        timer.cancel()
    return code, seen, last


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", help="the program, for instance target/release/consilium")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1, help="kills of every phase, each at another moment")
    parser.add_argument("--seed", type=int, default=1, help="of those moments")
    options = parser.parse_args()
    moments, failed = random.Random(options.seed), 0
    binary = str(pathlib.Path(options.binary).resolve())
    for phase, turn in PHASES * options.repeat:
        with tempfile.TemporaryDirectory() as place:
            run = f"{place}/run"
            wait = moments.uniform(0.0, 0.2 if phase in ("data", "connecting", "checking") else 2.0)
            first = ["demo", "--device", "cpu", "--out", run, "--set", f"federation.rounds={options.rounds}"]
            code, seen, _ = begin(binary, first, phase, turn, wait)
            where = f"{phase} {turn}" if phase == "round" else phase
            if code != -9:
                print(f"{where:12} ended before it was killed, with {code}", flush=True)
                continue
            started = time.monotonic()
            code, again, last = begin(binary, ["run", "--resume", run, "--device", "cpu"])
            report = (last.get("data") or {}).get("report", {})
            rounds = [one.get("sum_exact") for one in report.get("rounds", [])]
            checks = [one.get("passed") for one in report.get("oracles", [])]
            good = code == 0 and rounds == [True] * options.rounds and checks and all(checks)
            failed += not good
            print(f"{where:12} killed after {wait:4.2f} s in {seen[-1]}; continued with {' '.join(dict.fromkeys(again))}; "
                  f"exit {code}, {len(rounds)} exact rounds, {sum(map(bool, checks))} of {len(checks)} self-checks, "
                  f"{time.monotonic() - started:.0f} s{'' if good else '   FAILED ' + json.dumps(last.get('error'))}",
                  flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
