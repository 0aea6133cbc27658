# Rust (rustup) and Go are all that is needed. CARGO_TARGET_DIR, XDG_CACHE_HOME and GOCACHE are heeded.

SHELL := bash
# Tests in real clusters mostly wait.
export RUST_TEST_THREADS ?= 6
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# The local cluster: `make cluster NAME=other CRDS=gateway`.
NAME ?= iter8
CRDS ?= gateway,istio,knative
# Where `make demo` plays: local, or current (the cluster of the current context).
CLUSTER ?= local
# Not empty: the demo has a real gateway and real requests.
TRAFFIC ?=
# For `make dist`.
KUBECTL ?= kubectl
DIST ?= dist

cluster := go run -C tests/cluster .
# The operator under test is one static file, as in its image; lints look at it as it is built for that.
static := source image/static.sh &&
test := $(static) cargo test --locked

##@ Try

.PHONY: demo
demo: ## Watch a release go from one version to a 30/70 split and on to promotion; CLUSTER=current: in your cluster; TRAFFIC=1: with real requests
	@CLUSTER=$(CLUSTER) TRAFFIC=$(TRAFFIC) demo/demo.sh up

.PHONY: demo-env
demo-env: ## Go on playing in the demo's cluster: eval "$$(make -s demo-env)"
	@demo/demo.sh env

.PHONY: demo-down
demo-down: ## Remove what the demo made
	@demo/demo.sh down

.PHONY: cluster
cluster: ## Start a Kubernetes control plane for a shell: eval "$$(make -s cluster)"; NAME=…, CRDS=gateway,istio,knative
	@$(cluster) up --name $(NAME) --crds=$(CRDS)

.PHONY: cluster-down
cluster-down: ## End it; NAME=…
	@$(cluster) down --name $(NAME)

##@ Test

# Control planes and kubectl live for moments: memory, half a GiB more for each API server, is cheaper than a third of the
# processor time.
test: export GOGC ?= 400

# The first use every core; the others, which mostly wait, share them.
.PHONY: test
test: ## Test everything: the operator by itself, in real clusters and with real requests, and the local cluster
	$(test) --lib --bins --test it
	$(MAKE) --jobs test-cluster traffic bench-check test-doc

.PHONY: test-build
test-build: ## Build what these tests are made of
	$(test) --no-run

.PHONY: test-doc
test-doc: ## Test the examples in the documentation of the code
	$(test) --doc

.PHONY: test-cluster
test-cluster: ## Test the local cluster
	go vet -C tests/cluster ./...
	go test -C tests/cluster ./...

.PHONY: traffic
traffic: ## Send real requests through Contour and Istio; RUNS=10: measure instead of testing, every story 10 times
	export RUNS=$(RUNS); $(test) --test traffic

.PHONY: bench
bench: ## Measure speed, requests and memory with 100, 1,000 and 10,000 Releases (two hours), for docs/performance.md; N=100,1000: these only
	cargo bench --locked --bench scale
	cargo bench --locked --bench memory

.PHONY: bench-check
bench-check: ## A short run of it, with 100 Releases: whether the numbers of requests are as promised
	$(test) --bench scale

.PHONY: lint
lint: ## Check format, lints and documentation; a warning is a failure
	cargo fmt --check
	@bad=$$(gofmt -l tests/cluster); [ -z "$$bad" ] || { echo "run gofmt -w on: $$bad" >&2; exit 1; }
	$(static) cargo clippy --locked --all-targets -- -D warnings
	$(static) cargo check --locked --bin iter8 # as `make image` builds it: without what tests need
	$(static) RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

.PHONY: verify
verify: generate lint test ## Everything that a commit must pass; ends with a clean tree
	@test -z "$$(git status --porcelain)" || { git status --short; echo 'verify: commit these changes first'; exit 1; }

##@ Make

.PHONY: build
build: ## Build the operator
	cargo build --locked

.PHONY: image
image: ## Make a container image of the static binary with buildah, podman or docker; IMAGE=ghcr.io/iter8-tools/iter8:dev
	@image/build.sh image

.PHONY: static
static: ## Build the operator as one static file, and print its path; PROFILE=dev: sooner, and larger
	@image/build.sh binary

.PHONY: dist
dist: ## Write dist/install.yaml, for kubectl apply --server-side -f; KUBECTL=…
	@mkdir -p $(DIST)
	$(KUBECTL) kustomize config/cluster > $(DIST)/install.yaml

.PHONY: generate
generate: crds ## Write everything that is generated: CRDs, RBAC, schemas of charts, the reference, the page of metrics, golden files
	export UPDATE_GOLDEN=1; $(test) --test it -- --quiet rbac reference metrics::the_page objects routes generated

.PHONY: crds
crds: ## Write crds/ from the types in src/api
	export UPDATE_GOLDEN=1; $(test) --test it -- --quiet crds

.PHONY: help
help: ## Print this
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { gsub(/[$$][$$]/, "$$", $$2); printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
