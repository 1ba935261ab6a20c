/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_wire: what is gRPC's own on the wire: length prefixes, timeouts, percent-encoded messages, status names. */
#include "grpc/grpc.h"

static const char *const names[] = {
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
    "UNAUTHENTICATED" };

const char *grpc_status_name(int s) { return s >= 0 && (size_t)s < LEN(names) ? names[s] : "CODE_99"; }

enum kr_code grpc_code(int status)
{
    for (int i = 0; i < KR_CODE_COUNT; i++)
        if (i != KR_USAGE && kr_codes[i].grpc == status)                      /* that is for our own command line */
            return (enum kr_code)i;
    return KR_PROTOCOL;
}

void grpc_feed(struct grpc_framer *f, struct str bytes)
{
    f->b.max = SIZE_MAX / 2;
    buf_str(&f->b, bytes);
}

size_t grpc_unread(const struct grpc_framer *f) { return f->b.n - f->at; }

enum grpc_framing grpc_next(struct grpc_framer *f, struct buf *message)
{
    if (grpc_unread(f) < 5)
        return GRPC_MORE;
    const unsigned char *p = (const unsigned char *)f->b.p + f->at;
    size_t n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (p[0])
        return GRPC_COMPRESSED;
    if (n > f->max)
        return GRPC_TOO_LARGE;
    if (grpc_unread(f) < 5 + n)
        return GRPC_MORE;
    message->max = n + 1;
    buf_clear(message);
    buf_add(message, f->b.p + f->at + 5, n);
    buf_use(&f->b, &f->at, 5 + n);
    return GRPC_MESSAGE;
}

void grpc_frame(struct buf *out, struct str m)
{
    char head[5] = { 0, (char)(m.n >> 24), (char)(m.n >> 16), (char)(m.n >> 8), (char)m.n };
    buf_add(out, head, 5);
    buf_str(out, m);
}

void grpc_put_timeout(struct buf *b, int64_t us)
{
    if (us < 1)
        us = 1;
    if (us < 100000000)
        buf_fmt(b, "%lldu", (long long)us);
    else if (us / 1000 < 100000000)
        buf_fmt(b, "%lldm", (long long)(us / 1000));
    else
        buf_fmt(b, "%lldS", (long long)(us / 1000000 < 99999999 ? us / 1000000 : 99999999));
}

bool grpc_parse_timeout(struct str s, int64_t *us)
{
    static const struct { char unit; int64_t us; } units[] = { { 'H', 3600000000 }, { 'M', 60000000 }, { 'S', 1000000 }, { 'm', 1000 }, { 'u', 1 } };
    uint64_t n;
    if (s.n < 2 || s.n > 9 || !str_u64((struct str){ s.p, s.n - 1 }, &n))
        return false;
    if (s.p[s.n - 1] == 'n') {
        *us = (int64_t)(n + 999) / 1000;
        return true;
    }
    for (size_t i = 0; i < LEN(units); i++)
        if (units[i].unit == s.p[s.n - 1]) {
            *us = (int64_t)n * units[i].us;
            return true;
        }
    return false;
}

void grpc_put_message(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch >= ' ' && ch <= '~' && ch != '%')
            buf_byte(b, (char)ch);
        else
            buf_fmt(b, "%%%02X", ch);
    }
}

static int hex(char ch)
{
    return ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* What can't be decoded stays as it is: a status must never be lost over its text. */
struct str grpc_parse_message(struct arena *a, struct str coded)
{
    char *out = arena_alloc(a, coded.n + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < coded.n; i++) {
        if (coded.p[i] == '%' && i + 2 < coded.n && hex(coded.p[i + 1]) >= 0 && hex(coded.p[i + 2]) >= 0) {
            out[n++] = (char)(hex(coded.p[i + 1]) * 16 + hex(coded.p[i + 2]));
            i += 2;
        } else {
            out[n++] = coded.p[i];
        }
    }
    return (struct str){ out, out ? n : 0 };
}
