#!/usr/bin/env bash
# Builds the operator as one static file, lists what it is made of, and makes an image of both.
#
#   image/build.sh binary      prints the path of the static binary; PROFILE=dev: built sooner, and larger
#   image/build.sh sbom FILE   writes what it is made of, as CycloneDX
#   image/build.sh builder     prints what makes images here; fails, with the reason, where nothing does
#   image/build.sh image       makes $IMAGE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source image/static.sh

profile=${PROFILE:-release}
# cargo-cyclonedx is CycloneDX's own.
cyclonedx=0.5.9
version=$(sed -n '0,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)
image=${IMAGE:-ghcr.io/iter8-tools/iter8:$version}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iter8

say() { printf '%s\n' "$*" >&2; }

binary() {
  # Build scripts look at these: what cargo tells a test would make it build everything anew.
  unset "${!CARGO_PKG_@}" "${!CARGO_MANIFEST_@}"
  cargo build --locked --bin iter8 --profile "$profile" --message-format json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

# Writes what the binary is made of to a file.
bill_of_materials() {
  local tool=$cache/cyclonedx-$cyclonedx
  [ -x "$tool/bin/cargo-cyclonedx" ] ||
    cargo install --quiet --locked --root "$tool" --version "$cyclonedx" cargo-cyclonedx >&2
  # It writes beside Cargo.toml.
  PATH=$tool/bin:$PATH cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$CARGO_BUILD_TARGET" \
    --no-build-deps --override-filename iter8.cdx
  mv iter8.cdx.json "$1"
}

# The first of these that works here.
builder() {
  local builder
  for builder in buildah podman docker; do
    ! "$builder" info >/dev/null 2>&1 || { echo "$builder"; return; }
  done
  say 'neither buildah nor podman nor docker works here (apt-get install buildah)'
  return 1
}

image() {
  local builder folder built
  builder=$(builder)
  folder=$(mktemp -d)
  # Expanded now: it is local.
  trap "rm -rf '$folder'" EXIT
  built=$(binary)
  cp "$built" "$folder/iter8"
  bill_of_materials "$folder/iter8.cdx.json"
  cp Containerfile "$folder/"
  "$builder" build --tag "$image" --build-arg "VERSION=$version" --file "$folder/Containerfile" "$folder" >&2
  say "$image: $(du -h --apparent-size "$folder/iter8" | cut -f1) in /iter8, built with $builder"
}

case ${1:-} in
  binary) binary ;;
  sbom) bill_of_materials "$2" ;;
  builder) builder ;;
  image) image ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
