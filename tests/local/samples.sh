#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Each sample of manifests/samples does what its comment says, by the command the README gives.
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0 skipped=''
program=${KR_BINARY:-build/kruntimes}
unset KUBECONFIG
KRUNTIMES_STATE_DIR=$(mktemp -d) && rmdir "$KRUNTIMES_STATE_DIR"
export KRUNTIMES_STATE_DIR
check() {   # sample, standard output
    local out
    out=$("$program" local run -f "manifests/samples/$1.yaml" 2>build/test/sample.err)
    if [ $? = 0 ] && [ "$out" = "$2" ] && grep -Eq "^(run|workflow)/$1 Succeeded in " build/test/sample.err; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1)); echo "FAIL $1: printed \"$out\""; cat build/test/sample.err
    fi
}
mkdir -p build/test
check hello 'hello from hello'
check files '3 words'
check retry $'attempt 1\nattempt 2\nattempt 3'
check workflow 'publish/push | published 1.2'
# Runs that need a Runtime beside the built-in one; the image is what this machine has.
with_runtime() {   # sample and its Runtime, standard output
    local out
    out=$("$program" local run -f "manifests/samples/runtimes/$1.yaml" -f "manifests/samples/$1.yaml" 2>build/test/sample.err)
    if [ $? = 0 ] && [ "$out" = "$2" ] && grep -q "^run/$1 Succeeded in " build/test/sample.err; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1)); echo "FAIL $1: printed \"$out\""; cat build/test/sample.err
    fi
}
with_runtime python 'the sum is 7'
# shellcheck disable=SC2016
with_runtime any 'no $SHELL was; needed'
if command -v node >/dev/null; then with_runtime node 'hello Ada, hello Grace'; else skipped=1; echo "skip node: there is no node on this machine"; fi
for f in manifests/samples/*.yaml; do
    case ${f##*/} in hello.yaml|files.yaml|retry.yaml|workflow.yaml|python.yaml|node.yaml|any.yaml) ;; *) failed=$((failed + 1)); echo "FAIL $f: no test runs it" ;; esac
done
# The one whose name is taken here: under a name of its own.
sed 's/^  name: bash$/  name: sample-bash/' manifests/samples/runtimes/bash.yaml >build/test/sample.yaml
printf -- '---\napiVersion: kruntimes.io/v1alpha1\nkind: Run\nmetadata: {name: sum}\nspec: {runtime: sample-bash, args: ["echo $((20 + 22))"]}\n' >>build/test/sample.yaml
out=$("$program" local run -f build/test/sample.yaml 2>build/test/sample.err)
if [ "$out" = 42 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL bash: printed \"$out\""; cat build/test/sample.err; fi
for f in manifests/samples/runtimes/*.yaml; do
    case ${f##*/} in bash.yaml|python.yaml|node.yaml|any.yaml) ;; *) failed=$((failed + 1)); echo "FAIL $f: no test uses it" ;; esac
done
echo "$passed passed, $failed failed${skipped:+, $skipped skipped}"
[ $failed = 0 ]
