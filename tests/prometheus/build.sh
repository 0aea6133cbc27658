#!/usr/bin/env bash
# Builds the Prometheus of the tests from its Go module, unless it is in the cache, and prints its path. This is what needs a
# network; the tests themselves have none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../go-tool.sh
# Without what looks for targets in clouds.
go_tool . prometheus 2 -tags=remove_all_sd
