/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json.h"
#include "tests/kit/test.h"
#include <stdio.h>

static const char *const good[] = {
    "{}", "[]", "null", "true", " [ 1 , 2 ] ", "\"\"", "\"a\\u00e9\\n\\ud83d\\ude00\"", "-0", "0", "1", "-1.5e+10", "1E5", "[[[]]]", "{\"a\":{\"b\":[1,{}]}}",
    "\"\\\\\"", "\"\\\"\"", "{\"\":1}", "\"é€😀\"", "123456789012345678901234567890", "\"\\u0000\"", "[1,2,3,4,5,6,7,8,9,10]", "\"0123456789abcdefghij\\\"k\"",
};
static const char *const wrong[] = {
    "", " ", "{", "}", "[", "]", "{]", "[}", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "01", "+1", ".5", "1.", "1e", "1e+", "-", "--1", "NaN",
    "Infinity", "tru", "nul", "truex", "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\u12:4\"", "\"\\u12/4\"", "\"\\u12@4\"", "\"\\u12g4\"", "\"\n\"", "\"\t\"", "\"\xFF\"",
    "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "1 2", "{} {}", "[1] x", "\xEF\xBB\xBF{}", "[1 2]", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "/**/1", "[1]//",
};

TEST(texts_are_accepted_as_rfc_8259_says)
{
    for (size_t i = 0; i < LEN(good); i++) {
        struct kr_err e = { 0 };
        if (!CHECK(!json_scan(str_of(good[i]), &e))) printf("    %s: %s\n", good[i], e.msg);
    }
    for (size_t i = 0; i < LEN(wrong); i++) {
        struct kr_err e = { 0 };
        if (!CHECK(json_scan(str_of(wrong[i]), &e) < 0 && e.code == KR_BAD_REQUEST)) printf("    %s\n", wrong[i]);
        /* and no prefix or cut of a text makes the pass read beyond its end (the copy ends where the allocation does) */
        for (size_t n = strlen(wrong[i]); n; n--) {
            AUTO_FREE char *copy = xmalloc(n);
            memcpy(copy, wrong[i], n);
            json_scan((struct str){ copy, n }, &e);
        }
    }
}

TEST(depth_is_bounded)
{
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct kr_err e;
    for (int i = 0; i < LIMIT_JSON_DEPTH; i++) buf_byte(&b, '[');
    for (int i = 0; i < LIMIT_JSON_DEPTH; i++) buf_byte(&b, ']');
    CHECK(!json_scan(buf_view(&b), &e));
    buf_clear(&b);
    for (int i = 0; i < 100000; i++) buf_byte(&b, '[');
    CHECK(json_scan(buf_view(&b), &e) < 0);
}

static void say_key(void *ctx, struct str key, size_t offset) { buf_fmt(ctx, "%.*s@%zu;", SFMT(key), offset); }

TEST(duplicate_keys_are_reported)
{
    AUTO_BUF struct buf b = { .max = 4096 }, big = { .max = 65536 };
    struct kr_err e;
    CHECK(!json_scan_keys(S("{\"a\":1,\"b\":{\"a\":1,\"a\":2},\"a\":3}"), say_key, &b, &e));
    CHECK_STR(buf_view(&b), S("a@19;a@26;"));
    buf_clear(&b);
    buf_byte(&big, '{');
    for (int i = 0; i < 100; i++) buf_fmt(&big, "\"k%d\":1,", i);
    buf_lit(&big, "\"k3\":1,\"k99\":2}");
    CHECK(!json_scan_keys(buf_view(&big), say_key, &b, &e));
    CHECK(str_starts(buf_view(&b), S("k3@")) && str_find(buf_view(&b), S("k99@")) > 0);
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct json *j = json_parse(&a, buf_view(&big), &e);
    int64_t v;
    CHECK_INT(json_len(j), 100);
    CHECK(json_int(json_get(j, "k99"), &v) && v == 2);
}

TEST(the_cursor_walks)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 16 };
    struct str text = S(" {\"a\" : [1, \"x\\\\\", {\"y\":[ ]} ] , \"b\\n\":\"q\\\"\\ud83d\\ude00\", \"c\":-12.5e2, \"d\":{}, \"e\":[]} "), key;
    struct kr_err e;
    CHECK_OR(!json_scan(text, &e));
    struct json_cur c = json_begin(text);
    int64_t v;
    json_enter(&c);
    CHECK(json_member(&c, &a, &key) && str_is(key, "a"));
    CHECK(json_kind(&c) == JSON_ARRAY);
    json_enter(&c);
    CHECK(json_item(&c) && json_i64(&c, &v) && v == 1);
    CHECK(json_item(&c));
    CHECK_STR(json_text(&c, &a), S("x\\"));
    CHECK(json_item(&c));
    CHECK_STR(json_raw(&c), S("{\"y\":[ ]}"));
    CHECK(!json_item(&c));
    CHECK(json_member(&c, &a, &key) && str_is(key, "b\n"));
    CHECK_STR(json_text(&c, &a), S("q\"😀"));
    CHECK(json_member(&c, &a, &key) && str_is(key, "c") && json_i64(&c, &v) && v == -1250);
    CHECK(json_member(&c, &a, &key));
    json_enter(&c);
    CHECK(!json_member(&c, &a, &key));
    CHECK(json_member(&c, &a, &key) && str_is(key, "e"));
    json_skip(&c);
    CHECK(!json_member(&c, &a, &key));
    CHECK_STR(json_find(text, "c"), S("-12.5e2"));
    CHECK(!json_find(text, "z").p);
}

TEST(several_members_in_one_pass)
{
    static const char *const keys[] = { "a", "none", "b", "ab" };
    struct str got[LEN(keys)];
    json_pick(S("{\"b\":1, \"ab\" : {\"a\":\"}\"},\"a\":[\"b\"],\"b\":2,\"a\\n\":0}"), keys, got, LEN(keys));
    CHECK_STR(got[0], S("[\"b\"]"));
    CHECK(!got[1].p);
    CHECK_STR(got[2], S("2"));                    /* the last one wins */
    CHECK_STR(got[3], S("{\"a\":\"}\"}"));
    json_pick(S("[1]"), keys, got, LEN(keys));
    CHECK(!got[0].p && !got[3].p);
    json_pick((struct str){ 0 }, keys, got, LEN(keys));
    CHECK(!got[0].p);
}

TEST(whole_numbers_of_every_spelling)
{
    static const struct { const char *text; bool ok; int64_t want; } T[] = {
        { "1", true, 1 }, { "1.0", true, 1 }, { "1e3", true, 1000 }, { "1.5e1", true, 15 }, { "1.5", false, 0 }, { "-0", true, 0 }, { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN }, { "9223372036854775808", false, 0 }, { "1e400", false, 0 }, { "0e400", true, 0 }, { "100e-2", true, 1 }, { "\"1\"", false, 0 }, { "1e19", false, 0 },
        { "1e+3", true, 1000 }, { "1E2", true, 100 }, { "1e401", false, 0 }, { "1e-401", false, 0 }, { "1e99999999999999999999", false, 0 }, { "99999999999999999999.0", false, 0 }, { "9223372036854775808.0", false, 0 },
        { "922337203685477580.9e1", false, 0 }, { "-9.5", false, 0 }, { "-9223372036854775808.0", false, 0 }, { "-922337203685477580.8e1", true, INT64_MIN },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        struct json_cur c = json_begin(str_of(T[i].text));
        int64_t v = 0;
        if (!CHECK(json_i64(&c, &v) == T[i].ok && v == T[i].want)) printf("    %s -> %lld\n", T[i].text, (long long)v);
    }
}

static struct str reprint(struct arena *a, const char *text)
{
    struct kr_err e = { 0 };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct json *j = json_parse(a, str_of(text), &e);
    if (!j) return arena_fmt(a, "! %s", e.msg);
    json_print(&b, j);
    return arena_str(a, buf_view(&b));
}

TEST(trees_print_what_they_read)
{
    static const struct { const char *in, *out; } T[] = {
        { " { \"b\" : 1 , \"a\" : [ true , false , null , \"x\\u0041\\n\" ] } ", "{\"b\":1,\"a\":[true,false,null,\"xA\\n\"]}" },
        { "12345678901234567890", "12345678901234567890" }, { "1.10", "1.10" }, { "1.0", "1" }, { "[9007199254740993]", "[9007199254740993]" }, { "{\"a\":1,\"A\":2,\"a\":3}", "{\"a\":3,\"A\":2}" },
        { "\"\\u001f\\\"\\\\\\/\"", "\"\\u001f\\\"\\\\/\"" }, { "[]", "[]" }, { "{}", "{}" }, { "[[],{},\"\"]", "[[],{},\"\"]" },
        { "\"a\\u0000b\"", "\"a\\u0000b\"" }, { "\"\\u20AC\\u00e9\"", "\"€é\"" }, { "\t1\r\n", "1" },
        { "[\"\\ud83dabcdefg\",\"\\ud83d\\nabcdef\",\"\\ud83d\\ue000\",\"\\ud83d\",\"\\uFFFFx\"]",
          "[\"\xEF\xBF\xBD" "abcdefg\",\"\xEF\xBF\xBD\\nabcdef\",\"\xEF\xBF\xBD\xEE\x80\x80\",\"\xEF\xBF\xBD\",\"\xEF\xBF\xBFx\"]" },
        { "[\"\\ud800\",\"\\udc00x\",\"\\ud800\\u0041\",\"\\ud83d\\ude00\"]", "[\"\xEF\xBF\xBD\",\"\xEF\xBF\xBDx\",\"\xEF\xBF\xBD" "A\",\"\xF0\x9F\x98\x80\"]" }, { "{\"a\\u0000\":1}", "! JSON: a key has a NUL character (\\u0000) inside" },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20 };
        CHECK_STR(reprint(&a, T[i].in), str_of(T[i].out));
    }
}

TEST(trees_take_no_number_that_no_double_holds)
{
    static const struct { const char *text; bool ok; } T[] = { { "[1e308]", true }, { "[-1e308]", true }, { "[1e309]", false }, { "{\"a\":[-1e400]}", false }, { "[1e-400]", true },
        { "1111111111111111111111111111111111111111111111111e300", false }, { "0e99999999999999999999", true }, { "0.0", true }, { "1e99999999999999999999", false },
        { "1e-99999999999999999999", true }, { "1.7976931348623157e308", true }, { "1.7976931348623159e308", false }, { "-0.0000017976931348623157E+314", true },
        { "17976931348623158079.3e289", true }, { "17976931348623158079.4e289", false }, { "0.09e310", false }, { "0.09e309", true } };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_ARENA struct arena a = { .limit = 65536 };
        struct kr_err e = { 0 };
        CHECK((json_parse(&a, str_of(T[i].text), &e) != NULL) == T[i].ok);
        CHECK(T[i].ok || (e.code == KR_BAD_REQUEST && str_find(str_of(e.msg), S("is out of range")) >= 0));
    }
}

TEST(trees_are_edited)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf b = { .max = 4096 };
    struct kr_err e;
    struct json *j = json_parse(&a, S("{\"a\":1,\"b\":[1,2,3],\"c\":{}}"), &e), *list = json_get(j, "b");
    json_set(&a, j, S("a"), json_new_str(&a, S("x")));
    json_set(&a, j, S("d"), json_new_bool(&a, true));
    CHECK(json_insert(list, 0, json_new_int(&a, 0)) && json_insert(list, 4, json_new_double(&a, 0.1)) && !json_insert(list, 9, json_new_null(&a)));
    CHECK(json_remove_at(list, 1) && !json_remove_at(list, 9));
    json_set(&a, json_ensure_object(&a, json_get(j, "c"), "k"), S("v"), json_new_null(&a));
    CHECK(json_del(j, S("d")) && !json_del(j, S("d")));
    struct json *copy = json_clone(&a, j);
    CHECK(json_equal(copy, j));
    json_append(json_get(copy, "b"), json_new_int(&a, 7));
    CHECK(!json_equal(copy, j));
    json_print(&b, j);
    CHECK_STR(buf_view(&b), S("{\"a\":\"x\",\"b\":[0,2,3,0.1],\"c\":{\"k\":{\"v\":null}}}"));
    CHECK(json_equal(json_parse(&a, S("{\"x\":1,\"y\":[1.0]}"), &e), json_parse(&a, S("{\"y\":[1],\"x\":1}"), &e)));
    while (json_remove_at(list, 0)) {}
    json_append(list, json_new_int(&a, 5));
    CHECK_INT(json_len(list), 1);
}

/* Quotes, brackets and escapes at every place of the 64 bytes that are looked at together. */
TEST(what_is_nested_is_skipped_whole)
{
    static const char *const T[] = { "{\"a\":\"}\"}", "{\"a\\\"}\":[\"\\\\\",{}]}", "[[],[\"]\",\"\\\\\\\"]\"],{\"[\":\"{\"}]", "[\"\\u005d\",\"\",[1,2,{\"x\":null}]]" };
    char text[512];
    for (size_t i = 0; i < LEN(T); i++)
        for (int pad = 0; pad < 200; pad++)
            for (int in_string = 0; in_string < 2; in_string++) {
                int n = in_string ? snprintf(text, sizeof text, "[\"%*s\",%s,%s]", pad, "", T[i], T[i]) : snprintf(text, sizeof text, "[%*s%s,%s]", pad, "", T[i], T[i]);
                memcpy(text + n, ",]}\"", 5);
                struct json_cur c = json_begin((struct str){ text, (size_t)n + 4 });
                CHECK_INT(json_raw(&c).n, n);
                CHECK(c.at == text + n);
            }
}

TEST(an_arena_that_is_over_is_a_clean_error)
{
    for (size_t limit = 0;; limit += 16) {
        struct arena a = { .limit = limit };
        struct kr_err e = { 0 };
        struct json *j = json_parse(&a, S("{\"a\":[1,\"x\\n\",{\"b\":null,\"a\":1,\"a\":2}],\"c\":\"text\"}"), &e);
        arena_reset(&a);
        if (j) break;
        CHECK_OR(e.code == KR_TOO_LARGE && limit < 65536);
    }
}

/* What an arena had no room for changes no tree, and takes nothing. */
TEST(values_that_did_not_fit_are_in_no_tree)
{
    AUTO_ARENA struct arena a = { .limit = 4096 }, b = { .limit = 4096 };
    struct json *o = json_new_object(&a), *one = json_new_int(&a, 1), *none;
    json_add(&a, o, S("k"), one);
    while (!b.over)
        json_new_int(&b, 1);
    none = json_new_object(&b);
    json_set(&a, none, S("x"), json_new_int(&a, 2));
    json_add(&a, none, S("y"), json_new_int(&a, 3));
    json_set(&a, o, S("z"), none);
    json_add(&a, o, S("z"), none);
    json_set(&a, o, S("k"), none);
    json_replace(o, one, none);
    CHECK(json_len(o) == 1 && json_get(o, "k") == one && !json_get(none, "x") && !json_get(none, "y"));
    json_replace(o, one, json_new_int(&a, 4));
    CHECK(json_len(o) == 1 && json_get(o, "k") != one && json_get(o, "k") != NULL);
}

TEST(json_strings_end_behind_any_character)
{
    static const struct { const char *text; bool ok; } rows[] = {
        { "\"\xC3\xA9\"", true }, { "\"\xE2\x82\xAC\"", true }, { "\"\xF0\x9F\x98\x80\"", true }, { "[\"\xC3\xA9\",\"\"]", true }, { "\"\xC3\xA9\\n\"", true },
        { "\"\xC3\xA9\\q\"", false }, { "\"\xC3\xA9\n\"", false }, { "\"\xC3\xA9\"x", false }, { "\"\xC3\"", false }, { "\"\xE2\x82\"", false }, { "\"\xC3", false },
        { "\"\x80\"", false }, { "\"\xED\xA0\x80\"", false },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct kr_err e = { 0 };
        if (!CHECK_INT(json_scan(str_of(rows[i].text), &e), rows[i].ok ? 0 : -1)) CHECK_Z(rows[i].text, e.msg);
    }
}

/* Eight bytes are looked at in one step: what is special is found wherever in them it stands, and behind whatever. */
TEST(json_strings_end_wherever_they_do)
{
    static const struct { const char *text; bool fine; } special[] = {
        { "\\\"", true }, { "\\\\", true }, { "\\u0022", true }, { "\xC3\xA9", true }, { "\xF0\x9F\x98\x80", true }, { "!", true }, { "#", true }, { "[", true },
        { "]", true }, { "\x7F", true }, { "\x1F", false }, { "\x01", false }, { "\xC3", false }, { "\xA0", false }, { "\\q", false } };
    for (size_t before = 0; before < 20; before++)
        for (size_t behind = 0; behind < 20; behind++)
            for (size_t k = 0; k < LEN(special); k++) {
                AUTO_BUF struct buf b = { .max = 256 };
                struct kr_err e = { 0 };
                buf_fmt(&b, "[\"%.*s%s%.*s\",7]", (int)before, "aaaaaaaaaaaaaaaaaaaa", special[k].text, (int)behind, "!!!!!!!!!!!!!!!!!!!!");
                CHECK((json_scan(buf_view(&b), &e) == 0) == special[k].fine);
                if (!special[k].fine)
                    continue;
                struct json_cur c = json_begin(buf_view(&b));
                json_enter(&c);
                CHECK_OR(json_item(&c));
                CHECK_INT(json_raw(&c).n, b.n - 4);
                CHECK(json_item(&c) && str_is(json_raw(&c), "7") && !json_item(&c));
            }
}

TEST(text_is_indented_for_people)
{
    static const struct { const char *text, *want; } T[] = {
        { "1", "1" }, { "{}", "{}" }, { "[ ]", "[]" }, { "[[],{}]", "[\n    [],\n    {}\n]" }, { "\t[\r\n1 ]", "[\n    1\n]" }, { "\"\\\"\"", "\"\\\"\"" }, { "\"x", "\"x" }, { "]", "\n]" },
        { "{\"a\" : [1,2] ,\"b\":\"x,{\\\"}\"}", "{\n    \"a\": [\n        1,\n        2\n    ],\n    \"b\": \"x,{\\\"}\"\n}" } };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_BUF struct buf b = { .max = 4096 };
        json_indent(&b, str_of(T[i].text));
        CHECK_STR(buf_view(&b), str_of(T[i].want));
    }
}

/* Whatever step of it finds no memory: the arena says so, and nothing else happens. */
TEST(trees_are_built_or_the_arena_is_over)
{
    AUTO_BUF struct buf want = { .max = 4096 };
    for (size_t limit = 8192; limit > 0; limit -= 8) {                 /* the first has enough */
        AUTO_ARENA struct arena a = { .limit = limit };
        AUTO_BUF struct buf b = { .max = 4096 };
        struct json *o = json_new_object(&a), *list = json_new_array(&a);
        json_set(&a, o, S("a"), json_new_str(&a, S("one")));
        json_set(&a, o, S("list"), list);
        json_append(list, json_new_int(&a, 1));
        json_append(list, json_new_double(&a, 0.5));
        CHECK(json_insert(list, 1, json_new_null(&a)) || a.over);
        json_set(&a, o, S("a"), json_new_str(&a, S("two")));
        json_add(&a, o, S("b"), json_new_bool(&a, false));
        struct json *c = json_ensure_object(&a, o, "c"), *same = json_ensure_object(&a, o, "c");
        CHECK(c == same || a.over);
        json_set(&a, c, S("d"), json_clone(&a, o));
        json_print(&b, o);
        if (!want.n)
            buf_str(&want, buf_view(&b));
        CHECK(a.over || str_eq(buf_view(&b), buf_view(&want)));
    }
    CHECK_STR(buf_view(&want), S("{\"a\":\"two\",\"list\":[1,null,0.5],\"b\":false,\"c\":{\"d\":{\"a\":\"two\",\"list\":[1,null,0.5],\"b\":false,\"c\":{}}}}"));
}

TEST(who_asks_for_another_type_gets_nothing)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 16 };
    struct kr_err e;
    struct json *o = json_parse(&a, S("{\"s\":\"x\",\"n\":1.5,\"big\":123456789012345678901234567890,\"exp\":1e30,\"a\":1}"), &e), *s = json_get(o, "s");
    CHECK(json_double(s) == 0 && json_double(json_get(o, "n")) == 1.5);
    CHECK_STR(json_number_text(s), S(""));
    CHECK_STR(json_number_text(json_get(o, "n")), S("1.5"));
    CHECK(!json_is_whole(s) && !json_is_whole(json_get(o, "n")) && json_is_whole(json_get(o, "big")) && !json_is_whole(json_get(o, "exp")) && json_is_whole(json_get(o, "a")));
    CHECK(!json_at(o, 0) && !json_get(s, "x") && !json_len(s) && !json_len(NULL));
    CHECK_STR(json_key(o), S(""));
    CHECK(!json_get_str(o, (struct str){ "a\0b", 3 }));               /* a key with a NUL inside is nobody's */
    CHECK(json_string(o).n == 0 && json_get_path(o, (const char *const[]){ "s", "x", "y" }, 3) == NULL && !json_str_of(S("1"), &a).p && !json_str_of((struct str){ 0 }, &a).p);
    CHECK(!json_find_path(S("{\"a\":{}}"), (const char *const[]){ "a", "b", "c" }, 3).p && !json_find(S("{\"ab\":1}"), "a").p && !json_find(S("{\"a\":1}"), "ab").p);
    CHECK(!json_parse(&a, S("{"), &e) && e.code == KR_BAD_REQUEST);
    CHECK(!json_equal(json_get(o, "n"), json_get(o, "a")) && !json_equal(json_get(o, "n"), s) && !json_equal(json_get(o, "big"), json_get(o, "exp")));
    static const char *const differ[][2] = { { "{\"a\":1}", "{\"b\":1}" }, { "[1]", "[1,2]" }, { "[1,2]", "[1]" }, { "1", "1.5" }, { "1e30", "1" }, { "[1]", "[2]" }, { "\"a\"", "\"b\"" } };
    for (size_t i = 0; i < LEN(differ); i++)
        CHECK(!json_equal(json_parse(&a, str_of(differ[i][0]), &e), json_parse(&a, str_of(differ[i][1]), &e)));
    AUTO_BUF struct buf few = { .max = 8 };
    json_print(&few, o);
    CHECK(few.failed);
    json_drop_duplicates(NULL);
    CHECK(json_type(NULL) == JSON_NULL && !strcmp(json_type_name(JSON_NULL), "null"));
}

TEST(numbers_are_written_as_short_as_they_read_back)
{
    static const struct { double v; const char *want; } T[] = {
        { 0, "0" }, { -0.5, "-0.5" }, { 1e15, "1e+15" }, { -1e15, "-1e+15" }, { 123456, "123456" }, { 0.1, "0.1" }, { 1.0 / 3, "0.3333333333333333" }, { 5e-324, "5e-324" } };
    AUTO_ARENA struct arena a = { .limit = 1 << 16 };
    for (size_t i = 0; i < LEN(T); i++)
        CHECK_STR(json_number_text(json_new_double(&a, T[i].v)), str_of(T[i].want));
}

TEST(keys_that_come_twice_among_many)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf b = { .max = 65536 };
    struct kr_err e;
    buf_lit(&b, "{\"x\":1,\"list\":[");
    for (int i = 0; i < 100; i++) buf_fmt(&b, "%s%d", i ? "," : "", i);
    buf_lit(&b, "],\"x\":2}");
    struct json *j = json_parse(&a, buf_view(&b), &e);
    CHECK_INT(json_len(j), 2);
    CHECK_INT(json_len(json_get(j, "list")), 100);
}

/* Members that are set, removed and added by chance are found as a list of them says, also in a copy. */
TEST(members_are_found_by_name_however_many)
{
    enum { N = 400, STEPS = 20000 };
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct json *o = json_new_object(&a), *want[N] = { 0 };
    char key[16];
    uint64_t x = test_seed();
    size_t n = 0;
    for (int step = 0; step < STEPS; step++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        int i = (int)(x >> 33) % N;
        snprintf(key, sizeof key, "key-%d", i);
        CHECK_OR(json_get(o, key) == want[i]);
        if (x >> 20 & 1) {
            n += !want[i];
            json_set(&a, o, str_of(key), want[i] = json_new_int(&a, i));
        } else {
            CHECK_OR(json_del(o, str_of(key)) == (want[i] != NULL));
            n -= want[i] != NULL;
            want[i] = NULL;
        }
    }
    CHECK_INT(json_len(o), n);
    const struct json *copy = json_clone(&a, o);
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        CHECK_OR(json_get(o, key) == want[i] && !json_get(copy, key) == !want[i]);
    }
    CHECK(json_equal(o, copy));
}

/* Over the budget at any point, what is there is still found. */
TEST(a_table_of_members_may_not_fit)
{
    for (size_t limit = 1 << 12; limit < 1 << 16; limit += 64) {
        AUTO_ARENA struct arena a = { .limit = limit, .first = 64 };
        struct json *o = json_new_object(&a);
        size_t n = 0;
        for (char key[16]; !a.over; n++) {
            snprintf(key, sizeof key, "%zu", n);
            json_set(&a, o, str_of(key), json_new_bool(&a, true));
        }
        for (const struct json *m = json_first(o); m; m = json_next(m))
            CHECK_OR(json_get_str(o, json_key(m)));
        CHECK(!json_get(o, "other"));
    }
}

/* As many as an object of the largest size has, in the order that a walk likes least. */
TEST(large_objects_are_compared_in_either_order)
{
    enum { N = 100000 };
    AUTO_ARENA struct arena a = { .limit = 256 << 20 };
    struct json *x = json_new_object(&a), *y = json_new_object(&a);
    for (int i = 0; i < N; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        json_set(&a, x, str_of(key), json_new_int(&a, i));
        snprintf(key, sizeof key, "%d", N - 1 - i);
        json_set(&a, y, str_of(key), json_new_int(&a, N - 1 - i));
    }
    CHECK(json_equal(x, y) && json_equal(y, x));
    CHECK(json_del(x, S("77")) && !json_equal(x, y));
}

/* So many that comparing each with each would not end in time. */
TEST(keys_that_come_twice_among_hundreds_of_thousands)
{
    AUTO_ARENA struct arena a = { .limit = 256 << 20 };
    AUTO_BUF struct buf b = { .max = 16 << 20 };
    struct kr_err e;
    buf_lit(&b, "{\"first\":1");
    for (int i = 0; i < 400000; i++) buf_fmt(&b, ",\"%d\":0", i % 399999);
    buf_lit(&b, ",\"first\":2}");
    struct json *j = json_parse(&a, buf_view(&b), &e);
    CHECK_INT(json_len(j), 400000);
    CHECK_STR(json_number_text(json_get(j, "first")), S("2"));
    CHECK_STR(json_key(json_first(j)), S("1"));
}

/* Of a text that was not checked nothing is known, but that it ends. */
TEST(the_cursor_stays_in_what_it_was_given)
{
    static const char *const T[] = { "", "\"", "\"abc", "\"abcdefghijk", "\"abc\\", "\"abcdefghijk\\", "[", "{", "[1", "[1,", "{\"a", "[[[[", "12" };
    for (size_t i = 0; i < LEN(T); i++) {
        size_t n = strlen(T[i]);
        AUTO_FREE char *copy = xmalloc(n + !n);
        memcpy(copy, T[i], n);
        struct json_cur c = json_begin((struct str){ copy, n });
        CHECK(n || json_kind(&c) == JSON_NULL);
        CHECK_INT(json_raw(&c).n, n);
        CHECK(c.at == c.end && !json_raw(&c).n && !json_item(&c));
    }
}

TEST(values_are_parted_by_commas)
{
    AUTO_BUF struct buf b = { .max = 40 };
    jw_begin(&b, '{');
    jw_kbegin(&b, "a", '[');
    jw_int(&b, 1);
    jw_str(&b, S("\r\t\x01"));
    jw_end(&b, ']');
    jw_end(&b, '}');
    CHECK_STR(buf_view(&b), S("{\"a\":[1,\"\\r\\t\\u0001\"]}"));
    buf_byte(&b, '\n');
    jw_null(&b);
    jw_bool(&b, true);
    CHECK_STR(str_from(buf_view(&b), 22), S("\nnull,true"));
    jw_str(&b, S("more than there is room for"));
    CHECK(b.failed);
    jw_null(&b);
    CHECK(b.failed);
}
