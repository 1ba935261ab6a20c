/* SPDX-License-Identifier: Apache-2.0 */
/* main: build/dev/interop (testing.h), and how the body of a Payload is read and written. */
#include "tests/interop/testing/testing.h"
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdio.h>

/* A view into the message: it lives as long as the bytes that are decoded. */
bool body_of(pb_istream_t *in, pb_ostream_t *out, const pb_field_t *field)
{
    struct str *body = field->pData;
    if (out)
        return !body->n || (pb_encode_tag_for_field(out, field) && pb_encode_string(out, (const pb_byte_t *)body->p, body->n));
    *body = (struct str){ in->state, in->bytes_left };
    return pb_read(in, NULL, in->bytes_left);
}

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
