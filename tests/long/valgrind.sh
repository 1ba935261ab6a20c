#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# valgrind: the unit tests without sanitizers: nothing is read that was not written (which AddressSanitizer does not see),
# nothing is lost. From 3.21 on valgrind knows pidfd_open, by which the test program waits for a test that has a process of
# its own; with an older one those files are read that need none: the parsers of a stranger's bytes.
# May take 3600 s.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v valgrind >/dev/null || { echo "skip valgrind: it is not installed"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
make -s build/plain/unit || { echo "it does not build"; echo "0 passed, 1 failed"; exit 1; }

# What can't hold under valgrind, and why.
except=(
    "core/proc.c/why_a_start_failed_is_known_at_once: vfork is fork there, so that a start that fails looks like a program that ended"
    "k8s/exec_plugin.c/plugins_that_fail_say_why: the same"
    "k8s/credentials.c/a_plugin_that_fails_fails_the_calls_that_wait_and_one_of_them_may_close_the_client: the same"
    "k8s/exec_plugin.c/a_plugin_that_hangs_is_killed_with_its_children: the same"
    "applets/runtime_server.c/ends_are_told_apart: the same"
    "applets/runtime_server.c/arguments_the_kernel_refuses_are_a_clean_end: it ends a process whose execve fails"
    "core/helper.c/its_words_and_its_end_are_told: /proc/self/exe is valgrind"
    "applets/apiserver_store_damage.c/a_file_without_its_last_pages_is_read_through_before_it_is_used: the child that reads ends without giving memory back, which is an error here"
)
files='core/base64 core/digest core/expr core/http1 core/json core/regex core/uri core/websocket grpc/h2 grpc/h2_errors
    grpc/h2_windows grpc/hpack grpc/spdy crds/admit crds/budgets crds/decode k8s/fieldset k8s/jsonpath k8s/patch
    k8s/quantity k8s/selector k8s/strategic core/yaml'
here=-f
if [ "$(printf '%s\n' valgrind-3.21 "$(valgrind --version)" | sort -V | head -n 1)" = valgrind-3.21 ]; then
    here=
    files=$(cd tests/unit && find . -name '*.c' -printf '%P\n' | sed 's/\.c$//' | sort)
fi

passed=0 failed=0 skipped=0
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
export KR_STORE_MAP_BYTES=4294967296 KR_TEST_SECONDS=600       # it has no room for 64 GiB of addresses, and is slow
for file in $files; do
    valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite build/plain/unit $here "unit/$file.c" >"$out" 2>&1
    line=$(tail -n 1 "$out")
    [[ $line =~ ^([0-9]+)\ passed,\ [0-9]+\ failed$ ]] || { failed=$((failed + 1)); echo "FAIL $file"; tail -n 40 "$out"; continue; }
    passed=$((passed + BASH_REMATCH[1]))
    while read -r _ name _; do
        why=$(printf '%s\n' "${except[@]}" | grep -F "${name#tests/unit/}: ")
        if [ -n "$why" ]; then
            echo "skip $why"
            skipped=$((skipped + 1))
        else
            failed=$((failed + 1))
            echo "FAIL $name"
            tail -n 60 "$out"
        fi
    done < <(grep '^FAIL ' "$out")
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
