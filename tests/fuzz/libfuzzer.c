/* SPDX-License-Identifier: Apache-2.0 */
/* libfuzzer: the targets under clang's libFuzzer; $KR_FUZZ names one. See fuzz.h. */
#include "tests/fuzz/fuzz.h"
#include <stdio.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
static const struct fuzz_target *target;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = getenv("KR_FUZZ");
    (void)argc;
    (void)argv;
    target = fuzz_find(name ? name : "");
    if (target)
        return 0;
    fprintf(stderr, "KR_FUZZ must name one of these:\n");
    fuzz_find(NULL);
    exit(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    target->one((struct str){ (const char *)p, n });
    return 0;
}
