/* SPDX-License-Identifier: Apache-2.0 */
/* What a text with ${{ }} becomes, step by step of a Workflow; and the same with too little memory for it. */
#include "crds/flow.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define FLOW "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Workflow\",\"metadata\":{\"name\":\"w\",\"namespace\":\"ns\",\"uid\":\"u-1\"},\"spec\":{\"env\":{\"E\":\"v\"},"\
             "\"jobs\":{\"first\":{\"runtime\":\"bash\",\"outputs\":{\"o\":\"x\"},\"steps\":[{\"name\":\"one\",\"run\":\"x\"}]}," \
             "\"last-one\":{\"runtime\":\"bash\",\"needs\":[\"first\"],\"strategy\":{\"matrix\":{\"os\":[\"a\",\"b\"]}},\"steps\":[{\"name\":\"my-step\",\"run\":\"x\"},{\"name\":\"two\",\"run\":\"x\"}]}}}}"

static struct arena plenty = { .limit = 8 << 20 };
static struct str_pair outputs[] = { { S("k"), S("out") }, { S("my-key"), S("dashed") } }, env[] = { { S("E"), S("value") } }, matrix[] = { { S("os"), S("a") } };

static struct str_map outputs_of(void *ctx, size_t i)
{
    (void)ctx, (void)i;
    return (struct str_map){ outputs, LEN(outputs) };
}

static const struct flow_data data = { .env = { env, 1 }, .matrix = { matrix, 1 }, .step_outputs = outputs_of, .job_outputs = outputs_of, .success = true };

static bool scope(struct flow_scope *c, enum flow_place place)
{
    struct kr_err e = { 0 };
    struct workflow *w = model_decode(workflow, S(FLOW), &plenty, &e);
    struct flow *f = w ? flow_make(w, &plenty, &e) : NULL;
    if (!CHECK(f)) {
        printf("  %s\n", e.msg);
        return false;
    }
    *c = (struct flow_scope){ .f = f, .place = place, .job = &f->jobs[flow_job_of(f, S("last-one"))], .step = 1 };
    return true;
}

/* want begins with '!': refused, with these words in the error. */
static const struct { const char *text, *want; } texts[] = {
    { "", "" }, { "plain }} text", "plain }} text" }, { "a ${{ 'b' }} c${{ 1 + 1 }}", "a b c2" }, { "${{ true }}/${{ false }}", "true/false" }, { "${{ [1, 2] }}", "[1,2]" },
    { "${{ '}}' }}", "}}" }, { "${{ \"it's }} \" }}", "it's }} " }, { "${{ 'a\\'}}' }}", "a'}}" }, { "${{ r'\\' }}", "\\" }, { "${{ R\"\\d\" }}", "\\d" },
    { "${{ '''a'b''' }}", "a'b" }, { "${{ \"\"\"x\"\"y\"\"\" }}", "x\"\"y" }, { "${{ {'k': 'v'}['k'] }}", "v" }, { "${{ {'a': {'b': '}}'}} }}", "{\"a\":{\"b\":\"}}\"}}" },
    { "${{ workflow.name }} ${{ workflow.namespace }} ${{ workflow.uid }}", "w ns u-1" }, { "${{ env.E + matrix.os }}", "valuea" },
    { "${{ steps.my-step.outputs.k }}", "out" }, { "${{ steps.my-step.outputs.my-key + '-' + jobs.first.outputs.o }}", "!" }, { "${{ steps.my-step.outputs['my-key'] }}", "dashed" },
    { "${{ jobs.first.outputs.k }}", "!" }, { "${{ 5-2 }}", "3" }, { "${{ 3 - 2 }}${{ -1 }}", "1-1" },
    { "${{ contains('abc', 'bc') }}${{ contains('abc', 'd') }}", "truefalse" }, { "${{ startsWith('abc', 'ab') }}${{ startsWith('abc', 'b') }}", "truefalse" },
    { "${{ endsWith('abc', 'bc') }}${{ endsWith('abc', 'b') }}", "truefalse" }, { "${{ contains(1, 'a') }}", "!contains(string, string)" }, { "${{ endsWith('a', 1) }}", "!endsWith(string, string)" },
    { "${{ startsWith(1, 1) }}", "!startsWith(string, string)" },
    { "${{ format('{0} of {1}, {{literally}}', 1, 'b') }}", "1 of b, {literally}" }, { "${{ format('none') }}", "none" }, { "${{ format('{0}') }}", "!{0} has no argument" },
    { "${{ format('{1}', 1) }}", "!{1} has no argument" }, { "${{ format('{x}', 1) }}", "!write {{ or }}" }, { "${{ format('a}', 1) }}", "!write {{ or }}" }, { "${{ format('{', 1) }}", "!write {{ or }}" },
    { "${{ format('{0', 1) }}", "!write {{ or }}" }, { "${{ format('{0 ', 1) }}", "!write {{ or }}" }, { "${{ format('{/}', 1) }}", "!write {{ or }}" }, { "${{ format(1) }}", "!format(string" },
    { "${{ toJSON('a\"b') }}", "\"a\\\"b\"" }, { "${{ toJSON([1, true]) }}", "[1,true]" }, { "${{ toJSON(duration('1s')) }}", "!JSON doesn't have" }, { "${{ toJSON(type(1)) }}", "!JSON doesn't have" },
    { "${{ fromJSON('{\"a\":[1,2]}').a[1] }}", "2" }, { "${{ fromJSON('{') }}", "!fromJSON()" }, { "${{ fromJSON(1) }}", "!fromJSON(string)" },
    { "${{ 1 +", "!is not closed" }, { "${{ 'a", "!is not closed" }, { "${{ '''a' }}", "!is not closed" }, { "${{ {'a': 1 }}", "!is not closed" }, { "${{ 1 }", "!is not closed" }, { "${{ 1 } }}", "!is not closed" },
    { "x ${{ steps.my-step.outputs.k + }}", "!" }, { "${{ nothing.at.all }}", "!" }, { "${{ steps.two.outputs.k }}", "!" }, { "${{ }}", "!" }, { "${{ always() }}", "!" }, { "${{ 'a' * 2 }}", "!" },
};

TEST(texts_with_expressions)
{
    struct flow_scope c;
    CHECK_OR(scope(&c, FLOW_STEP_TEXT));
    for (size_t i = 0; i < LEN(texts); i++) {
        struct kr_err e = { 0 };
        struct str out = { 0 };
        int rc = flow_text(&c, &data, str_of(texts[i].text), &plenty, &out, &e);
        if (texts[i].want[0] == '!' ? !CHECK(rc < 0 && str_find(str_of(e.msg), str_of(texts[i].want + 1)) >= 0) : !CHECK_INT(rc, 0) || !CHECK_STR(out, str_of(texts[i].want)))
            printf("  %s: %s\n", texts[i].text, e.msg);
    }
    arena_reset(&plenty);
}

TEST(conditions)
{
    static const struct { const char *text; int want; } T[] = {
        { "", -1 }, { "true", 1 }, { "false", 0 }, { "${{ true }}", 1 }, { "  ${{ env.E == 'v' }} ", 0 }, { "always()", 1 }, { "cancelled()", 0 }, { "failure() || success()", 1 },
        { "${{ true }} ${{ true }}", -1 }, { "a ${{ true }}", -1 }, { "1", -1 }, { "'true'", -1 }, { "${{ true", -1 }, { "steps.my-step.outputs.k == 'out'", 1 }, { "!failure()", 1 }, { "x ==", -1 },
        { "'success()' == ''", 0 },
    };
    struct flow_scope c;
    CHECK_OR(scope(&c, FLOW_STEP_IF));
    for (size_t i = 0; i < LEN(T); i++) {
        struct kr_err e = { 0 };
        bool out = false;
        int rc = flow_if(&c, &data, str_of(T[i].text), &plenty, &out, &e);
        if (!CHECK_INT(rc < 0 ? -1 : out, T[i].want))
            printf("  %s: %s\n", T[i].text, e.msg);
    }
    bool out = false;
    struct kr_err e = { 0 };
    CHECK(flow_if(&c, &data, (struct str){ 0 }, &plenty, &out, &e) == 0 && out);
    struct flow_data failed = data;               /* success() is asked first where none of the four is called */
    failed.success = false, failed.failure = true;
    static const struct { const char *text; bool want; } after[] = { { "true", false }, { "always()", true }, { "always ()", true }, { "!failure\t\n() || true", true }, { "env.E == 'always()'", false } };
    for (size_t i = 0; i < LEN(after); i++)
        if (!CHECK(flow_if(&c, &failed, str_of(after[i].text), &plenty, &out, &e) == 0 && out == after[i].want))
            printf("  %s\n", after[i].text);
    arena_reset(&plenty);
}

/* As many as fit into a text; what is wrong behind them is told by its place in the expression as it was written. */
TEST(any_number_of_names_has_dashes)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    struct flow_scope c;
    struct str out = { 0 };
    struct kr_err e = { 0 };
    CHECK_OR(scope(&c, FLOW_STEP_TEXT));
    buf_lit(&b, "${{");
    size_t begin = b.n;
    buf_lit(&b, " [");
    for (size_t i = 0; i < 100; i++)
        buf_lit(&b, "steps.my-step.outputs.k, ");
    size_t at = b.n;
    buf_lit(&b, "steps.my-step.outputs.k] == [] }}");
    if (!CHECK_INT(flow_text(&c, &data, buf_view(&b), &plenty, &out, &e), 0) || !CHECK_STR(out, S("false")))
        printf("  %s\n", e.msg);
    b.n = at;
    buf_lit(&b, "nothing] == [] }}");
    char where[32];
    snprintf(where, sizeof where, ": at %zu: ", at - begin + 1);
    if (!CHECK(flow_text(&c, &data, buf_view(&b), &plenty, &out, &e) < 0) || !CHECK(str_find(str_of(e.msg), str_of(where)) >= 0))
        printf("  %s, wanted %s\n", e.msg, where);
    arena_reset(&plenty);
}

/* From none to enough, in steps of 16 bytes: an error that says so, never a wrong text. */
TEST(a_text_with_too_little_memory_is_an_error)
{
    struct flow_scope c;
    CHECK_OR(scope(&c, FLOW_STEP_TEXT));
    static const char *const some[] = { "a ${{ format('{0}', env.E) }} ${{ steps.my-step.outputs.k }}${{ matrix.os }}", "${{ fromJSON('{\"a\":[1,2]}').a }}${{ workflow.uid }}", "${{ [1, 2] }}" };
    for (size_t i = 0; i < LEN(some); i++) {
        struct kr_err e = { 0 };
        struct str want = { 0 }, got = { 0 };
        CHECK_OR(flow_text(&c, &data, str_of(some[i]), &plenty, &want, &e) == 0);
        int rc = -1;
        for (size_t budget = 0; rc < 0 && budget < 65536; budget += 16) {
            AUTO_ARENA struct arena a = { .limit = budget };
            e = (struct kr_err){ 0 };
            rc = flow_text(&c, &data, str_of(some[i]), &a, &got, &e);
            if (!CHECK(rc == 0 ? str_eq(got, want) : e.code == KR_TOO_LARGE))
                printf("  %s with %zu bytes: %s\n", some[i], budget, e.msg);
        }
        CHECK_INT(rc, 0);
    }
    arena_reset(&plenty);
}

TEST(names_of_variables)
{
    static const struct { const char *name; bool good; } T[] = {
        { "a", true }, { "z9", true }, { "A.b-C_1", true }, { "Z", true }, { "_", true }, { "_1", true }, { "", false }, { "1a", false }, { ".a", false }, { "-a", false },
        { "a b", false }, { "a=b", false }, { "a/b", false }, { "a:b", false }, { "a@", false }, { "a[", false }, { "a`", false }, { "a{", false }, { "{", false }, { "\xc3\xa4", false },
        { "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", true },
        { "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", false },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        struct kr_err e = { 0 };
        char text[600];
        snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"w\"},\"spec\":{\"jobs\":{\"j\":{\"runs-on\":\"bash\",\"env\":{\"%s\":\"v\"},\"steps\":[{\"name\":\"s\",\"run\":\"x\"}]}}}}", T[i].name);
        struct workflow *w = model_decode(workflow, str_of(text), &plenty, &e);
        struct flow *f = w ? flow_make(w, &plenty, &e) : NULL;
        CHECK_OR(f);
        if (!CHECK_INT(flow_check(f, &e), T[i].good ? 0 : -1) || !CHECK(T[i].good || str_find(str_of(e.msg), S("is no name of a variable")) >= 0))
            printf("    \"%s\": %s\n", T[i].name, e.msg);
        arena_reset(&plenty);
    }
}

/* The status has its legs by name. A number is put behind a name that another leg has, and a value may look like that too. */
TEST(legs_have_different_names)
{
    static const struct { const char *values, *names[4]; } T[] = {
        { "\"x\",\"y\"", { "x", "y" } }, { "\"x\",\"x\",\"x\"", { "x", "x #1", "x #2" } }, { "\"x #2\",\"x\",\"x\"", { "x #2", "x", "x #3" } },
        { "\"x #3\",\"x #4\",\"x\",\"x\"", { "x #3", "x #4", "x", "x #5" } },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        struct kr_err e = { 0 };
        char text[400];
        snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"w\"},\"spec\":{\"jobs\":{\"j\":{\"runs-on\":\"bash\",\"strategy\":{\"matrix\":{\"v\":[%s]}},\"steps\":[{\"name\":\"s\",\"run\":\"x\"}]}}}}", T[i].values);
        struct workflow *w = model_decode(workflow, str_of(text), &plenty, &e);
        struct flow *f = w ? flow_make(w, &plenty, &e) : NULL;
        CHECK_OR(f);
        for (size_t k = 0; k < LEN(T[i].names) && T[i].names[k]; k++)
            CHECK(k < f->jobs[0].nlegs && CHECK_STR(f->jobs[0].legs[k].name, str_of(T[i].names[k])));
        arena_reset(&plenty);
    }
}
