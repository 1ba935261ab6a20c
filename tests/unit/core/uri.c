/* SPDX-License-Identifier: Apache-2.0 */
#include "core/uri.h"
#include "tests/kit/test.h"

TEST(uri_split_cuts_at_the_first_question_mark)
{
    struct str path, query;
    uri_split(S("/a/b?x=1?2"), &path, &query);
    CHECK_STR(path, S("/a/b"));
    CHECK_STR(query, S("x=1?2"));
    uri_split(S("/a"), &path, &query);
    CHECK_STR(path, S("/a"));
    CHECK(!query.p);
    uri_split(S("/a?"), &path, &query);
    CHECK(query.p && !query.n);
}

TEST(uri_decode_takes_whole_escapes_of_utf8_only)
{
    static const struct { const char *in, *out; bool plus; } rows[] = {
        { "", "", false }, { "abc", "abc", false }, { "%41%2f%2F", "A//", false }, { "a+b", "a+b", false }, { "a+b%2B", "a b+", true },
        { "%C3%A9", "\xC3\xA9", false }, { "%", NULL, false }, { "%4", NULL, false }, { "%4g", NULL, false }, { "%00", NULL, false },
        { "%ff", NULL, false }, { "a\tb", NULL, false }, { "%C3", NULL, false }, { "%0A", "\n", false },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        AUTO_ARENA struct arena a = { .limit = 4096 };
        struct kr_err e = { 0 };
        struct str out = S("untouched");
        int r = uri_decode(&a, str_of(rows[i].in), rows[i].plus, &out, &e);
        CHECK_INT(r, rows[i].out ? 0 : -1);
        CHECK_STR(out, rows[i].out ? str_of(rows[i].out) : S("untouched"));
    }
}

TEST(uri_segments_are_decoded_after_the_split)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct kr_err e = { 0 };
    struct str seg[3];
    CHECK_INT(uri_segments(&a, S("/api/a%2Fb/c/"), seg, 3, &e), 3);
    CHECK_STR(seg[1], S("a/b"));
    CHECK_INT(uri_segments(&a, S("/"), seg, 3, &e), 0);
    static const char *const bad[] = { "", "a", "//", "/a//b", "/a/../b", "/%2e%2E", "/.", "/a/b/c/d", "/%zz" };
    for (size_t i = 0; i < LEN(bad); i++)
        if (!CHECK_INT(uri_segments(&a, str_of(bad[i]), seg, 3, &e), -1)) CHECK_Z(bad[i], "refused");
}

TEST(uri_query_look_ups)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct kr_err e = { 0 };
    struct str q = S("watch=1&&command=ls&empty&command=-l%20%26&bad=%zz&labelSelector=a%3Db&x="), v;
    CHECK_STR(uri_query_get(q, "watch", &a), S("1"));
    CHECK_STR(uri_query_get(q, "labelSelector", &a), S("a=b"));
    CHECK(uri_query_get(q, "empty", &a).p && !uri_query_get(q, "empty", &a).n);
    CHECK(uri_query_get(q, "x", &a).p && !uri_query_get(q, "x", &a).n);
    CHECK(!uri_query_get(q, "none", &a).p && !uri_query_get(q, "bad", &a).p && !uri_query_get((struct str){ 0 }, "a", &a).p);
    struct str rest = q;
    CHECK(uri_query_next_of(&rest, "command", &a, &v));
    CHECK_STR(v, S("ls"));
    CHECK(uri_query_next_of(&rest, "command", &a, &v));
    CHECK_STR(v, S("-l &"));
    CHECK(!uri_query_next_of(&rest, "command", &a, &v));
    CHECK_INT(uri_query_check(q, &e), -1);
    CHECK_Z(e.msg, "query parameter 'bad': '%' without two hexadecimal digits");
    CHECK_INT(uri_query_check(S("a=b&c"), &e), 0);
    CHECK_INT(uri_query_check((struct str){ 0 }, &e), 0);
}

TEST(uri_writes_what_it_reads)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct str path, query, every = S("a/b c&d=e?f#g%h+i~\xC3\xA9\n");
    buf_lit(&b, "/");
    uri_put_segment(&b, every);
    CHECK_STR(buf_view(&b), S("/a%2Fb%20c%26d%3De%3Ff%23g%25h%2Bi~%C3%A9%0A"));
    uri_put_param(&b, "q", every);
    uri_put_param(&b, "r", S("1"));
    uri_split(buf_view(&b), &path, &query);
    CHECK_STR(uri_query_get(query, "q", &a), every);
    CHECK_STR(uri_query_get(query, "r", &a), S("1"));
}

TEST(uri_urls)
{
    static const struct { const char *in, *host, *path, *query; int port; bool https; } good[] = {
        { "http://a", "a", "/", NULL, 80, false }, { "HTTPS://a.b-c_d:6443/", "a.b-c_d", "/", NULL, 6443, true },
        { "https://[::1]/x/y?z=1", "::1", "/x/y", "z=1", 443, true }, { "http://[fe80::1]:8080?q", "fe80::1", "/", "q", 8080, false },
        { "http://127.0.0.1:1/%41", "127.0.0.1", "/%41", NULL, 1, false },
    };
    static const char *const bad[] = { "", "a", "ftp://a", "http:/a", "http://", "http:///x", "http://u:p@h/", "http://a:0", "http://a:65536",
        "http://a:", "http://a:x", "http://[::1", "http://[::1]x", "http://[1]", "http://[::1%25eth0]", "http://a/#f", "http://a#f", "http://a/ b",
        "http://a/%4", "http://a b/", "http://a/\x80", "http://a/{x}" };
    struct kr_err e = { 0 };
    struct uri_url u;
    for (size_t i = 0; i < LEN(good); i++) {
        CHECK_OR(uri_parse_url(str_of(good[i].in), &u, &e) == 0);
        CHECK_STR(u.host, str_of(good[i].host));
        CHECK_STR(u.path, str_of(good[i].path));
        CHECK_STR(u.query, str_of(good[i].query));
        CHECK_INT(u.port, good[i].port);
        CHECK_INT(u.https, good[i].https);
    }
    for (size_t i = 0; i < LEN(bad); i++)
        if (!CHECK_INT(uri_parse_url(str_of(bad[i]), &u, &e), -1)) CHECK_Z(bad[i], "refused");
    CHECK_INT(uri_parse_url(S("http://me:secret@host/"), &u, &e), -1);
    CHECK(!strstr(e.msg, "secret"));
}
