#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# packages.sh build|test|image-ARCH|analyze|libfuzzer|bench-proto|cluster: what this machine must have, beyond make. Root gets it
# installed; anybody else gets the line to run. Where everything is there
# (looked for by command or file, so any distribution will do) it says nothing.
set -eu

need=''
has() {   # package, command or /file
    case $2 in
    /*) [ -e "$2" ] ;;
    *)  PATH=$PATH:/usr/sbin:/sbin command -v "$2" >/dev/null ;;
    esac || need="$need $1"
}

for what do
    case $what in
    build)
        has gcc gcc
        has libc6-dev /usr/include/stdio.h
        has linux-libc-dev /usr/include/linux/limits.h
        has binutils strip
        has util-linux flock
        has dpkg-dev dpkg-source
        has patch patch
        has xz-utils xz
        has bzip2 bzip2
        has diffutils cmp
        command -v apt-get >/dev/null && has debian-archive-keyring /usr/share/keyrings/debian-archive-keyring.gpg ;;
    image-amd64 | image-arm64)
        has python3 python3
        has ca-certificates "${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}"
        if [ "$what" = image-arm64 ]; then
            has gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
            has libc6-dev-arm64-cross /usr/aarch64-linux-gnu/include/stdio.h
        fi ;;
    test)
        has bash bash
        has python3 python3
        has openssl openssl
        has git git
        has procps ps ;;
    analyze)
        has python3 python3
        has clang-tidy clang-tidy
        has cppcheck cppcheck ;;
    libfuzzer)
        has clang clang
        # The package with clang's runtimes has clang's version in its name.
        version=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')
        for file in /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a /; do
            [ ! -e "$file" ] || break
        done
        [ "$file" != / ] || need="$need libclang-rt-${version:-14}-dev" ;;
    bench-proto)
        has nghttp2-client h2load
        has nghttp2-server nghttpd ;;
    cluster)
        has containerd containerd
        has runc runc
        has containernetworking-plugins /usr/lib/cni/bridge
        has iptables iptables
        has iproute2 ip
        has openssl openssl
        has busybox-static busybox ;;
    *)  echo "packages.sh: build, test, image-amd64, image-arm64, analyze, libfuzzer, bench-proto or cluster, not \"$what\"" >&2; exit 2 ;;
    esac
done
[ -n "$need" ] || exit 0

line="apt-get install -y --no-install-recommends$need"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    printf 'missing on this machine:%s\nas root: %s\n' "$need" "$line" >&2
    exit 1
fi
echo "installing$need"
export DEBIAN_FRONTEND=noninteractive
# The lists may be missing (containers) or old: once more after an update.
$line >/dev/null 2>&1 || { apt-get -qq update; $line; }
