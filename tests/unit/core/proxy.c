/* SPDX-License-Identifier: Apache-2.0 */
#include "core/proxy.h"
#include "tests/kit/test.h"
#include <stdio.h>

TEST(proxies_are_read_from_urls)
{
    static const struct { const char *url, *host, *user, *password; int kind, port; } rows[] = {
        { "http://p:3128", "p", "", "", PROXY_HTTP, 3128 }, { "p.example:8080", "p.example", "", "", PROXY_HTTP, 8080 },
        { "http://p", "p", "", "", PROXY_HTTP, 80 }, { "https://p/", "p", "", "", PROXY_HTTPS, 443 },
        { "socks5://[::1]", "::1", "", "", PROXY_SOCKS5, 1080 }, { "SOCKS5H://p:81", "p", "", "", PROXY_SOCKS5, 81 },
        { "http://me:w%40rd@p:1/x?y", "p", "me", "w@rd", PROXY_HTTP, 1 } };
    for (size_t i = 0; i < LEN(rows); i++) {
        AUTO_ARENA struct arena a = { .limit = 4096 };
        struct proxy p;
        struct kr_err e = { 0 };
        if (!CHECK(proxy_parse(&p, str_of(rows[i].url), &a, &e) == 0)) {
            printf("    %s: %s\n", rows[i].url, e.msg);
            continue;
        }
        CHECK_INT(p.kind, rows[i].kind);
        CHECK_STR(p.host, str_of(rows[i].host));
        CHECK_INT(p.port, rows[i].port);
        CHECK_STR(p.user, str_of(rows[i].user));
        CHECK_STR(p.password, str_of(rows[i].password));
    }
}

TEST(what_is_no_proxy_is_refused_without_its_password)
{
    static const char *const bad[] = { "ftp://p", "http://", "http://u:secret@p:0", "http://u:secret%zz@p", "http://u:secret@a b", "socks4://p" };
    for (size_t i = 0; i < LEN(bad); i++) {
        AUTO_ARENA struct arena a = { .limit = 4096 };
        struct proxy p;
        struct kr_err e = { 0 };
        CHECK_INT(proxy_parse(&p, str_of(bad[i]), &a, &e), -1);
        CHECK(str_find(str_of(e.msg), S("secret")) < 0);
    }
}

TEST(the_environment_names_a_proxy_and_what_goes_without)
{
    static const struct { const char *no, *host; uint16_t port; bool direct; } rows[] = {
        { "", "h.example", 443, false }, { "*", "h.example", 443, true }, { "h.example", "h.example", 443, true }, { "example", "h.example", 443, true },
        { ".example", "h.example", 443, true }, { ".h.example", "h.example", 443, false }, { "*.example", "h.example", 443, true },
        { "ample", "h.example", 443, false }, { "a, H.Example ,b", "h.example", 443, true }, { "h.example:6443", "h.example", 6443, true },
        { "h.example:6443", "h.example", 443, false }, { "10.0.0.0/8", "10.1.2.3", 443, true }, { "10.0.0.0/8", "11.1.2.3", 443, false },
        { "10.128.0.0/9", "10.127.255.255", 443, false }, { "10.1.2.3", "10.1.2.3", 443, true }, { "fd00::/8", "fd12::1", 443, true },
        { "[fd12::1]:6443", "fd12::1", 6443, true }, { "0.0.0.0/0", "fd12::1", 443, false }, { "", "localhost", 443, true },
        { "", "127.77.1.2", 443, true }, { "", "::1", 443, true }, { "10.0.0.0/99,/,:,[", "10.1.2.3", 443, false } };
    setenv("HTTPS_PROXY", "http://p:1", 1);
    setenv("http_proxy", "http://q:2", 1);
    unsetenv("HTTP_PROXY");
    unsetenv("no_proxy");
    for (size_t i = 0; i < LEN(rows); i++) {
        setenv("NO_PROXY", rows[i].no, 1);
        if (!CHECK_STR(proxy_from_env(true, str_of(rows[i].host), rows[i].port), rows[i].direct ? S("") : S("http://p:1")))
            printf("    NO_PROXY=%s %s:%u\n", rows[i].no, rows[i].host, rows[i].port);
    }
    unsetenv("NO_PROXY");
    CHECK_STR(proxy_from_env(false, S("h"), 80), S("http://q:2"));
    setenv("HTTPS_PROXY", "", 1);
    unsetenv("https_proxy");
    CHECK_STR(proxy_from_env(true, S("h"), 443), S(""));
}
