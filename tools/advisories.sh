#!/usr/bin/env bash
# Known vulnerabilities, and versions that were withdrawn, in what all four workspaces depend on. Fetches the database
# of https://rustsec.org and the registry's index: its answer changes with the day, so it is no part of CI.
exec "$(dirname "$0")/deny.sh" advisories
