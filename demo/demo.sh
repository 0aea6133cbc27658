#!/usr/bin/env bash
# A blue-green release from the first version to a 30/70 split and on to promotion, in a cluster on this machine.
#
#   demo/demo.sh up      plays it, and leaves cluster and operator running
#   demo/demo.sh down    removes everything that it made
#   demo/demo.sh env     prints the exports for a shell that wants to go on playing
#
# CLUSTER=current plays it in the cluster of the current context instead, which needs Istio and kubectl.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=iter8-demo
state=${XDG_CACHE_HOME:-$HOME/.cache}/iter8/demo
cluster=${CLUSTER:-local}
finished=false
umask 077 # the kubeconfigs hold tokens

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\033[1m' plain=$'\033[0m'
fi

# --- what is printed ---

heading() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
say() { printf '%s\n' "$@"; }
fail() { printf 'demo: %s\n' "$@" >&2; exit 1; }

# Prints a command as one would type it, and runs it.
run() {
  printf '%s$ %s%s\n' "$bold" "$*" "$plain"
  "$@"
}

need() { command -v "$1" >/dev/null || fail "$1 is needed: $2"; }

# --- the cluster ---

launcher() { go run -C "$top/tests/cluster" . "$@"; }

start_cluster() {
  need go 'https://go.dev/dl'
  heading 'The cluster'
  say 'A Kubernetes control plane with Istio'"'"'s CRDs; kwok plays the kubelet, so pods become ready without running.'
  echo local >"$state/cluster"
  local exports
  # Until the end of this script the cluster lives no longer than it.
  exports=$(launcher up --name "$name" --crds istio --owner-pid $$)
  printf '%s\n' "$exports" | grep '^export PATH=' >"$state/env"
  eval "$exports"
}

# The current cluster must have Istio's VirtualService, and no iter8 of its own.
check_cluster() {
  need kubectl 'https://kubernetes.io/docs/tasks/tools'
  local context found
  context=$(kubectl config current-context)
  heading 'The cluster'
  say "context $context, into which go"
  say '  the CRDs releases.iter8.tools and routepolicies.iter8.tools,'
  say '  namespace iter8-system with what is in config/rbac,'
  say "  namespace $name with the application. The operator itself runs on this machine."
  kubectl get customresourcedefinition virtualservices.networking.istio.io -o name >/dev/null ||
    fail 'this cluster has no VirtualServices: install Istio (https://istio.io/latest/docs/setup/getting-started)'
  found=$(kubectl get --ignore-not-found -o name crd/releases.iter8.tools crd/routepolicies.iter8.tools \
    namespace/iter8-system "namespace/$name")
  [ -z "$found" ] || fail 'the demo would disturb what is in this cluster already:' "$found"
  echo current >"$state/cluster"
  : >"$state/env"
}

# A kubeconfig of our own, so that the namespace can be set without a change to yours.
own_kubeconfig() {
  kubectl config view --raw --minify --flatten >"$state/kubeconfig"
  export KUBECONFIG=$state/kubeconfig
  kubectl config set-context --current --namespace "$name" >/dev/null
  printf 'export KUBECONFIG=%q\n' "$KUBECONFIG" >>"$state/env"
}

# --- the operator ---

build_operator() {
  need cargo 'https://rustup.rs'
  heading 'The operator'
  local messages
  messages=$(cd "$top" && cargo build --locked --message-format=json-render-diagnostics)
  iter8=$(printf '%s\n' "$messages" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
  say "built: $iter8"
}

install_operator() {
  heading 'Install it'
  printf '%s$ iter8 crdgen | kubectl apply --server-side -f -%s\n' "$bold" "$plain"
  "$iter8" crdgen | kubectl apply --server-side -f -
  run kubectl wait --for=condition=Established crd/releases.iter8.tools crd/routepolicies.iter8.tools --timeout=60s
  run kubectl create namespace iter8-system
  run kubectl apply -k config/rbac
  run kubectl create namespace "$name"
  # The operator has the rights of its ServiceAccount and no others.
  cp "$state/kubeconfig" "$state/operator.kubeconfig"
  local config=(kubectl config --kubeconfig "$state/operator.kubeconfig") admin
  admin=$("${config[@]}" view -o 'jsonpath={.users[0].name}')
  "${config[@]}" set-credentials iter8 --token "$(kubectl create token iter8 -n iter8-system --duration=24h)" >/dev/null
  "${config[@]}" set-context --current --user=iter8 >/dev/null
  "${config[@]}" delete-user "$admin" >/dev/null
  say '$ iter8 run &'
  # Job control gives it a process group of its own: a later Ctrl-C in this terminal does not reach it.
  (
    set -m
    KUBECONFIG=$state/operator.kubeconfig nohup "$iter8" run </dev/null >"$state/operator.log" 2>&1 &
    echo $! >"$state/operator.pid"
  )
  say "its log is $state/operator.log"
}

stop_operator() {
  [ -f "$state/operator.pid" ] || return 0
  local pid
  pid=$(cat "$state/operator.pid")
  # The process id may be another's by now.
  if ps -p "$pid" -o args= 2>/dev/null | grep -q 'iter8 run$'; then
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  fi
  rm -f "$state/operator.pid"
}

# --- the play ---

columns=(-o custom-columns-file=demo/columns)
deadline=600 # seconds for one step

# Prints each row that differs from the one before, its columns in line; leaves the last one in a file.
changes() {
  local row last=''
  while IFS= read -r row; do
    [ "$row" = "$last" ] || print_row "$row"
    last=$row
  done
  printf '%s\n' "$last" >"$state/last"
}

# kubectl separates columns by three spaces or more, and each row for itself when it watches.
print_row() {
  local row=$1 cells
  [[ $row != ' '* ]] || row="-   -   $row" # before the first status the first two are empty
  IFS=$'\t' read -ra cells < <(sed -E 's/   +/\t/g' <<<"$row")
  printf '%-10s %-9s %-20s %-8s %s\n' "${cells[@]}"
}

# Applies a manifest and shows what becomes of the Release until it has settled.
play() {
  run kubectl apply -f "$1"
  printf '%s$ kubectl get release httpbin --watch %s%s\n' "$bold" "${columns[*]}" "$plain"
  local watcher printer begin=$SECONDS final
  mkfifo "$state/watch"
  kubectl get release httpbin --watch "${columns[@]}" >"$state/watch" &
  watcher=$!
  changes <"$state/watch" &
  printer=$!
  until kubectl wait release/httpbin --for=condition=Ready --timeout=5s >/dev/null 2>"$state/wait"; do
    grep -q 'timed out' "$state/wait" || fail "$(cat "$state/wait")"
    kill -0 "$(cat "$state/operator.pid")" 2>/dev/null || fail 'the operator has ended'
    [ $((SECONDS - begin)) -lt "$deadline" ] || fail "not settled after $deadline seconds"
  done
  kill "$watcher"
  wait "$printer"
  rm "$state/watch"
  # The watch may have been ended before its last line.
  final=$(kubectl get release httpbin "${columns[@]}" | tail -n 1)
  [ "$(tr -s ' ' <"$state/last")" = "$(tr -s ' ' <<<"$final")" ] || print_row "$final"
  say "settled after $((SECONDS - begin)) seconds"
  run kubectl get release
  run kubectl get virtualservice httpbin -o custom-columns-file=demo/shares
}

story() {
  heading 'One version'
  say 'Its Deployment and Service come first, and the route as soon as a pod is ready.'
  play demo/1-first-version.yaml

  heading 'A second version'
  say 'It enters the route when it is ready, and not before.'
  play demo/2-second-version.yaml

  heading '30 percent for the first version, 70 for the second'
  play demo/3-weights.yaml

  heading 'Promotion'
  say 'The second version takes all requests (Switch); then the first, which nobody is sent to, gets the new image (Roll)'
  say 'and takes its requests back (Return); the second goes when the last requests to it have had time to end.'
  play demo/4-promotion.yaml

  heading 'What the operator told'
  run kubectl events --for release/httpbin
}

# --- the commands ---

up() {
  cd "$top"
  down
  mkdir -p "$state"
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap leave EXIT
  build_operator
  case $cluster in
    local) start_cluster ;;
    current) check_cluster ;;
    *) fail "CLUSTER is local or current, not $cluster" ;;
  esac
  own_kubeconfig
  install_operator
  story
  if [ "$cluster" = local ]; then
    launcher up --name "$name" >/dev/null 2>&1 # without owner: it stays
  fi
  finished=true
  heading 'Cluster and operator go on running'
  say 'go on playing:  eval "$(make -s demo-env)"; kubectl get release' \
    "its log:        tail -f $state/operator.log" \
    'remove it all:  make demo-down'
}

# Unless the play has finished, nothing of it stays.
leave() {
  local code=$?
  trap - EXIT INT TERM
  $finished && exit 0
  # shellcheck disable=SC2046 # one word for each process
  kill $(jobs -p) 2>/dev/null || true
  if [ "$code" -ne 130 ] && [ -s "$state/operator.log" ]; then
    say '' 'the end of the log of the operator:' >&2
    tail -n 20 "$state/operator.log" >&2
  fi
  say '' 'not finished: removing what was made' >&2
  down
  exit "$code"
}

# Removes what a play made, whether it finished or not.
down() {
  [ -d "$state" ] || return 0
  local kind
  kind=$(cat "$state/cluster" 2>/dev/null || true)
  if [ "$kind" = current ] && [ -f "$state/kubeconfig" ]; then
    local -x KUBECONFIG=$state/kubeconfig
    # The CRDs take every Release with them, and those their objects, while the operator looks on.
    kubectl delete --ignore-not-found -f "$top/crds"
    kubectl delete --ignore-not-found namespace "$name"
    kubectl delete --ignore-not-found -k "$top/config/rbac"
    kubectl delete --ignore-not-found namespace iter8-system
  fi
  stop_operator
  if [ "$kind" = local ]; then
    launcher down --name "$name"
  fi
  rm -rf "$state"
}

case ${1:-} in
  up) up ;;
  down) down ;;
  env) [ -f "$state/env" ] || fail 'no demo is running: make demo'; cat "$state/env" ;;
  *) fail 'usage: demo/demo.sh up | down | env' ;;
esac
