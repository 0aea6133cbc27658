# Sourced: builds programs from their Go modules.
shopt -s inherit_errexit

# Prints the path of the program that a folder's go.mod names as its tool, and builds it unless it is in the cache.
# Arguments: the folder, the program's name, about how many minutes it takes with an empty cache, more flags for `go build`.
#
# The flags are those of the local cluster (../cluster/build.go), so that packages that both have in one version are compiled
# once. `go tool` would heed none of them.
go_tool() {
  local folder=$1 name=$2 minutes=$3
  shift 3
  local flags=(-mod=readonly -trimpath -buildvcs=false -gcflags=all=-dwarf=false '-ldflags=-s -w' "$@")
  local key program scratch
  key=$({ cat "$folder/go.mod" "$folder/go.sum"; go version; echo "${flags[@]}"; } | sha256sum)
  program=${XDG_CACHE_HOME:-$HOME/.cache}/iter8/$name/${key::16}/$name
  if [ ! -x "$program" ]; then
    printf '%s: building it (%s minutes with an empty Go cache)\n' "$name" "$minutes" >&2
    mkdir -p "$(dirname "$program")"
    scratch=$(mktemp -d "$program.XXXXXX")
    # shellcheck disable=SC2064 # its value now
    trap "rm -rf '$scratch'" EXIT
    (cd "$folder" && CGO_ENABLED=0 GOFLAGS='' GOWORK=off go build "${flags[@]}" -o "$scratch/$name" tool) >&2
    mv "$scratch/$name" "$program"
  fi
  printf '%s\n' "$program"
}
