# For FreeBSD's make and GNU make alike; cargo does the building.
#
# PREFIX is where files go, and below it the programs look for profiles: it is compiled in, and nothing at
# run time changes it. DESTDIR is put before it when files are installed, for packages.
PREFIX ?= /usr/local
CARGO ?= cargo
INSTALL ?= install
# What `install-files` takes the programs from. Cross-built: BUILT=target/x86_64-unknown-freebsd/release
BUILT ?= target/release
# What writes the completions of shells, which are made from its grammar. Where BUILT's can't run, one that was
# built for this system: CTL=target/release/jailrunctl
CTL ?= $(BUILT)/jailrunctl
# Only root can give files away; a package's staging area says whose they are elsewhere.
OWNER != test "$$(id -u)" != 0 || echo "-o 0 -g 0"
# Where `make run` installs on FreeBSD. It is below /usr/local, since every directory above a profile has
# to be root's, and it is no working installation's.
DEMO ?= /usr/local/jailrun-demo

all: build

build:
	JAILRUN_PREFIX="$(PREFIX)" $(CARGO) build --release --locked --workspace

# Everything that can run here; on FreeBSD, as root, that is everything.
test:
	$(CARGO) test --locked --workspace $(TESTFLAGS)

# Serves a directory through `jailrun www` until interrupted; elsewhere rehearses that launch.
run:
	DEMO="$(DEMO)" CARGO="$(CARGO)" MAKE="$(MAKE)" BUILT="$(BUILT)" tools/demo

# From another system: FreeBSD executables, in target/x86_64-unknown-freebsd/release.
freebsd:
	JAILRUN_PREFIX="$(PREFIX)" tools/cross build --release --locked --workspace

# From another system: the tests that rest on FreeBSD's kernel or files, on a FreeBSD host. How it is
# reached is told by tools/run-on-freebsd; all others run the same there, and slower. real_reboot isn't among
# them: it takes two runs with a reboot between them.
test-freebsd:
	tools/cross build --locked -p jailrun-preopen
	tools/cross test --locked --no-fail-fast --test conformance --test freebsd_kernel --test real --test cli \
	    --test real_attest --test real_capsicum --test real_daemons --test real_root --test real_wrap \
	    --test package --test rc -- --test-threads=1 --nocapture --skip rehearses
	tools/cross test --locked -p jailrun-preopen --test kernel -- --test-threads=1 --nocapture

# Launches against the least that they could cost and against jail(8); from another system, on that host.
bench:
	if [ "$$(uname -s)" = FreeBSD ]; then set -- $(CARGO); else set -- tools/cross; fi && \
	    export JAILRUN_PREFIX="$(PREFIX)" && "$$1" build --release --locked && "$$1" run --release --locked --example bench

# nginx and redis in capability mode beside the same ones bare, where they are installed on that host.
bench-daemons:
	if [ "$$(uname -s)" = FreeBSD ]; then set -- $(CARGO); else set -- tools/cross; fi && \
	    export JAILRUN_PREFIX="$(PREFIX)" && "$$1" build --release --locked --workspace && \
	    "$$1" run --release --locked --example bench -- daemons

install: build install-files

MAN5 = $(DESTDIR)$(PREFIX)/share/man/man5
MAN7 = $(DESTDIR)$(PREFIX)/share/man/man7
MAN8 = $(DESTDIR)$(PREFIX)/share/man/man8
SHARE = $(DESTDIR)$(PREFIX)/share/jailrun
BASH = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
FISH = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
ZSH = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
STAGE = target/stage

# Manual pages and scripts name the prefix that they are installed to. port/pkg-plist has the same files.
install-files:
	for file in jailrun jailrunctl libjailrun_preopen.so; do \
	    [ -f $(BUILT)/$$file ] && continue; \
	    echo "$(BUILT)/$$file isn't there: make builds it; make freebsd does on another system, and" \
		"BUILT=DIRECTORY names where it is then" >&2; exit 1; \
	done
	mkdir -p $(STAGE)
	for file in man/* rc.d/*; do \
	    sed -e 's|/usr/local/etc/jailrun|$(PREFIX)/etc/jailrun|g' \
		-e 's|/usr/local/share/jailrun|$(PREFIX)/share/jailrun|g' \
		-e 's|/usr/local/libexec/jailrun|$(PREFIX)/libexec/jailrun|g' \
		-e 's|^jailrun_prefix=.*|jailrun_prefix="$(PREFIX)"|' $$file >$(STAGE)/$${file##*/} || exit 1; \
	done
	for file in share/offer share/pkg/triggers/jailrun.ucl; do \
	    sed -e 's|"/usr/local|"$(PREFIX)|g' $$file >$(STAGE)/$${file##*/} || exit 1; \
	done
	for shell in bash fish zsh; do $(CTL) completions $$shell >$(STAGE)/complete.$$shell || exit 1; done
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/etc/rc.d \
	    $(DESTDIR)$(PREFIX)/etc/jailrun/profiles $(SHARE)/profiles $(MAN5) $(MAN7) $(MAN8) \
	    $(DESTDIR)$(PREFIX)/share/pkg/triggers $(DESTDIR)$(PREFIX)/etc/newsyslog.conf.d \
	    $(DESTDIR)$(PREFIX)/etc/syslog.d $(DESTDIR)$(PREFIX)/lib/jailrun $(BASH) $(FISH) $(ZSH)
	$(INSTALL) $(OWNER) -m 4555 $(BUILT)/jailrun $(DESTDIR)$(PREFIX)/bin/jailrun
	$(INSTALL) $(OWNER) -m 555 $(BUILT)/jailrunctl $(DESTDIR)$(PREFIX)/sbin/jailrunctl
	$(INSTALL) $(OWNER) -m 444 $(BUILT)/libjailrun_preopen.so $(DESTDIR)$(PREFIX)/lib/jailrun/
	$(INSTALL) $(OWNER) -m 555 $(STAGE)/jailrun $(DESTDIR)$(PREFIX)/etc/rc.d/jailrun
	$(INSTALL) $(OWNER) -m 444 $(STAGE)/jailrun.toml.5 $(MAN5)/
	$(INSTALL) $(OWNER) -m 444 $(STAGE)/jailrun_preopen.7 $(MAN7)/
	$(INSTALL) $(OWNER) -m 444 $(STAGE)/jailrun.8 $(STAGE)/jailrunctl.8 $(MAN8)/
	$(INSTALL) $(OWNER) -m 444 profiles/*.toml $(SHARE)/profiles/
	$(INSTALL) $(OWNER) -m 444 share/*.toml $(SHARE)/
	$(INSTALL) $(OWNER) -m 444 $(STAGE)/jailrun.subr $(SHARE)/
	$(INSTALL) $(OWNER) -m 555 $(STAGE)/offer $(SHARE)/offer
	$(INSTALL) $(OWNER) -m 444 $(STAGE)/jailrun.ucl $(DESTDIR)$(PREFIX)/share/pkg/triggers/
	$(INSTALL) $(OWNER) -m 444 $(STAGE)/complete.bash $(BASH)/jailrunctl
	$(INSTALL) $(OWNER) -m 444 $(STAGE)/complete.fish $(FISH)/jailrunctl.fish
	$(INSTALL) $(OWNER) -m 444 $(STAGE)/complete.zsh $(ZSH)/_jailrunctl
	for log in newsyslog.conf syslog; do \
	    $(INSTALL) $(OWNER) -m 644 share/$${log%.conf}/jailrun.conf \
		$(DESTDIR)$(PREFIX)/etc/$$log.d/jailrun.conf.sample || exit 1; \
	done

clean:
	$(CARGO) clean

.PHONY: all build test run freebsd test-freebsd bench bench-daemons install install-files clean
