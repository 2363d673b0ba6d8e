# lockstep: every target is a line or two; `make help` lists them.
GO        ?= go
BIN       ?= lockstep
PREFIX    ?= /usr/local
FUZZTIME  ?= 5s
PARALLEL  ?= 4
SEEDS     ?= 40
CHAOSTIME ?= 60s
CHURNS    ?= 200
CHURNTIME ?= 60s
SOAK      ?= 1h
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

export CGO_ENABLED = 0

.DEFAULT_GOAL := build
.PHONY: help build demo deps fmt vet lint test race fuzz interop chaos chaos-faults bench soak package-test deb rpm check install clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build ./lockstep
	$(GO) build -trimpath -o $(BIN) ./cmd/lockstep

demo: build ## make a tree, keep a mirror of it in step, and show it (Ctrl-C ends)
	sh examples/demo.sh ./$(BIN)

deps: ## install what the tests need (Debian, as root): the real rsync
	sh .ci/deps

fmt: ## format the code
	gofmt -w $$(git ls-files '*.go')

vet:
	$(GO) vet ./...

lint: vet ## format, vet, staticcheck
	@out=$$(gofmt -l .); test -z "$$out" || { echo "gofmt would change: $$out"; exit 1; }
	$(GO) run $(STATICCHECK) ./...

test: deps ## all tests, with what they need installed first
	$(GO) test -timeout=20m -parallel=$(PARALLEL) ./...

race: deps ## all tests under the race detector
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=50 $(GO) test -race -timeout=20m -parallel=$(PARALLEL) ./... # each program waits a second before it ends, if not told otherwise

fuzz: ## every fuzz target for FUZZTIME (5s)
	sh .ci/fuzz $(FUZZTIME)

interop: deps ## the tests against the real rsync, uncached
	$(GO) test -count=1 -run 'Interop|Transcript|Examples|Matrix' ./syncer/... ./cmd/... ./examples/...

chaos: deps chaos-faults ## random changes while it runs: SEEDS (40) seeds of CHAOSTIME (60s) with faults and without, CHURNS (200) of CHURNTIME (60s) for the watcher alone
	$(GO) test -count=1 -timeout=0 -run TestChaos ./cmd/internal/agent -chaos.seeds=$(SEEDS) -chaos.time=$(CHAOSTIME)
	$(GO) test -count=$(CHURNS) -parallel=4 -timeout=0 -run 'TestChurn' ./watcher -churn=$(CHURNTIME)
	$(GO) test -count=1 -run TestChurnSmallQueue ./watcher -churn.sysctl

chaos-faults: ## faults alone: kill -9, cut links, full disks, … ; CHAOS="-faults kill,link -seed 7" says which (docs/reliability.md)
	$(GO) run ./cmd/lockstep-chaos -seeds=$(SEEDS) -time=$(CHAOSTIME) $(CHAOS)

bench: deps build ## measure beside rsync: latency, burst, delta, memory
	$(GO) run ./cmd/lockstep-bench -lockstep ./$(BIN) $(BENCH)

soak: deps build ## what it has in use while a tree of 100,000 files changes for SOAK (1h)
	$(GO) run ./cmd/lockstep-bench -lockstep ./$(BIN) -only soak -churn $(SOAK) $(BENCH)

deb rpm: ## build a package into dist/ (VERSION, GOARCH): static, the same from build to build
	GO="$(GO)" sh packaging/build $@

package-test: deps ## build packages twice and compare; install, use, upgrade, remove and purge them in a root directory (as root)
	$(GO) test -count=1 ./packaging -packages

check: lint test race fuzz ## what must pass before a change goes in

install: build ## install the binary below PREFIX (/usr/local)
	install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/lockstep

clean: ## remove what was built
	rm -rf $(BIN) lockstep-bench lockstep-chaos dist
