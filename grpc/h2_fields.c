/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_fields: is a header block well formed (RFC 9113 section 8)? What isn't is answered with RST_STREAM(PROTOCOL_ERROR), so
 * that no request that two parties could read differently ever gets through.
 */
#include "grpc/h2_conn.h"

static bool name_ok(struct str n)
{
    static const bool fine[256] = { ['a' ... 'z'] = true, ['0' ... '9'] = true, ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true,
                                    ['&'] = true, ['\''] = true, ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true, ['^'] = true,
                                    ['_'] = true, ['`'] = true, ['|'] = true, ['~'] = true };
    for (size_t i = 0; i < n.n; i++)
        if (!fine[(unsigned char)n.p[i]])
            return false;
    return n.n > 0;
}

/* RFC 9110 section 5.5, as in HTTP/1.1. */
static bool no_control(struct str v)
{
    for (size_t i = 0; i < v.n; i++)
        if (((unsigned char)v.p[i] < ' ' && v.p[i] != '\t') || v.p[i] == 0x7f)
            return false;
    return true;
}

static bool value_ok(struct str v)
{
    bool padded = v.n && (v.p[0] == ' ' || v.p[0] == '\t' || v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t');
    return !padded && no_control(v);
}

/* What goes into a start line or a log when the request is passed on: no space either (of what value_ok took). */
static bool is_solid(struct str v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] <= ' ')
            return false;
    return true;
}

/* Section 8.2.2. */
static bool is_connection_field(struct http_field f)
{
    return str_is(f.name, "connection") || str_is(f.name, "keep-alive") || str_is(f.name, "proxy-connection") ||
           str_is(f.name, "transfer-encoding") || str_is(f.name, "upgrade") || (str_is(f.name, "te") && !str_is(f.value, "trailers"));
}

struct pseudo { struct str method, scheme, path, authority, status, host; };

/* Section 8.3: known ones, once each, of the right kind. */
static bool take_pseudo(struct pseudo *p, struct http_field f, int kind)
{
    struct str *to = kind == FIELDS_RESPONSE && str_is(f.name, ":status") ? &p->status : NULL;
    if (kind == FIELDS_REQUEST)
        to = str_is(f.name, ":method")      ? &p->method
             : str_is(f.name, ":scheme")    ? &p->scheme
             : str_is(f.name, ":path")      ? &p->path
             : str_is(f.name, ":authority") ? &p->authority
                                            : NULL;
    if (!to || to->p)
        return false;
    *to = (struct str){ f.value.p ? f.value.p : "", f.value.n };
    return true;
}

static bool take_regular(struct pseudo *p, struct http_field f, struct h2_stream *s, int kind)
{
    uint64_t n;
    if (!name_ok(f.name) || is_connection_field(f))
        return false;
    if (str_is(f.name, "host")) {
        if (p->host.p)
            return false;
        p->host = (struct str){ f.value.p ? f.value.p : "", f.value.n };
    }
    if (!str_is(f.name, "content-length") || kind == FIELDS_TRAILERS)
        return true;
    if (!str_u64(f.value, &n) || n > INT64_MAX / 2 || (s->content_length >= 0 && s->content_length != (int64_t)n))
        return false;
    s->content_length = (int64_t)n;
    return true;
}

static bool request_ok(const struct pseudo *p, struct h2_stream *s)
{
    s->head_request = str_is(p->method, "HEAD");
    if (!p->method.n || !http_is_token(p->method) || !is_solid(p->scheme) || !is_solid(p->path) || !is_solid(p->authority) ||
        str_chr(p->authority, '@') >= 0)         /* section 8.3.1: no user */
        return false;
    if (str_is(p->method, "CONNECT"))
        return p->authority.n && !p->scheme.p && !p->path.p;
    if (!p->scheme.n || !p->path.n || (p->path.p[0] != '/' && !(str_is(p->path, "*") && str_is(p->method, "OPTIONS"))))
        return false;
    return !p->host.n || !p->authority.n || str_caseeq(p->host, p->authority);
}

bool h2_fields_ok(struct http_fields fields, int kind, struct h2_stream *s)
{
    struct pseudo p = { 0 };
    bool regular = false;
    for (size_t i = 0; i < fields.n; i++) {
        struct http_field f = fields.v[i];
        if (!value_ok(f.value))
            return false;
        if (f.name.n && f.name.p[0] == ':') {
            if (regular || !take_pseudo(&p, f, kind))
                return false;
            continue;
        }
        regular = true;
        if (!take_regular(&p, f, s, kind))
            return false;
    }
    if (kind == FIELDS_REQUEST)
        return request_ok(&p, s);
    uint64_t status;
    return kind != FIELDS_RESPONSE || (p.status.n == 3 && str_u64(p.status, &status) && status >= 100);
}

/* Space around a value is left to who sends it; what could end a line or a field is not, nor is a method or path of two words. */
bool h2_fields_sendable(struct http_fields fields)
{
    for (size_t i = 0; i < fields.n; i++) {
        struct http_field f = fields.v[i];
        bool pseudo = f.name.n && f.name.p[0] == ':';
        if (!name_ok(pseudo ? str_from(f.name, 1) : f.name) || !no_control(f.value) || (pseudo && str_chr(f.value, ' ') >= 0) || is_connection_field(f))
            return false;
    }
    return true;
}
