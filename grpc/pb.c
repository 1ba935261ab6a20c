/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb: nanopb's two memory calls lead to the arena of the message being decoded (core/deps/nanopb_alloc.h); nothing is freed
 * piece by piece.
 */
#include "grpc/pb.h"
#include <pb_decode.h>
#include <pb_encode.h>

static struct arena *current;

void *kr_pb_realloc(void *p, size_t n);
void kr_pb_free(void *p);

/* Each piece has its size in front, so that a list can grow. */
void *kr_pb_realloc(void *p, size_t n)
{
    size_t *old = p ? (size_t *)((char *)p - 16) : NULL;
    if (old && *old >= n)
        return p;
    size_t room = old ? n + n / 2 : n;
    char *fresh = current ? arena_alloc(current, room + 16) : NULL;
    if (!fresh)
        return NULL;
    *(size_t *)(void *)fresh = room;
    if (old)
        memcpy(fresh + 16, p, *old);
    return fresh + 16;
}

void kr_pb_free(void *p) { (void)p; }

int pb_from_bytes(const pb_msgdesc_t *d, void *msg, struct str bytes, struct arena *a, struct kr_err *e)
{
    pb_istream_t in = pb_istream_from_buffer((const pb_byte_t *)(bytes.p ? bytes.p : ""), bytes.n);
    current = a;
    bool ok = pb_decode(&in, d, msg);
    current = NULL;
    if (ok)
        return 0;
    if (a->over)
        return kr_fail(e, KR_TOO_LARGE, "the message needs more than %zu bytes", a->limit);
    return kr_fail(e, KR_PROTOCOL, "the message can't be decoded: %s", PB_GET_ERROR(&in));
}

static bool to_buf(pb_ostream_t *out, const pb_byte_t *p, size_t n)
{
    struct buf *b = out->state;
    buf_add(b, p, n);
    return !b->failed;
}

int pb_to_bytes(const pb_msgdesc_t *d, const void *msg, struct buf *out, struct kr_err *e)
{
    pb_ostream_t s = { .callback = to_buf, .state = out, .max_size = SIZE_MAX };
    if (pb_encode(&s, d, msg))
        return 0;
    return kr_fail(e, out->failed ? KR_TOO_LARGE : KR_PROTOCOL, "the message can't be encoded: %s", out->failed ? "it is too large" : PB_GET_ERROR(&s));
}

pb_bytes_array_t *pb_bytes(struct arena *a, struct str s)
{
    pb_bytes_array_t *b = s.n > PB_SIZE_MAX ? NULL : arena_alloc(a, PB_BYTES_ARRAY_T_ALLOCSIZE(s.n));
    if (!b)
        return NULL;
    b->size = (pb_size_t)s.n;
    if (s.n)
        memcpy(b->bytes, s.p, s.n);
    return b;
}

char *pb_clean(struct arena *a, struct str s)
{
    AUTO_BUF struct buf b = { .max = s.n * 3 + 1 };
    while (s.n) {
        size_t n = str_utf8_prefix(s);
        buf_add(&b, s.p, n);
        s = str_from(s, n);
        if (s.n) {
            buf_lit(&b, "\xef\xbf\xbd");
            s = str_from(s, 1);
        }
    }
    for (size_t i = 0; i < b.n; i++)              /* a C string carries it */
        if (!b.p[i])
            b.p[i] = ' ';
    return arena_z(a, buf_view(&b));
}
