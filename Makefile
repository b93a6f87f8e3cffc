# neap. `make run` is all a user needs; `make help` lists the rest.
#
# Variables: CC=clang, V=1 (whole command lines), WERROR=1, CFLAGS, PREFIX, DESTDIR,
# JOBS (compilers at once), TESTS=<part of a test's name>, FUZZ_SECONDS.

ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 30
ARCH := $(shell uname -m)

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.PHONY: all run deps deps-test deps-bench test check unit deep bench bench-quick fuzz \
	asan tsan layers docs lint format install clean help FORCE
all: build/neap

# --- sources and libraries -----------------------------------------------------------

SRC := $(wildcard host/*.c host/*/*.c)
UNITS := $(patsubst tests/c/%.c,%,$(wildcard tests/c/*_test.c))
UNIT_SUPPORT := $(filter-out %_test.c,$(wildcard tests/c/*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*_fuzz.c))

PACKAGES := luajit libevent_core libevent_pthreads libcurl openssl libsodium lmdb libzstd \
	zlib libbrotlidec sqlite3 yaml-0.1
PACKAGE_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PACKAGE_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)

# Debian 12 has llhttp only as C sources (package node-llhttp), later ones as a library.
LLHTTP := $(wildcard /usr/share/llhttp/*.c)
ifneq ($(LLHTTP),)
PACKAGE_CFLAGS += -isystem /usr/share/include/llhttp
else
PACKAGE_LIBS += -lllhttp
endif

# --- flags ---------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla -Wformat=2 \
	-Wimplicit-fallthrough -Wconversion -Wno-sign-conversion
ifneq ($(filter 1 true,$(WERROR) $(CI)),)
WARNINGS += -Werror
endif
DIALECT := -std=c11 -D_GNU_SOURCE -Ihost -pthread
LIBS = $(PACKAGE_LIBS) -pthread -ldl -lm

HARDENING := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fPIE
HARDENING_LINK := -pie -Wl,-z,relro,-z,now,-z,noexecstack
ifeq ($(ARCH),x86_64)
HARDENING += -fstack-clash-protection -fcf-protection
else ifeq ($(ARCH),aarch64)
HARDENING += -mbranch-protection=standard
endif

# All libraries' functions are bound at the start (-z now): calling them through their
# addresses, without a jump on the way, saves a request 6 % of its instruction-cache misses.
BINDING := -fno-plt

# What is small and called for each request becomes a part of the program, where its package
# has it as an archive too: 2 % of a request's time.
BOUND := luajit-5.1 event_pthreads event_core sodium lmdb
ARCHIVES := $(foreach lib,$(BOUND),$(filter /%,$(shell $(CC) -print-file-name=lib$(lib).a)))


# NEAP_SANITIZE: memory comes from malloc alone, which the sanitizers watch. Fortified
# calls would hide errors from them.
SANITIZE := -O1 -g -fno-omit-frame-pointer -DNEAP_SANITIZE
ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN := -fsanitize=thread

Q := $(if $(V),,@)
say = @printf '  %-5s %s\n'

# --- flavours ------------------------------------------------------------------------
#
# A flavour is the program and its tests compiled in one way, in folders of its own.
# $(call flavour,suffix,compiler,flags of compiling and linking,flags of linking)
# Tests take the host's objects from an archive, so that a test gets just the modules
# that it calls and may put a fake in the place of one.

define flavour
build/obj$(1)/%.o: %.c build/obj$(1)/flags
	$$(say) CC $$<
	@mkdir -p $$(@D)
	$$(Q)$(2) $$(DIALECT) $$(PACKAGE_CFLAGS) $(3) $$(WARNINGS) -MMD -MP -c -o $$@ $$<

# Other people's C is compiled without our warnings.
build/obj$(1)/llhttp/%.o: /usr/share/llhttp/%.c build/obj$(1)/flags
	$$(say) CC $$<
	@mkdir -p $$(@D)
	$$(Q)$(2) $$(PACKAGE_CFLAGS) $(3) -w -c -o $$@ $$<

# Changes when the compiler or its flags change, and all objects with it.
build/obj$(1)/flags: FORCE
	@mkdir -p $$(@D)
	@echo '$(2) $$(DIALECT) $$(PACKAGE_CFLAGS) $(3) $$(WARNINGS)' | cmp -s - $$@ || \
	echo '$(2) $$(DIALECT) $$(PACKAGE_CFLAGS) $(3) $$(WARNINGS)' > $$@

OBJ$(1) := $(SRC:%.c=build/obj$(1)/%.o) \
	$(patsubst /usr/share/llhttp/%.c,build/obj$(1)/llhttp/%.o,$(LLHTTP))
build/neap$(1): $$(OBJ$(1))
	$$(say) LINK $$@
	$$(Q)$(2) $(3) $(4) -Wl,--as-needed -o $$@ $$^ $$(BOUND_ARCHIVES) $$(LIBS)

build/obj$(1)/host.a: $$(filter-out %/host/main.o,$$(OBJ$(1)))
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^

build/test$(1)/%: build/obj$(1)/tests/c/%.o \
		$(UNIT_SUPPORT:%.c=build/obj$(1)/%.o) build/obj$(1)/host.a
	$$(say) LINK $$@
	@mkdir -p $$(@D)
	$$(Q)$(2) $(3) $(4) -Wl,--as-needed -o $$@ $$^ -lcmocka $$(LIBS)

-include $(patsubst %.c,build/obj$(1)/%.d,$(SRC) $(wildcard tests/c/*.c tests/fuzz/*.c))
endef

$(eval $(call flavour,,$(CC),$(CFLAGS) $(HARDENING) $(BINDING),$(HARDENING_LINK) $(LDFLAGS)))
build/neap: BOUND_ARCHIVES := $(ARCHIVES)
$(eval $(call flavour,-asan,$(CC),$(SANITIZE) $(ASAN),))
$(eval $(call flavour,-tsan,clang,$(SANITIZE) $(TSAN),))
$(eval $(call flavour,-fuzz,clang,$(SANITIZE) $(ASAN) -fsanitize=fuzzer-no-link,))

# A fuzz target twice: with libFuzzer, and with a main of its own that replays the corpus.
build/fuzz/%_fuzz: build/obj-fuzz/tests/fuzz/%_fuzz.o build/obj-fuzz/host.a
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)clang $(SANITIZE) $(ASAN) -fsanitize=fuzzer -Wl,--as-needed -o $@ $^ $(LIBS)

build/test-asan/%_fuzz: build/obj-asan/tests/fuzz/%_fuzz.o \
		build/obj-asan/tests/fuzz/replay.o build/obj-asan/host.a
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) $(ASAN) -Wl,--as-needed -o $@ $^ $(LIBS)

# The benchmark's own upstream and load client know nothing of the host; what measures
# storage is linked with it.
BENCH := $(patsubst tests/bench/%.c,build/bench/%,$(wildcard tests/bench/*.c))
build/bench/journal_fill build/bench/journal_pages: build/bench/%: \
		build/obj/tests/bench/%.o build/obj/host.a
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(HARDENING_LINK) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(LIBS)

build/bench/%: tests/bench/%.c $(wildcard tests/bench/*.h)
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 -g $(WARNINGS) -o $@ $< -lssl -lcrypto \
		-pthread -lm

.SECONDARY: # what a pattern made on the way to a program is kept
FORCE:

# The first thing that any compiling needs: says what to do instead of a hundred errors.
ifeq ($(shell pkg-config --exists $(PACKAGES) && echo yes),)
build/obj/flags build/obj-asan/flags: no-libraries
no-libraries:
	$(error libraries are missing: run `make deps` first)
endif

# --- running -------------------------------------------------------------------------

# What deps installs decides the variables above, so whoever installs calls make anew.
again = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(JOBS))

run: deps ## install what is missing, build, serve on 127.0.0.1:8080
	@$(again) build/neap
	@test -e router.lua || cp router.lua.example router.lua
	@exec build/neap serve

deps: ## install the Debian packages that running needs
	@tools/deps run
deps-test: deps ## the same for the tests and lint; Node 22 and npm packages too
	@tools/deps test
	@tools/deps-npm
deps-bench: deps ## the same for the benchmark
	@tools/deps bench

install: build/neap ## into $(DESTDIR)$(PREFIX)
	install -D -m 755 build/neap $(DESTDIR)$(PREFIX)/bin/neap
	find $(wildcard lua policies admin) -type f ! -path 'admin/test/*' \
		\( ! -name '*_test.lua' -o -path 'policies/cookbook/*' \) \
		-exec install -D -m 644 {} $(DESTDIR)$(PREFIX)/share/neap/{} \;

clean: ## remove what was built (build/tools stays)
	rm -rf $(filter-out build/tools,$(wildcard build/*))

# --- tests ---------------------------------------------------------------------------

UNITS_ASAN := $(addprefix build/test-asan/,$(UNITS) $(FUZZERS))
UNITS_TSAN := $(addprefix build/test-tsan/,$(UNITS))
run_tests = TESTS='$(TESTS)' tools/run-tests

test: deps-test ## all tests in their short form
	@$(again) check

# The same without asking for packages. C units run under ASan and UBSan.
check: build/neap $(UNITS_ASAN)
	@$(run_tests) build/neap build/test-asan build/test

unit: $(UNITS_ASAN) ## the C units only
	@$(run_tests) - build/test-asan build/test

asan tsan: export NEAP_SLACK ?= 10

asan: build/neap-asan $(UNITS_ASAN) ## the suite under ASan and UBSan
	@$(run_tests) build/neap-asan build/test-asan build/test-asan

tsan: build/neap-tsan $(UNITS_TSAN) ## the suite under TSan (clang)
	@$(run_tests) build/neap-tsan build/test-tsan build/test-tsan

fuzz: $(addprefix build/fuzz/,$(FUZZERS)) ## each fuzz target for FUZZ_SECONDS
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tools/fuzz $^

deep: deps-test ## everything in full: full figures, sanitizers, fuzzing
	@$(again) build/neap build/neap-asan build/neap-tsan $(UNITS_ASAN) \
		$(UNITS_TSAN) $(addprefix build/fuzz/,$(FUZZERS))
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tools/deep

bench: deps-bench ## the full benchmark
	@$(again) build/neap $(BENCH)
	@tests/bench/run
bench-quick: deps-bench ## the benchmark's short form
	@$(again) build/neap $(BENCH)
	@tests/bench/run --quick

# --- the look of the source ----------------------------------------------------------

C_FILES := $(wildcard host/*.[ch] host/*/*.[ch] tests/c/*.[ch] tests/fuzz/*.[ch] \
	tests/bench/*.[ch])
LUA_FILES := $(wildcard lua admin tests/lua tests/policies tests/dialects tests/bench/*.lua \
	router.lua.example)

layers: ## does every include and require point down?
	@tools/layers

docs: build/neap ## the table of routes in docs/api.md, from the OpenAPI document
	@build/neap openapi >build/openapi.json
	@tools/with-node tools/api-routes.mjs build/openapi.json docs/api.md

lint: layers build/neap ## clang-format, luacheck, cppcheck, clang-tidy, redocly
	clang-format --dry-run -Werror $(C_FILES)
	luacheck --no-color --quiet $(LUA_FILES)
	luacheck --no-color --quiet --config policies/.luacheckrc policies
	tools/lint-api build/neap
	cppcheck --quiet --std=c11 --enable=warning,performance,portability \
		--inconclusive --inline-suppr --error-exitcode=1 \
		--suppressions-list=tools/cppcheck.suppress \
		-D_GNU_SOURCE -Ihost -j2 $(SRC)
	@printf '%s\n' $(SRC) | xargs -P $(JOBS) -n 4 sh -c \
		'clang-tidy --quiet "$$@" -- $(DIALECT) $(PACKAGE_CFLAGS)' tidy

format: ## rewrite the C files with clang-format
	clang-format -i $(C_FILES)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
