/* SPDX-License-Identifier: Apache-2.0 */
#include "k8s/selector.h"
#include "tests/kit/test.h"
#include <stdio.h>

TEST(label_selectors)
{
    static const struct selector_label l[] = { { S("app"), S("web") }, { S("tier"), S("") }, { S("example.com/x"), S("1") } };
    const struct selector_labels labels = { l, LEN(l) };
    static const struct { const char *text; int want; const char *printed; } T[] = {
        { "", 1, "" }, { " ", 1, "" }, { "app=web", 1, "app=web" }, { "app==web", 1, "app=web" }, { "app = web", 1, "app=web" }, { "app!=web", 0, "app!=web" }, { "app=db", 0, "app=db" },
        { "none!=x", 1, "none!=x" }, { "app", 1, "app" }, { "!app", 0, "!app" }, { "none", 0, "none" }, { "! none", 1, "!none" }, { "app in (db, web)", 1, "app in (db,web)" }, { "app in (db)", 0, "app=db" },
        { "app notin (db,x)", 1, "app notin (db,x)" }, { "app notin (web)", 0, "app!=web" }, { "tier=", 1, "tier=" }, { "tier in (,a)", 1, "tier in (,a)" }, { "example.com/x=1,app=web,!z", 1, "example.com/x=1,app=web,!z" },
        { "app=web,tier=x", 0, "app=web,tier=x" }, { "app=web,", -1, "" }, { ",app", -1, "" }, { "app in web", -1, "" }, { "app in (web", -1, "" }, { "app is web", -1, "" }, { "app=web tier", -1, "" },
        { "a/b/c=1", -1, "" }, { "-a=1", -1, "" }, { "a=b c", -1, "" }, { "a=-", -1, "" }, { "=x", -1, "" }, { "!", -1, "" }, { "a in (b,c,),,!x", -1, "" }, { "Example.com/x", -1, "" },
        { "example.com/x>0", 1, "example.com/x>0" }, { "example.com/x > 1", 0, "example.com/x>1" }, { "example.com/x<2,app", 1, "example.com/x<2,app" }, { "app>1", 0, "app>1" }, { "none<1", 0, "none<1" },
        { "app>web", -1, "" }, { "app>", -1, "" }, { ">1", -1, "" },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        struct kr_err e = { 0 };
        AUTO_BUF struct buf b = { .max = 1024 };
        struct selector *s = selector_parse(str_of(T[i].text), &e);
        int got = s ? selector_matches(s, &labels) : -1;
        selector_print(&b, s);
        if (!CHECK(got == T[i].want && str_is(buf_view(&b), T[i].printed))) printf("    \"%s\" -> %d \"%.*s\" %s\n", T[i].text, got, SFMT(buf_view(&b)), e.msg);
        selector_free(s);
    }
}

TEST(selectors_have_a_length_and_a_number_of_terms)
{
    AUTO_BUF struct buf text = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    for (int i = 0; i < LIMIT_SELECTOR_TERMS; i++)
        buf_fmt(&text, "%sk%d", i ? "," : "", i);
    struct selector *s = selector_parse(buf_view(&text), &e);
    CHECK(s);
    selector_free(s);
    buf_lit(&text, ",more");
    CHECK(!selector_parse(buf_view(&text), &e));
    CHECK_Z(e.msg, "the selector has more than 256 terms");
    while (text.n <= LIMIT_SELECTOR_TEXT)
        buf_byte(&text, 'x');
    CHECK(!selector_parse(buf_view(&text), &e));
    CHECK_Z(e.msg, "the selector has 65537 bytes, at most 65536 are allowed");
}

/* One whose values were left out when its memory ended would select others: it is whole, or refused. */
TEST(a_selector_of_very_many_values_is_whole_or_refused)
{
    AUTO_BUF struct buf text = { .max = LIMIT_SELECTOR_TEXT };
    struct selector_label last = { S("a"), S("z") };
    int whole = 0, refused = 0;
    for (int n = 1; n < 60000; n += n < 7000 ? 997 : 1 + n / 20) {
        struct kr_err e = { 0 };
        buf_clear(&text);
        buf_lit(&text, "a in (");
        for (int i = 0; i < n; i++) buf_byte(&text, ',');
        buf_lit(&text, "z)");
        struct selector *s = selector_parse(buf_view(&text), &e);
        if (s) CHECK(selector_matches(s, &(struct selector_labels){ &last, 1 })), whole++;
        else CHECK_Z(e.msg, "the selector has more values than 524288 bytes of memory hold"), refused++;
        selector_free(s);
    }
    CHECK(whole > 5 && refused > 5);
}

TEST(label_selectors_as_objects)
{
    static const struct { const char *text, *printed; } T[] = {
        { "{}", "" }, { "{\"matchLabels\":{\"a\":\"b\"}}", "a=b" }, { "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"x\",\"y\"]},{\"key\":\"b\",\"operator\":\"DoesNotExist\"}]}", "a in (x,y),!b" },
        { "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}", "!" }, { "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\",\"values\":[\"x\"]}]}", "!" },
        { "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Like\"}]}", "!" }, { "{\"matchLabels\":{\"a b\":\"b\"}}", "!" },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_ARENA struct arena a = { .limit = 65536 };
        AUTO_BUF struct buf b = { .max = 1024 };
        struct kr_err e = { 0 };
        struct selector *s = selector_of_json(json_parse(&a, str_of(T[i].text), &e), &e);
        if (s) selector_print(&b, s);
        else buf_lit(&b, "!");
        CHECK_STR(buf_view(&b), str_of(T[i].printed));
        selector_free(s);
    }
}

static struct str get(void *ctx, struct str path)
{
    (void)ctx;
    return str_is(path, "metadata.name") ? S("x") : str_is(path, "odd") ? S("a,b=c\\d") : S("");
}

TEST(field_selectors)
{
    static const struct { const char *text; int want; } T[] = {
        { "", 1 }, { "metadata.name=x", 1 }, { "metadata.name==x", 1 }, { "metadata.name!=x", 0 }, { "metadata.name=y", 0 }, { "status.phase=", 1 }, { "status.phase!=Failed", 1 },
        { "metadata.name=x,status.phase!=Failed", 1 }, { "odd=a\\,b\\=c\\\\d", 1 }, { "name", -1 }, { "=x", -1 }, { "a=b,c", -1 },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        struct field_selector f = { .n = 0 };
        struct kr_err e = { 0 };
        int got = field_selector_parse(&f, str_of(T[i].text), &e) < 0 ? -1 : field_selector_matches(&f, get, NULL);
        if (!CHECK(got == T[i].want)) printf("    \"%s\" -> %d %s\n", T[i].text, got, e.msg);
        field_selector_free(&f);
    }
}

TEST(copies_of_labels_stand_alone)
{
    char k[] = "key", v[] = "value";
    struct selector_label one = { str_of(k), str_of(v) };
    struct selector_labels copy = labels_copy((struct selector_labels){ &one, 1 });
    k[0] = v[0] = 'x';
    CHECK_STR(copy.v[0].key, S("key"));
    CHECK_STR(copy.v[0].value, S("value"));
    labels_free(&copy);
    labels_free(&copy);
}

#define SIXTY_THREE "a23456789012345678901234567890123456789012345678901234567890123"

TEST(names_of_labels_are_held_to_their_form)
{
    static const struct { const char *text; bool ok; } T[] = {
        { "A9=Z0", true }, { "a.b_c-d=x", true }, { SIXTY_THREE "=" SIXTY_THREE, true }, { SIXTY_THREE "4=1", false }, { "a=" SIXTY_THREE "4", false }, { "-a", false }, { "a-=1", false },
        { "_a=1", false }, { "a=x-", false }, { "a={", false }, { "{=1", false }, { "a.b/c=1", true }, { "a..b/c=1", false }, { "-a.b/c=1", false }, { "a-.b/c=1", false }, { "A.b/c=1", false },
        { "a_b/c=1", false }, { "/c=1", false }, { "a/=1", false }, { "a in (b c)", false }, { "a in (b,-)", false }, { "a\tin\t( b )", true }, { "a in ()", true }, { "a notin b", false }, { "a=b)", false },
        { "a x=1", false }, { "a<-5", false }, { "a>9999999999999999999", false },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        struct kr_err e = { 0 };
        struct selector *s = selector_parse(str_of(T[i].text), &e);
        if (!CHECK(!s == !T[i].ok))
            printf("    \"%s\": %s\n", T[i].text, e.msg);
        selector_free(s);
    }
    struct selector_label odd = { S("n"), S("text") };
    struct kr_err e = { 0 };
    struct selector *more = selector_parse(S("n>1"), &e);
    CHECK(more && !selector_matches(more, &(struct selector_labels){ &odd, 1 }) && !selector_matches(more, &(struct selector_labels){ 0 }));
    selector_free(more);
}

TEST(selectors_of_objects_that_are_wrong)
{
    static const char *const bad[] = { "{\"matchLabels\":{\"a\":\"-\"}}", "{\"matchExpressions\":[{\"key\":\"a b\",\"operator\":\"Exists\"}]}",
        "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"NotIn\",\"values\":[\"-\"]}]}", "{\"matchExpressions\":[{\"key\":\"a\"}]}" };
    for (size_t i = 0; i < LEN(bad); i++) {
        AUTO_ARENA struct arena a = { .limit = 65536 };
        struct kr_err e = { 0 };
        if (!CHECK(!selector_of_json(json_parse(&a, str_of(bad[i]), &e), &e) && e.code))
            printf("    %s\n", bad[i]);
    }
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kr_err e = { 0 };
    CHECK_INT(labels_of_json(json_parse(&a, S("{\"a\":1,\"b\":\"x\",\"c\":null}"), &e), &a).n, 1);
}

TEST(field_selectors_have_a_length_and_a_number_of_terms)
{
    AUTO_BUF struct buf text = { .max = 1 << 20 };
    struct field_selector f = { .n = 0 };
    struct kr_err e = { 0 };
    for (int i = 0; i <= LIMIT_SELECTOR_TERMS; i++)
        buf_fmt(&text, "%sk%d=v", i ? "," : "", i);
    CHECK_INT(field_selector_parse(&f, buf_view(&text), &e), -1);
    field_selector_free(&f);
    while (text.n <= LIMIT_SELECTOR_TEXT)
        buf_byte(&text, 'x');
    f = (struct field_selector){ .n = 0 };
    CHECK_INT(field_selector_parse(&f, buf_view(&text), &e), -1);
    field_selector_free(&f);
    f = (struct field_selector){ .n = 0 };
    CHECK_INT(field_selector_parse(&f, S("a=b\\x\\"), &e), 0);
    field_selector_free(&f);
}

/* As many terms as there may be, asked by as many watches, of an object that has nothing but labels. */
TEST(many_labels_are_asked_by_many_selectors)
{
    enum { LABELS = 30000, WATCHES = 2000 };
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    AUTO_BUF struct buf text = { .max = LIMIT_SELECTOR_TEXT }, other = { .max = LIMIT_SELECTOR_TEXT };
    struct kr_err e;
    struct json *map = json_new_object(&a);
    for (int i = 0; i < LABELS; i++)
        json_set(&a, map, arena_fmt(&a, "k%d", i), json_new_str(&a, arena_fmt(&a, "v%d", i)));
    for (int i = 0; i < LIMIT_SELECTOR_TERMS; i++) {
        buf_fmt(&text, "%sk%d=v%d", i ? "," : "", LABELS - 1 - i, LABELS - 1 - i);
        buf_fmt(&other, "%s!n%d", i ? "," : "", i);
    }
    struct selector *s = selector_parse(buf_view(&text), &e), *none = selector_parse(buf_view(&other), &e);
    struct selector_labels labels = labels_of_json(map, &a), copy = labels_copy(labels);
    for (int i = 0; i < WATCHES; i++)
        CHECK_OR(selector_matches(s, &labels) && selector_matches(none, &copy));
    json_set(&a, map, S("n7"), json_new_str(&a, S("")));
    labels = labels_of_json(map, &a);
    CHECK(selector_matches(s, &labels) && !selector_matches(none, &labels));
    labels_free(&copy);
    selector_free(s);
    selector_free(none);
}

/* Many values are sorted: found as surely as few. */
TEST(many_values_of_a_term)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf text = { .max = 4096 };
    struct kr_err e = { 0 };
    buf_lit(&text, "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"\"");
    for (int i = 40; i > 0; i--) buf_fmt(&text, ",\"v%d\"", i * 7);
    buf_lit(&text, "]},{\"key\":\"b\",\"operator\":\"NotIn\",\"values\":[\"y\",\"x\",\"x\"]}]}");
    struct selector *s = selector_of_json(json_parse(&a, buf_view(&text), &e), &e);
    CHECK_OR(s);
    for (int i = 0; i < 300; i++) {
        char value[16];
        snprintf(value, sizeof value, "v%d", i);
        struct selector_label v[] = { { S("a"), str_of(value) }, { S("b"), i % 2 ? S("x") : S("z") } };
        struct selector_labels labels = labels_from(v, 2);
        CHECK_INT(selector_matches(s, &labels), i % 7 == 0 && i > 0 && i <= 280 && i % 2 == 0);
    }
    struct selector_label empty = { S("a"), S("") };
    CHECK(selector_matches(s, &(struct selector_labels){ &empty, 1 }));
    struct selector *few = selector_parse(S("a=b"), &e);
    CHECK(selector_cost(NULL) < selector_cost(few) && selector_cost(few) < selector_cost(s));
    selector_free(s);
    selector_free(few);
}

TEST(labels_that_are_equal)
{
    struct selector_label one[] = { { S("a"), S("b") }, { S("c"), S("d") } }, other[] = { { S("a"), S("b") }, { S("c"), S("e") } };
    struct selector_labels a = labels_from(one, 2), b = labels_from(other, 2), short_a = { one, 1 };
    CHECK(labels_eq(&a, &a) && !labels_eq(&a, &b) && !labels_eq(&a, &short_a) && !labels_eq(&short_a, &a));
}
