# SPDX-License-Identifier: GPL-2.0
#
# What a person does with this tree. How the module is compiled is in Kbuild; what
# the rig does is in scripts/, where each script says what it is for.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

# Which fuse.ko: `rust`, ours, or `c`, that of the same kernel tree.
MODULE ?= rust
KERNEL ?= lean

# A misspelt argument must not silently test something else.
known := MODULE KERNEL SUITE CASE CMD CHECK KDIR LLVM TRACE CELL BASE MODE PUBLISH MUTATE \
	INSTALL_MOD_PATH INSTALL_MOD_DIR INSTALL_MOD_STRIP
given := $(filter-out MAKEFLAGS SHELL,$(foreach v,$(.VARIABLES),$(if $(findstring command line,$(origin $v)),$v)))
unknown := $(filter-out $(known),$(given))
ifneq ($(unknown),)
$(error unknown argument $(unknown); `make help` lists them)
endif
ifeq ($(filter $(MODULE),rust c),)
$(error MODULE is rust or c, not '$(MODULE)')
endif
ifeq ($(filter $(KERNEL),lean debug),)
$(error KERNEL is lean or debug, not '$(KERNEL)')
endif

.PHONY: help
help:
	@sed -n 's/^## \?//p' $(firstword $(MAKEFILE_LIST))

## make run                  set up all that is missing, mount file systems served
##                           by this module in a virtual machine, look at them; with
##                           a terminal, end in a shell there
## make run CMD='ls -l'      run one command among the mounted file systems
## make lifecycle CMD='ls -la /mnt'   record a command on libfuse's passthrough_ll,
##                           mounted on /mnt in the guest, and make a page of the
##                           life of each request: build/lifecycle.html
## make lifecycle TRACE=FILE the same of a trace from elsewhere
## make test                 all checks (needs no terminal, no KVM)
## make test SUITE=libfuse   one suite: check, kunit, selftests, libfuse, names,
##                           data, lifecycle, model, virtiofs, vmock, run, bench; over io_uring:
##                           libfuse-ring, and, only by name, data-ring and selftests-ring;
##                           on virtiofs, only by name: data-virtiofs, names-virtiofs
## make test SUITE=selftests all of them on the debug kernel: an hour; among all suites
##                           all on the lean one, and a third on the debug one
## make test SUITE=libfuse CASE=mount/      some cases of a suite: those with this in
##                           their names, where * stands for anything
## make test SUITE=model MUTATE=1           whether the model notices what is taken away
##                           from the engine
## make test SUITE=data KERNEL=debug        a tenth of that suite, on the debug kernel (or SUITE=virtiofs, vmock: all)
## make check                what needs no boot: format, lints, layers, ...
## make check CHECK=layers   one of them
## make bench                what operations cost, ours against C, in instructions;
##                           see Documentation/performance.rst
## make bench CELL='read-4k-*'   some cells of the table
## make bench BASE=HEAD~3    our module against itself as it was
## make bench MODE=wall      by the clock, on a quiet machine
## make bench MODE=contend   what several processors do to each other, in counts
## make modules              fuse.ko for the test kernel (KERNEL=lean or debug)
## make modules KDIR=DIR     fuse.ko for your own kernel: DIR is the build directory
##                           of a 7.3 kernel with CONFIG_RUST=y; result in build/
## make modules_install KDIR=DIR   put it among the modules of that kernel, in
##                           $INSTALL_MOD_PATH/lib/modules
## make rust-analyzer        rust-project.json, by which an editor knows the module
##                           against the test kernel, or that in KDIR=DIR
## make rustdoc              the API of fs/vfs and fs/fuse as pages: build/rustdoc
## make shell                a shell with all tools (the build root)
## make clean                remove what was built of this checkout
## make distclean            remove the whole cache: build root, kernels, guest
##
## MODULE=c with run, lifecycle and test takes the C module of the same kernel instead.
## All is kept in ~/.cache/ferrofuse (or $FERROFUSE_CACHE), about 12 GiB. The host
## needs root or sudo, make and mmdebstrap, and a Debian archive in its apt sources.
## In the environment: FERROFUSE_MIRROR=URL is another archive; sources of your own are
## FERROFUSE_KERNEL_SOURCE and FERROFUSE_LIBFUSE_SOURCE, tar files or directories.

# The environment, not the command line, carries what a user wrote: it may hold
# quotes.
export CMD SUITE CASE CHECK TRACE CELL BASE MODE PUBLISH MUTATE

.PHONY: run
run:
	@if [ -n "$$CMD" ]; then scripts/run --module $(MODULE) -- "$$CMD"; \
	else scripts/run --module $(MODULE); fi

.PHONY: lifecycle
lifecycle:
	@if [ -n "$$CMD" ] && [ -z "$$TRACE" ]; then scripts/lifecycle --module $(MODULE) -- "$$CMD"; \
	elif [ -n "$$TRACE" ] && [ -z "$$CMD" ]; then scripts/lifecycle "$$TRACE"; \
	else echo "error: give CMD='...', to be recorded, or TRACE=FILE" >&2; exit 2; fi

.PHONY: test
test:
	@scripts/test --module $(MODULE) --kernel $(KERNEL) $${SUITE:+--suite "$$SUITE"} $${CASE:+--case "$$CASE"} \
		$${MUTATE:+--mutate "$$MUTATE"}

.PHONY: check
check:
	@scripts/check $$CHECK >/dev/null

.PHONY: bench
bench:
	@scripts/bench $${CELL:+--cell "$$CELL"} $${BASE:+--base "$$BASE"} $${MODE:+--mode "$$MODE"} $${PUBLISH:+--publish}

.PHONY: shell
shell:
	@scripts/inroot

.PHONY: modules modules_install rust-analyzer rustdoc
ifdef KDIR
# Objects go to build/, so that the sources stay clean. A kernel built with clang
# wants its modules built with clang.
kbuild = $(MAKE) -C "$(KDIR)" M=$(CURDIR) MO=$(CURDIR)/build \
	$(if $(LLVM),,$(if $(shell grep -sx CONFIG_CC_IS_CLANG=y "$(KDIR)/include/config/auto.conf"),LLVM=1))

.PHONY: kdir
kdir:
	@fail() { echo "error: $$*" >&2; exit 1; }; config=$$(printf '%s' "$(KDIR)/include/config/auto.conf"); \
	[ -e "$$config" ] || fail "$(KDIR) is not the build directory of a configured kernel"; \
	grep -qx CONFIG_RUST=y "$$config" || fail "the kernel in $(KDIR) was built without CONFIG_RUST=y"; \
	! grep -qx CONFIG_FUSE_FS=y "$$config" || \
		fail "the kernel in $(KDIR) has FUSE built in; it needs CONFIG_FUSE_FS=m, or none"; \
	release=$$(cat "$(KDIR)/include/config/kernel.release" 2>/dev/null); \
	case $$release in 7.3 | 7.3[!0-9]*) ;; *) \
		fail "the kernel in $(KDIR) is $${release:-not built}; this is for Linux 7.3" ;; esac
	@mkdir -p build

modules: kdir
	$(kbuild) modules
modules_install: kdir
	@[ -e build/fuse.ko ] || { echo "error: fuse.ko is not built: run make modules KDIR=$(KDIR)" >&2; exit 1; }
	$(kbuild) modules_install
rust-analyzer: modules
	@$(kbuild) rust-analyzer
	@scripts/crate rust-analyzer --objects build --output rust-project.json
rustdoc: modules
	@scripts/crate rustdoc --objects build --output build/rustdoc
else
modules:
	@scripts/module $(KERNEL)
modules_install:
	@echo "error: give KDIR=DIR, the build directory of the kernel that is to have the module" >&2; exit 2
rust-analyzer:
	@scripts/editor rust-analyzer $(KERNEL)
rustdoc:
	@scripts/editor rustdoc $(KERNEL)
endif

.PHONY: clean
clean:
	@scripts/clean
	@rm -rf build

.PHONY: distclean
distclean:
	@scripts/clean --all
	@rm -rf build
