/* SPDX-License-Identifier: Apache-2.0 */
/* targets: the list of all, which the linker makes, and what their bodies use. See fuzz.h. */
#include "tests/fuzz/fuzz.h"
#include <stdio.h>

extern const struct fuzz_target *const __start_kr_fuzz[], *const __stop_kr_fuzz[];

const struct fuzz_target *fuzz_find(const char *name)
{
    for (const struct fuzz_target *const *t = __start_kr_fuzz; t < __stop_kr_fuzz; t++) {
        if (!name)
            puts((*t)->name);
        else if (!strcmp((*t)->name, name))
            return *t;
    }
    return NULL;
}

void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: this must hold and doesn't: %s\n", file, line, what);
    abort();
}

unsigned fuzz_pick(struct str *in, unsigned n)
{
    unsigned c = in->n ? (unsigned char)in->p[0] : 0;
    *in = str_from(*in, in->n ? 1 : 0);
    return c % n;
}
