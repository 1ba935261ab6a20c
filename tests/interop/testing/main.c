/* SPDX-License-Identifier: Apache-2.0 */
/* main: build/dev/interop (testing.h). */
#include "tests/interop/testing/testing.h"
#include <stdio.h>

static const struct { const char *name; int (*run)(void); } by_lines[] = { { "hpack", testing_hpack }, { "regex", testing_regex }, { "expr", testing_expr } };

int main(int argc, char **argv)
{
    uint64_t port;
    for (size_t i = 0; argc == 2 && i < LEN(by_lines); i++)
        if (!strcmp(argv[1], by_lines[i].name))
            return by_lines[i].run();
    struct loop *loop = loop_new(&clock_system);
    if (argc == 2 && !strcmp(argv[1], "serve"))
        return testing_serve(loop);
    if (argc >= 4 && !strcmp(argv[1], "call") && str_u64(str_of(argv[2]), &port)) {
        int failed = testing_call(loop, (uint16_t)port, argv + 3, argc - 3);
        loop_free(loop);
        return failed != 0;
    }
    fprintf(stderr, "usage: interop serve | interop call PORT CASE... | interop hpack|regex|expr\n");
    return 2;
}
