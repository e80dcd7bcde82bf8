# For FreeBSD's make and GNU make alike. PREFIX decides where files go; the programs look for profiles
# below the prefix that they were built for.
PREFIX ?= /usr/local
INSTALL ?= install
CARGO ?= cargo
BUILT ?= target/release
# Where `make run` installs, on FreeBSD: below /usr/local, since every directory above a profile has to
# be root's.
DEMO ?= /usr/local/jailrun-demo

all: build

build:
	JAILRUN_PREFIX=$(PREFIX) $(CARGO) build --release --locked

# Everything that runs here; on FreeBSD as root that is everything.
test:
	$(CARGO) test --locked

# The same tests on a FreeBSD host, from another system: see tools/run-on-freebsd.
test-freebsd:
	tools/cross test --locked -- --test-threads=1 --nocapture

# FreeBSD executables, on another system.
freebsd:
	tools/cross build --release --locked

install: build install-files

# What `build` left, or the cross-built programs in BUILT.
install-files:
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/etc/rc.d \
	    $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8 \
	    $(DESTDIR)$(PREFIX)/share/jailrun/profiles $(DESTDIR)$(PREFIX)/etc/jailrun/profiles
	$(INSTALL) -m 4555 $(BUILT)/jailrun $(DESTDIR)$(PREFIX)/bin/jailrun
	$(INSTALL) -m 555 $(BUILT)/jailrunctl $(DESTDIR)$(PREFIX)/sbin/jailrunctl
	$(INSTALL) -m 555 rc.d/jailrun $(DESTDIR)$(PREFIX)/etc/rc.d/jailrun
	$(INSTALL) -m 444 man/jailrun.toml.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	$(INSTALL) -m 444 man/jailrun.8 man/jailrunctl.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	$(INSTALL) -m 444 profiles/*.toml $(DESTDIR)$(PREFIX)/share/jailrun/profiles/
	$(INSTALL) -m 444 share/host.toml $(DESTDIR)$(PREFIX)/share/jailrun/

# Serves a directory through `jailrun www` until interrupted; elsewhere rehearses that launch.
run:
	DEMO=$(DEMO) CARGO=$(CARGO) tools/demo

bench:
	bench/run

clean:
	$(CARGO) clean

.PHONY: all build test test-freebsd freebsd install install-files run bench clean
