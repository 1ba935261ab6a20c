/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy: the URL is cut by hand, as it may hold a password, which uri.c refuses. NO_PROXY is read as Go's programs do, so
 * that one setting serves kubectl and us. Tested in tests/unit/core/proxy.c.
 */
#include "core/proxy.h"
#include "core/uri.h"
#include <arpa/inet.h>
#include <stdio.h>

static bool take_kind(struct str *rest, enum proxy_kind *kind)
{
    static const struct { const char *scheme; enum proxy_kind kind; } rows[] = {
        { "http", PROXY_HTTP }, { "https", PROXY_HTTPS }, { "socks5", PROXY_SOCKS5 }, { "socks5h", PROXY_SOCKS5 } };
    ptrdiff_t at = str_find(*rest, S("://"));
    *kind = PROXY_HTTP;
    if (at < 0)
        return true;
    struct str scheme = { rest->p, (size_t)at };
    *rest = str_from(*rest, (size_t)at + 3);
    for (size_t i = 0; i < LEN(rows); i++)
        if (str_caseeq(scheme, str_of(rows[i].scheme))) {
            *kind = rows[i].kind;
            return true;
        }
    return false;
}

/* "user:word@" off the front. */
static int take_user(struct str *rest, struct proxy *p, struct arena *a, struct kr_err *e)
{
    ptrdiff_t at = str_chr(*rest, '@'), colon;
    if (at < 0)
        return 0;
    struct str who = { rest->p, (size_t)at };
    *rest = str_from(*rest, (size_t)at + 1);
    colon = str_chr(who, ':');
    struct str user = colon < 0 ? who : (struct str){ who.p, (size_t)colon }, word = colon < 0 ? S("") : str_from(who, (size_t)colon + 1);
    struct kr_err hidden = { 0 };
    if (uri_decode(a, user, false, &p->user, &hidden) < 0 || uri_decode(a, word, false, &p->password, &hidden) < 0)
        return kr_fail(e, KR_BAD_REQUEST, "not a usable proxy URL: its user or password is not well percent-encoded");
    if (p->kind == PROXY_SOCKS5 && (p->user.n > 255 || p->password.n > 255))
        return kr_fail(e, KR_BAD_REQUEST, "not a usable proxy URL: SOCKS allows 255 bytes of user and of password");
    p->user = arena_str(a, p->user);
    p->password = arena_str(a, p->password);
    return 0;
}

int proxy_parse(struct proxy *ret, struct str url, struct arena *a, struct kr_err *e)
{
    struct proxy p = { 0 };
    struct str rest = str_trim(url);
    struct uri_url u;
    if (!take_kind(&rest, &p.kind))
        return kr_fail(e, KR_UNSUPPORTED, "proxies are offered as http://, https:// and socks5://");
    size_t n = 0;
    while (n < rest.n && !strchr("/?#", rest.p[n] ? rest.p[n] : ' '))
        n++;
    rest.n = n;                                   /* a path means nothing to a proxy */
    if (take_user(&rest, &p, a, e) < 0)
        return -1;
    struct str plain = arena_fmt(a, "%s://%.*s", p.kind == PROXY_HTTPS ? "https" : "http", SFMT(rest));
    if (uri_parse_url(plain, &u, e) < 0)
        return kr_wrap(e, "the proxy's address");
    bool port_said = str_chr(u.ipv6 ? str_from(rest, u.host.n + 2) : rest, ':') >= 0;
    p.host = arena_str(a, u.host);
    p.port = p.kind == PROXY_SOCKS5 && !port_said ? 1080 : u.port;
    *ret = p;
    return 0;
}

/* ---- the environment --------------------------------------------------------------------------------------------- */

static struct str env2(const char *upper, const char *lower)
{
    const char *v = getenv(upper);
    if (!v || !*v)
        v = getenv(lower);
    return v ? str_of(v) : S("");
}

/* An address as 16 bytes (IPv4 mapped), or false: a name. */
static bool address_of(struct str text, unsigned char out[16])
{
    char z[64];
    if (!text.n || text.n >= sizeof z)
        return false;
    snprintf(z, sizeof z, "%.*s", SFMT(text));
    memset(out, 0, 16);
    if (inet_pton(AF_INET, z, out + 12) == 1) {
        out[10] = out[11] = 0xff;
        return true;
    }
    return inet_pton(AF_INET6, z, out) == 1;
}

static bool is_loopback(const unsigned char ip[16])
{
    static const unsigned char v4[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, v6[16] = { [15] = 1 };
    return (!memcmp(ip, v4, 12) && ip[12] == 127) || !memcmp(ip, v6, 16);
}

static bool in_network(struct str net, const unsigned char ip[16])
{
    unsigned char base[16];
    ptrdiff_t slash = str_chr(net, '/');
    uint64_t bits;
    if (slash < 0 || !address_of((struct str){ net.p, (size_t)slash }, base) || !str_u64(str_from(net, (size_t)slash + 1), &bits))
        return false;
    bool v4 = str_chr(net, ':') < 0;
    if (bits > (v4 ? 32 : 128))
        return false;
    bits += v4 ? 96 : 0;
    for (size_t i = 0; i < 16 && bits; i++) {
        unsigned take = bits < 8 ? (unsigned)bits : 8, mask = 0xff00u >> take & 0xff;
        if ((base[i] & mask) != (ip[i] & mask))
            return false;
        bits -= take;
    }
    return true;
}

/* "host:port" or "[v6]:port": the port off, when there is one. */
static bool cut_port(struct str *word, uint64_t *port)
{
    ptrdiff_t end = word->n && word->p[0] == '[' ? str_chr(*word, ']') : -1;
    if (end > 0) {
        struct str rest = str_from(*word, (size_t)end + 1);
        *word = (struct str){ word->p + 1, (size_t)end - 1 };
        return rest.n > 1 && rest.p[0] == ':' && str_u64(str_from(rest, 1), port);
    }
    ptrdiff_t colon = str_chr(*word, ':');
    if (colon < 0 || str_chr(str_from(*word, (size_t)colon + 1), ':') >= 0 || !str_u64(str_from(*word, (size_t)colon + 1), port))
        return false;
    word->n = (size_t)colon;
    return true;
}

/* A name excepts itself and what ends with it behind a dot; ".name" and "*.name" only the latter. */
static bool name_matches(struct str word, struct str host)
{
    bool below_only = str_starts(word, S("*.")) || str_starts(word, S("."));
    if (below_only)
        word = str_from(word, word.p[0] == '*' ? 2 : 1);
    if (!word.n || host.n < word.n)
        return false;
    if (host.n == word.n)
        return !below_only && str_caseeq(host, word);
    return host.p[host.n - word.n - 1] == '.' && str_caseeq(str_from(host, host.n - word.n), word);
}

static bool excepted(struct str list, struct str host, uint16_t port)
{
    unsigned char ip[16], other[16];
    bool literal = address_of(host, ip);
    if (str_caseeq(host, S("localhost")) || (literal && is_loopback(ip)))
        return true;
    while (list.n) {
        struct str word = str_trim(str_cut(&list, ','));
        uint64_t p;
        if (str_is(word, "*"))
            return true;
        if (literal && in_network(word, ip))
            return true;
        if (cut_port(&word, &p) && p != port)
            continue;
        if (literal ? address_of(word, other) && !memcmp(ip, other, 16) : name_matches(word, host))
            return true;
    }
    return false;
}

struct str proxy_from_env(bool https, struct str host, uint16_t port)
{
    struct str url = https ? env2("HTTPS_PROXY", "https_proxy") : env2("HTTP_PROXY", "http_proxy");
    return url.n && !excepted(env2("NO_PROXY", "no_proxy"), host, port) ? url : S("");
}
