# moorgate: what people run. `make help` lists the targets.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
LDFLAGS  = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# Tools are modules too, pinned here and kept apart from go.mod.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

FUZZTIME ?= 1m
KINDS    ?= debian current

WEB = terminal/web

.DEFAULT_GOAL = help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: web ## bin/moorgate, static
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/moorgate ./cmd/moorgate

web: $(WEB)/node_modules/.package-lock.json ## the page, which moorgate has inside
	cd $(WEB) && node build.mjs

# What is not in npm's cache is fetched; a second time needs no network.
$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json
	@command -v npm >/dev/null || { echo "make web: npm is missing: install Node.js 18 or newer (make deps)" >&2; exit 1; }
	cd $(WEB) && npm ci --prefer-offline
	@touch $@

run: build ## moorgate in personal mode, in front of an Engine that it gets if there is none
	@engine=$$(deploy/engine find || deploy/engine up) && DOCKER_HOST=$$engine exec bin/moorgate serve

deps: ## what the tests need, from Debian's packages
	deploy/deps

test: deps build check ## everything that every change must pass, on Debian's Engine
	cd $(WEB) && npm test
	deploy/engine up debian >/dev/null
	env $$(deploy/engine env debian) DOCKER_CONFIG="$$(deploy/engine plugins)" PATH="$$(dirname "$$(deploy/engine cli)"):$$PATH" \
		go test -count=1 -timeout 20m ./...

conformance: build deps ## the docker CLI's commands, direct and through moorgate, on both Engines
	for kind in $(KINDS); do \
		deploy/engine up $$kind >/dev/null && \
		env $$(deploy/engine env $$kind) DOCKER_CONFIG="$$(deploy/engine plugins)" PATH="$$(dirname "$$(deploy/engine cli)"):$$PATH" \
			go test -count=1 -timeout 20m -run 'Conformance|Compose|Buildx' ./cmd/moorgate || exit 1; \
	done

check: web ## formatting, vet, types, staticcheck, known vulnerabilities, the import picture, the manuals
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "run gofmt -w on: $$unformatted"; exit 1; fi
	go vet ./...
	go vet -tags bench,soak ./cmd/moorgate ./terminal
	cd $(WEB) && npm run check
	go run $(STATICCHECK) ./...
	deploy/vulncheck $(GOVULNCHECK)
	go test -run 'Imports|Manuals' ./authz ./deploy

docs: ## writes the generated manuals
	go run ./deploy/manual

bench: build ## cost beside direct and beside a plain ReverseProxy: identity and audit, then everything on, then terminals
	deploy/engine up debian >/dev/null
	env $$(deploy/engine env debian) BENCH_PERSONAL=1 go test -tags bench -count=1 -timeout 20m -run TestBench -v ./cmd/moorgate
	env $$(deploy/engine env debian) go test -tags bench -p 1 -count=1 -timeout 20m -run TestBench -v ./cmd/moorgate ./terminal

soak: ## mixed work for 10 minutes, or as long as SOAK says, that must leave nothing behind
	go test -tags soak -count=1 -timeout 60m -run TestSoak -v ./cmd/moorgate

fuzz: ## each fuzz target for FUZZTIME
	@for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

clean: ## removes what build made
	rm -rf bin

.PHONY: help build web run deps test conformance check docs bench soak fuzz clean
