#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# h2spec: every case of h2spec (RFC 9113's and RFC 7541's musts) against the API server, which stands on the same HTTP
# server as all else. A case that h2spec skips counts as skipped, not as passed.
set -u
cd "$(dirname "$0")/../.." || exit 1
program=${KR_PROGRAM:-build/dev/kruntimes}

none() { echo "skip $1"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
fail() { echo "FAIL $1"; echo "0 passed, 1 failed"; exit 1; }

h2spec=$(tests/tools/get h2spec)
case $? in
0)  ;;
77) none "h2spec: $h2spec" ;;
*)  fail "tests/tools/get h2spec" ;;
esac

dir=$(mktemp -d)
"$program" apiserver --state-dir "$dir/state" --port 0 >"$dir/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$dir"' EXIT
for _ in $(seq 100); do
    [ -f "$dir/state/kubeconfig" ] && break
    kill -0 $server 2>/dev/null || break
    sleep 0.1
done
port=$(sed -n 's/.*server: .*:\([0-9]*\)$/\1/p' "$dir/state/kubeconfig" 2>/dev/null)
[ -n "$port" ] || { cat "$dir/log"; fail "the API server did not start"; }

# /version answers without a token, and with a body long enough for the tests of small windows.
timeout 300 "$h2spec" -t -k -h 127.0.0.1 -p "$port" -P /version -o 5 >"$dir/out" 2>&1
line=$(grep -a '^[0-9]* tests, ' "$dir/out") || { tail -n 20 "$dir/out"; fail "h2spec did not end"; }
read -r total _ passed _ skipped _ failed _ <<<"${line//,/}"
[ "$failed" = 0 ] || sed -n '/^Failures:/,$p' "$dir/out"
kill -0 $server 2>/dev/null || { cat "$dir/log"; fail "the API server died"; }
[ "$skipped" = 0 ] || echo "skip $skipped of $total cases, as h2spec chose"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
