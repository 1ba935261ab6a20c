/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spdy: frames of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00 with the changes of 3.1), the server's half.
 *
 * The one idea: a frame's head of eight bytes is collected first; then data is handed on as it comes, and only control
 * frames, which are small, are kept until they are whole.
 *
 * Not here: streams opened by the server, priorities, settings, windows (spdy.h says why). Their frames are passed over.
 */
#include "grpc/spdy.h"

enum { SYN_STREAM = 1, SYN_REPLY = 2, RST_STREAM = 3, PING = 6, GOAWAY = 7, HEADERS = 8 };
enum { FIN = 1, VERSION = 3, DATA_FRAME = 65536 };
enum { WINDOW_BITS = 11, MEM_LEVEL = 1 };                /* replies have no fields to compress */

/* ---- header compression ------------------------------------------------------------------------------------------ */

/* Section 2.6.10.1: each of these with its length before it, then the text behind them. */
static const char *const words[] = {
    "options", "head", "post", "put", "delete", "trace", "accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges",
    "age", "allow", "authorization", "cache-control", "connection", "content-base", "content-encoding", "content-language", "content-length",
    "content-location", "content-md5", "content-range", "content-type", "date", "etag", "expect", "expires", "from", "host", "if-match",
    "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "last-modified", "location", "max-forwards", "pragma",
    "proxy-authenticate", "proxy-authorization", "range", "referer", "retry-after", "server", "te", "trailer", "transfer-encoding", "upgrade",
    "user-agent", "vary", "via", "warning", "www-authenticate", "method", "get", "status", "200 OK", "version", "HTTP/1.1", "url", "public",
    "set-cookie", "keep-alive", "origin",
};
static const char words_end[] =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information"
    "204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error"
    "501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, "
    "Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static void put_u32(struct buf *out, uint32_t v)
{
    char b[4] = { (char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v };
    buf_add(out, b, 4);
}

static uint32_t get_u32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

struct str spdy_dictionary(struct buf *into)
{
    into->max = 4096;
    for (size_t i = 0; i < LEN(words); i++) {
        put_u32(into, (uint32_t)strlen(words[i]));
        buf_lit(into, words[i]);
    }
    buf_lit(into, words_end);
    return buf_view(into);
}

void spdy_init(struct spdy *s)
{
    AUTO_BUF struct buf dictionary = { 0 };
    struct str d = spdy_dictionary(&dictionary);
    *s = (struct spdy){ .payload = { .max = LIMIT_SPDY_FRAME }, .block = { .max = LIMIT_SPDY_FRAME } };
    if (inflateInit(&s->in) != Z_OK || deflateInit2(&s->out, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflateSetDictionary(&s->out, (const Bytef *)d.p, (uInt)d.n) != Z_OK)
        abort();                                         /* no memory */
}

void spdy_free(struct spdy *s)
{
    inflateEnd(&s->in);
    deflateEnd(&s->out);
    buf_free(&s->payload);
    buf_free(&s->block);
}

static int fail(struct spdy *s, struct kr_err *e, enum kr_code code, const char *what)
{
    s->failed = true;
    return kr_fail(e, code, "SPDY: %s", what);
}

/* The bytes of a header block, into s->block. */
static int expand(struct spdy *s, struct str packed, struct kr_err *e)
{
    AUTO_BUF struct buf dictionary = { 0 };
    buf_clear(&s->block);
    s->in.next_in = (Bytef *)(uintptr_t)packed.p;
    s->in.avail_in = (uInt)packed.n;
    for (;;) {
        UNFILLED char chunk[2048];
        s->in.next_out = (Bytef *)chunk;
        s->in.avail_out = sizeof chunk;
        int rc = inflate(&s->in, Z_SYNC_FLUSH);
        buf_add(&s->block, chunk, sizeof chunk - s->in.avail_out);
        if (s->block.failed)
            return fail(s, e, KR_TOO_LARGE, "the header fields are too long");
        if (rc == Z_NEED_DICT) {
            struct str d = spdy_dictionary(&dictionary);
            if (inflateSetDictionary(&s->in, (const Bytef *)d.p, (uInt)d.n) != Z_OK)
                return fail(s, e, KR_PROTOCOL, "header fields compressed with another dictionary");
            continue;
        }
        if (rc != Z_OK && rc != Z_BUF_ERROR)
            return fail(s, e, KR_PROTOCOL, "header fields that can't be expanded");
        if (s->in.avail_out)
            return 0;                                    /* there was room: all of the input has been taken */
    }
}

static bool take_text(struct str *rest, struct str *text)
{
    if (rest->n < 4)
        return false;
    size_t n = get_u32(rest->p);
    *rest = str_from(*rest, 4);
    if (n > rest->n)
        return false;
    *text = (struct str){ rest->p, n };
    *rest = str_from(*rest, n);
    return true;
}

static bool name_ok(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if ((name.p[i] >= 'A' && name.p[i] <= 'Z') || name.p[i] <= ' ')
            return false;
    return name.n > 0;
}

static int read_fields(struct spdy *s, struct str packed, struct http_fields *ret, struct kr_err *e)
{
    if (expand(s, packed, e) < 0)
        return -1;
    struct str rest = buf_view(&s->block);
    if (rest.n < 4)
        return fail(s, e, KR_PROTOCOL, "header fields without their number");
    uint32_t n = get_u32(rest.p);
    rest = str_from(rest, 4);
    if (n > LEN(s->fields))
        return fail(s, e, KR_TOO_LARGE, "too many header fields");
    for (uint32_t i = 0; i < n; i++)
        if (!take_text(&rest, &s->fields[i].name) || !take_text(&rest, &s->fields[i].value) || !name_ok(s->fields[i].name))
            return fail(s, e, KR_PROTOCOL, "a malformed header field");
    *ret = (struct http_fields){ s->fields, n };
    return rest.n ? fail(s, e, KR_PROTOCOL, "bytes behind the header fields") : 0;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

static bool is_control(const struct spdy *s) { return s->head[0] & 0x80; }
static unsigned type_of(const struct spdy *s) { return (unsigned)s->head[2] << 8 | s->head[3]; }
static bool has_fin(const struct spdy *s) { return s->head[4] & FIN; }
static uint32_t stream_at(const char *p) { return get_u32(p) & 0x7FFFFFFF; }

static int opened(struct spdy *s, struct str payload, struct spdy_event *ev, struct kr_err *e)
{
    if (payload.n < 10)
        return fail(s, e, KR_PROTOCOL, "SYN_STREAM is too short");
    uint32_t stream = stream_at(payload.p);
    if (!(stream & 1) || stream <= s->last)
        return fail(s, e, KR_PROTOCOL, "a stream's number is even or was used before");
    s->last = stream;
    *ev = (struct spdy_event){ .kind = SPDY_OPENED, .stream = stream, .fin = has_fin(s) };
    return read_fields(s, str_from(payload, 10), &ev->fields, e);
}

static int control(struct spdy *s, struct spdy_event *ev, struct buf *out, struct kr_err *e)
{
    struct str payload = buf_view(&s->payload);
    struct http_fields unused;
    switch (type_of(s)) {
    case SYN_STREAM:
        return opened(s, payload, ev, e);
    case SYN_REPLY:
    case HEADERS:                                        /* mean nothing here, but they move the compressor on */
        return payload.n < 4 ? fail(s, e, KR_PROTOCOL, "HEADERS is too short") : read_fields(s, str_from(payload, 4), &unused, e);
    case RST_STREAM:
        if (payload.n != 8)
            return fail(s, e, KR_PROTOCOL, "RST_STREAM has not eight bytes");
        *ev = (struct spdy_event){ .kind = SPDY_RESET, .stream = stream_at(payload.p) };
        return 0;
    default:                                             /* PING: begin_payload keeps no other */
        if (payload.n != 4)
            return fail(s, e, KR_PROTOCOL, "PING has not four bytes");
        if (payload.p[3] & 1) {                          /* an even one would answer a ping of ours */
            buf_add(out, s->head, sizeof s->head);
            buf_str(out, payload);
        }
        return 0;
    }
}

static int begin_payload(struct spdy *s, struct kr_err *e)
{
    unsigned type = type_of(s);
    s->left = (size_t)s->head[5] << 16 | (size_t)s->head[6] << 8 | s->head[7];
    s->in_payload = true;
    s->skip = false;
    buf_clear(&s->payload);
    if (!is_control(s))
        return stream_at((const char *)s->head) & 1 ? 0 : fail(s, e, KR_PROTOCOL, "data for a stream that nobody opened");
    if (s->head[0] != 0x80 || s->head[1] != VERSION)
        return fail(s, e, KR_PROTOCOL, "another version than 3");
    s->skip = type != SYN_STREAM && type != SYN_REPLY && type != RST_STREAM && type != PING && type != HEADERS;
    return !s->skip && s->left > LIMIT_SPDY_FRAME ? fail(s, e, KR_TOO_LARGE, "a control frame is too large") : 0;
}

static struct str take_payload(struct spdy *s, struct str *bytes)
{
    struct str part = { bytes->p, bytes->n < s->left ? bytes->n : s->left };
    *bytes = str_from(*bytes, part.n);
    s->left -= part.n;
    return part;
}

/* What there is of the payload; an event perhaps. */
static int payload(struct spdy *s, struct str *bytes, struct spdy_event *ev, struct buf *out, struct kr_err *e)
{
    struct str part = take_payload(s, bytes);
    bool whole = !s->left;
    s->in_payload = !whole;
    if (is_control(s)) {
        if (!s->skip)
            buf_str(&s->payload, part);
        return whole && !s->skip ? control(s, ev, out, e) : 0;
    }
    bool fin = whole && has_fin(s);
    if (part.n || fin)
        *ev = (struct spdy_event){ .kind = SPDY_DATA, .stream = stream_at((const char *)s->head), .data = part, .fin = fin };
    return 0;
}

int spdy_take(struct spdy *s, struct str *bytes, struct spdy_event *ev, struct buf *out, struct kr_err *e)
{
    *ev = (struct spdy_event){ 0 };
    if (s->failed)
        return fail(s, e, KR_PROTOCOL, "the connection has failed before");
    while (!ev->kind && (bytes->n || (s->in_payload && !s->left))) {
        if (!s->in_payload) {
            s->head[s->head_n++] = (unsigned char)*bytes->p;
            *bytes = str_from(*bytes, 1);
            if (s->head_n < sizeof s->head)
                continue;
            s->head_n = 0;
            if (begin_payload(s, e) < 0)
                return -1;
        } else if (payload(s, bytes, ev, out, e) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

static void put_control(struct buf *out, uint32_t type, size_t n)
{
    put_u32(out, 0x80000000u | VERSION << 16 | type);
    put_u32(out, (uint32_t)n);
}

void spdy_put_reply(struct spdy *s, struct buf *out, uint32_t stream)
{
    static const char none[4];                           /* their number */
    char packed[2048];
    s->out.next_in = (Bytef *)(uintptr_t)none;
    s->out.avail_in = sizeof none;
    s->out.next_out = (Bytef *)packed;
    s->out.avail_out = sizeof packed;
    if (deflate(&s->out, Z_SYNC_FLUSH) != Z_OK || !s->out.avail_out)
        abort();                                         /* four bytes take no more than that */
    struct str block = { packed, sizeof packed - s->out.avail_out };
    put_control(out, SYN_REPLY, 4 + block.n);
    put_u32(out, stream);
    buf_str(out, block);
}

void spdy_put_data(struct buf *out, uint32_t stream, struct str bytes, bool fin)
{
    do {
        struct str part = { bytes.p, bytes.n < DATA_FRAME ? bytes.n : DATA_FRAME };
        bytes = str_from(bytes, part.n);
        put_u32(out, stream);
        put_u32(out, (uint32_t)part.n | (fin && !bytes.n ? (uint32_t)FIN << 24 : 0));
        buf_str(out, part);
    } while (bytes.n);
}

void spdy_put_reset(struct buf *out, uint32_t stream, enum spdy_status status)
{
    put_control(out, RST_STREAM, 8);
    put_u32(out, stream);
    put_u32(out, status);
}

void spdy_put_goaway(struct spdy *s, struct buf *out)
{
    put_control(out, GOAWAY, 8);
    put_u32(out, s->last);
    put_u32(out, SPDY_PROTOCOL_ERROR);
}
