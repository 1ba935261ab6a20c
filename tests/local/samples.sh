#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Each sample of manifests/samples does what its comment says, by the command the README gives.
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0
unset KUBECONFIG
KRUNTIMES_STATE_DIR=$(mktemp -d) && rmdir "$KRUNTIMES_STATE_DIR"
export KRUNTIMES_STATE_DIR
check() {   # sample, standard output
    local out
    out=$(build/kruntimes local run -f "manifests/samples/$1.yaml" 2>build/test/sample.err)
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
for f in manifests/samples/*.yaml; do
    case $f in */hello.yaml|*/files.yaml|*/retry.yaml|*/workflow.yaml) ;; *) failed=$((failed + 1)); echo "FAIL $f: no test runs it" ;; esac
done
# Runtimes: each is taken as it stands (under a name of its own, as bash is there already); Python's executes a Run.
for f in manifests/samples/runtimes/*.yaml; do
    name=sample-$(basename "$f" .yaml)
    sed "s/^  name: .*/  name: $name/" "$f" >build/test/sample.yaml
    want="runtime/$name created"
    if [ "$name" = sample-python ]; then
        printf -- '---\napiVersion: kruntimes.io/v1alpha1\nkind: Run\nmetadata: {name: sum}\nspec: {runtime: %s, args: ["print(20 + 22)"]}\n' "$name" >>build/test/sample.yaml
        want=$'42\n'$want
    fi
    out=$(build/kruntimes local run -f build/test/sample.yaml 2>&1 | grep -v '^run/')
    if [ "$out" = "$want" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $f: printed \"$out\""; fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
