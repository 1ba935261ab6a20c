#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# deps.sh: third-party libraries, built statically from pinned and verified
# Debian source packages; nothing is vendored and no root is needed.
#
#   deps.sh path FLAVOUR          the prefix (include/, lib/) of a flavour
#   deps.sh build FLAVOUR         build it there
#   deps.sh env FLAVOUR           compiler and flags for the program, as make variables
#   deps.sh fetch [DIR]           download and check all sources; with DIR copy them there
#   deps.sh unpack NAME DIR       unpack one source package, patched
#   deps.sh clean                 remove what belongs to other versions of the recipe
#
# Flavours:
#   musl    the release: musl, this machine's processor, static-pie
#   arm64   the same for aarch64 with a cross compiler
#   dev     the host's C library, gcc -O1 -g, for the sanitized builds and gdb
#
# Environment: KR_CACHE (default ${XDG_CACHE_HOME:-~/.cache}/kruntimes), JOBS,
# DEPS_SRC (a folder with the source packages, for machines without apt or a
# mirror), DEPS_SUITES (Debian suites in order of preference), DEPS_LATER
# (suites to look in when those no longer have a package).
#
# The one idea: a prefix lies outside the tree under a key made of everything
# that shapes it (this folder, compiler, settings). Clones and worktrees share
# it, a changed recipe gets a new place, and a lock lets two builds start at once.
#
# Trust: apt checks the archive's signature and every digest of the index;
# deps.lock pins each upstream tarball on top; dpkg-source checks its own sums.
# With DEPS_SRC, deps.lock and the .dsc's sums are the check.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${KR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/kruntimes}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac
root=$cache/deps
dl=$cache/src                     # source packages, one folder each
suites=${DEPS_SUITES:-"trixie trixie-updates trixie-security bookworm"}
later=${DEPS_LATER-"forky sid"}
jobs=${JOBS:-$(nproc)}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
apt=$cache/apt
libraries="mbedtls cjson nanopb libyaml lmdb zlib libgit2"
export LC_ALL=C TZ=UTC0
umask 022

say() { printf 'deps: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# ---------------------------------------------------------------- flavours

flavour() {   # name -> libc realcc arch opt ar key prefix work
    name=$1
    case $name in
    musl)  libc=musl realcc=gcc arch=$(uname -m) ;;
    arm64) libc=musl realcc=aarch64-linux-gnu-gcc arch=aarch64 ;;
    dev)   libc=host realcc=gcc arch=$(uname -m) ;;
    *)     die "unknown flavour \"$name\" (musl, arm64, dev)" ;;
    esac
    if [ "$libc" = musl ]; then
        opt="-Os -g0 -fPIE -ffunction-sections -fdata-sections -fstack-protector-strong -fno-plt -fno-asynchronous-unwind-tables"
    else
        opt="-O1 -g -fPIE -fno-omit-frame-pointer"
    fi
    ar=${realcc%gcc}gcc-ar
    key=$({ cat "$here/deps.sh" "$here/deps.lock" "$here"/*.[ch]
            echo "$name $arch"; "$realcc" --version 2>/dev/null; } | sha256sum | cut -c1-16)
    prefix=$root/$name-$key
    work=$root/work-$name-$key
    CFLAGS="$opt -ffile-prefix-map=$work=deps -ffile-prefix-map=$here=deps"
    if [ "$libc" = musl ]; then CC=$prefix/bin/cc; else CC=$realcc; fi
}

# ---------------------------------------------------------------- fetch

# The mirror in use, as deb822 (*.sources) or one-line (*.list) files name it.
mirror() {
    cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list \
        /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -n -E 's,^(URIs:[[:space:]]*|deb[[:space:]]+(\[[^]]*\][[:space:]]+)?)([^[:space:]]*/debian)/?([[:space:]].*)?$,\3,p' |
    head -n 1
}

# Package lists of our own, so that nothing under /etc or /var changes. The
# machine's other settings (proxy, credentials) still hold.
apt_setup() {
    command -v apt-get >/dev/null || die "no apt-get here: give the source packages with DEPS_SRC=DIR (\"deps.sh fetch DIR\" on another machine fills one)"
    [ -e "$keyring" ] || die "no $keyring (install debian-archive-keyring)"
    uri=$(mirror)
    [ -n "$uri" ] || die "no Debian mirror found under /etc/apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    for s in $suites; do
        case $s in *-security) u=$uri-security ;; *) u=$uri ;; esac
        echo "deb-src [signed-by=$keyring] $u $s main"
    done >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$apt/lists/";
Dir::Cache "$apt/cache/";
APT::Sandbox::User "";
CONF
    export APT_CONFIG="$apt/apt.conf"
    apt-get -qq -o Acquire::Retries=3 update >"$apt/update.log" 2>&1 ||
        say "not every package list could be fetched (see $apt/update.log)"
}

# Versions of source package $1, one per line, in the order of the suites.
versions() {
    apt-cache showsrc --only-source "$1" 2>/dev/null |
        sed -n 's/^Version: //p' | awk '!seen[$0]++'
}

upstream() { v=${1#*:}; case $v in *-*) v=${v%-*} ;; esac; printf '%s\n' "$v"; }

tarball() { ls "$1"/*.orig.tar.?z* 2>/dev/null | grep -v '\.asc$' | head -n 1; }

# The version that the lock names must have its digest; any other version has
# apt's word alone, which is why DEPS_SRC may not bring one.
check() {   # name tarball
    have=$(sha256sum "$2" | cut -d' ' -f1)
    base=${2##*/}; base=${base#"$1"_}; base=${base%.orig.tar.*}
    if [ "$base" = "$want" ]; then
        [ "$have" = "$sum" ] || die "$1 $base: sha256 $have, but deps.lock has $sum"
    elif [ -n "${DEPS_SRC:-}" ]; then
        die "$1: \"$DEPS_SRC\" has $base, but deps.lock names $want"
    else
        say "NOTE: $1 $base instead of $want; to pin it: $1 $base $series $have"
    fi
}

# Nothing of a failed attempt may stay, least of all a .dsc without its patches.
try_full() { (cd "$d" && rm -f -- *.* && apt-get -qq source --download-only --only-source "$1=$2" >apt.log 2>&1); }
try_tar() { (cd "$d" && rm -f -- *.* && apt-get -qq source --download-only --tar-only --only-source "$1=$2" >apt.log 2>&1); }

# Debian's patches to these are security fixes: never without them.
bare_ok() { case $1 in musl|cjson|libgit2) return 1 ;; esac; }

# The pinned release with Debian's patches; then without them (mirrors do drop
# a .dsc before its tarball); then another release of the same series.
find_one() {   # name
    same='' other=''
    for v in $(versions "$1"); do
        u=$(upstream "$v")
        if [ "$u" = "$want" ]; then same="$same $v"
        else case $u in $series) other="$other $v" ;; esac
        fi
    done
    for v in $same; do
        if try_full "$1" "$v"; then got "$1" "$v" ''; return 0; fi
    done
    for v in $same; do
        if bare_ok "$1" && try_tar "$1" "$v"; then got "$1" "$v" ' (upstream tarball only)'; return 0; fi
    done
    for v in $other; do
        if try_full "$1" "$v"; then got "$1" "$v" ''; return 0; fi
        if bare_ok "$1" && try_tar "$1" "$v"; then got "$1" "$v" ' (upstream tarball only)'; return 0; fi
    done
    return 1
}

got() {   # name version remark
    check "$1" "$(tarball "$d")"
    printf '%s %s%s\n' "$1" "$2" "$3" >"$d/.ok"
    say "fetched $1 $2$3"
}

# From a folder: the tarball, and .dsc with its patches when they lie there too.
from_folder() {   # name
    t=$(ls "$DEPS_SRC/$1_$want".orig.tar.?z* 2>/dev/null | grep -v '\.asc$' | head -n 1)
    [ -n "$t" ] || die "$1: no $1_$want.orig.tar.* in \"$DEPS_SRC\""
    set -- "$1" "$t" "$DEPS_SRC/$1_$want"*.dsc
    [ -e "$3" ] || bare_ok "$1" || die "$1: no .dsc in \"$DEPS_SRC\": its patches are security fixes"
    cp "$DEPS_SRC/$1_$want"[.-]* "$d/"
    v=$want; remark=' (upstream tarball only)'
    if [ -e "$3" ]; then v=$(sed -n 's/^Version: //p' "$3" | head -n 1) remark=''; fi
    got "$1" "$v" "$remark"
}

lock_line() {   # name -> want series sum, d
    set -- "$1" $(awk -v n="$1" '$1 == n { print $2, $3, $4 }' "$here/deps.lock")
    [ $# = 4 ] || die "deps.lock has no line for \"$1\""
    want=$2 series=$3 sum=$4
    d=$dl/$1-$(printf %s "$sum" | cut -c1-12)
}

fetch_one() {   # name
    lock_line "$1"
    if [ -e "$d/.ok" ]; then check "$1" "$(tarball "$d")"; return; fi
    rm -rf "$d"; mkdir -p "$d"
    if [ -n "${DEPS_SRC:-}" ]; then from_folder "$1"; return; fi
    [ -n "${apt_ready:-}" ] || { apt_setup; apt_ready=1; }
    if find_one "$1"; then return; fi
    if [ -n "$later" ]; then
        say "$1: not in $suites; looking in $later too"
        suites="$suites $later" later=''
        apt_setup
        if find_one "$1"; then return; fi
    fi
    die "$1: no release $want or $series could be downloaded from $suites (see $d/apt.log)"
}

all_packages() { awk '/^[a-z]/ { print $1 }' "$here/deps.lock"; }

unpack_to() {   # name directory
    fetch_one "$1"
    mkdir -p "$(dirname "$2")"
    set -- "$1" "$2" "$d"/*.dsc
    if [ -e "$3" ]; then
        dpkg-source --no-copy -x "$3" "$2" >"$2.log" 2>&1 || die "$1: see $2.log"
    else
        rm -rf "$2.tmp"; mkdir -p "$2.tmp"
        tar -xf "$(tarball "$d")" -C "$2.tmp" --strip-components=1
        mv "$2.tmp" "$2"
    fi
}

unpack() {   # name -> src
    src=$work/src/$1
    [ ! -d "$src" ] || return 0
    unpack_to "$1" "$src"
    cat "$d/.ok" >>"$work/src/versions"
}

# ---------------------------------------------------------------- build

# Compiles the given C files, several at once, into lib$1.a.
archive() {   # name flags... -- files...
    lib=$1; shift
    obj=$work/obj/$lib; rm -rf "$obj"; mkdir -p "$obj" "$prefix/lib"
    opts=''
    while [ "$1" != -- ]; do opts="$opts $1"; shift; done
    shift
    for f do printf '%s\0%s\0' "$f" "$obj/$(printf %s "${f%.c}" | sed "s,^$work/src/,,; s,^$here/,,; s,/,_,g").o"; done |
        xargs -0 -P "$jobs" -n 2 sh -c "$CC $CFLAGS -std=gnu11 -w -D_GNU_SOURCE $opts"' -I"'"$prefix"'/include" -c "$0" -o "$1" || exit 255' ||
        die "$lib: compilation failed"
    rm -f "$prefix/lib/lib$lib.a"
    "$ar" rcsD "$prefix/lib/lib$lib.a" "$obj"/*.o
    say "built lib$lib.a ($name)"
}

headers() {   # subdirectory files...
    to=$prefix/include/$1; shift
    mkdir -p "$to"; cp -R "$@" "$to/"
}

build_musl() {
    unpack musl
    rm -rf "$work/obj/musl"; mkdir -p "$work/obj/musl" "$prefix/bin"
    (
        cd "$work/obj/musl"
        "$src/configure" --prefix="$prefix" --syslibdir="$prefix/lib" \
            --disable-shared --enable-wrapper=gcc --enable-optimize=string,malloc --target="$arch-linux-musl" \
            CC="$realcc" AR="${realcc%gcc}ar" RANLIB="${realcc%gcc}ranlib" \
            CFLAGS="-Os -g0 -ffunction-sections -fdata-sections -fPIE -fstack-protector-strong -ffile-prefix-map=$work=deps" >configure.log
        make -j"$jobs" >make.log 2>&1
        make install >install.log 2>&1
    ) || die "musl: see $work/obj/musl"
    # Upstream's specs know no -static-pie (Debian's patch adds it).
    grep -q rcrt1 "$prefix/lib/musl-gcc.specs" ||
        sed -i -e "s,^%{!shared: \(.*\)/Scrt1.o},%{shared:;static-pie:\1/rcrt1.o; :\1/Scrt1.o}," \
               -e 's,%{static:-static},& %{static-pie:-static -pie --no-dynamic-linker},' \
            "$prefix/lib/musl-gcc.specs"
    printf '#!/bin/sh\nexec %s "$@" -specs "%s"\n' "$realcc" "$prefix/lib/musl-gcc.specs" >"$prefix/bin/cc"
    chmod +x "$prefix/bin/cc"
    # The kernel's user-space headers, from linux-libc-dev.
    for h in linux asm-generic asm; do
        for p in "/usr/$arch-linux-gnu/include" "/usr/include/$arch-linux-gnu" /usr/include; do
            [ -d "$p/$h" ] && { ln -sfn "$p/$h" "$prefix/include/$h"; break; }
        done
    done
    say "built musl's libc.a ($name)"
}

build_mbedtls() {
    unpack mbedtls
    headers . "$src/include/mbedtls" "$src/include/psa"
    cp "$here/mbedtls_config.h" "$prefix/include/mbedtls/mbedtls_config.h"
    # -O2: it is what moves bytes on every connection, and costs 50 kB. The processor's AES as intrinsics takes half the time of
    # the library's assembler; it goes on to ask the processor first, and no compiler makes these instructions of other code.
    aes=; [ "$arch" != x86_64 ] || aes="-maes -mpclmul"
    archive mbedtls $([ "$libc" = host ] || echo -O2) $aes -I"$src/library" -- \
        $(ls "$src"/library/*.c | grep -v -e /aesni.c) "$here/mbedtls_aesni.c" "$here/mbedtls_entropy.c"
}

build_cjson() {
    unpack cjson
    headers cjson "$src/cJSON.h"
    archive cjson -- "$src/cJSON.c"
}

build_nanopb() {
    unpack nanopb
    headers . "$src"/pb*.h
    archive nanopb $pb_defines -include "$here/nanopb_alloc.h" -- "$src"/pb_*.c
}

build_libyaml() {
    unpack libyaml
    headers . "$src/include/yaml.h"
    archive yaml -DYAML_VERSION_MAJOR=0 -DYAML_VERSION_MINOR=2 -DYAML_VERSION_PATCH=5 \
        '-DYAML_VERSION_STRING=\"0.2.5\"' -I"$src/include" -- "$src"/src/*.c
}

build_lmdb() {
    unpack lmdb
    headers . "$src/libraries/liblmdb/lmdb.h"
    archive lmdb $([ "$libc" = host ] || echo -O2) -- "$src"/libraries/liblmdb/mdb.c "$src"/libraries/liblmdb/midl.c
}

build_zlib() {
    unpack zlib
    headers . "$src/zlib.h" "$src/zconf.h"
    archive z -DHAVE_UNISTD_H -DHAVE_STDARG_H -D_LARGEFILE64_SOURCE=1 -DNO_GZIP_FILES -- \
        "$src"/adler32.c "$src"/crc32.c "$src"/deflate.c "$src"/inf*.c \
        "$src"/trees.c "$src"/zutil.c "$src"/compress.c "$src"/uncompr.c
}

# Without its transports and TLS: Git sources arrive through our own HTTP client, and no other scheme is in the binary.
build_libgit2() {
    unpack libgit2
    gen=$work/obj/libgit2-gen; mkdir -p "$gen/git2"
    cp "$here/git2_features.h" "$gen/"
    echo '/* no experimental features */' >"$gen/git2/experimental.h"
    headers . "$src/include/git2" "$src/include/git2.h"
    cp "$gen/git2/experimental.h" "$prefix/include/git2/"
    archive git2 -I"$gen" -I"$src/src/libgit2" -I"$src/src/util" -I"$src/include" -I"$src/deps/xdiff" \
        -DSHA1DC_NO_STANDARD_INCLUDES=1 '-DSHA1DC_CUSTOM_INCLUDE_SHA1_C=\"git2_util.h\"' \
        '-DSHA1DC_CUSTOM_INCLUDE_UBC_CHECK_C=\"git2_util.h\"' -DSHA1DC_FORCE_ALIGNED_ACCESS=1 -- \
        $(ls "$src"/src/libgit2/*.c | grep -v -e /transport.c) "$here/git2_transport.c" \
        "$src"/src/libgit2/transports/smart*.c "$src"/src/libgit2/transports/credential.c "$src"/src/libgit2/streams/*.c \
        "$src"/src/util/*.c "$src"/src/util/unix/*.c "$src"/src/util/allocators/*.c \
        "$src"/src/util/hash/collisiondetect.c "$src"/src/util/hash/sha1dc/*.c "$src"/src/util/hash/mbedtls.c \
        "$src"/deps/xdiff/*.c
}

# The library and whoever includes pb.h must agree on these.
pb_defines="-DPB_ENABLE_MALLOC=1"      # strings of strangers are looked at where they are used, not refused

# One builder at a time in the whole cache; the second finds the work done.
locked() {
    mkdir -p "$root" "$dl"
    exec 9>"$cache/lock"
    flock -n 9 || { say "waiting for another build of the libraries"; flock 9; }
}

build() {   # flavour
    flavour "$1"
    command -v "$realcc" >/dev/null || die "no compiler \"$realcc\""
    locked
    if [ ! -e "$prefix/.ok" ]; then
        rm -rf "$prefix" "$work"; mkdir -p "$prefix/lib" "$work"
        [ "$libc" = host ] || build_musl
        for l in $libraries; do "build_$l"; done
        cp "$work/src/versions" "$prefix/versions"
        touch "$prefix/.ok"
    fi
    rm -rf "$work"
}

# What the program's Makefile includes: DEPS_CC_x, DEPS_CFLAGS_x, DEPS_LIBS_x.
env_of() {
    flavour "$1"
    command -v "$realcc" >/dev/null || die "no compiler \"$realcc\" (make setup installs what is missing)"
    printf 'DEPS_DIR_%s := %s\nDEPS_CC_%s := %s\n' "$1" "$prefix" "$1" "$CC"
    printf 'DEPS_CFLAGS_%s := -isystem %s/include %s\n' "$1" "$prefix" "$pb_defines"
    printf 'DEPS_LIBS_%s := -L%s/lib -lgit2 -lmbedtls -lcjson -lnanopb -lyaml -llmdb -lz\n' "$1" "$prefix"
}

# Prefixes whose key no flavour of this recipe has (another clone may use them;
# it builds them again).
clean() {
    locked
    keep=' '
    for f in musl arm64 dev; do flavour "$f"; keep="$keep$prefix "; done
    for p in "$root"/*; do
        case $keep in *" $p "*) ;; *) [ -e "$p" ] && { rm -rf "$p"; say "removed $p"; } ;; esac
    done
}

case ${1:-} in
path) flavour "${2:?flavour}"; echo "$prefix" ;;
build) build "${2:?flavour}" ;;
env) env_of "${2:?flavour}" ;;
fetch)
    locked
    for p in $(all_packages); do
        fetch_one "$p"
        [ -z "${2:-}" ] || { mkdir -p "$2"; cp "$d"/*_* "$2/"; }
    done ;;
unpack) locked; unpack_to "${2:?name}" "${3:?directory}" ;;
clean) clean ;;
*) sed -n '4,28s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
