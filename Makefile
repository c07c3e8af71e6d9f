# Tools are pinned: controller-gen in go.mod, all others in hack/tools/go.mod.
# "go tool" builds each on first use and keeps it in Go's build cache.
SHELL       := /bin/bash -o pipefail
TOOL        := go tool -modfile=hack/tools/go.mod
GEN         := go tool controller-gen
LINT        := $(TOOL) golangci-lint-kube-api-linter
TEST         = mkdir -p bin && $(TOOL) gotestsum --format=pkgname --jsonfile=bin/$@.json \
		--hide-summary=skipped --post-run-command=hack/totals.sh --
CHART       := charts/mcp-registrar
IMAGE       ?= mcp-registrar/manager:dev
CONTAINER   ?= docker
# What --version prints.
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT      ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
COMMAND     := github.com/mcp-registrar/mcp-registrar/internal/command
LDFLAGS      = -s -w -X $(COMMAND).version=$(VERSION) -X $(COMMAND).commit=$(COMMIT)
# Further arguments for the program or the tests that a target runs.
ARGS        ?=
# How many tests of a package run at one time: most of them wait most of the time.
ABREAST      = -parallel=6
# The packages that start goroutines, or that several may use at one time.
CONCURRENT   = $(addprefix ./,$(sort $(dir $(shell grep -rlE --include='*.go' --exclude='*_test.go' \
		'^\s*go [a-zA-Z.]+|\.Go\b|^\s*"sync' cmd controllers hack internal test/devas test/operator))))
# The end-to-end tests that run beside the others: about half of the time, and those that
# share a Keycloak.
E2E_PART     = ^Test(Acceptance|Pages|Matrix|OwnAccess|ServiceAccounts|Unmanageable|WatchModes|RestoredObjects|Upgrade|Economy|TimeTravel)$$
# Not empty where this machine can be a node.
NODE_HERE    = $(and $(filter Linux,$(shell uname -s)),$(filter 0,$(shell id -u)))

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile

.PHONY: generate
generate: ## Write everything that is generated: deepcopy, CRDs, role, chart files, pages.
	@mkdir -p $(CHART)/files/crds $(CHART)/files/admission docs
	$(GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/...
	$(GEN) crd:headerFile=hack/boilerplate.yaml.txt paths=./api/... output:crd:dir=config/crd/bases
	$(GEN) rbac:roleName=mcp-registrar-manager,headerFile=hack/boilerplate.yaml.txt \
		paths=./controllers/... output:rbac:dir=config/rbac
	@cp config/crd/bases/*.yaml $(CHART)/files/crds/
	@cp config/rbac/role.yaml config/rbac/role_namespaced.yaml $(CHART)/files/
	@rm -f $(CHART)/files/admission/*.yaml
	@cp config/admission/*policy*.yaml $(CHART)/files/admission/
	@cp hack/metricsdoc/alerts.yaml $(CHART)/files/
	$(TOOL) crd-ref-docs --log-level=ERROR --source-path=./api --config=hack/crd-ref-docs.yaml \
		--renderer=markdown --output-path=docs/reference.md
	@go run ./hack/valuesdoc
	@go run ./hack/metricsdoc
	@go run ./hack/lifecycledoc
	@go run ./hack/architecturedoc

.PHONY: fmt
fmt: ## Format the Go code.
	$(LINT) fmt

.PHONY: build
build: ## Build bin/manager and bin/guard, static binaries.
	CGO_ENABLED=0 go build -trimpath -ldflags='$(LDFLAGS)' -o bin/manager ./cmd/manager
	CGO_ENABLED=0 go build -trimpath -ldflags='$(LDFLAGS)' -o bin/guard ./cmd/guard

.PHONY: image
image: ## Build the container image (needs a container engine).
	@$(CONTAINER) info >/dev/null 2>&1 || { echo "make image needs a running container engine;" \
		"\"$(CONTAINER) info\" failed. Name another one with CONTAINER=podman." >&2; exit 1; }
	$(CONTAINER) build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) -t $(IMAGE) .

.PHONY: chart
chart: ## Check the chart and package it into dist/.
	$(TOOL) helm lint --strict --set=image.repository=registry.example.com/mcp-registrar/manager $(CHART)
	$(TOOL) helm package $(CHART) --destination dist

.PHONY: demo
demo: controlplane ## Run it all on this machine: control plane, authorization server, operator, samples.
	@go build -o bin/demo ./hack/demo && exec bin/demo $(ARGS)

.PHONY: controlplane
controlplane: ## Build the test control plane into bin/controlplane (once; KUBEBUILDER_ASSETS wins).
	@$(if $(KUBEBUILDER_ASSETS),echo "using KUBEBUILDER_ASSETS=$(KUBEBUILDER_ASSETS)",go run -C test/controlplane ./build)

.PHONY: keycloak
keycloak: ## Fetch the Keycloak that the end-to-end tests start into bin/keycloak (once; needs Maven, Java).
	@go run ./test/keycloak/fetch

.PHONY: verify
verify: ## Regenerate in a clean copy and compare; go.mod is tidy; go vet.
	@hack/verify.sh

.PHONY: lint
lint: ## Run the linters.
	$(LINT) run ./...
	$(LINT) run -c .kube-api-linter.yml ./api/...
	cd test/controlplane && go tool -modfile=../../hack/tools/go.mod \
		golangci-lint-kube-api-linter run -c ../../.golangci.yml ./...
	cd test/node/parts && go tool -modfile=../../../hack/tools/go.mod \
		golangci-lint-kube-api-linter run -c ../../../.golangci.yml ./...

.PHONY: test
test: controlplane ## Run every test but e2e, soak and bench.
	@$(TEST) -timeout=30m $(ABREAST) $(ARGS) ./...

.PHONY: test-race
test-race: controlplane ## Run the tests of the packages that start goroutines, with the race detector.
	@$(TEST) -race -timeout=45m $(ABREAST) $(ARGS) $(CONCURRENT)

.PHONY: test-api
test-api: controlplane ## Run the tests of schema and admission against a real API server.
	@$(TEST) -timeout=20m $(ARGS) ./test/api/... ./test/admission/...

.PHONY: fuzz
fuzz: controlplane ## Fuzz every target for a few seconds (FUZZ_SECONDS: in all), and 350 tenants (FUZZ_TENANTS).
	@hack/fuzz.sh $(ARGS)

.PHONY: e2e
e2e: controlplane keycloak build ## Run the real binary against a real control plane and authorization server.
	@$(subst --format,--raw-command --format,$(TEST)) go run ./hack/shards -part='$(E2E_PART)' -- -tags=e2e -count=1 -timeout=60m $(ARGS) ./test/e2e/...

.PHONY: node
node: controlplane ## Build a node for the test cluster, and the manager's image, into bin/node.
	@go run -C test/controlplane ./build -into=node kubelet kube-scheduler kube-controller-manager
	@go run -C test/node/parts ./build

.PHONY: e2e-node
e2e-node: $(if $(NODE_HERE),node) ## Install with Helm on a real node: this machine. Skipped without Linux and root.
	@go test -C test/node/parts -count=1 ./...
	@$(subst pkgname,standard-verbose,$(TEST)) -tags=node -count=1 -timeout=15m $(ARGS) ./test/node/...

.PHONY: soak
soak: controlplane build ## Kill the manager at random moments and compare what is left.
	@$(TEST) -tags=soak -count=1 -timeout=60m ./test/soak/... $(ARGS)

.PHONY: bench
bench: controlplane build ## Measure; docs/benchmarks.md says what and how.
	go test -tags=bench -count=1 -timeout=60m -v -run=. -bench=. ./test/bench/... $(ARGS)

.PHONY: clean
clean: ## Remove what was built.
	rm -rf bin dist
