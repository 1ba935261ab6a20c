/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1: the parser of core/http1.h. Everything but the body is made of lines that end in CRLF; a line is collected
 * in `text` and judged as soon as it is whole, so that a mistake is answered at the line that holds it. Bodies are
 * never copied: DATA is a view into the input.
 *
 * Fields are kept as offsets while `text` may still move and become views when the head is complete. Not here: what a
 * connection does with the messages (grpc/http_server.c, grpc/http_client.c), the writer (core/http1_put.c).
 * Tests: tests/unit/core/http1.c
 */
#include "core/http1.h"

enum { START, FIELDS, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, UNTIL_CLOSE, LAST, COMPLETE, DEAD };
enum { KEPT = 4096 };
enum step { MORE, AGAIN, EVENT };                        /* wants input; look at the new state; *ev is filled */

void http1_init(struct http1 *p, enum http1_role role)
{
    *p = (struct http1){ .role = role, .state = START, .text = { .max = LIMIT_HTTP1_HEAD } };
}

static void free_views(struct http1 *p)
{
    buf_free(&p->text);
    free(p->spans);
    free(p->fields);
    p->spans = NULL;
    p->fields = NULL;
    p->spans_cap = p->nspans = 0;
}

void http1_done(struct http1 *p)
{
    free_views(p);
    http1_init(p, p->role);
}

/* What views pointed into isn't kept for the next message when it is large: the answer to this one may take hours (a watch). */
static void end_views(struct http1 *p)
{
    if (p->text.cap > KEPT)
        free_views(p);
    buf_clear(&p->text);
}

void http1_expect_head(struct http1 *p, bool is_head) { p->head_request = is_head; }
bool http1_is_complete(const struct http1 *p) { return p->state == COMPLETE; }
bool http1_is_idle(const struct http1 *p) { return p->state == START && !p->text.n; }

void http1_restart(struct http1 *p)
{
    p->state = START;
    p->head_request = p->blank = p->shown = false;
    p->extensions = p->line = p->nspans = 0;
    buf_clear(&p->text);
}

static enum step fail(struct http1 *p, struct http1_event *ev, int status, const char *text)
{
    p->state = DEAD;
    *ev = (struct http1_event){ .type = HTTP1_ERROR, .status = status, .text = text };
    return EVENT;
}

/* ---- lines ---- */
static size_t line_max(const struct http1 *p)
{
    switch (p->state) {
    case START: return LIMIT_HTTP1_START_LINE;
    case CHUNK_SIZE: return LIMIT_HTTP1_CHUNK_LINE;
    case CHUNK_END: return 2;
    default: return LIMIT_HTTP1_HEAD;
    }
}

static enum step too_long(struct http1 *p, struct http1_event *ev)
{
    switch (p->state) {
    case START: return p->role == HTTP1_SERVER ? fail(p, ev, 414, "the request line is too long") : fail(p, ev, 400, "the status line is too long");
    case CHUNK_SIZE: return fail(p, ev, 400, "the chunk line is too long");
    case CHUNK_END: return fail(p, ev, 400, "the chunk does not end where its size says");
    default: return fail(p, ev, 431, "the header fields are too large");
    }
}

/* AGAIN: *line is whole, without its CRLF, and p->line stands behind it. */
static enum step take_line(struct http1 *p, struct str *in, struct str *line, struct http1_event *ev)
{
    const char *lf = in->n ? memchr(in->p, '\n', in->n) : NULL;
    size_t n = lf ? (size_t)(lf - in->p) + 1 : in->n;
    if (p->text.n - p->line + n > line_max(p) || p->text.n + n > LIMIT_HTTP1_HEAD) return too_long(p, ev);
    buf_add(&p->text, in->p, n);
    *in = str_from(*in, n);
    if (!lf) return MORE;
    *line = str_from(buf_view(&p->text), p->line);
    if (line->n < 2 || line->p[line->n - 2] != '\r') return fail(p, ev, 400, "a line ends in a bare line feed");
    line->n -= 2;
    p->line = p->text.n;
    return AGAIN;
}

static struct str view(const struct http1 *p, uint32_t at, uint32_t n) { return (struct str){ p->text.p + at, n }; }
static uint32_t offset(const struct http1 *p, struct str s) { return (uint32_t)(s.p - p->text.p); }

/* ---- start lines ---- */
/* RFC 9112 section 2.3; 505 where the version has the right shape but isn't ours. */
static int parse_version(struct http1 *p, struct str v)
{
    if (v.n != 8 || memcmp(v.p, "HTTP/", 5) || v.p[6] != '.' || v.p[5] < '0' || v.p[5] > '9' || v.p[7] < '0' || v.p[7] > '9') return 400;
    if (v.p[5] != '1' || v.p[7] > '1') return 505;
    p->head.minor = v.p[7] - '0';
    return 0;
}

static bool is_target(struct str t)
{
    for (size_t i = 0; i < t.n; i++)
        if ((unsigned char)t.p[i] <= ' ' || (unsigned char)t.p[i] >= 0x7f) return false;
    return t.n > 0;
}

/* RFC 9112 section 3.2. An absolute target's authority is put where Host would be. */
static enum step check_target(struct http1 *p, struct str method, struct str t, struct http1_event *ev)
{
    p->head.authority = (struct str){ 0 };
    if (str_is(method, "CONNECT")) return fail(p, ev, 501, "CONNECT is not offered here");
    if (!is_target(t)) return fail(p, ev, 400, "the request target has bytes that are not allowed");
    if (t.p[0] == '/' || (str_is(t, "*") && str_is(method, "OPTIONS"))) return AGAIN;
    ptrdiff_t scheme = str_find(t, S("://"));
    if (scheme <= 0 || !(str_caseeq((struct str){ t.p, (size_t)scheme }, S("http")) || str_caseeq((struct str){ t.p, (size_t)scheme }, S("https"))))
        return fail(p, ev, 400, "the request target is neither a path nor a URL");
    return AGAIN;
}

static enum step request_line(struct http1 *p, struct str line, struct http1_event *ev)
{
    struct str rest = line, method, target;
    if (!line.n && !p->blank) {                          /* section 2.2: one empty line before a request is forgiven */
        p->blank = true;
        p->line = 0;
        buf_clear(&p->text);
        return AGAIN;
    }
    method = str_cut(&rest, ' ');
    target = str_cut(&rest, ' ');
    if (!http_is_token(method) || method.n > 32) return fail(p, ev, 400, "the request line does not start with a method");
    int bad = parse_version(p, rest);
    if (bad) return fail(p, ev, bad, bad == 505 ? "this HTTP version is not offered here" : "the request line is not 'method target HTTP/1.1'");
    if (check_target(p, method, target, ev) == EVENT) return EVENT;
    p->start = (struct http1_span){ offset(p, method), (uint32_t)method.n, offset(p, target), (uint32_t)target.n };
    p->state = FIELDS;
    return AGAIN;
}

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f) return false;
    return true;
}

static enum step status_line(struct http1 *p, struct str line, struct http1_event *ev)
{
    struct str rest = line, version = str_cut(&rest, ' '), digits = { rest.p, rest.n < 3 ? rest.n : 3 };
    uint64_t status;
    if (parse_version(p, version)) return fail(p, ev, 400, "the response does not start with 'HTTP/1.1'");
    if (digits.n != 3 || !str_u64(digits, &status) || status < 100 || (rest.n > 3 && rest.p[3] != ' ') || !is_text(rest))
        return fail(p, ev, 400, "the status line has no status");
    p->head.status = (int)status;
    p->state = FIELDS;
    return AGAIN;
}

/* ---- fields ---- */
static void lower(char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] >= 'A' && s[i] <= 'Z') s[i] |= 0x20;
}

static enum step field_line(struct http1 *p, struct str line, struct http1_event *ev)
{
    if (line.p[0] == ' ' || line.p[0] == '\t') return fail(p, ev, 400, "a header line is folded");
    ptrdiff_t colon = str_chr(line, ':');
    struct http_field f = { .name = { line.p, colon < 0 ? 0 : (size_t)colon }, .value = colon < 0 ? line : str_from(line, (size_t)colon + 1) };
    if (!http_is_token(f.name)) return fail(p, ev, 400, "a header line has no proper name before its colon");
    while (f.value.n && (f.value.p[0] == ' ' || f.value.p[0] == '\t')) f.value = str_from(f.value, 1);
    while (f.value.n && (f.value.p[f.value.n - 1] == ' ' || f.value.p[f.value.n - 1] == '\t')) f.value.n--;
    if (!is_text(f.value)) return fail(p, ev, 400, "a header value has control bytes");
    if (p->nspans == LIMIT_HTTP1_FIELDS) return fail(p, ev, 431, "too many header fields");
    if (p->nspans == p->spans_cap) {
        p->spans_cap = p->spans_cap ? 2 * p->spans_cap : 16;
        p->spans = xrealloc(p->spans, p->spans_cap * sizeof *p->spans);
        p->fields = xrealloc(p->fields, p->spans_cap * sizeof *p->fields);
    }
    lower(p->text.p + offset(p, f.name), f.name.n);
    p->spans[p->nspans++] = (struct http1_span){ offset(p, f.name), (uint32_t)f.name.n, f.value.n ? offset(p, f.value) : 0, (uint32_t)f.value.n };
    return AGAIN;
}

static struct http_fields views_of_fields(struct http1 *p)
{
    for (size_t i = 0; i < p->nspans; i++) {
        struct http1_span s = p->spans[i];
        p->fields[i] = (struct http_field){ view(p, s.name, s.name_n), view(p, s.value, s.value_n) };
    }
    return (struct http_fields){ p->fields, p->nspans };
}

/* ---- the head as a whole: what the fields mean for the framing ---- */
struct meaning { bool length, chunked, host, close, keep_alive, upgrade, expect; struct str authority, upgrade_to; };

static enum step one_length(struct http1 *p, struct meaning *m, struct str v, struct http1_event *ev)
{
    if (m->length) return fail(p, ev, 400, "more than one content-length");
    if (!v.n || !str_u64(v, &p->head.length) || p->head.length > INT64_MAX)
        return fail(p, ev, 400, "content-length is not a number");
    m->length = true;
    return AGAIN;
}

static enum step one_coding(struct http1 *p, struct meaning *m, struct str v, struct http1_event *ev)
{
    if (m->chunked) return fail(p, ev, 400, "more than one transfer-encoding");
    if (!str_caseeq(v, S("chunked"))) return fail(p, ev, http_has_token(v, "chunked") ? 400 : 501, "transfer-encoding is not 'chunked'");
    m->chunked = true;
    return AGAIN;
}

/* RFC 9112 section 3.2: host and port only; user information, paths and spaces are refused. */
static bool is_authority(struct str v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] <= ' ' || (unsigned char)v.p[i] >= 0x7f || strchr("/@?#\\,\"<>^`{|}", v.p[i])) return false;
    return true;
}

static enum step one_field(struct http1 *p, struct meaning *m, struct http_field f, struct http1_event *ev)
{
    if (str_is(f.name, "content-length")) return one_length(p, m, f.value, ev);
    if (str_is(f.name, "transfer-encoding")) return one_coding(p, m, f.value, ev);
    if (str_is(f.name, "connection")) {
        m->close |= http_has_token(f.value, "close");
        m->keep_alive |= http_has_token(f.value, "keep-alive");
        m->upgrade |= http_has_token(f.value, "upgrade");
    } else if (str_is(f.name, "upgrade")) {
        m->upgrade_to = f.value;
    } else if (p->role == HTTP1_SERVER && str_is(f.name, "host")) {
        if (m->host || !is_authority(f.value)) return fail(p, ev, 400, m->host ? "more than one host field" : "the host field is not a host");
        m->host = true;
        m->authority = f.value;
    } else if (p->role == HTTP1_SERVER && str_is(f.name, "expect") && p->head.minor) {
        if (!str_caseeq(f.value, S("100-continue"))) return fail(p, ev, 417, "only '100-continue' can be expected");
        m->expect = true;
    }
    return AGAIN;
}

static enum step request_meaning(struct http1 *p, struct meaning *m, struct http1_event *ev)
{
    struct http1_head *h = &p->head;
    h->method = view(p, p->start.name, p->start.name_n);
    h->target = view(p, p->start.value, p->start.value_n);
    h->authority = m->host ? m->authority : S("");
    if (!m->host && h->minor) return fail(p, ev, 400, "the host field is missing");
    if (h->target.p[0] != '/' && h->target.p[0] != '*') {        /* absolute form: its authority wins over Host */
        struct str rest = str_from(h->target, (size_t)str_find(h->target, S("://")) + 3);
        size_t n = 0;
        while (n < rest.n && !strchr("/?#", rest.p[n])) n++;
        h->authority = (struct str){ rest.p, n };
        if (!n || !is_authority(h->authority)) return fail(p, ev, 400, "the request target has no proper host");
        h->target = str_from(rest, n);
        if (!h->target.n) h->target = S("/");
        else if (h->target.p[0] != '/') return fail(p, ev, 400, "the request target has no path");
    }
    h->body = m->chunked ? HTTP1_CHUNKED : m->length && h->length ? HTTP1_LENGTH : HTTP1_NO_BODY;
    h->expect_continue = m->expect && h->body != HTTP1_NO_BODY;
    return AGAIN;
}

/* RFC 9112 section 6.3. */
static void response_body(struct http1 *p, const struct meaning *m)
{
    struct http1_head *h = &p->head;
    h->body = HTTP1_NO_BODY;
    if (p->head_request || h->status < 200 || h->status == 204 || h->status == 304) return;
    h->body = m->chunked ? HTTP1_CHUNKED : !m->length ? HTTP1_UNTIL_CLOSE : h->length ? HTTP1_LENGTH : HTTP1_NO_BODY;
}

static int state_after_head(const struct http1 *p)
{
    if (p->role == HTTP1_CLIENT && p->head.status < 200 && p->head.status != 101) return START;
    switch (p->head.body) {
    case HTTP1_LENGTH: return BODY;
    case HTTP1_CHUNKED: return CHUNK_SIZE;
    case HTTP1_UNTIL_CLOSE: return UNTIL_CLOSE;
    default: return LAST;
    }
}

static enum step head_complete(struct http1 *p, struct http1_event *ev)
{
    struct meaning m = { 0 };
    struct http1_head *h = &p->head;
    h->length = 0;
    h->fields = views_of_fields(p);
    for (size_t i = 0; i < h->fields.n; i++)
        if (one_field(p, &m, h->fields.v[i], ev) == EVENT) return EVENT;
    if (m.chunked && (m.length || !h->minor))
        return fail(p, ev, 400, m.length ? "both content-length and transfer-encoding" : "transfer-encoding in an HTTP/1.0 message");
    if (p->role == HTTP1_SERVER) {
        if (request_meaning(p, &m, ev) == EVENT) return EVENT;
    } else {
        response_body(p, &m);
    }
    h->keep_alive = !m.close && (h->minor || m.keep_alive) && h->body != HTTP1_UNTIL_CLOSE;
    h->upgrade = m.upgrade ? m.upgrade_to : (struct str){ 0 };
    p->left = h->length;
    p->state = state_after_head(p);
    p->line = p->nspans = 0;
    p->shown = true;
    *ev = (struct http1_event){ .type = HTTP1_HEAD, .head = h };
    return EVENT;
}

/* ---- bodies ---- */
static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 9112 section 7.1: hex digits, then nothing or an extension, which is skipped but counted. */
static enum step chunk_line(struct http1 *p, struct str line, struct http1_event *ev)
{
    uint64_t size = 0;
    size_t i = 0;
    for (int d; i < line.n && (d = hex_digit(line.p[i])) >= 0; i++) {
        if (size >> 58) return fail(p, ev, 400, "the chunk size is out of range");
        size = size << 4 | (uint64_t)d;
    }
    if (!i || (i < line.n && line.p[i] != ';')) return fail(p, ev, 400, "the chunk size is not a number");
    if (!is_text(line)) return fail(p, ev, 400, "a chunk line has control bytes");
    p->extensions += line.n - i;
    if (p->extensions > LIMIT_HTTP1_CHUNK_EXTENSIONS) return fail(p, ev, 400, "too many chunk extensions");
    buf_clear(&p->text);
    p->line = 0;
    p->left = size;
    p->state = size ? CHUNK_DATA : TRAILERS;
    return AGAIN;
}

static enum step body(struct http1 *p, struct str *in, struct http1_event *ev)
{
    if (!in->n) return MORE;
    struct str data = *in;
    if (p->state != UNTIL_CLOSE) {
        if (data.n > p->left) data.n = (size_t)p->left;
        p->left -= data.n;
        if (!p->left) p->state = p->state == BODY ? LAST : CHUNK_END;
    }
    *in = str_from(*in, data.n);
    *ev = (struct http1_event){ .type = HTTP1_DATA, .data = data };
    return EVENT;
}

static enum step message_end(struct http1 *p, struct http1_event *ev)
{
    struct http_fields t = views_of_fields(p);
    for (size_t i = 0; i < t.n; i++)
        if (str_is(t.v[i].name, "content-length") || str_is(t.v[i].name, "transfer-encoding") || str_is(t.v[i].name, "host"))
            return fail(p, ev, 400, "a trailer field that belongs into the header");
    p->state = COMPLETE;
    *ev = (struct http1_event){ .type = HTTP1_END, .trailers = t };
    return EVENT;
}

static enum step a_line(struct http1 *p, struct str *in, struct http1_event *ev)
{
    struct str line;
    enum step s = take_line(p, in, &line, ev);
    if (s != AGAIN) return s;
    switch (p->state) {
    case START: return p->role == HTTP1_SERVER ? request_line(p, line, ev) : status_line(p, line, ev);
    case CHUNK_SIZE: return chunk_line(p, line, ev);
    case CHUNK_END:
        if (line.n) return too_long(p, ev);
        buf_clear(&p->text);
        p->line = 0;
        p->state = CHUNK_SIZE;
        return AGAIN;
    case TRAILERS: return line.n ? field_line(p, line, ev) : message_end(p, ev);
    default: return line.n ? field_line(p, line, ev) : head_complete(p, ev);
    }
}

bool http1_next(struct http1 *p, struct str *in, struct http1_event *ev)
{
    if (p->shown) {                                      /* the views of the last HEAD end here */
        end_views(p);
        p->shown = false;
    }
    for (;;) {
        enum step s;
        switch (p->state) {
        case BODY: case CHUNK_DATA: case UNTIL_CLOSE: s = body(p, in, ev); break;
        case LAST: s = message_end(p, ev); break;
        case COMPLETE: end_views(p); return false;
        case DEAD: return false;
        default: s = a_line(p, in, ev);
        }
        if (s != AGAIN) return s == EVENT;
    }
}

bool http1_eof(struct http1 *p, struct http1_event *ev)
{
    if (p->state == UNTIL_CLOSE) return message_end(p, ev) == EVENT;
    if (p->state == COMPLETE || p->state == DEAD || http1_is_idle(p)) return false;
    return fail(p, ev, 400, "the connection was closed inside a message") == EVENT;
}
