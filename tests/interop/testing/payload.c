/* SPDX-License-Identifier: Apache-2.0 */
/* payload: how the body of a Payload is read and written (testing.options). */
#include "tests/interop/testing/testing.h"
#include <pb_decode.h>
#include <pb_encode.h>

/* A view into the message: it lives as long as the bytes that are decoded. */
bool body_of(pb_istream_t *in, pb_ostream_t *out, const pb_field_t *field)
{
    struct str *body = field->pData;
    if (out)
        return !body->n || (pb_encode_tag_for_field(out, field) && pb_encode_string(out, (const pb_byte_t *)body->p, body->n));
    *body = (struct str){ in->state, in->bytes_left };
    return pb_read(in, NULL, in->bytes_left);
}
