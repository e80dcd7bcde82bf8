# For FreeBSD's make and GNU make alike. PREFIX decides where files go; the program itself looks for
# profiles below /usr/local.
PREFIX ?= /usr/local
INSTALL ?= install
CARGO ?= cargo

all: build

build:
	$(CARGO) build --release --locked

test:
	$(CARGO) test --locked

# 555, not 4555: this version serves root only.
install: build
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man5 \
	    $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/jailrun/profiles \
	    $(DESTDIR)$(PREFIX)/etc/jailrun/profiles
	$(INSTALL) -m 555 target/release/jailrun $(DESTDIR)$(PREFIX)/bin/jailrun
	$(INSTALL) -m 444 man/jailrun.toml.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	$(INSTALL) -m 444 man/jailrun.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	$(INSTALL) -m 444 profiles/*.toml $(DESTDIR)$(PREFIX)/share/jailrun/profiles/

clean:
	$(CARGO) clean

.PHONY: all build test install clean
