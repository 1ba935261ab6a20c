#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# cel: cel-go answers each expression of tests/corpus/cel.txt as the file says; that ours does is a unit test.
set -u
cd "$(dirname "$0")/../.." || exit 1
program=$(tests/tools/get cel) || { echo "skip cel: $program"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
lines=$(wc -l <tests/corpus/cel.txt)
if "$program" <tests/corpus/cel.txt | diff tests/corpus/cel.txt - | head -40 | grep .; then
    echo "FAIL cel-go answers something else"; echo "0 passed, 1 failed"; exit 1
fi
echo "$lines passed, 0 failed"
