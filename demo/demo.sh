#!/usr/bin/env bash
# A blue-green release from the first version to a 30/70 split and on to promotion, in a cluster on this machine.
#
#   demo/demo.sh up      plays it, and leaves cluster and operator running
#   demo/demo.sh down    removes everything that it made
#   demo/demo.sh env     prints the exports for a shell that wants to go on playing
#
# CLUSTER=current plays it in the cluster of the current context instead, which needs Istio and kubectl. TRAFFIC=1 plays
# it behind a real gateway, with real requests, in a network namespace of its own, and leaves nothing running.
# ITER8_BINARY=/…/iter8: this operator instead of one that is built here.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=iter8-demo
state=${XDG_CACHE_HOME:-$HOME/.cache}/iter8/demo
cluster=${CLUSTER:-local}
traffic=${TRAFFIC:-}
crds=istio crd_owner="Istio's"
own_crds=({releases,routepolicies,experiments,metrics}.iter8.tools)
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
  say "A Kubernetes control plane with $crd_owner CRDs; kwok plays the kubelet, so pods become ready without running."
  echo local >"$state/cluster"
  local exports
  # Until the end of this script the cluster lives no longer than it.
  exports=$(launcher up --name "$name" --crds "$crds" --owner-pid $$)
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
  say "  the CRDs ${own_crds[*]},"
  say '  namespace iter8-system with what is in config/rbac,'
  say "  namespace $name with the application. The operator itself runs on this machine."
  kubectl get customresourcedefinition virtualservices.networking.istio.io -o name >/dev/null ||
    fail 'this cluster has no VirtualServices: install Istio (https://istio.io/latest/docs/setup/getting-started)'
  found=$(kubectl get --ignore-not-found -o name "${own_crds[@]/#/crd/}" namespace/iter8-system "namespace/$name")
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
  iter8=${ITER8_BINARY:-}
  [ -z "$iter8" ] || return 0
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
  run kubectl wait --for=condition=Established "${own_crds[@]/#/crd/}" --timeout=60s
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
    # A process that has ended may wait for whoever became its parent.
    while [[ $(ps -p "$pid" -o stat= 2>/dev/null) == [!Z]* ]]; do sleep 0.1; done
  fi
  rm -f "$state/operator.pid"
}

# --- requests (TRAFFIC=1) ---

# The programs of the tests of requests: the one that sends them, and those of the mesh. Sets sender.
build_traffic() {
  local messages
  messages=$(cd "$top" && cargo test --locked --no-run --test traffic --message-format=json-render-diagnostics)
  sender=$(printf '%s\n' "$messages" | sed -n 's/.*"executable":"\([^"]*\/traffic-[^"]*\)".*/\1/p' | tail -n 1)
}

# Starts this script anew in a network namespace, where pods have addresses that answer. What needs a network comes before.
enter_namespace() {
  [ "$cluster" = local ] || fail 'TRAFFIC=1 needs CLUSTER=local: its pods answer on this machine only'
  build_operator
  build_traffic
  local programs
  programs=$("$top/tests/traffic/mesh.sh" contour)
  # shellcheck disable=SC2086 # one word for each program; paths of caches have no blanks
  exec env ITER8_TRAFFIC_INSIDE=1 $programs "$top/tests/traffic/inside.sh" "$top/demo/demo.sh" up
}

start_requests() {
  heading 'A gateway and its users'
  say 'Contour and Envoy carry the route, a small server answers for each pod, and 200 requests a second are sent.'
  DEMO_HOST=httpbin.$name DEMO_FOLDER=$state/mesh RUST_BACKTRACE=0 \
    "$sender" </dev/null >"$state/requests" 2>"$state/requests.log" &
  requests=$!
  until grep -q ready "$state/requests"; do
    kill -0 "$requests" 2>/dev/null || fail "$(cat "$state/requests.log")"
    sleep 0.1
  done
}

# --- the play ---

columns=(-o custom-columns-file=demo/columns)
deadline=600 # seconds for one step

# Prints each row that differs from the one before, its columns in line; leaves the last one in a file.
changes() {
  local row last=''
  while IFS= read -r row; do
    if [[ $row = requests* ]]; then
      printf '%43s%s\n' '' "$row"
      continue
    fi
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
  local manifest=$1
  if [ -n "$traffic" ]; then
    manifest=$state/$(basename "$1")
    sed 's|deployment-istio|deployment-gtw\n  gateway: projectcontour/gateway|' "$1" >"$manifest"
  fi
  run kubectl apply -f "$manifest"
  printf '%s$ kubectl get release httpbin --watch %s%s\n' "$bold" "${columns[*]}" "$plain"
  local watcher printer follower='' begin=$SECONDS took final
  mkfifo "$state/watch"
  kubectl get release httpbin --watch "${columns[@]}" >"$state/watch" &
  watcher=$!
  if [ -n "$traffic" ]; then
    tail -n 0 -f "$state/requests" >"$state/watch" &
    follower=$!
  fi
  changes <"$state/watch" &
  printer=$!
  until kubectl wait release/httpbin --for=condition=Ready --timeout=5s >/dev/null 2>"$state/wait"; do
    grep -q 'timed out' "$state/wait" || fail "$(cat "$state/wait")"
    kill -0 "$(cat "$state/operator.pid")" 2>/dev/null || fail 'the operator has ended'
    [ $((SECONDS - begin)) -lt "$deadline" ] || fail "not settled after $deadline seconds"
  done
  took=$((SECONDS - begin))
  if [ -n "$traffic" ]; then
    # Of the next line a part may be of before.
    local lines
    lines=$(wc -l <"$state/requests")
    until [ "$(wc -l <"$state/requests")" -ge $((lines + 2)) ]; do sleep 0.1; done
  fi
  kill "$watcher" ${follower:+"$follower"}
  wait "$printer"
  rm "$state/watch"
  # The watch may have been ended before its last line.
  final=$(kubectl get release httpbin "${columns[@]}" | tail -n 1)
  [ "$(tr -s ' ' <"$state/last")" = "$(tr -s ' ' <<<"$final")" ] || print_row "$final"
  say "settled after $took seconds"
  run kubectl get release
  if [ -n "$traffic" ]; then
    run kubectl get httproute httpbin -o custom-columns-file=demo/shares-gateway
  else
    run kubectl get virtualservice httpbin -o custom-columns-file=demo/shares
  fi
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
  if [ -n "$traffic" ]; then
    [ -n "${ITER8_TRAFFIC_INSIDE:-}" ] || enter_namespace
    crds=gateway crd_owner="the Gateway API's"
  fi
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
  if [ -n "$traffic" ]; then
    build_traffic
    start_requests
    story
    finished=true
    kill "$requests"
    down
    heading 'Cluster, gateway and operator have ended'
    return
  fi
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
    kubectl delete --ignore-not-found -k "$top/crds"
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
