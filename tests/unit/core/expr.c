/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expr: one row a claim: expression, and its value as string() prints it, or "! " and the start of the error.
 * The data: {"s":"héllo","n":5,"d":1.5,"t":true,"l":[1,2,3],"e":[],"m":{"a":1,"b":2},"o":{"x":"y"},"list":[{"name":"a","v":1},{"name":"b","v":2}]}
 */
#include "core/expr.h"
#include "tests/kit/test.h"
#include <stdio.h>

static const char data[] = "{\"s\":\"héllo\",\"n\":5,\"d\":1.5,\"t\":true,\"l\":[1,2,3],\"e\":[],\"m\":{\"a\":1,\"b\":2},\"o\":{\"x\":\"y\",\"in\":7,\"a-b\":8},"
                           "\"list\":[{\"name\":\"a\",\"v\":1},{\"name\":\"b\",\"v\":2}]}";
static const struct { const char *text, *want; } T[] = {
    { "1", "1" }, { "-1", "-1" }, { "0x1F", "31" }, { "1.5", "1.5" }, { "1e3", "1000" }, { ".5", "0.5" }, { "true", "true" }, { "null", "null" }, { "'a'", "a" }, { "\"a\\n\"", "a\n" },
    { "r'\\d'", "\\d" }, { "'''a'b'''", "a'b" }, { "'\\u00e9\\x41\\101\\U0001F600'", "éAA😀" }, { "[1, 2,]", "[1,2]" }, { "{'a': 1, 'b': [true]}", "{\"a\":1,\"b\":[true]}" },
    { "9223372036854775807", "9223372036854775807" }, { "-9223372036854775808", "-9223372036854775808" }, { "9223372036854775808", "! at 1: a number that is too large" },
    { "1 + 2 * 3", "7" }, { "(1 + 2) * 3", "9" }, { "7 / 2", "3" }, { "-7 / 2", "-3" }, { "-7 % 3", "-1" }, { "1.0 / 4.0", "0.25" }, { "1 - 2 - 3", "-4" }, { "'a' + 'b'", "ab" },
    { "[1] + [2]", "[1,2]" }, { "1 / 0", "! at 3: division by zero" }, { "1 % 0", "! at 3: division by zero" }, { "1 + 1.0", "! at 3: no such overload: int + double" },
    { "9223372036854775807 + 1", "! at 21: integer overflow" }, { "-(-9223372036854775807 - 1)", "! at 1: integer overflow" }, { "-9223372036854775808 / -1", "! at 22: integer overflow" },
    { "5000000000 * 5000000000", "! at 12: integer overflow" }, { "!true", "false" }, { "!!true", "true" }, { "--5", "5" }, { "!1", "! at 2: a bool is needed here, not int" },
    { "1 < 2", "true" }, { "2 <= 1", "false" }, { "'a' < 'b'", "true" }, { "1 < 1.5", "true" }, { "1 == 1.0", "true" }, { "1 < 'a'", "! at 3: no such overload: int < string" },
    { "'a' == 'a'", "true" }, { "[1,2] == [1,2]", "true" }, { "[1,2] == [2,1]", "false" }, { "{'a':1,'b':2} == {'b':2,'a':1}", "true" }, { "1 != 2", "true" }, { "null == null", "true" },
    { "1 == 'a'", "false" }, { "true && false", "false" }, { "true || false", "true" }, { "false && 1/0 == 1", "false" }, { "1/0 == 1 && false", "false" },
    { "true || 1/0 == 1", "true" }, { "1/0 == 1 || true", "true" }, { "1/0 == 1 || false", "! at 2: division by zero" }, { "true && 1/0 == 1", "! at 10: division by zero" },
    { "'x' || true", "true" }, { "'x' && true", "! at 1: a bool is needed here, not string" }, { "true ? 1 : 2", "1" }, { "false ? 1/0 : 2", "2" }, { "false ? 1 : true ? 2 : 3", "2" },
    { "1 ? 2 : 3", "! at 1: a bool is needed here, not int" }, { "2 in [1,2]", "true" }, { "'a' in {'a': 1}", "true" }, { "'z' in self.m", "false" }, { "'a' in self.m", "true" },
    { "1 in 2", "! at 3: no such overload: int in int" }, { "self.n", "5" }, { "self.s", "héllo" }, { "self.d", "1.5" }, { "self.l", "[1,2,3]" }, { "self.l[0]", "1" }, { "self.l[3]", "! at 8: index out of bounds: 3" },
    { "self.l[-1]", "! at 8: index out of bounds: -1" }, { "self['n']", "5" }, { "self.m['a']", "1" }, { "self.m['z']", "! at 8: no such key" }, { "self.z", "! at 6: no such key: z" }, { "self.o.x", "y" },
    { "self.n.x", "! at 8: int has no field \"x\"" }, { "self.o.__in__", "7" }, { "self.o.a__dash__b", "8" }, { "has(self.n)", "true" }, { "has(self.z)", "false" }, { "has(self.o.x)", "true" }, { "has(self.z.x)", "! at 10: no such key: z" },
    { "has(1)", "! at 1: has() needs a field" }, { "self.l.all(x, x > 0)", "true" }, { "self.l.all(x, x > 1)", "false" }, { "self.e.all(x, x > 1)", "true" }, { "self.l.exists(x, x == 2)", "true" },
    { "self.e.exists(x, true)", "false" }, { "self.l.exists_one(x, x > 2)", "true" }, { "self.l.exists_one(x, x > 1)", "false" }, { "self.l.filter(x, x > 1)", "[2,3]" }, { "self.l.map(x, x * 2)", "[2,4,6]" },
    { "self.l.map(x, x > 1, x * 2)", "[4,6]" }, { "self.m.all(k, k == 'a' || k == 'b')", "true" }, { "self.m.map(k, self.m[k])", "[1,2]" }, { "self.list.map(x, x.name)", "[\"a\",\"b\"]" },
    { "self.list.exists(x, x.name == 'b' && x.v == 2)", "true" }, { "self.list.all(x, self.list.exists(y, y.v >= x.v))", "true" }, { "[1,2].all(x, [x].all(x, x > 0))", "true" },
    { "self.l.exists(x, 1/(x-1) == 1)", "true" }, { "self.l.all(x, 1/(x-1) > 5)", "false" }, { "self.l.all(x, 1/(x-1) >= 0)", "! at 16: division by zero" }, { "self.n.all(x, true)", "! at 8: a list or a map is needed here, not int" },
    { "self.list.map(x, x.v).sum()", "3" }, { "[].sum()", "0" }, { "[1.5, 2.5].sum()", "4" }, { "[1, 'a'].sum()", "! at 10: no such overload: sum(string)" }, { "[3,1,2].min()", "1" }, { "[3,1,2].max()", "3" }, { "[].min()", "! at 4: min() and max() need a list" },
    { "[1,2].isSorted()", "true" }, { "['b','a'].isSorted()", "false" }, { "size('héllo')", "5" }, { "self.s.size()", "5" }, { "size(self.l)", "3" }, { "size(self.m)", "2" }, { "size(1)", "! at 1: no such overload: size(int)" },
    { "'abc'.contains('b')", "true" }, { "'abc'.startsWith('ab')", "true" }, { "'abc'.endsWith('x')", "false" }, { "'abc'.contains(1)", "! at 7: no such overload: contains(int)" }, { "'abc'.matches('^a.c$')", "true" },
    { "matches('abc', 'x')", "false" }, { "'a'.matches('a' + '+')", "true" }, { "'a'.matches('(')", "! at 5: pattern \"(\"" }, { "'a'.matches('(' + '')", "! at 5: pattern \"(\"" },
    { "int('42')", "42" }, { "int(1.9)", "1" }, { "int('x')", "! at 1: int(): not a whole number" }, { "int(1e30)", "! at 1: int(): out of range" }, { "double('1.5')", "1.5" }, { "double(2)", "2" }, { "string(12)", "12" },
    { "string(1.5)", "1.5" }, { "string(true)", "true" }, { "string([1])", "! at 1: no such overload: string(list)" }, { "bool('true')", "true" }, { "bool('x')", "! at 1: bool(): neither" }, { "type(1) == int", "true" }, { "type('a') == string", "true" },
    { "type([]) == list && type({}) == map", "true" }, { "duration('1h') > duration('59m')", "true" }, { "duration('1.5s')", "1.5s" }, { "duration('-1s') < duration('0')", "true" }, { "duration('x')", "! at 1: type conversion error from 'string' to 'google.protobuf.Duration'" },
    { "duration('')", "! at 1: type conversion error from 'string' to 'google.protobuf.Duration'" }, { "duration('1s') + duration('2s') == duration('3s')", "true" }, { "duration('60s') <= duration('1m')", "true" },
    { "'a,b,c'.split(',')", "[\"a\",\"b\",\"c\"]" }, { "'a,b,c'.split(',', 2)", "[\"a\",\"b,c\"]" }, { "'a,b,c'.split(',', 0)", "[]" }, { "''.split(',')", "[\"\"]" }, { "['a','b'].join('-')", "a-b" }, { "['a','b'].join()", "ab" },
    { "'aXbX'.replace('X', '-')", "a-b-" }, { "'aXbX'.replace('X', '-', 1)", "a-bX" }, { "' a '.trim()", "a" }, { "'aBé'.lowerAscii()", "abé" }, { "'aBé'.upperAscii()", "ABé" }, { "'héllo'.substring(1, 3)", "él" },
    { "'héllo'.substring(2)", "llo" }, { "'abc'.substring(2, 1)", "! at 7: substring(): index out of range" }, { "'abc'.substring(9)", "! at 7: substring(): index out of range" }, { "'héllo'.charAt(1)", "é" }, { "'abc'.charAt(3)", "" },
    { "'abc'.charAt(4)", "! at 7: charAt(): index" }, { "'abcb'.indexOf('b')", "1" }, { "'abcb'.lastIndexOf('b')", "3" }, { "'éb'.indexOf('b')", "1" }, { "'a'.indexOf('z')", "-1" }, { "[1,2,1].lastIndexOf(1)", "2" },
    { "{'a': 1}['a']", "1" }, { "{1: 'x'}[1]", "x" }, { "{'a': 1, 'a': 2}['a']", "2" }, { "// comment\n1 // more", "1" },
    { "", "! at 1: the expression ends where a value is expected" }, { "1 +", "! at 4: the expression ends where a value is expected" }, { "1 2", "! at 3: something behind the end of the expression: \"2\"" }, { "(1", "! at 3: expected \")\", but the expression ends" },
    { "[1", "! at 3: expected \",\", but" }, { "a", "! at 1: undeclared name \"a\"" }, { "foo(1)", "! at 1: no such function \"foo\"" }, { "'a'.foo()", "! at 5: no such method \"foo\"" }, { "size()", "! at 1: wrong number of arguments for \"size\"" },
    { "'a'.contains()", "! at 5: wrong number of arguments for \"contains\"" }, { "'abc", "! at 1: a string that is not closed" }, { "'\\q'", "! at 3: an escape that is not understood" }, { "1u", "! at 1: a number that is not understood" }, { "b'x'", "! at 1: bytes literals are not supported" },
    { "1 = 2", "! at 3: a character that means nothing here" }, { "self.", "! at 6: expected a name behind" }, { "self.l.all(1, true)", "! at 12: expected the name of a variable" }, { "self.l.all(x)", "! at 13: expected \",\", found \")\"" }, { "true ? 1", "! at 9: expected \":\"" },
    { "@", "! at 1: a character that means nothing here" }, { "x.y.z", "! at 1: undeclared name \"x\"" },
};

static void answer(struct buf *b, const char *text, const struct expr_env *env, const struct value *vars, int64_t budget)
{
    AUTO_ARENA struct arena a = { .limit = 4 << 20 };
    struct kr_err e = { 0 };
    struct value v;
    struct expr_run run = { .arena = &a, .cost_left = budget };
    struct expr *x = expr_compile(str_of(text), env, &e);
    if (!x || expr_eval(x, &run, vars, &v, &e) < 0) buf_fmt(b, "! %s", e.msg);
    else value_print(b, v);
    expr_free(x);
}

/* As JSON, "!" for an error: the form of tests/corpus/cel.txt. */
static void answer_as_json(struct buf *b, struct str text, const struct expr_env *env, const struct value *vars)
{
    AUTO_ARENA struct arena a = { .limit = 4 << 20 };
    struct kr_err e = { 0 };
    struct value v;
    struct expr_run run = { .arena = &a, .cost_left = 1000000 };
    struct expr *x = expr_compile(text, env, &e);
    if (!x || expr_eval(x, &run, vars, &v, &e) < 0) buf_lit(b, "!");
    else if (v.kind == EXPR_STRING) jw_str(b, v.s);
    else value_print(b, v);
    expr_free(x);
}

static const struct expr_env dynamic = { (const struct expr_var[]){ { "self", NULL } }, 1, NULL, 0 };

TEST(expressions)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e;
    struct value self = value_of_json(json_parse(&a, str_of(data), &e), NULL);
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_BUF struct buf b = { .max = 4096 };
        answer(&b, T[i].text, &dynamic, &self, 1000000);
        bool error = T[i].want[0] == '!';
        if (!CHECK(error ? str_starts(buf_view(&b), str_of(T[i].want)) : str_is(buf_view(&b), T[i].want)))
            printf("    %s\n      got  %.*s\n      want %s\n", T[i].text, SFMT(buf_view(&b)), T[i].want);
    }
}

/* ---- declared fields ---- */
static const struct expr_schema *fields(const struct expr_schema *s, struct str name);
static const struct expr_schema *item(const struct expr_schema *s);
static const struct expr_schema text_schema = { .kind = EXPR_STRING }, object_schema = { .kind = EXPR_OBJECT, .field = fields },
                                set_schema = { .kind = EXPR_LIST, .items = item, .as_set = true };
static const struct expr_schema *fields(const struct expr_schema *s, struct str name)
{
    (void)s;
    return str_is(name, "name") ? &text_schema : str_is(name, "sub") ? &object_schema : str_is(name, "set") ? &set_schema : NULL;
}
static const struct expr_schema *item(const struct expr_schema *s) { (void)s; return &object_schema; }

TEST(undeclared_fields_are_refused_when_compiled)
{
    static const struct { const char *text, *want; } rows[] = {
        { "self.name == 'x'", "false" }, { "self.nam == 'x'", "! at 6: undeclared field \"nam\"" }, { "has(self.sub.nam)", "! at 14: undeclared field \"nam\"" },
        { "self.set.all(x, x.name == '')", "false" }, { "self.set.all(x, x.nam == '')", "! at 19: undeclared field \"nam\"" }, { "self.set[0].foo", "! at 13: undeclared field" },
        { "self.name.foo", "! at 11: this is no object" }, { "self.set == oldSelf.set", "true" }, { "self.set.filter(x, true)[0].foo", "! at 29: undeclared field" },
    };
    const struct expr_env env = { (const struct expr_var[]){ { "self", &object_schema }, { "oldSelf", &object_schema } }, 2, NULL, 0 };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e;
    struct value vars[] = { value_of_json(json_parse(&a, S("{\"name\":\"n\",\"set\":[{\"name\":\"a\"},{\"name\":\"b\"}]}"), &e), &object_schema),
                            value_of_json(json_parse(&a, S("{\"name\":\"n\",\"set\":[{\"name\":\"b\"},{\"name\":\"a\"}]}"), &e), &object_schema) };
    for (size_t i = 0; i < LEN(rows); i++) {
        AUTO_BUF struct buf b = { .max = 4096 };
        answer(&b, rows[i].text, &env, vars, 1000000);
        if (!CHECK(str_starts(buf_view(&b), str_of(rows[i].want)))) printf("    %s -> %.*s\n", rows[i].text, SFMT(buf_view(&b)));
    }
    struct expr *x = expr_compile(S("self.name != ''"), &env, &e);
    CHECK(x && expr_uses(x, "self") && !expr_uses(x, "oldSelf"));
    expr_free(x);
}

/* ---- the caller's own functions ---- */
static int f_success(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)a, (void)n, (void)e;
    *out = value_of_bool(r->ctx == NULL);
    return 0;
}

TEST(functions_can_be_added)
{
    const struct expr_fn own[] = { { "success", 0, 0, false, f_success } };
    const struct expr_env env = { NULL, 0, own, 1 };
    AUTO_BUF struct buf b = { .max = 4096 };
    answer(&b, "success() ? 'ok' : 'no'", &env, NULL, 1000);
    CHECK_STR(buf_view(&b), S("ok"));
}

/* ---- hostile ---- */
static void repeat(struct buf *b, const char *z, int n) { while (n--) buf_lit(b, z); }

TEST(depth_time_and_memory_are_bounded)
{
    static const struct { const char *head, *unit, *tail; int n; } rows[] = {
        { "", "(", "", 100000 }, { "", "[", "", 100000 }, { "", "!", "true", 100000 }, { "", "-", "1", 100000 }, { "1", "+1", "", 60000 }, { "true", "&&true", "", 40000 },
        { "self", ".a", "", 60000 }, { "true?", "true?", "1", 30000 }, { "[1]", ".map(x,[x])", "", 20000 }, { "'", "a", "'.size()", 200000 }, { "[", "1,", "1].sum()", 100000 },
    };
    struct value self = { .kind = EXPR_NULL };
    for (size_t i = 0; i < LEN(rows); i++) {
        AUTO_BUF struct buf text = { .max = 1 << 20 }, b = { .max = 4096 };
        buf_lit(&text, rows[i].head);
        repeat(&text, rows[i].unit, rows[i].n);
        buf_lit(&text, rows[i].tail);
        buf_byte(&text, 0);
        answer(&b, text.p, &dynamic, &self, 1000000);
        CHECK(b.n);
    }
    AUTO_BUF struct buf b = { .max = 4096 };
    answer(&b, "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, a+b+c+d > 0))))", &dynamic, &self, 5000);
    CHECK_STR(buf_view(&b), S("! the expression costs more than its budget"));
    buf_clear(&b);
    answer(&b, "['aaaaaaaaaaaaaaaa'].map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x)", &dynamic, &self, 1000000);
    CHECK(str_starts(buf_view(&b), S("! ")));
}

static void refused_as_too_large(const char *head, const char *unit, int n, const char *tail, const char *why)
{
    AUTO_BUF struct buf text = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    buf_lit(&text, head);
    repeat(&text, unit, n);
    buf_lit(&text, tail);
    struct expr *x = expr_compile(buf_view(&text), &dynamic, &e);
    CHECK(!x);
    CHECK_INT(e.code, KR_TOO_LARGE);
    if (!CHECK(str_find(str_of(e.msg), str_of(why)) >= 0))
        CHECK_Z(e.msg, why);
    expr_free(x);
}

TEST(each_limit_of_expressions_is_told)
{
    AUTO_BUF struct buf nested = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    refused_as_too_large("'", "a", LIMIT_EXPR_TEXT, "'", "bytes, at most 262144 are allowed");
    refused_as_too_large("", "(", LIMIT_EXPR_DEPTH + 1, "1", "nested too deeply");
    refused_as_too_large("[1", ",1", LIMIT_EXPR_NODES + 1, "]", "the expression is too large");
    refused_as_too_large("true", "&&'a'.matches('a')", LIMIT_EXPR_REGEXES + 1, "", "more than 64 patterns in one expression");
    for (int i = 0; i < LIMIT_EXPR_SLOTS; i++)
        buf_fmt(&nested, "[1].all(x%d,", i);
    buf_lit(&nested, "true");
    repeat(&nested, ")", LIMIT_EXPR_SLOTS);
    struct expr *x = expr_compile(buf_view(&nested), &dynamic, &e);
    CHECK(!x);
    CHECK_INT(e.code, KR_TOO_LARGE);
    CHECK(str_find(str_of(e.msg), S("macros nested too deeply")) >= 0);
    expr_free(x);
}

/* Each line is an expression and what cel-go makes of it (tests/interop/cel.sh holds cel-go to the same file). */
TEST(what_cel_go_answers)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e;
    struct value self = value_of_json(json_parse(&a, str_of(data), &e), NULL);
    struct str rest = test_file("tests/corpus/cel.txt");
    int n = 0;
    while (rest.n) {
        struct str want = str_cut(&rest, '\n'), text = str_cut(&want, '\t');
        AUTO_BUF struct buf b = { .max = 65536 };
        answer_as_json(&b, text, &dynamic, &self);
        if (!CHECK(str_eq(buf_view(&b), want))) printf("    %.*s\n      got  %.*s\n      want %.*s\n", SFMT(text), SFMT(buf_view(&b)), SFMT(want));
        n++;
    }
    CHECK(n >= 300);
}
