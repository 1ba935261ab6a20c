/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uri: request targets, queries and absolute URLs.
 *
 * The one idea: split first, decode each piece after, so that no escape can make a separator. What two parsers could read
 * differently (bad escapes, %00, dot segments, userinfo) is refused, not repaired.
 *
 * Not here: relative references and normalisation (RFC 3986 5 and 6); nothing in the tree resolves a link.
 */
#include "core/uri.h"

static int hex(unsigned char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_alnum(unsigned char c)
{
    unsigned char low = c | 0x20;
    return (c >= '0' && c <= '9') || (low >= 'a' && low <= 'z');
}

static bool is_unreserved(unsigned char c) { return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~'; }

void uri_split(struct str target, struct str *path, struct str *query)
{
    ptrdiff_t at = str_chr(target, '?');
    *path = at < 0 ? target : (struct str){ target.p, (size_t)at };
    *query = at < 0 ? (struct str){ 0 } : (struct str){ target.p + at + 1, target.n - (size_t)at - 1 };
}

/* Decodes into `to` (at least raw.n bytes); NULL, or what is wrong. */
static const char *decode(struct str raw, bool plus, char *to, size_t *n)
{
    size_t out = 0;
    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];
        if (c == '%') {
            int hi = i + 1 < raw.n ? hex((unsigned char)raw.p[i + 1]) : -1, lo = i + 2 < raw.n ? hex((unsigned char)raw.p[i + 2]) : -1;
            if (hi < 0 || lo < 0) return "'%' without two hexadecimal digits";
            c = (unsigned char)(hi << 4 | lo);
            if (!c) return "%00 is not allowed";
            i += 2;
        } else if (c < 0x20 || c == 0x7F) {
            return "a control character";
        } else if (c == '+' && plus) {
            c = ' ';
        }
        to[out++] = (char)c;
    }
    *n = out;
    return str_utf8((struct str){ to, out }) ? NULL : "not UTF-8 when decoded";
}

static const char *decode_into(struct arena *a, struct str raw, bool plus, struct str *out)
{
    size_t n = 0;
    char *to = arena_alloc(a, raw.n + 1);
    if (!to) return "too long";
    const char *wrong = decode(raw, plus, to, &n);
    if (!wrong) *out = (struct str){ to, n };
    return wrong;
}

int uri_decode(struct arena *a, struct str raw, bool plus, struct str *out, struct kr_err *e)
{
    const char *wrong = decode_into(a, raw, plus, out);
    if (!wrong) return 0;
    return kr_fail(e, a->over ? KR_TOO_LARGE : KR_BAD_REQUEST, "URL part '%.*s': %s",
                   (int)(raw.n < 100 ? raw.n : 100), raw.p ? raw.p : "", wrong);
}

int uri_segments(struct arena *a, struct str path, struct str *out, size_t max, struct kr_err *e)
{
    size_t n = 0;
    if (!path.n || path.p[0] != '/') return kr_fail(e, KR_BAD_REQUEST, "the path does not begin with '/'");
    struct str rest = str_from(path, 1);
    while (rest.n) {
        struct str raw = str_cut(&rest, '/'), segment;
        if (!raw.n) return kr_fail(e, KR_BAD_REQUEST, "the path has an empty segment");
        if (uri_decode(a, raw, false, &segment, e) < 0) return -1;
        if (str_is(segment, ".") || str_is(segment, ".."))
            return kr_fail(e, KR_BAD_REQUEST, "the path has a segment '%.*s'", SFMT(segment));
        if (n == max) return kr_fail(e, KR_NOT_FOUND, "the path has more than %zu segments", max);
        out[n++] = segment;
    }
    return (int)n;
}

/* ---- query ---- */
/* One raw pair; false at the end. */
static bool next_raw(struct str *rest, struct str *key, struct str *value)
{
    while (rest->n) {
        struct str pair = str_cut(rest, '&');
        if (!pair.n) continue;
        ptrdiff_t eq = str_chr(pair, '=');
        *key = eq < 0 ? pair : (struct str){ pair.p, (size_t)eq };
        *value = eq < 0 ? (struct str){ pair.p + pair.n, 0 } : str_from(pair, (size_t)eq + 1);
        return true;
    }
    return false;
}

int uri_query_check(struct str query, struct kr_err *e)
{
    struct str key, value;
    AUTO_FREE char *to = xmalloc(query.n + 1);
    size_t n;
    while (next_raw(&query, &key, &value)) {
        const char *wrong = decode(key, true, to, &n);
        if (!wrong) wrong = decode(value, true, to, &n);
        if (wrong) return kr_fail(e, KR_BAD_REQUEST, "query parameter '%.*s': %s", (int)(key.n < 100 ? key.n : 100), key.p, wrong);
    }
    return 0;
}

bool uri_query_next(struct str *rest, struct arena *a, struct str *key, struct str *value)
{
    struct str k, v;
    while (next_raw(rest, &k, &v))
        if (!decode_into(a, k, true, key) && !decode_into(a, v, true, value)) return true;
    return false;
}

bool uri_query_next_of(struct str *rest, const char *key, struct arena *a, struct str *value)
{
    struct str k, v;
    while (uri_query_next(rest, a, &k, &v))
        if (str_is(k, key)) {
            *value = v;
            return true;
        }
    return false;
}

struct str uri_query_get(struct str query, const char *key, struct arena *a)
{
    struct str value = { 0 };
    uri_query_next_of(&query, key, a, &value);
    return value;
}

/* ---- write ---- */
void uri_put_segment(struct buf *b, struct str s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_unreserved(c)) buf_byte(b, (char)c);
        else buf_add(b, (char[]){ '%', digits[c >> 4], digits[c & 15] }, 3);
    }
}

void uri_put_param(struct buf *b, const char *key, struct str value)
{
    buf_byte(b, str_chr(buf_view(b), '?') < 0 ? '?' : '&');
    uri_put_segment(b, str_of(key));
    buf_byte(b, '=');
    uri_put_segment(b, value);
}

/* ---- absolute URLs ---- */
static bool take_scheme(struct str *rest, bool *https)
{
    ptrdiff_t at = str_find(*rest, S("://"));
    if (at < 0) return false;
    struct str scheme = { rest->p, (size_t)at };
    *https = str_caseeq(scheme, S("https"));
    if (!*https && !str_caseeq(scheme, S("http"))) return false;
    *rest = str_from(*rest, (size_t)at + 3);
    return true;
}

/* The host's characters: a name or an IPv4 address, or inside of brackets hexadecimal digits, ':' and '.'. */
static bool host_ok(struct str host, bool ipv6)
{
    if (!host.n || host.n > 253) return false;
    for (size_t i = 0; i < host.n; i++) {
        unsigned char c = (unsigned char)host.p[i];
        bool ok = ipv6 ? hex(c) >= 0 || c == ':' || c == '.' : is_alnum(c) || c == '-' || c == '.' || c == '_';
        if (!ok) return false;
    }
    return !ipv6 || str_chr(host, ':') >= 0;
}

static const char *take_authority(struct str text, struct uri_url *u)
{
    struct str port = { 0 };
    if (str_chr(text, '@') >= 0) return "user information is not taken from a URL";
    u->ipv6 = text.n && text.p[0] == '[';
    ptrdiff_t end = u->ipv6 ? str_chr(text, ']') : str_chr(text, ':');
    if (u->ipv6 && end < 0) return "'[' without ']'";
    u->host = u->ipv6 ? (struct str){ text.p + 1, (size_t)end - 1 } : end < 0 ? text : (struct str){ text.p, (size_t)end };
    if (end >= 0) port = str_from(text, (size_t)end + u->ipv6);
    if (!host_ok(u->host, u->ipv6)) return "not a host name or address";
    u->port = u->https ? 443 : 80;
    if (!port.n) return NULL;
    uint64_t n;
    if (port.p[0] != ':' || !str_u64(str_from(port, 1), &n) || !n || n > 65535) return "not a port (1 to 65535)";
    u->port = (uint16_t)n;
    return NULL;
}

/* Path and query: visible ASCII without the characters RFC 3986 has no place for, and whole escapes. */
static const char *check_target(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '#') return "a fragment has no meaning here";
        if (c <= 0x20 || c >= 0x7F || strchr("\"<>\\^`{|}", c)) return "a character that must be escaped";
        if (c == '%' && (i + 2 >= s.n || hex((unsigned char)s.p[i + 1]) < 0 || hex((unsigned char)s.p[i + 2]) < 0))
            return "'%' without two hexadecimal digits";
    }
    return NULL;
}

int uri_parse_url(struct str text, struct uri_url *out, struct kr_err *e)
{
    struct uri_url u = { 0 };
    struct str rest = text;
    const char *wrong = take_scheme(&rest, &u.https) ? NULL : "it must begin with http:// or https://";
    if (!wrong) {
        size_t n = 0;
        while (n < rest.n && !strchr("/?#", rest.p[n] ? rest.p[n] : ' ')) n++;
        wrong = take_authority((struct str){ rest.p, n }, &u);
        rest = str_from(rest, n);
    }
    if (!wrong) wrong = check_target(rest);
    /* The text may hold a password just refused: it is not repeated. */
    if (wrong) return kr_fail(e, KR_BAD_REQUEST, "not a usable URL: %s", wrong);
    uri_split(rest, &u.path, &u.query);
    if (!u.path.n) u.path = S("/");
    *out = u;
    return 0;
}
