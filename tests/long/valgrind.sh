#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# valgrind: what reads a stranger's bytes, by its unit tests without sanitizers: nothing is read that was not written
# (which AddressSanitizer does not see), nothing is lost. One process for each file of tests: valgrind does not know
# pidfd_open, by which the test program waits for a test that has a process of its own.
# May take 2700 s.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v valgrind >/dev/null || { echo "skip valgrind: it is not installed"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
make -s build/plain/unit || { echo "it does not build"; echo "0 passed, 1 failed"; exit 1; }

passed=0 failed=0
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
for file in core/base64 core/digest core/expr core/http1 core/json core/regex core/uri core/websocket grpc/h2 grpc/h2_errors grpc/hpack grpc/spdy \
    crds/admit crds/budgets crds/decode k8s/fieldset k8s/jsonpath k8s/patch k8s/quantity k8s/selector k8s/strategic core/yaml; do
    if valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite build/plain/unit -f "unit/$file.c" >"$out" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $file"
        tail -n 40 "$out"
    fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
