/* SPDX-License-Identifier: Apache-2.0 */
#include "k8s/jsonpath.h"
#include "tests/kit/test.h"

static const char doc[] =
    "{\"kind\":\"List\",\"n\":null,\"items\":["
    "{\"metadata\":{\"name\":\"a\",\"labels\":{\"x.io/y\":\"1\",\"q\":\"it's\"}},\"spec\":{\"w\":1,\"on\":true,\"l\":[1,2,3]}},"
    "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"w\":2.5,\"l\":[4]}},"
    "{\"metadata\":{\"name\":\"c\"},\"spec\":{\"w\":10,\"on\":false,\"l\":[]}}]}";

static void check(const char *path, const char *want, enum kr_code code)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf b = { .max = 4096 };
    struct kr_err e = { 0 };
    struct json *root = json_parse(&a, str_of(doc), &e);
    struct jsonpath *p = jsonpath_parse(&a, str_of(path), &e);
    int r = p ? jsonpath_print(p, root, &b, &e) : -1;
    bool ok = CHECK_INT(r, want ? 0 : -1);
    if (want) ok &= CHECK_STR(buf_view(&b), str_of(want));
    else ok &= CHECK_INT(e.code, code);
    if (!ok) CHECK_Z(e.msg, path);
}

TEST(jsonpath_selects)
{
    static const struct { const char *path, *want; } rows[] = {
        { "", "" }, { "plain \\n", "plain \\n" }, { "{.kind}", "List" }, { "{ .kind }", "List" }, { "<{.kind}>", "<List>" }, { "{$.kind}", "List" },
        { "{['kind']}", "List" }, { "{@['kind']}", "List" }, { "{.none}", "" }, { "{.none.x[0]}", "" }, { "{.n}", "null" },
        { "{.kind}{\"\\t\"}{'x'}", "List\tx" }, { "{.kind \"-\" .kind}", "List-List" },
        { "{.items[0].metadata.name}", "a" }, { "{.items[-1].metadata.name}", "c" }, { "{.items[*].metadata.name}", "a b c" },
        { "{.items.*.metadata.name}", "a b c" }, { "{.items[0:2].metadata.name}", "a b" }, { "{.items[1:].metadata.name}", "b c" },
        { "{.items[:1].metadata.name}", "a" }, { "{.items[::2].metadata.name}", "a c" }, { "{.items[-2:].metadata.name}", "b c" },
        { "{.items[0:99].metadata.name}", "a b c" }, { "{.items[5:7]}", "" }, { "{.items[0,2].metadata.name}", "a c" },
        { "{.items[*]['metadata','spec']['name','w']}", "a 1 b 2.5 c 10" },
        { "{.items[0].metadata.labels.x\\.io/y}", "1" }, { "{.items[0].metadata.labels['x.io/y']}", "1" },
        { "{.items[0].spec}", "{\"w\":1,\"on\":true,\"l\":[1,2,3]}" }, { "{.items[0].spec.l}", "[1,2,3]" }, { "{.items[*].spec.l[*]}", "1 2 3 4" },
        { "{..name}", "a b c" }, { "{.items..w}", "1 2.5 10" }, { "{..l[0]}", "1 4" }, { "{..spec.on}", "true false" },
        { "{.items[1]..*}", "{\"name\":\"b\"} {\"w\":2.5,\"l\":[4]} b 2.5 [4] 4" }, { "{.kind[0]}", "" },
    };
    for (size_t i = 0; i < LEN(rows); i++) check(rows[i].path, rows[i].want, KR_OK);
}

TEST(jsonpath_filters)
{
    static const struct { const char *path, *want; } rows[] = {
        { "{.items[?(@.metadata.name==\"b\")].spec.w}", "2.5" }, { "{.items[?(@.metadata.name=='b')].spec.w}", "2.5" },
        { "{.items[?( @.metadata.name != 'b' )].spec.w}", "1 10" }, { "{.items[?(@.spec.w>1)].metadata.name}", "b c" },
        { "{.items[?(@.spec.w>=2.5)].metadata.name}", "b c" }, { "{.items[?(@.spec.w<2)].metadata.name}", "a" },
        { "{.items[?(@.spec.w<=-1)].metadata.name}", "" }, { "{.items[?(@.spec.on==true)].metadata.name}", "a" },
        { "{.items[?(@.spec.on)].metadata.name}", "a c" }, { "{.items[?(@.spec.on!=true)].metadata.name}", "b c" },
        { "{.items[?(@.metadata.labels.q==\"it's\")].metadata.name}", "a" }, { "{.items[?(@.spec.l[?(@>3)])].metadata.name}", "b" },
        { "{.items[?(@.spec.l[2]==3)].metadata.name}", "a" }, { "{.items[?(\"b\"<@.metadata.name)].metadata.name}", "c" },
        { "{.items[?(@.metadata.name<5)].metadata.name}", "" }, { "{.kind[?(@.x)]}", "" }, { "{.items[?(@.spec.w==$.items[2].spec.w)].metadata.name}", "c" },
    };
    for (size_t i = 0; i < LEN(rows); i++) check(rows[i].path, rows[i].want, KR_OK);
}

TEST(jsonpath_ranges)
{
    static const struct { const char *path, *want; } rows[] = {
        { "{range .items[*]}{.metadata.name}={.spec.w}{\"\\n\"}{end}", "a=1\nb=2.5\nc=10\n" },
        { "{range .items[*]}[{range .spec.l[*]}{@},{end}]{end}!", "[1,2,3,][4,][]!" },
        { "{range .items[*]}{$.kind}{end}", "ListListList" }, { "{range .none[*]}x{end}", "" },
        { "{range .items[?(@.spec.on)]}{.metadata.name}{end}", "ac" }, { "{range .items[*] .metadata.name \" \" end}{.kind}", "a b c List" },
    };
    for (size_t i = 0; i < LEN(rows); i++) check(rows[i].path, rows[i].want, KR_OK);
}

TEST(jsonpath_refuses)
{
    static const char *const bad[] = { "{", "{.a", "{.a[}", "{.a[0}", "{.a[]}", "{.a[x]}", "{.a[?(@.x]}", "{.a[?(@.x==1 && @.y==2)]}", "{.a[?()]}", "{.a[?(1)]}",
        "{.a[?(@.x=~'a')]}", "{.a[0:2:0]}", "{.a[0:2:-1]}", "{..}", "{.a..}", "{.a.}", "{a}", "{\"x}", "{'\\q'}", "{end}", "{range .a}", "{range}{end}",
        "{range .a}{end}{end}", "{.a\\", "{.a=1}", "{.a()}", "{.a[99999999999999999999]}", "{1}", "{.a|.b}", "\xff", "{endless}", "{.a[?(@.x==)]}" };
    for (size_t i = 0; i < LEN(bad); i++) check(bad[i], NULL, KR_BAD_REQUEST);
    check("{.items[3].metadata.name}", NULL, KR_INVALID);
    check("{.items[-4]}", NULL, KR_INVALID);
    check("{range .items[*]}{.spec.l[1]}{end}", NULL, KR_INVALID);
    check("{..*..*..*..*..*..*..*..*..*..*..*..*}{..*..*..*..*..*..*..*..*..*}{..*[?(@..*..*..*..*..*==1)]}", "", KR_OK);
}

TEST(jsonpath_errors_have_an_offset)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e = { 0 };
    CHECK(!jsonpath_parse(&a, S("{.a[?(@.x==1 && @.y)]}"), &e));
    CHECK_Z(e.msg, "jsonpath: offset 13: expected ')'; && and || are not offered");
}

TEST(jsonpath_has_a_budget)
{
    AUTO_ARENA struct arena a = { .limit = 8 << 20 };
    AUTO_BUF struct buf wide = { .max = 1 << 20 }, b = { .max = 1 << 20 }, small = { .max = 3 };
    struct kr_err e = { 0 };
    buf_lit(&wide, "[0");
    for (int i = 0; i < 3000; i++) buf_lit(&wide, ",[[0]]");
    buf_lit(&wide, "]");
    struct json *root = json_parse(&a, buf_view(&wide), &e);
    CHECK_INT(jsonpath_print(jsonpath_parse(&a, S("{[*][?($..*[?($..x)])]}"), &e), root, &b, &e), -1);
    CHECK_INT(e.code, KR_TOO_LARGE);
    CHECK_INT(jsonpath_print(jsonpath_parse(&a, S("{.}"), &e), root, &small, &e), -1);
    CHECK_INT(e.code, KR_TOO_LARGE);
}

TEST(jsonpath_has_a_length_and_a_number_of_steps)
{
    AUTO_ARENA struct arena a = { .limit = 8 << 20 };
    AUTO_BUF struct buf text = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    buf_byte(&text, '{');
    for (int i = 0; i <= LIMIT_JSONPATH_STEPS; i++)
        buf_lit(&text, ".a");
    buf_byte(&text, '}');
    CHECK(!jsonpath_parse(&a, buf_view(&text), &e));
    CHECK(str_ends(str_of(e.msg), S("the path has too many steps")));
    while (text.n <= LIMIT_JSONPATH_TEXT)
        buf_byte(&text, 'x');
    CHECK(!jsonpath_parse(&a, buf_view(&text), &e));
    CHECK_INT(e.code, KR_TOO_LARGE);
    CHECK_Z(e.msg, "jsonpath: it has 65537 bytes, 65536 are allowed");
}

TEST(jsonpath_columns)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e = { 0 };
    struct json *root = json_parse(&a, str_of(doc), &e);
    static const char *const same[] = { ".items[1].metadata.name", "items[1].metadata.name", "{.items[1].metadata.name}", "$.items[1].metadata.name",
        ".items[?(@.metadata.name=='b')].metadata.name" };
    for (size_t i = 0; i < LEN(same); i++) {
        struct jsonpath *p = jsonpath_parse_column(&a, str_of(same[i]), &e);
        CHECK_OR(p);
        CHECK_STR(json_string(jsonpath_first(p, root)), S("b"));
    }
    CHECK(!jsonpath_first(jsonpath_parse_column(&a, S(".items[7].x"), &e), root));
    static const char *const bad[] = { ".a b", ".a{.b}", "a.", "{.a}{.b}", "range .a" };
    for (size_t i = 0; i < LEN(bad); i++)
        if (!CHECK(!jsonpath_parse_column(&a, str_of(bad[i]), &e))) CHECK_Z(bad[i], "refused");
}

TEST(jsonpath_columns_of_several_values)
{
    static const struct { const char *path, *want; } T[] = { { ".items[*].metadata.name", "a,b,c" }, { ".items[7].x", "" }, { ".nothing", "" }, { ".items[0].metadata.name", "a" } };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e = { 0 };
    struct json *root = json_parse(&a, S("{\"items\":[{\"metadata\":{\"name\":\"a\"}},{\"metadata\":{\"name\":\"b\"}},{\"metadata\":{\"name\":\"c\"}}]}"), &e);
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_BUF struct buf b = { .max = 4096 };
        jsonpath_print_column(jsonpath_parse_column(&a, str_of(T[i].path), &e), root, &b);
        CHECK_STR(buf_view(&b), str_of(T[i].want));
    }
}
