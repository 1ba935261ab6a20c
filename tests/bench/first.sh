#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# first.sh: how long it takes from `git clone` to the first Succeeded Run, as somebody new to it does it: clone, `make demo`. Once with
# what this machine has in its caches (third-party libraries, ccache where the compiler is one), once with nothing. Packages of the
# distribution are there already; `make demo` would get them. Prints each part.
set -eu
cd "$(dirname "$0")/../.."
top=$PWD
place=$(mktemp -d "${TMPDIR:-/tmp}/kruntimes-first-XXXXXX")
trap 'rm -rf "$place"' EXIT
now() { date +%s%N; }
took() { printf '%d.%01d s' $(($1 / 1000000000)) $(($1 / 100000000 % 10)); }

once() {   # name, then variables for make
    local name=$1 begin cloned built ended
    shift
    begin=$(now)
    git clone -q "$top" "$place/$name"
    cloned=$(now)
    { env "$@" make -C "$place/$name" setup && env "$@" make -C "$place/$name" -j"$(nproc)" build/kruntimes; } >"$place/$name.log" 2>&1 || { tail -n 20 "$place/$name.log" >&2; exit 1; }
    built=$(now)
    out=$(cd "$place/$name" && KRUNTIMES_STATE_DIR="$place/$name.state" build/kruntimes local run -f manifests/samples/hello.yaml 2>/dev/null)
    ended=$(now)
    [ "$out" = 'hello from hello' ] || { echo "the Run printed \"$out\"" >&2; exit 1; }
    echo "$name: $(took $((ended - begin))) from git clone to the first Succeeded Run: clone $(took $((cloned - begin))), build $(took $((built - cloned))), Run $(took $((ended - built)))"
}
mkdir "$place/none"
once warm
once empty KR_CACHE="$place/none" CCACHE_DISABLE=1
echo "load average: $(cut -d' ' -f1 /proc/loadavg) on $(nproc) processors"
