/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1_put: the writing half of core/http1.h, and the small questions about fields that both halves and HTTP/2 share.
 * What could split a message (CR, LF, NUL in a value) can't be written: the buffer fails instead.
 * Tests: tests/unit/core/http1.c
 */
#include "core/http1.h"
#include <stdio.h>

struct str http_get(struct http_fields f, const char *lower_name)
{
    struct str name = str_of(lower_name);
    for (size_t i = 0; i < f.n; i++)
        if (str_eq(f.v[i].name, name)) return f.v[i].value;
    return (struct str){ 0 };
}

bool http_has_token(struct str value, const char *token)
{
    struct str want = str_of(token);
    while (value.n)
        if (str_caseeq(str_trim(str_cut(&value, ',')), want)) return true;
    return false;
}

bool http_media_is(struct str content_type, const char *type)
{
    return str_caseeq(str_trim(str_cut(&content_type, ';')), str_of(type));
}

bool http_is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i], low = c | 0x20;
        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && !(c && strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return s.n > 0;
}

bool http_field_ok(struct http_field f)
{
    for (size_t i = 0; i < f.value.n; i++)
        if (((unsigned char)f.value.p[i] < ' ' && f.value.p[i] != '\t') || f.value.p[i] == 0x7f) return false;
    return http_is_token(f.name);
}

static const struct { int status; const char *text; } reasons[] = {
    { 100, "Continue" }, { 101, "Switching Protocols" }, { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" },
    { 204, "No Content" }, { 206, "Partial Content" }, { 301, "Moved Permanently" }, { 302, "Found" },
    { 304, "Not Modified" }, { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" }, { 400, "Bad Request" },
    { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" }, { 408, "Request Timeout" }, { 409, "Conflict" }, { 410, "Gone" },
    { 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" }, { 417, "Expectation Failed" }, { 422, "Unprocessable Content" },
    { 426, "Upgrade Required" }, { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" },
    { 499, "Client Closed Request" }, { 500, "Internal Server Error" }, { 501, "Not Implemented" },
    { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < LEN(reasons); i++)
        if (reasons[i].status == status) return reasons[i].text;
    return "Unknown";
}

static bool is_visible(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f) return false;
    return s.n > 0;
}

void http1_put_request(struct buf *b, struct str method, struct str target, struct str authority)
{
    if (!http_is_token(method) || !is_visible(target)) b->failed = true;
    buf_str(b, method);
    buf_byte(b, ' ');
    buf_str(b, target);
    buf_lit(b, " HTTP/1.1\r\n");
    http1_put_field(b, S("host"), authority);
}

void http1_put_status(struct buf *b, int status)
{
    if (status < 100 || status > 999) b->failed = true;
    buf_fmt(b, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
}

void http1_put_field(struct buf *b, struct str name, struct str value)
{
    if (!http_field_ok((struct http_field){ name, value })) b->failed = true;
    buf_str(b, name);
    buf_lit(b, ": ");
    buf_str(b, value);
    buf_lit(b, "\r\n");
}

void http1_put_chunk(struct buf *b, struct str bytes)
{
    if (!bytes.n) return;
    buf_fmt(b, "%zx\r\n", bytes.n);
    buf_str(b, bytes);
    buf_lit(b, "\r\n");
}

void http1_put_last_chunk(struct buf *b, struct http_fields trailers)
{
    buf_lit(b, "0\r\n");
    for (size_t i = 0; i < trailers.n; i++) http1_put_field(b, trailers.v[i].name, trailers.v[i].value);
    buf_lit(b, "\r\n");
}
