#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# arm64: the aarch64 binary is built by the cross compiler, is static, and says
# the same as the native one under qemu's user-mode emulation.
set -u
cd "$(dirname "$0")/../.." || exit 1
skip() { echo "skip arm64: $1"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64) || skip "qemu-aarch64-static is not installed"
command -v aarch64-linux-gnu-gcc >/dev/null || skip "aarch64-linux-gnu-gcc is not installed"
[ -e /usr/aarch64-linux-gnu/include/stdio.h ] || skip "libc6-dev-arm64-cross is not installed"

passed=0 failed=0
check() { local what=$1; shift; if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $what"; fi; }
same() { cmp <("$qemu" build/arm64/kruntimes "$@" 2>&1) <(build/kruntimes "$@" 2>&1); }
make -s build/arm64/kruntimes || { echo "it does not build"; echo "0 passed, 1 failed"; exit 1; }
check "is for aarch64"             grep -q AArch64 <(readelf -hW build/arm64/kruntimes)
check "is static"                  test -z "$(readelf -lW build/arm64/kruntimes | grep INTERP)"
check "is position independent"    grep -q DYN <(readelf -hW build/arm64/kruntimes)
check "version"                    same version
check "kinds"                      same crd-gen
check "manifests"                  same manifests
check "options, metrics, limits"   same docs options
check "a refusal"                  same manifests --image 'a b'
check "applets"                    same docs applets
echo "$passed passed, $failed failed"
[ $failed = 0 ]
