# Sourced: cargo makes static files from here on. A target is named, or build scripts and macros would be static as well,
# which they cannot be.
#
# Static by glibc, not musl: its memory allocator is the one that docs/performance.md measures, and musl's is slow for threads.
# Since glibc 2.34 names are resolved, by /etc/hosts and DNS, without any other file (tests/it/image.rs).
#
# RUSTFLAGS, where it is set, is all that cargo looks at.
CARGO_BUILD_TARGET=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_BUILD_TARGET
if [ -n "${RUSTFLAGS:-}" ]; then
  export RUSTFLAGS="$RUSTFLAGS -C target-feature=+crt-static"
else
  export "CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$CARGO_BUILD_TARGET")_RUSTFLAGS=-C target-feature=+crt-static"
fi
