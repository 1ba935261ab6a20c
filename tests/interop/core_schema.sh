#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# core_schema: k8s/core_schema.def says what the sources of Kubernetes' API modules say.
set -u
cd "$(dirname "$0")/../.." || exit 1
program=$(tests/tools/get coreschema) || { echo "skip core_schema: $program"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
if (cd tests/tools && PATH=$PATH:/usr/local/go/bin "$program") | diff -u k8s/core_schema.def - | head -40 | grep .; then
    echo "FAIL k8s/core_schema.def is not what tests/tools/coreschema prints"; echo "0 passed, 1 failed"; exit 1
fi
echo "1 passed, 0 failed"
