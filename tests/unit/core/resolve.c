/* SPDX-License-Identifier: Apache-2.0 */
#include "core/resolve.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <netdb.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <sched.h>

static void check_literal(const char *host, const char *text)
{
    struct resolved r = { 0 };
    char out[64];
    CHECK_OR(resolve_literal(str_of(host), 80, &r));
    CHECK(r.n >= 1);
    CHECK_STR(resolve_text(&r.addr[0], out), str_of(text));
}

TEST(addresses_need_no_look_up)
{
    struct resolved r;
    check_literal("127.0.0.1", "127.0.0.1:80");
    check_literal("::1", "[::1]:80");
    check_literal("2001:db8::2", "[2001:db8::2]:80");
    static const char *const names[] = { "example.com", "127.0.0.1.example", "256.1.1.1", "1.2.3", "::g", "[::1]", "127.0.0.1 " };
    for (size_t i = 0; i < LEN(names); i++)
        CHECK(!resolve_literal(str_of(names[i]), 80, &r));
    CHECK(resolve_literal(S("localhost"), 80, &r));
    for (size_t i = 0; i < r.n; i++) {
        const struct sockaddr_in *a = (const void *)&r.addr[i];
        const struct sockaddr_in6 *b = (const void *)&r.addr[i];
        CHECK(a->sin_family == AF_INET ? a->sin_addr.s_addr == htonl(INADDR_LOOPBACK) : IN6_IS_ADDR_LOOPBACK(&b->sin6_addr));
    }
}

struct answer { bool over, failed; struct kr_err e; };
static void got(void *ctx, const struct resolved *r, const struct kr_err *e)
{
    struct answer *a = ctx;
    CHECK(!a->over);
    CHECK(e || r->n > 0);
    a->over = true;
    a->failed = e;
    if (e)
        a->e = *e;
}

/* A look-up that nobody wants any more ends by itself. What its thread holds would count as lost at the exit. */
static void threads_end(void)
{
    for (int n = 2; n > 1; sched_yield()) {
        DIR *d = opendir("/proc/self/task");
        n = -2;                                   /* "." and ".." */
        while (d && readdir(d))
            n++;
        if (d)
            closedir(d);
    }
}

TEST(a_name_that_cannot_be_is_an_error_and_a_cancelled_look_up_is_silent)
{
    struct here h;
    struct answer a = { 0 }, b = { 0 };
    here_loop(&h);
    resolve_cancel(resolve_start(h.loop, S("cancelled.invalid"), 80, got, &b));
    resolve_cancel(NULL);
    resolve_start(h.loop, S("a name with spaces"), 80, got, &a);
    CHECK(!a.over);                               /* never from inside the call */
    here_until(&h, &a.over);
    CHECK(a.failed);
    CHECK(str_find(str_of(a.e.msg), S("a name with spaces")) >= 0);
    CHECK(!b.over);
    loop_free(h.loop);
    threads_end();
}

TEST(families_take_turns)
{
    static const struct { const char *list, *taken; } T[] = {
        { "666666666644", "64646666" }, { "4466", "4646" }, { "4444", "4444" }, { "6u4", "64" }, { "u", "" }, { "", "" } };
    for (size_t i = 0; i < LEN(T); i++) {
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
        struct sockaddr_in v4 = { .sin_family = AF_INET };
        struct addrinfo a[16] = { 0 };
        struct resolved r = { 0 };
        size_t n = strlen(T[i].list);
        for (size_t k = 0; k < n; k++) {
            bool six = T[i].list[k] == '6', four = T[i].list[k] == '4';
            a[k] = (struct addrinfo){ .ai_family = six ? AF_INET6 : four ? AF_INET : AF_UNIX, .ai_addr = six ? (void *)&v6 : (void *)&v4,
                                      .ai_addrlen = six ? sizeof v6 : sizeof v4, .ai_next = k + 1 < n ? &a[k + 1] : NULL };
        }
        resolve_take(&r, n ? a : NULL);
        char text[RESOLVE_MAX + 1] = "";
        for (size_t k = 0; k < r.n; k++)
            text[k] = r.addr[k].ss_family == AF_INET6 ? '6' : '4';
        CHECK_Z(text, T[i].taken);
    }
}
