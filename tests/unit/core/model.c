/* SPDX-License-Identifier: Apache-2.0 */
/* The tables' own code on a kind that has a field of every type; what Kubernetes makes of our kinds is in tests/unit/crds. */
#include "core/model_crd.h"
#include "core/model_check.h"
#include "tests/kit/test.h"
#include <stdio.h>
#define MODEL_DEF "tests/unit/core/thing.def"
#include "core/model_structs.h"
#define MODEL_DEF "tests/unit/core/thing.def"
#include "core/model_tables.h"

#define BODY \
    "\"spec\":{\"text\":\"a\\\"\\n\",\"word\":\"red\",\"time\":\"2026-01-01T00:00:00Z\",\"any\":-5,\"count\":3,\"exact\":2,\"yes\":false," \
    "\"part\":{\"name\":\"p\",\"size\":2},\"parts\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"},{\"name\":\"d\"},{\"name\":\"e\"}],\"extra\":[{\"name\":\"x\"}],\"named\":{\"n\":{\"name\":\"o\"}}," \
    "\"tags\":[\"a\",\"b\"],\"none\":[],\"labels\":{\"a\":\"b\"},\"lists\":{\"l\":[\"x\",\"y\"]},\"maps\":[{\"k\":\"v\"},{}],\"counts\":{\"c\":7,\"d\":9223372036854775807}," \
    "\"raw\":{\"r\":[1,{}]},\"kept\":{\"name\":\"k\"},\"loose\":{}}}"
#define META "\"kind\":\"Thing\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"t\",\"generateName\":\"u\"},"
static const char whole[] = "{\"mark\":\"m\"," META BODY;

/* ---- structs --------------------------------------------------------------------------------------------------------- */

TEST(what_is_decoded_is_encoded_again)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    struct kr_err e = { .msg = "" };
    for (size_t limit = 0; !b.n; limit += 8) {             /* short of memory anywhere it is told */
        AUTO_ARENA struct arena a = { .limit = limit };
        struct thing *t = model_decode(thing, str_of(whole), &a, &e);
        if (t)
            model_encode_kind(&type_thing, t, &b);
        else
            CHECK_OR(e.code == KR_TOO_LARGE && str_find(str_of(e.msg), S("needs more than")) > 0);
    }
    CHECK_STR(buf_view(&b), S("{\"apiVersion\":\"things.example/v1\",\"kind\":\"Thing\",\"mark\":\"m\",\"metadata\":{}," BODY));
    for (size_t limit = 0; limit < 1024; limit += 8) {
        AUTO_ARENA struct arena a = { .limit = limit };
        CHECK(model_decode(thing, S("{\"mark\":\"aaaaaaaaaaaaaaaaaaaaaaaa\\n\"}"), &a, &e) || e.code == KR_TOO_LARGE);
    }
    AUTO_ARENA struct arena a = { .limit = 1 << 16 };
    buf_clear(&b);
    model_encode(thing, (&(struct thing){ .mark = S("") }), &b);         /* a required object is always there */
    CHECK_STR(buf_view(&b), S("{\"mark\":\"\",\"metadata\":{},\"spec\":{\"part\":{}}}"));
    struct model_kept kept = { 0 };
    struct thing *one = model_keep(thing, &kept, S("{\"mark\":\"one\"}"), 65536, &e);
    CHECK(one && !model_keep(thing, &kept, S("{\"mark\":2}"), 65536, &e));
    CHECK_STR(one->mark, S("one"));
    model_kept_free(&kept);
    CHECK(model_decode(thing_loose, S("{\"x\":1}"), &a, &e));
}

/* Every field with every value: what the check lets pass can be decoded, and what is decoded is encoded as it can be read again. */
static void tried(struct str field, const char *value)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf b = { .max = 1 << 16 }, once = { .max = 1 << 16 }, again = { .max = 1 << 16 };
    struct kr_err e = { .msg = "" };
    struct model_errors errors = { 0 };
    struct str_list unknown;
    buf_fmt(&b, "{" META "\"spec\":{\"part\":{\"name\":\"p\"},\"%.*s\":%s}}", SFMT(field), value);
    struct thing *t = model_decode(thing, buf_view(&b), &a, &e);
    struct json *j = json_parse(&a, buf_view(&b), &e);
    CHECK_INT(model_admit(&type_thing, &a, j, NULL, &errors, &unknown, &e), 0);
    if (!CHECK(t || errors.n || strstr(value, "null")))
        printf("    %.*s: %s: %s\n", SFMT(field), value, e.msg);
    if (!t) {
        CHECK(str_starts(str_of(e.msg), S("spec.")) && str_find(str_of(e.msg), S(": expected ")) > 0);
        return;
    }
    model_encode(thing, t, &once);
    t = model_decode(thing, buf_view(&once), &a, &e);
    CHECK_OR(t);
    model_encode(thing, t, &again);
    CHECK_STR(buf_view(&again), buf_view(&once));
}

TEST(what_may_be_stored_can_be_decoded)
{
    static const char *const values[] = {
        "null", "true", "1", "7", "-1", "1.5", "\"x\"", "\"12\"", "\"-3\"", "\"99999999999999999999\"", "\"9999999999999999999x\"", "99999999999999999999", "-99999999999999999999", "\"\"",
        "\"red\"", "\"2026-01-01T00:00:00Z\"", "\"2026-01-01 00:00:00Z\"", "\"2026-01-01T00:00:60Z\"", "[]", "[1]", "[\"x\"]", "[null]", "[{}]", "[{\"a\":\"x\"}]", "[{\"name\":\"x\"}]", "{}", "{\"a\":1}",
        "{\"a\":\"x\"}", "{\"a\":\"12\"}", "{\"a\":\"99999999999999999999\"}", "{\"a\":\"99999999999999999999x\"}", "{\"a\":\"99999999999999999999/\"}", "{\"a\":\"\"}", "{\"n\":1}", "{\"a\":99999999999999999999}", "{\"a\":[\"x\"]}", "{\"a\":[]}", "{\"a\":[1]}", "{\"a\":null}", "{\"a\":{\"name\":\"x\"}}", "{\"name\":\"x\"}", "{\"a\":1,\"b\":2,\"c\":3}" };
    for (const struct model_field *f = model_thing_spec.fields; f->name; f++)
        for (size_t i = 0; i < LEN(values); i++)
            tried((struct str){ f->name, f->len }, values[i]);
}

/* ---- admission ------------------------------------------------------------------------------------------------------- */

/* What is said of a spec (of a whole object when it starts with '{'), without the name in front. */
static void said(const char *spec, const char *old, const char *want)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 22 };
    AUTO_BUF struct buf b = { .max = 1 << 16 }, out = { .max = 1 << 16 };
    struct kr_err e = { .msg = "" };
    struct model_errors errors = { 0 };
    buf_fmt(&b, *spec == '{' ? "%s" : "{" META "\"spec\":{\"part\":{\"name\":\"p\"},%s}}", spec);
    struct json *j = json_parse(&a, buf_view(&b), &e);
    CHECK_Z(e.msg, "");
    CHECK_INT(model_admit(&type_thing, &a, j, old ? json_parse(&a, str_of(old), &e) : NULL, &errors, NULL, &e), 0);
    model_errors_print(&type_thing, S("t"), &errors, &out);
    struct str got = str_from(buf_view(&out), strlen("Thing.things.example \"t\" is invalid: "));
    if (!CHECK_STR(got, str_of(want)))
        printf("    %s\n", spec);
}
#define BLOCKED ", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]"

TEST(what_is_wrong_is_said_as_kubernetes_does)
{
    static const struct { const char *spec, *want; } rows[] = {
        { "\"text\":\"ok\"", "[]" },
        { "\"text\":\"0\"", "spec: Invalid value: \"object\": text has a size" },
        { "\"text\":\"\"", "spec: Invalid value: \"object\": division by zero evaluating rule: text has a size" },
        { "\"named\":{\"a\":{\"name\":\"long\"}}", "spec.named[a].name: Invalid value: \"string\": the expression costs more than its budget evaluating rule: takes long" },
        { "\"extra\":[{\"name\":\"ééééé\"},{\"name\":\"no\"}]", "[spec.extra[0].name: Invalid value: \"ééééé\": spec.extra[0].name in body should match '^[a-z|]*$', spec.extra[1].name: Invalid value: \"string\": is no name]" },
        { "\"extra\":[{\"name\":\"aaaaaaaaa\"}]", "[spec.extra[0].name: Too long: may not be more than 8 bytes" BLOCKED },
        { "\"text\":\"red\",\"word\":\"red\"", "spec.word: Forbidden: word and text differ" },
        { "\"word\":\"b\\\\l\\\"u\\ne\\t\\r\\u0001\\u007f\"", "[spec.word: Unsupported value: \"b\\\\l\\\"u\\ne\\t\\r\\x01\\x7f\": supported values: \"red\", \"green\"" BLOCKED },
        { "\"named\":{\"a\":{\"name\":\"x\",\"size\":7},\"b\":{\"name\":\"y\",\"size\":6},\"c\":{\"name\":\"z\",\"size\":5},\"d\":{\"name\":\"u\",\"size\":4}}",
          "[spec.named[a].size: Invalid value: \"integer\": not 7, spec.named[b].size: Invalid value: \"integer\": six is taken, "
          "spec.named[c].size: Invalid value: \"integer\": five is taken, spec.named[d].size: Invalid value: \"integer\": four is taken]" },
        { "\"named\":{\"a\":1}", "[spec.named.a: Invalid value: \"integer\": spec.named.a in body must be of type object: \"integer\"" BLOCKED },
        { "\"named\":{}", "spec.named: Invalid value: 0: spec.named in body should have at least 1 properties" },
        { "\"any\":99999999999999999999", "spec.any: Invalid value: 99999999999999999999: spec.any in body should be less than or equal to 9223372036854775807" },
        { "\"count\":-99999999999999999999", "spec.count: Invalid value: -99999999999999999999: spec.count in body should be greater than or equal to 3" },
        { "\"exact\":3", "spec.exact: Invalid value: 3: spec.exact in body should be less than or equal to 2" },
        { "\"parts\":[{\"name\":\"a\"},{\"name\":\"a\"},{}]", "[spec.parts[2].name: Required value, spec.parts[1]: Duplicate value: {\"name\":\"a\"}" BLOCKED },
        { "\"tags\":[\"a\",\"b\",\"a\"]", "spec.tags[2]: Duplicate value: \"a\"" },
        { "\"raw\":{}", "spec.raw: Invalid value: 0: spec.raw in body should have at least 1 properties" },
        { "\"kept\":{\"name\":\"A\",\"x\":1}", "spec.kept.name: Invalid value: \"A\": spec.kept.name in body should match '^[a-z|]*$'" },
        { "{\"metadata\":{\"name\":\"t\"},\"kind\":\"Other\",\"apiVersion\":\"v1\",\"spec\":{\"part\":{\"name\":\"p\"}}}", ": Invalid value: \"object\": kind and names" },
        { "\"text\":[1]", "[spec.text: Invalid value: \"array\": spec.text in body must be of type string: \"array\"" BLOCKED },
        { "\"parts\":[{\"name\":\"a\",\"size\":null}],\"any\":null,\"labels\":{\"a\":null}", "[]" },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        said(rows[i].spec, NULL, rows[i].want);
    said(whole, whole, "[]");
    said("\"text\":\"changed\"", whole, "mark: Forbidden: field is immutable");
    /* what was wrong before, and stays, is not said again; rules pass it by */
    said("{" META "\"spec\":{\"part\":\"x\",\"parts\":{},\"named\":[],\"tags\":[\"b\"],\"text\":\"new\"}}", "{" META "\"spec\":{\"part\":\"x\",\"parts\":{},\"named\":[],\"tags\":[\"a\"]}}", "[]");
    said("\"parts\":[{\"name\":\"a\",\"size\":9},{\"name\":\"b\",\"size\":7}]", "{" META "\"spec\":{\"part\":{\"name\":\"p\"},\"parts\":[{\"size\":3},{\"name\":\"b\",\"size\":7}]}}", "[]");
}

TEST(all_rules_together_have_a_budget)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 22 };
    struct kr_err e = { .msg = "" };
    struct model_errors errors = { 0 };
    struct json *j = json_parse(&a, S("{" META "\"spec\":{\"part\":{\"name\":\"long\"},\"extra\":[{\"name\":\"long\"},{\"name\":\"long\"}],\"named\":{\"a\":{\"name\":\"long\"},\"b\":{\"name\":\"long\"},\"c\":{\"name\":\"long\"},"
        "\"d\":{\"name\":\"long\"}},\"kept\":{\"name\":\"long\"},\"parts\":[{\"name\":\"long\"},{\"name\":\"long\"},{\"name\":\"long\"},{\"name\":\"long\"},{\"name\":\"long\"},{\"name\":\"long\"}]}}"), &e);
    CHECK_INT(model_check(&type_thing, &a, j, NULL, &errors, &e), 0);
    size_t costly = 0;
    for (size_t i = 0; i < errors.n; i++)
        costly += str_find(errors.v[i].message, S("costs more than its budget")) > 0;
    CHECK(costly > 1 && costly <= LIMIT_RULES_COST / LIMIT_RULE_COST);          /* of 14; who is over the budget has spent a little more */
}

TEST(what_others_found_blocks_rules_or_does_not)
{
    static const struct { const char *reason; bool blocks; } rows[] = { { "FieldValueInvalid", false }, { "FieldValueDuplicate", false }, { "FieldValueForbidden", false }, { "FieldValueRequired", true } };
    for (size_t i = 0; i < LEN(rows); i++) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20 };
        struct kr_err e = { .msg = "" };
        struct model_errors errors = { 0 };
        model_cause_add(&errors, &a, rows[i].reason, S("metadata"), "found before");
        CHECK_INT(model_check(&type_thing, &a, json_parse(&a, S("{" META "\"spec\":{\"part\":{\"name\":\"p\"}}}"), &e), NULL, &errors, &e), 0);
        CHECK_INT(errors.n, 1 + rows[i].blocks);
    }
}

TEST(what_is_no_object_at_all)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    AUTO_BUF struct buf b = { .max = 4096 };
    struct kr_err e = { .msg = "" };
    struct model_errors errors = { 0 };
    struct str_list unknown;
    CHECK_INT(model_admit(&type_thing, &a, json_new_array(&a), NULL, &errors, &unknown, &e), 0);
    model_errors_print(&(struct model_type){ .kind = "Thing" }, S("t"), &errors, &b);
    CHECK_STR(buf_view(&b), S("Thing \"t\" is invalid: : Invalid value: \"array\": must be an object"));
}

TEST(long_values_and_many_errors_are_cut)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 22 };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct kr_err e = { .msg = "" };
    struct model_errors errors = { 0 };
    struct str_list unknown = { 0 };
    buf_lit(&b, "{" META "\"spec\":{\"part\":{\"name\":\"p\"},\"word\":\"");
    for (int i = 0; i < 1000; i++) buf_lit(&b, "é");
    buf_lit(&b, "\",\"labels\":{\"x\":1");
    for (int i = 0; i < LIMIT_MODEL_ERRORS + 20; i++) buf_fmt(&b, ",\"l%d\":1", i);
    buf_lit(&b, "}");
    for (int i = 0; i < LIMIT_MODEL_ERRORS + 20; i++) buf_fmt(&b, ",\"u%d\":1", i);
    buf_lit(&b, "}}");
    struct json *j = json_parse(&a, buf_view(&b), &e);
    CHECK_INT(model_admit(&type_thing, &a, j, NULL, &errors, &unknown, &e), 0);
    CHECK_INT(errors.n, LIMIT_MODEL_ERRORS);
    CHECK_INT(unknown.n, LIMIT_MODEL_ERRORS);
    CHECK(str_starts(errors.v[0].message, S("Unsupported value: \"éé")) && str_find(errors.v[0].message, S("éé…\": supported values: \"red\"")) > 0);
}

TEST(rules_are_left_out_when_enough_is_wrong)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 22 };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct kr_err e = { .msg = "" };
    struct model_errors errors = { 0 };
    buf_lit(&b, "{" META "\"spec\":{\"part\":{\"name\":\"no\"},\"counts\":{\"x\":\"y\"");
    for (int i = 0; i < LIMIT_MODEL_ERRORS; i++) buf_fmt(&b, ",\"c%d\":\"y\"", i);
    buf_lit(&b, "}}}");
    CHECK_INT(model_check(&type_thing, &a, json_parse(&a, buf_view(&b), &e), NULL, &errors, &e), 0);
    CHECK_INT(errors.n, LIMIT_MODEL_ERRORS);
    for (size_t i = 0; i < errors.n; i++)
        CHECK(str_find(errors.v[i].message, S("is no name")) < 0);
}

TEST(admission_that_is_short_of_memory_says_so)
{
    bool done = false;
    for (size_t limit = 0; limit < 1 << 17 && !done; limit += 64) {
        AUTO_ARENA struct arena text = { .limit = 1 << 20 }, a = { .limit = limit };
        struct kr_err e = { .msg = "" };
        struct model_errors errors = { 0 };
        struct str_list unknown;
        struct json *j = json_parse(&text, S("{" META "\"spec\":{\"x\":1,\"y\":1,\"z\":1,\"u\":1,\"v\":1,\"part\":{},\"labels\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}}}"), &e);
        int rc = model_admit(&type_thing, &a, j, NULL, &errors, &unknown, &e);
        CHECK(rc == 0 || e.code == KR_TOO_LARGE);
        done = rc == 0;
    }
    CHECK(done);
}

TEST(a_table_that_is_wrong_is_told)
{
    static const struct model_rule bad_rule[] = { { .rule = "self.nothing" }, { .rule = NULL } }, bad_message[] = { { .rule = "true", .message_expr = "(" }, { .rule = NULL } };
    static const struct model_schema bad_item = { .shape = MODEL_TEXT, .pattern = "[" };
    static const struct { struct model_schema s; const char *why; } rows[] = {
        { { .shape = MODEL_TEXT, .pattern = "(" }, "table of Bad: x: pattern '('" },
        { { .shape = MODEL_TEXT, .rules = bad_rule }, "table of Bad: x: rule 'self.nothing'" },
        { { .shape = MODEL_TEXT, .rules = bad_message }, "table of Bad: x: messageExpression '('" },
        { { .shape = MODEL_LIST, .size = sizeof(struct str), .item = &bad_item }, "table of Bad: x: pattern '['" },
    };
    struct model_field text[] = { { .name = "x", .len = 1, .s = { .shape = MODEL_TEXT } }, { .name = NULL } };
    struct model_object plain = { .fields = text };
    AUTO_ARENA struct arena memory = { .limit = 65536 };
    struct model_errors none = { 0 };
    struct kr_err no = { .msg = "" };
    CHECK(model_check(&(struct model_type){ .kind = "Plain", .object = &plain }, &memory, json_new_object(&memory), NULL, &none, &no) == 0 && !none.n);       /* one without rules is fine */
    static const struct model_rule on_root[] = { { .rule = "self.metadata.labels == ''" }, { .rule = NULL } }, on_field[] = { { .rule = "self.nothing == 1" }, { .rule = NULL } };
    for (size_t i = 0; i < 2; i++) {
        struct model_object wrong = { .rules = i ? on_field : on_root, .fields = model_thing.fields };
        struct kr_err e = { .msg = "" };
        CHECK(!model_compile(&(struct model_type){ .kind = "Bad", .object = &wrong }, &e));
        CHECK(str_find(str_of(e.msg), S("undeclared field")) > 0);
    }
    for (size_t i = 0; i < LEN(rows); i++) {
        struct model_field fields[] = { { .name = "x", .len = 1, .s = rows[i].s }, { .name = NULL } };
        struct model_object object = { .fields = fields };
        struct model_type type = { .kind = "Bad", .object = &object };
        AUTO_ARENA struct arena a = { .limit = 65536 };
        struct model_errors errors = { 0 };
        struct kr_err e = { .msg = "" };
        CHECK(model_check(&type, &a, json_new_object(&a), NULL, &errors, &e) < 0);
        if (!CHECK(str_starts(str_of(e.msg), str_of(rows[i].why))))
            CHECK_Z(e.msg, rows[i].why);
    }
}

/* ---- pages ----------------------------------------------------------------------------------------------------------- */

TEST(crd_and_page_of_a_kind_that_has_everything)
{
    AUTO_BUF struct buf yaml = { .max = 1 << 16 }, page = { .max = 1 << 16 }, words = { .max = 4096 };
    model_crd_yaml(&type_thing, &yaml);
    test_golden("model/thing.yaml", buf_view(&yaml));
    model_crd_markdown(&type_thing, &page);
    test_golden("model/thing.md", buf_view(&page));
    struct model_object no_rules = { .fields = model_thing.fields };
    struct model_type other = type_thing;
    other.object = &no_rules, other.scale_spec = ".spec.count", other.scale_status = ".spec.any", other.scale_selector = ".spec.text";
    buf_clear(&yaml), buf_clear(&page);
    model_crd_yaml(&other, &yaml);
    CHECK(str_find(buf_view(&yaml), S("    subresources:\n      scale:\n        specReplicasPath: ")) > 0);
    other.status = true, other.short_name = "th";
    model_crd_markdown(&other, &page);
    model_crd_yaml(&other, &yaml);
    CHECK(str_find(buf_view(&page), S("things, short th.")) > 0 && str_find(buf_view(&page), S("Across")) < 0 && str_find(buf_view(&yaml), S("status: {}\n      scale:")) > 0);
    const struct model_field *f;
    struct kr_err e;
    for (const char *const *path = (const char *const[]){ "spec.word", "spec.tags", "spec.parts", "spec.part.size", NULL }; *path; path++) {
        CHECK_INT(model_look_up(&type_thing, str_of(*path), &f, &e), 0);
        model_constraints(&words, words.n, &f->s, true);
        buf_byte(&words, '\n');
    }
    CHECK_STR(buf_view(&words), S("red, green\nat most 4 items; each once; each: 1…8 characters\nat most 8 items; each name once\n1…10; seven is taken; six is taken; five is taken; four is taken; three is over\n"));
}

TEST(fields_are_found_by_path_or_by_what_is_near)
{
    static const struct { const char *path, *near; } rows[] = { { "spec.wrod", "word" }, { "spec.zzzzzzzz", NULL }, { "sepc", "spec" }, { "spec.text", NULL }, { "spec.text.x", NULL }, { "spec.named..size", NULL }, { "", NULL } };
    for (size_t i = 0; i < LEN(rows); i++) {
        const char *got = model_nearest(&type_thing, str_of(rows[i].path));
        CHECK_Z(got ? got : "", rows[i].near ? rows[i].near : "");
    }
    const struct model_field *f;
    struct kr_err e;
    CHECK_INT(model_look_up(&type_thing, S("spec.named.any.size"), &f, &e), 0);
    CHECK_Z(f->name, "size");
    CHECK(model_look_up(&type_thing, S("spec.named.any.other.size"), &f, &e) < 0);
    CHECK_Z(e.msg, "field 'other' does not exist in 'spec.named.any.other.size'");
    CHECK(model_look_up(&type_thing, S("spec..x"), &f, &e) < 0);
}
