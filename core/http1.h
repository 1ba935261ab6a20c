/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1: HTTP/1.1 messages without I/O (RFC 9112): bytes in, events out, one message at a time.
 *
 *   http1_init(&p, HTTP1_SERVER);
 *   while (http1_next(&p, &in, &ev)) …             HEAD, DATA*, END, or ERROR
 *
 * http1_next consumes from the caller's view `in` and returns false when it wants more bytes or when the message is
 * complete; what is left in `in` then belongs to the next message (pipelining), which http1_restart allows. Strict
 * on purpose: what two parsers could read differently is refused (both lengths, duplicate Content-Length, bare LF,
 * folded lines, space before a colon, control bytes, codings other than one final "chunked").
 */
#ifndef CORE_HTTP1_H
#define CORE_HTTP1_H
#include "core/kr.h"

struct http_field { struct str name, value; };
struct http_fields { const struct http_field *v; size_t n; };
struct str http_get(struct http_fields, const char *lower_name);   /* first value; p NULL when absent */
/* Is `token` among the comma-separated elements of the value? ASCII case does not matter. */
bool http_has_token(struct str value, const char *token);
/* Is the Content-Type this media type, whatever its parameters? ASCII case does not matter (RFC 9110 section 8.3.1). */
bool http_media_is(struct str content_type, const char *type);
/* May this be sent: a token as name, no control bytes in the value (RFC 9110 section 5)? */
bool http_field_ok(struct http_field);
bool http_is_token(struct str);                          /* RFC 9110 section 5.6.2: a method or field name */
const char *http_reason(int status);                     /* "Not Found"; "Unknown" where there is none */

enum http1_role { HTTP1_SERVER, HTTP1_CLIENT };          /* a server reads requests, a client responses */
enum http1_body { HTTP1_NO_BODY, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };
enum http1_type { HTTP1_HEAD, HTTP1_DATA, HTTP1_END, HTTP1_ERROR };

struct http1_head {
    struct str method, target;                           /* request; target as sent */
    struct str authority;                                /* request: of an absolute target, else the Host field */
    int status;                                          /* response: 100…999 */
    int minor;                                           /* HTTP/1.<minor>: 0 or 1 */
    struct http_fields fields;                           /* names in lower case, values without surrounding space */
    enum http1_body body;
    uint64_t length;                                     /* with HTTP1_LENGTH */
    bool keep_alive;                                     /* the connection may carry another message after this one */
    bool expect_continue;                                /* the client waits for "100 Continue" before it sends the body */
    struct str upgrade;                                  /* Upgrade field when Connection names it; else p NULL */
};

struct http1_event {                                     /* all views are valid until the next call for this parser */
    enum http1_type type;
    const struct http1_head *head;                       /* HEAD; 1xx responses but 101 are a HEAD without an END */
    struct str data;                                     /* DATA: never empty, points into the input */
    struct http_fields trailers;                         /* END */
    int status;                                          /* ERROR: what a server answers before it closes (400, 413, 414, 417, 431, 501, 505) */
    const char *text;                                    /* ERROR: lower case, constant */
};

struct http1_span { uint32_t name, name_n, value, value_n; };
struct http1 {                                           /* private to http1.c */
    enum http1_role role;
    int state;
    bool head_request, blank, shown;
    uint64_t left;                                       /* of the body or of the chunk */
    size_t extensions;                                   /* bytes of chunk extensions in this message */
    struct buf text;                                     /* start line and fields; then chunk lines; then trailers */
    size_t line;                                         /* where the line being collected starts in text */
    struct http1_span start, *spans;                     /* start: two views of the start line */
    size_t nspans, spans_cap;
    struct http_field *fields;
    struct http1_head head;
};

void http1_init(struct http1 *, enum http1_role);
void http1_done(struct http1 *);
/* Client: the next response answers a HEAD request, so it has no body whatever it says. */
void http1_expect_head(struct http1 *, bool is_head);
bool http1_next(struct http1 *, struct str *in, struct http1_event *);
/* The peer has closed: END for a body that lasts until then, ERROR inside a message, else false. */
bool http1_eof(struct http1 *, struct http1_event *);
bool http1_is_complete(const struct http1 *);            /* END was handed out; bytes that follow wait for http1_restart */
bool http1_is_idle(const struct http1 *);                /* no byte of a message has been seen */
void http1_restart(struct http1 *);

/* Serialiser. A field that http_field_ok refuses, or a bad method or target, marks the buffer as failed. */
void http1_put_request(struct buf *, struct str method, struct str target, struct str authority);
void http1_put_status(struct buf *, int status);
void http1_put_field(struct buf *, struct str name, struct str value);
static inline void http1_put_end(struct buf *b) { buf_lit(b, "\r\n"); }
void http1_put_chunk(struct buf *, struct str bytes);    /* no-op when empty */
void http1_put_last_chunk(struct buf *, struct http_fields trailers);
#endif
