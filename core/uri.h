/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uri: request targets, query parameters and absolute URLs (RFC 3986), as views into the caller's text.
 *
 * Decoding comes after splitting, so that an escaped '/' or '&' never becomes a separator. A decoded text is UTF-8
 * without NUL; everything else is refused (KR_BAD_REQUEST).
 */
#ifndef CORE_URI_H
#define CORE_URI_H
#include "core/kr.h"

/* Cuts a request target at the first '?'; the query is without it, p NULL when there is no '?'. Nothing is decoded. */
void uri_split(struct str target, struct str *path, struct str *query);

/* Percent-decodes into the arena (without escapes: a view of raw). plus: '+' is a space, as in queries. Refuses "%", "%x",
 * "%zz", %00, controls, and bytes that are not UTF-8. */
int uri_decode(struct arena *a, struct str raw, bool plus, struct str *out, struct kr_err *e);

/* Splits a path at '/' and decodes each segment into out[0…max-1]; returns how many. One '/' at the end is allowed and is no
 * segment ("/" has none). Refuses a path without '/' in front, empty segments, "." and "..", and more than max. */
int uri_segments(struct arena *a, struct str path, struct str *out, size_t max, struct kr_err *e);

/* ---- query ------------------------------------------------------------------------------------------------------- */
/* Refuses a query that has anything undecodable in it. Call it once; the look-ups below pass over pairs they can't decode. */
int uri_query_check(struct str query, struct kr_err *e);
/* The next pair, decoded, false at the end; "k" without '=' has the empty value. Empty pairs ("a&&b") are passed over.
 * Start with rest = query. */
bool uri_query_next(struct str *rest, struct arena *a, struct str *key, struct str *value);
/* The next value of that parameter, for those that come more than once (command=ls&command=-l). */
bool uri_query_next_of(struct str *rest, const char *key, struct arena *a, struct str *value);
/* The first value of that parameter; p NULL when absent, p not NULL and n 0 when empty. */
struct str uri_query_get(struct str query, const char *key, struct arena *a);

/* ---- write ------------------------------------------------------------------------------------------------------- */
/* One path segment: all but unreserved characters (RFC 3986 2.3) is escaped, '/' too. */
void uri_put_segment(struct buf *b, struct str s);
/* key=value with both escaped, a '?' before the first, '&' before the others (a '?' in the buffer is looked for). */
void uri_put_param(struct buf *b, const char *key, struct str value);

/* ---- absolute URLs ----------------------------------------------------------------------------------------------- */
struct uri_url {
    bool https;
    bool ipv6;              /* host was in brackets, which are not part of the view */
    uint16_t port;          /* 80 or 443 when not written */
    struct str host, path;  /* path: "/" when not written */
    struct str query;       /* p NULL when there is none */
};
/* http://host[:port][/path][?query] or https://…; scheme in either case. Refuses other schemes, user information (a password
 * would end in logs), fragments, port 0, zone ids, and characters that must be escaped. */
int uri_parse_url(struct str text, struct uri_url *out, struct kr_err *e);
#endif
