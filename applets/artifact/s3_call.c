/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_call: one request, signed anew for each try. What may get better is tried again with waits that double and jitter, within
 * a number of tries of its own and one that all calls of the process share. A part is read from its file as the connection
 * takes it; what a GET brings is written as it comes, and a broken one is gone on with from there. Tests: tests/interop/s3.py
 */
#include "applets/artifact/s3.h"
#include "core/fs.h"
#include "core/uri.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { TRIES = 6, WAIT_US = 100000, WAIT_MAX_US = 5000000, CALL_US = 60000000, BYTE_US = 10, PIECE = 65536, ANSWER_MAX = 4 << 20 };

void s3_put_key(struct buf *b, const struct s3 *s, struct str key)
{
    buf_str(b, s->base);
    if (key.n && s->prefix.n)
        for (struct str rest = s->prefix; rest.n;) {
            buf_byte(b, '/');
            uri_put_segment(b, str_cut(&rest, '/'));
        }
    for (struct str rest = key; rest.n;) {
        buf_byte(b, '/');
        uri_put_segment(b, str_cut(&rest, '/'));
    }
    if (!key.n)
        buf_byte(b, '/');
}

void s3_connect(struct s3 *s)
{
    s->reconnect = false;
    httpc_free(s->http);
    s->http = httpc_new(s->loop, &(struct httpc_config){ .target = { .host = s->place.name, .port = s->place.port, .tls = s->place.https ? s->tls : NULL },
                                                         .version = HTTP_11, .max_calls = (size_t)s->concurrency });
}

/* ---- what came --------------------------------------------------------------------------------------------------- */

static void start(struct s3_call *c);

static bool is_good(const struct s3_call *c) { return c->status >= 200 && c->status < 300; }

/* A try has a minute, and on top of it what its bytes take at 100 kB a second: a large artifact may take hours, a trickle ends.
 * While parts are joined, each sign of life is worth a minute. */
static int64_t deadline_of(const struct s3_call *c)
{
    if (c->joins && is_good(c))
        return loop_now_us(c->s->loop) + CALL_US;
    return c->begun_us + CALL_US + (int64_t)(c->length + c->came) * BYTE_US;
}

static void finish(struct s3_call *c)
{
    c->h = NULL;
    c->done = true;
}

static void again(struct loop *loop, struct timer *t)
{
    (void)loop;
    start(container_of(t, struct s3_call, again));
}

/* e says what went wrong; tried again when that may help and the budgets allow it. */
static void trouble(struct s3_call *c, bool may_help)
{
    struct s3 *s = c->s;
    c->h = NULL;
    if (c->out > 0 && is_good(c) && c->came)
        c->tries = 0;                             /* it goes on from there: a long download may break more often than a short one */
    if (!may_help || c->unwritable || ++c->tries >= TRIES || s->retries_left-- <= 0) {
        finish(c);
        return;
    }
    int64_t wait = (int64_t)WAIT_US << (c->tries - 1);
    wait = wait < WAIT_MAX_US ? wait : WAIT_MAX_US;
    c->again.fire = again;
    loop_timer_in(s->loop, &c->again, wait / 2 + (int64_t)rnd_below(&s->rnd, (uint64_t)wait / 2 + 1));
}

static int month_of(struct str s)
{
    ptrdiff_t at = s.n == 3 ? str_find(S("JanFebMarAprMayJunJulAugSepOctNovDec"), s) : -1;
    return at >= 0 ? (int)at / 3 + 1 : 0;
}

/* "Tue, 15 Nov 1994 08:12:31 GMT" (RFC 9110 5.6.7): by how much the server is ahead of us. */
static bool skew_of(struct s3_call *c, int64_t *skew)
{
    char text[TIME_TEXT + 8];
    struct str rest = str_of(c->date);
    int64_t wall;
    str_cut(&rest, ' ');
    struct str day = str_cut(&rest, ' '), month = str_cut(&rest, ' '), year = str_cut(&rest, ' '), time = str_cut(&rest, ' ');
    if (day.n != 2 || !month_of(month) || year.n != 4 || time.n != 8)
        return false;
    snprintf(text, sizeof text, "%.4s-%02d-%.2sT%.8sZ", year.p, month_of(month), day.p, time.p);
    if (!time_parse(str_of(text), &wall))
        return false;
    *skew = wall - loop_wall_us(c->s->loop);
    return true;
}

/* The server names the bucket's region: signed for it, and on AWS sent there, once. */
static bool move(struct s3_call *c)
{
    struct s3 *s = c->s;
    struct str region = str_of(c->region);
    if (!region.n || s->moved || str_eq(region, s->region))
        return false;
    for (size_t i = 0; i < region.n; i++)
        if (!((region.p[i] >= 'a' && region.p[i] <= 'z') || (region.p[i] >= '0' && region.p[i] <= '9') || region.p[i] == '-'))
            return false;
    s->moved = true;
    s->region = arena_str(&s->arena, region);
    if (!s->own_endpoint) {
        bool in_host = !s->base.n;
        s->place.name = in_host ? arena_fmt(&s->arena, "%.*s.s3.%.*s.amazonaws.com", SFMT(s->bucket), SFMT(region)) : arena_fmt(&s->arena, "s3.%.*s.amazonaws.com", SFMT(region));
        s->host = s->place.name;
        s->reconnect = true;                      /* not from inside a callback of the connection */
    }
    return true;
}

static void refused(struct s3_call *c)
{
    AUTO_ARENA struct arena a = { .limit = 8 << 20 };
    struct str doc = buf_view(&c->answer), code = xml_first(doc, "Code", &a), said = xml_first(doc, "Message", &a);
    int64_t skew;
    char clean[220];
    size_t n = 0;
    for (size_t i = 0; i < said.n && n < sizeof clean - 1; i++)
        clean[n++] = (unsigned char)said.p[i] < ' ' || said.p[i] == 127 ? ' ' : said.p[i];
    n = str_utf8_prefix((struct str){ clean, n });
    kr_fail(&c->e, c->status == 404 ? KR_NOT_FOUND : KR_UNAVAILABLE, "the S3 store answers HTTP %d %.*s%s%.*s", c->status, (int)(code.n < 64 ? code.n : 64), code.p ? code.p : "",
            n ? ": " : "", (int)n, clean);
    bool may_help = c->status >= 500 || c->status == 429 || str_is(code, "RequestTimeout") || str_is(code, "SlowDown")
                    || str_is(code, "InternalError") || str_is(code, "ServiceUnavailable");
    if (str_is(code, "RequestTimeTooSkewed") && !c->s->skew_us && skew_of(c, &skew)) {
        c->s->skew_us = skew;
        may_help = true;
    } else if (c->status == 301 || c->status == 307 || str_is(code, "AuthorizationHeaderMalformed")) {
        if (!*c->region) {
            struct str region = xml_first(doc, "Region", &a);
            snprintf(c->region, sizeof c->region, "%.*s", (int)(region.n < 63 ? region.n : 0), region.p ? region.p : "");
        }
        may_help = move(c);
        if (!may_help)
            kr_fail(&c->e, KR_UNAVAILABLE, "the S3 store sends elsewhere (HTTP %d%s%s): correct s3.region or s3.endpoint", c->status, *c->region ? ", region " : "", c->region);
    }
    trouble(c, may_help);
}

static void on_head(struct hcall *h, int status, struct http_fields f)
{
    struct s3_call *c = hcall_ctx(h);
    struct str etag = http_get(f, "etag"), region = http_get(f, "x-amz-bucket-region"), date = http_get(f, "date");
    c->status = status;
    if (!str_i64(http_get(f, "content-length"), &c->size))
        c->size = -1;
    snprintf(c->etag, sizeof c->etag, "%.*s", (int)(etag.n < sizeof c->etag ? etag.n : 0), etag.p ? etag.p : "");
    snprintf(c->region, sizeof c->region, "%.*s", (int)(region.n < sizeof c->region ? region.n : 0), region.p ? region.p : "");
    snprintf(c->date, sizeof c->date, "%.*s", (int)(date.n < sizeof c->date ? date.n : 0), date.p ? date.p : "");
    c->base = c->got;
    if (c->out > 0 && status == 200 && c->got + c->offset > 0)     /* the range was ignored: what is there already is passed over */
        c->base = 0;
}

static void on_data(struct hcall *h, struct str bytes)
{
    struct s3_call *c = hcall_ctx(h);
    c->came += bytes.n;
    hcall_deadline(h, deadline_of(c));
    if (!is_good(c) || c->out <= 0) {
        buf_str(&c->answer, bytes);
        return;
    }
    uint64_t have = c->got + c->offset;
    if (c->status == 200 && c->base < have) {
        size_t skip = have - c->base < bytes.n ? (size_t)(have - c->base) : bytes.n;
        c->base += skip;
        bytes = str_from(bytes, skip);
    }
    if (!bytes.n || c->unwritable)
        return;
    if (fs_write_fd(c->out, bytes, "the artifact", &c->e) < 0) {
        c->unwritable = true;
        return;
    }
    c->got += bytes.n;
    c->base += bytes.n;
}

static bool carries_error(const struct s3_call *c)
{
    AUTO_ARENA struct arena a = { .limit = ANSWER_MAX };
    return c->joins && xml_first(buf_view(&c->answer), "Code", &a).n;
}

static void on_end(struct hcall *h, struct http_fields trailers)
{
    struct s3_call *c = hcall_ctx(h);
    (void)trailers;
    if (!is_good(c) || carries_error(c)) {
        refused(c);
        return;
    }
    if (!c->unwritable)
        c->e = (struct kr_err){ 0 };
    finish(c);
}

static void on_failed(struct hcall *h, const struct kr_err *e)
{
    struct s3_call *c = hcall_ctx(h);
    if (!c->unwritable) {
        c->e = *e;
        kr_wrap(&c->e, "the S3 store");
        c->e.code = KR_UNAVAILABLE;
    }
    trouble(c, true);
}

/* ---- what is sent ------------------------------------------------------------------------------------------------ */

static void on_writable(struct hcall *h)
{
    struct s3_call *c = hcall_ctx(h);
    static char piece[PIECE];
    uint64_t left = c->length - c->sent;
    if (!left || c->status)
        return;
    ptrdiff_t n = pread(c->fd, piece, left < PIECE ? (size_t)left : PIECE, (off_t)(c->offset + c->sent));
    if (n <= 0) {
        c->unwritable = true;
        kr_fail(&c->e, KR_INVALID, "a file became shorter while it was uploaded: something still writes to it");
        hcall_cancel(h);
        finish(c);
        return;
    }
    c->sent += (uint64_t)n;
    hcall_write(h, (struct str){ piece, (size_t)n });
    if (c->sent == c->length)
        hcall_finish(h);
}

static void start(struct s3_call *c)
{
    struct s3 *s = c->s;
    AUTO_BUF struct buf path = { .max = 8192 }, target = { .max = 16384 }, auth = { .max = 8192 };
    char date[SIGV4_DATE], digest[DIGEST_TEXT], range[40];
    struct http_field f[SIGV4_FIELDS];
    size_t n = 0;
    bool file = c->fd > 0;
    if (s->reconnect)
        s3_connect(s);
    c->status = 0;
    c->sent = c->came = 0;
    c->begun_us = loop_now_us(s->loop);
    buf_clear(&c->answer);
    c->answer.max = ANSWER_MAX;
    sigv4_date(date, loop_wall_us(s->loop) + s->skew_us);
    digest_sha256_text(c->body, digest);
    for (; n < c->nfields; n++)
        f[n] = c->fields[n];
    f[n++] = (struct http_field){ S("x-amz-date"), str_of(date) };
    f[n++] = (struct http_field){ S("x-amz-content-sha256"), c->payload.n ? c->payload : str_of(digest) };
    if (s->keys.token.n)
        f[n++] = (struct http_field){ S("x-amz-security-token"), s->keys.token };
    if (c->out > 0 && c->got + c->offset) {
        snprintf(range, sizeof range, "bytes=%llu-", (unsigned long long)(c->got + c->offset));
        f[n++] = (struct http_field){ S("range"), str_of(range) };
    }
    s3_put_key(&path, s, c->key);
    buf_fmt(&target, "%s%s%.*s", path.p, c->query.n ? "?" : "", SFMT(c->query));
    sigv4_authorization(&(struct sigv4){ .method = str_of(c->method), .path = buf_view(&path), .query = c->query, .host = s->host, .fields = f, .n = n,
                                         .payload = c->payload.n ? c->payload : str_of(digest), .region = s->region, .service = S("s3"), .keys = &s->keys, .date = date }, &auth);
    f[n++] = (struct http_field){ S("authorization"), buf_view(&auth) };
    struct httpc_request q = { .method = str_of(c->method), .path = buf_view(&target), .authority = s->host, .fields = { f, n }, .body = c->body,
                               .more = file && c->length, .length = file ? c->length : 0, .deadline_us = deadline_of(c) };
    c->h = httpc_call(s->http, &q, (struct hcall_user){ on_head, on_data, on_writable, on_end, on_failed, c });
    if (q.more)
        on_writable(c->h);
}

void s3_start(struct s3 *s, struct s3_call *c)
{
    c->s = s;
    c->done = false;
    c->tries = 0;
    start(c);
}

static bool is_done(void *ctx) { return ((struct s3_call *)ctx)->done; }

int s3_wait(struct s3 *s, struct s3_call *c, struct kr_err *e)
{
    if (!c->s)
        s3_start(s, c);
    loop_run_until(s->loop, is_done, c, INT64_MAX);
    if (!c->e.code)
        return 0;
    *e = c->e;
    return -1;
}

void s3_call_end(struct s3_call *c)
{
    if (!c->s)
        return;
    hcall_cancel(c->h);
    c->h = NULL;
    loop_timer_stop(c->s->loop, &c->again);
    buf_free(&c->answer);
}
