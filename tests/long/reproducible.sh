#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# reproducible: the same source in two folders, with the libraries built twice
# from the same source packages in two caches, gives the same bytes.
set -u
cd "$(dirname "$0")/../.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cache=${KR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/kruntimes}

for d in one another/deeper; do
    mkdir -p "$tmp/$d/tree" "$tmp/$d/cache"
    tar -cf - --exclude=./build --exclude=./.git . | tar -xf - -C "$tmp/$d/tree"
    cp -R "$cache/src" "$tmp/$d/cache/"
    if ! KR_CACHE=$tmp/$d/cache make -C "$tmp/$d/tree" -j2 build/kruntimes >"$tmp/log" 2>&1; then
        tail -n 20 "$tmp/log"
        echo "0 passed, 1 failed"
        exit 1
    fi
done
if cmp "$tmp/one/tree/build/kruntimes" "$tmp/another/deeper/tree/build/kruntimes"; then
    echo "1 passed, 0 failed"
else
    echo "0 passed, 1 failed"
    exit 1
fi
