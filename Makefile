# SPDX-License-Identifier: Apache-2.0
#
# kruntimes: one static binary. docs/development.md explains; in short:
#
#   make            build/kruntimes       the release: musl, static-pie, stripped
#   make dev        build/dev/kruntimes   host C library with ASan and UBSan
#   make FAILPOINTS=1   build/failpoints/kruntimes: can be killed at named places (core/failpoint.h)
#   make unit       unit tests in the dev flavour (build/dev/unit NAME runs some)
#   make bench      the figures of README.md, measured here
#   make fuzz       random inputs for every parser (T=target TIME=seconds); make fuzz-turns: hours of it, kept in the tree
#   make bench-api  the API server's, beside a kube-apiserver's with etcd
#   make bench-proto   HTTP/2, gRPC and JSON, beside nghttpd, Go and cJSON
#   make bench-first     from git clone to the first Succeeded Run, with empty caches and with warm ones
#   make bench-cli  run list beside kubectl get, and scrapes with many Runs
#   make bench-artifacts   artifacts' and Git sources', beside cp, boto3 and git
#   make test       set-up, both flavours, every test suite, one line of totals
#   make test-cluster   the same on a Kubernetes of one node
#   make analyze    gcc's, clang's and cppcheck's static analysis; make coverage: branches that tests take
#   make lint       rules of the tree; make generate: what is generated, anew
#   make demo       set-up, build, and a Run on this machine
#   make deps       third-party libraries only (also done by need)
#
# A flavour is a folder of objects (build/FLAVOUR/obj) and a set of third-party
# libraries in a cache outside the tree; core/deps/deps.sh names both.
VERSION := 0.1.0

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
all: $(if $(FAILPOINTS),build/failpoints/kruntimes,build/kruntimes)

# ---------------------------------------------------------------- sources

LIB_SRC  := $(wildcard core/*.c grpc/*.c grpc/proto/*.c k8s/*.c crds/*.c crds/*/*.c applets/*.c applets/*/*.c)
CMD_SRC  := $(wildcard cmd/*.c)
UNIT_SRC := $(wildcard tests/kit/*.c tests/unit/*/*.c tests/unit/*/*/*.c)

# ---------------------------------------------------------------- flavours

# Compiler and places of the libraries; asked each time, taken anew when the answer changes.
DEPS_SH := core/deps/deps.sh
define deps-env
build/$1/deps.mk: FORCE
	@mkdir -p $$(@D)
	@$(DEPS_SH) env $1 >$$@.new && if cmp -s $$@.new $$@; then rm $$@.new; else mv $$@.new $$@; fi
endef
$(foreach f,musl dev arm64,$(eval $(call deps-env,$f)))

# Only the flavours that a goal needs are looked up: "make dev" asks for nothing of musl, "make lint" for nothing.
goals := $(or $(MAKECMDGOALS),all)
use-musl  := $(filter all unit-musl bench build/bench size deps install build/kruntimes build/unit build/musl/% build/failpoints/% build/image/amd64 bench-api bench-artifacts bench-cli bench-workflow bench-proto,$(goals))
use-dev   := $(filter dev unit fuzz fuzz-turns build/dev/% build/fuzz/% build/libfuzzer/% build/coverage/% build/plain/%,$(goals))
use-arm64 := $(filter arm64 build/arm64/% build/image/arm64,$(goals))
$(foreach f,musl dev arm64,$(if $(use-$f),$(eval include build/$f/deps.mk)))

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat=2 -Wundef \
        -Wpointer-arith -Wwrite-strings -Wno-missing-field-initializers -Werror
BASE := -std=gnu11 -D_GNU_SOURCE -I. -MMD -MP -fno-common $(WARN)
HARD := -fPIE -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero -fno-plt \
        -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
LINK := -static-pie -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code \
        -Wl,--build-id=sha1
# The same source gives the same bytes wherever it lies (also for __FILE__ and debug lines).
maps  = -ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(DEPS_DIR_$1)=deps

CC_musl      = $(DEPS_CC_musl)
CFLAGS_musl  = $(BASE) $(HARD) -O2 -g1 $(call maps,musl) $(DEPS_CFLAGS_musl)
LDFLAGS_musl = $(LINK) $(RELR_$(shell uname -m))
RELR_x86_64 := -Wl,-z,pack-relative-relocs
CC_arm64      = $(DEPS_CC_arm64)
CFLAGS_arm64  = $(BASE) $(HARD) -O2 -g1 $(call maps,arm64) $(DEPS_CFLAGS_arm64)
LDFLAGS_arm64 = $(LINK)
CC_dev       = $(DEPS_CC_dev)
CFLAGS_dev   = $(BASE) -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
               -fno-sanitize-recover=undefined $(DEPS_CFLAGS_dev)
LDFLAGS_dev  = -fsanitize=address,undefined
# The dev flavour again, telling which code an input reaches: to our own driver (gcc), or to clang's libFuzzer.
fuzz-deps      = $(foreach v,CC CFLAGS LIBS,$(eval DEPS_$v_$1 = $$(DEPS_$v_dev)))
CC_fuzz        = $(DEPS_CC_dev)
CFLAGS_fuzz    = $(CFLAGS_dev) $(FUZZ_COVERAGE)
FUZZ_COVERAGE := -fsanitize-coverage=trace-pc
LDFLAGS_fuzz   = $(LDFLAGS_dev)
CC_libfuzzer      = clang
CFLAGS_libfuzzer  = $(filter-out -Werror,$(CFLAGS_dev)) -w -fsanitize=fuzzer-no-link
LDFLAGS_libfuzzer = -fsanitize=fuzzer,address,undefined
$(call fuzz-deps,fuzz)
$(call fuzz-deps,libfuzzer)
# The dev flavour without sanitizers, counting which branches the tests take (tests/lint/coverage). gcc would have each execve
# write the counts first: in a child of vfork, which has its parent's memory, that ends the counting of the parent too.
CC_coverage      = $(DEPS_CC_dev)
CFLAGS_coverage  = $(BASE) -O0 -g --coverage -fprofile-update=atomic -fno-builtin-execve $(DEPS_CFLAGS_dev)
LDFLAGS_coverage = --coverage -Wl,--wrap=_exit,--wrap=kill,--wrap=landlock_enter
$(call fuzz-deps,coverage)
# And without either, for valgrind (tests/long/valgrind.sh).
CC_plain      = $(DEPS_CC_dev)
CFLAGS_plain  = $(BASE) -O1 -g $(DEPS_CFLAGS_dev)
$(call fuzz-deps,plain)
ifneq ($(DEPS_DIR_dev),)
build/fuzz/flags build/libfuzzer/flags build/coverage/flags build/plain/flags: | $(DEPS_DIR_dev)/.ok
endif

# Calls that unit tests let fail (tests/kit/store_faults.h).
UNIT_WRAP := $(addprefix -Xlinker --wrap=,fstat fstatvfs waitpid $(addprefix mdb_,env_create env_set_mapsize txn_begin txn_commit dbi_open \
             cursor_open cursor_get cursor_put cursor_del get put del drop))

# $(call flavour,NAME): its objects, the program and the unit tests.
define flavour
LIB_$1  := $$(LIB_SRC:%.c=build/$1/obj/%.o)
CMD_$1  := $$(CMD_SRC:%.c=build/$1/obj/%.o)
UNIT_$1 := $$(UNIT_SRC:%.c=build/$1/obj/%.o)

# Compiled again when a flag, the compiler or the libraries change.
build/$1/flags: FORCE
	@mkdir -p $$(@D)
	@echo '$$(CC_$1) $$(CFLAGS_$1) $$(LDFLAGS_$1)' | cmp -s - $$@ || \
	 echo '$$(CC_$1) $$(CFLAGS_$1) $$(LDFLAGS_$1)' >$$@
ifneq ($$(DEPS_DIR_$1),)
$$(DEPS_DIR_$1)/.ok:
	$$(DEPS_SH) build $1
build/$1/flags: | $$(DEPS_DIR_$1)/.ok
endif

build/$1/obj/%.o: %.c build/$1/flags
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$1) $$(CFLAGS_$1) $$(DEFS) -c $$< -o $$@
build/$1/obj/core/version.o: DEFS := -DKR_VERSION='"$(VERSION)"'
build/$1/obj/core/version.o: Makefile
build/$1/kruntimes: $$(CMD_$1) $$(LIB_$1)
	$$(say) link $$@
	$$(Q)$$(CC_$1) $$(CFLAGS_$1) $$(LDFLAGS_$1) $$^ -o $$@ $$(DEPS_LIBS_$1)
build/$1/unit: $$(UNIT_$1) $$(LIB_$1)
	$$(say) link $$@
	$$(Q)$$(CC_$1) $$(CFLAGS_$1) $$(LDFLAGS_$1) $$(UNIT_WRAP) $$^ -o $$@ $$(DEPS_LIBS_$1)
-include $$(CMD_$1:.o=.d) $$(LIB_$1:.o=.d) $$(UNIT_$1:.o=.d)
endef
# make V=1 prints each command.
Q   := $(if $(V),,@)
say  = @echo
$(foreach f,musl dev arm64 fuzz libfuzzer coverage plain,$(eval $(call flavour,$f)))

# The release again, but for the sources that have failpoints (core/failpoint.h), which are compiled with them.
CC_failpoints     = $(CC_musl)
CFLAGS_failpoints = $(CFLAGS_musl) -DKR_FAILPOINTS
FAILPOINT_SRC    := cmd/kruntimes.c $(shell grep -l '/failpoint\.h"' $(LIB_SRC))
FAILPOINT_OBJ    := $(FAILPOINT_SRC:%.c=build/failpoints/obj/%.o)
build/failpoints/obj/%.o: %.c build/musl/flags
	@mkdir -p $(@D)
	$(Q)$(CC_failpoints) $(CFLAGS_failpoints) -c $< -o $@
build/failpoints/kruntimes: $(FAILPOINT_OBJ) $(patsubst %.c,build/musl/obj/%.o,$(filter-out $(FAILPOINT_SRC),$(CMD_SRC) $(LIB_SRC)))
	$(say) link $@
	$(Q)$(CC_failpoints) $(CFLAGS_failpoints) $(LDFLAGS_musl) $^ -o $@ $(DEPS_LIBS_musl)
-include $(FAILPOINT_OBJ:.o=.d)

# $(call fuzzer,FLAVOUR,its driver): one program with all targets (tests/fuzz/fuzz.h).
define fuzzer
FUZZ_$1 := $(patsubst %.c,build/$1/obj/%.o,$(filter-out tests/fuzz/driver.c tests/fuzz/libfuzzer.c,$(wildcard tests/fuzz/*.c)) tests/fuzz/$2.c tests/kit/h2_ends.c)
build/$1/fuzz: $$(FUZZ_$1) $$(LIB_$1)
	$$(say) link $$@
	$$(Q)$$(CC_$1) $$(CFLAGS_$1) $$(LDFLAGS_$1) $$^ -o $$@ $$(DEPS_LIBS_$1)
-include $$(FUZZ_$1:.o=.d)
endef
$(eval $(call fuzzer,fuzz,driver))
$(eval $(call fuzzer,libfuzzer,libfuzzer))
$(eval $(call fuzzer,coverage,driver))
# What speaks gRPC's interop tests (tests/interop/testing/testing.h).
define interop
INTEROP_$1 := $(patsubst %.c,build/$1/obj/%.o,$(wildcard tests/interop/testing/*.c))
build/$1/interop: $$(INTEROP_$1) $$(LIB_$1)
	$$(say) link $$@
	$$(Q)$$(CC_$1) $$(CFLAGS_$1) $$(LDFLAGS_$1) $$^ -o $$@ $$(DEPS_LIBS_$1)
-include $$(INTEROP_$1:.o=.d)
endef
$(eval $(call interop,dev))
$(eval $(call interop,coverage))
# Also what ends without exit() or in a sandbox writes its counts.
$(addprefix build/coverage/,unit kruntimes fuzz interop): build/coverage/obj/tests/lint/counts.o
# The driver watches; it is not watched, nor what starts and ends each run.
build/fuzz/obj/tests/fuzz/driver.o build/fuzz/obj/tests/kit/h2_ends.o: FUZZ_COVERAGE :=

# ---------------------------------------------------------------- goals

build/kruntimes: build/musl/kruntimes
	$(Q)strip -o $@ $<
build/unit: build/musl/unit
	$(Q)cp $< $@
dev: build/dev/kruntimes
unit: build/dev/unit
	build/dev/unit
unit-musl: build/unit
	build/unit
# Figures, not tests: what it prints goes into README.md with the method.
BENCH_musl := $(patsubst %.c,build/musl/obj/%.o,$(wildcard tests/bench/*.c) tests/interop/testing/payload.c tests/interop/testing/testing.pb.c)
build/bench: $(BENCH_musl) $(LIB_musl)
	$(Q)$(CC_musl) $(CFLAGS_musl) $(LDFLAGS_musl) $^ -o $@ $(DEPS_LIBS_musl)
-include $(BENCH_musl:.o=.d)
bench: build/kruntimes build/bench
	@tests/bench/run
bench-api: build/kruntimes build/bench
	@tests/bench/api
bench-proto: build/bench
	@core/deps/packages.sh bench-proto
	@tests/bench/proto.py
bench-workflow: build/kruntimes
	@tests/bench/workflow.py
bench-first:
	@tests/bench/first.sh
bench-cli: build/kruntimes
	@tests/bench/cli.py
bench-artifacts: build/kruntimes
	@tests/bench/artifacts.py
arm64: build/arm64/kruntimes
size: build/kruntimes
	@stat -c '%s bytes  %n' $<

deps: build/musl/flags

# Installs or names what the machine lacks, then goes on in a second make that sees the compiler.
setup:
	@core/deps/packages.sh build
setup-image: setup
	@core/deps/packages.sh $(IMAGE_ARCHS:%=image-%)
setup-test:
	@core/deps/packages.sh build test
demo: setup
	@$(MAKE) --no-print-directory build/kruntimes
	build/kruntimes local run -f manifests/samples/hello.yaml

# Both flavours need build/deps.mk of their own, so each is a make of its own.
test-build: setup-test
	@$(MAKE) --no-print-directory build/kruntimes build/unit build/bench build/failpoints/kruntimes
	@$(MAKE) --no-print-directory build/dev/kruntimes build/dev/unit build/dev/interop build/fuzz/fuzz
test: test-build
	@tests/run
test-long: test-build
	@tests/run --long
# On a Kubernetes of one node that comes and goes with it (docs/development.md); skipped where that can't be had.
test-cluster: setup
	@$(MAKE) --no-print-directory build/kruntimes
	@tests/cluster/run
# make fuzz [T=target] [TIME=seconds each]: longer than the tests do; what is found stays in build/fuzz/corpus.
fuzz: setup-test build/fuzz/fuzz
	@tests/fuzz/run.py --seed 0 --seconds $(or $(TIME),60) $(T)
# make fuzz-turns [T=target] [TIME=seconds in all]: all targets in turn, with clang's libFuzzer too; goes on where the last one ended.
fuzz-turns: setup-test build/fuzz/fuzz
	@core/deps/packages.sh libfuzzer
	@$(MAKE) --no-print-directory build/libfuzzer/fuzz
	@python3 tests/fuzz/turns.py --seconds $(or $(TIME),3600) $(T)
# Which branches the tests take; what never was is in build/coverage/uncovered.txt. ONLY=unit: the unit tests alone.
coverage: setup-test
	@$(MAKE) --no-print-directory $(addprefix build/coverage/,unit $(if $(ONLY),,kruntimes fuzz interop))
	@tests/lint/coverage $(ONLY:%=--%)
# What static analysis finds; what of it isn't so stands with its reason in tests/lint/analyze.txt.
analyze: setup
	@core/deps/packages.sh analyze
	@$(MAKE) --no-print-directory build/dev/flags
	@tests/lint/analyze
bench-cluster: setup
	@$(MAKE) --no-print-directory build/kruntimes build/bench
	@tests/cluster/run --bench
lint:
	@tests/lint/selftest.py
	@tests/lint/run -v
generate:
	@$(MAKE) --no-print-directory dev
	@tests/lint/fresh --write
golden:
	@$(MAKE) --no-print-directory build/dev/unit
	@KR_GOLDEN=write build/dev/unit >build/test-golden.log; tail -n 1 build/test-golden.log
	@$(MAKE) --no-print-directory build/kruntimes
	@KR_GOLDEN=write tests/local/transcripts.py >build/test-golden.log; tail -n 1 build/test-golden.log
	@git status --short tests/golden

prefix ?= /usr/local
install: $(if $(FAILPOINTS),build/failpoints/kruntimes,build/kruntimes)
	install -D -m 755 build/kruntimes $(DESTDIR)$(prefix)/bin/kruntimes
	ln -sf kruntimes $(DESTDIR)$(prefix)/bin/krt
	ln -sf kruntimes $(DESTDIR)$(prefix)/bin/kubectl-kruntimes
# The container image as one archive (manifests/image.py); Dockerfile.scratch copies the same folders.
IMAGE       ?= localhost/kruntimes:$(VERSION)
IMAGE_ARCHS ?= amd64 arm64
CA_BUNDLE   ?= /etc/ssl/certs/ca-certificates.crt
image-tree = $(Q)rm -rf $@.new $@ && install -D -m 644 $(CA_BUNDLE) $@.new/etc/ssl/certs/ca-certificates.crt && \
             $1 $< -o $@.new/kruntimes && chmod 755 $@.new/kruntimes && mv $@.new $@
build/image/amd64: build/musl/kruntimes FORCE
	$(call image-tree,strip)
build/image/arm64: build/arm64/kruntimes FORCE
	$(call image-tree,aarch64-linux-gnu-strip)
image: setup-image
	@for a in $(IMAGE_ARCHS); do $(MAKE) --no-print-directory build/image/$$a || exit; done
	@manifests/image.py build/kruntimes-image.tar $(IMAGE) $(foreach a,$(IMAGE_ARCHS),$a=build/image/$a)
clean:
	rm -rf build

FORCE:
.PHONY: analyze coverage all dev unit unit-musl fuzz fuzz-turns bench bench-artifacts bench-cli arm64 size deps setup setup-image setup-test demo test-build test test-long test-cluster lint bench-api bench-proto bench-first bench-cluster \
        generate golden install image clean FORCE
