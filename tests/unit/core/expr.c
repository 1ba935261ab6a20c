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
    { "0xff", "255" }, { "0xAF", "175" }, { "0x1g", "! at 1: a number that is not understood" }, { "1e+2", "100" }, { "1E-2", "0.01" }, { "1e", "! at 1: a number that is not understood" }, { "1.x", "! at 3: int has" },
    { "1.25", "1.25" }, { "1e999", "! at 1: a number that is too large" }, { "0x10000000000000000", "! at 1: a number that is too large" }, { "18446744073709551615", "! at 1: a number that is too large" },
    { "1111111111111111111111111111111111111111111111111111111111111111", "! at 1: a number that is not understood" }, { "'\\u20AC\\x4A\\X4a'", "€JJ" },
    { "'\\x4'", "! at 5: an escape that is not understood" }, { "'\\xg0'", "! at 4: an escape" }, { "'\\x@0'", "! at 4: an escape" }, { "'\\ud800'", "! at 8: an escape" }, { "'\\udfff'", "! at 8: an escape" },
    { "'\\ue000'", "\xEE\x80\x80" }, { "'\\U00110000'", "! at 12: an escape" }, { "'\\018'", "! at 5: an escape" }, { "'\\400'", "! at 3: an escape" }, { "'\\/'", "! at 3: an escape" }, { "'\\", "! at 3: an escape" },
    { "'a\nb'", "! at 1: a string that is not closed" }, { "'''a\nb'c''d'''", "a\nb'c''d" }, { "'''a''", "! at 1: a string that is not closed" }, { "\t\r\n 1", "1" }, { "R\"\\d\"", "\\d" },
    { "b\"x\"", "! at 1: bytes literals" }, { "B'x'", "! at 1: bytes literals" },
    { "1.0 / 0.0", "+Inf" }, { "-1.0 / 0.0", "-Inf" }, { "0.0 / 0.0", "NaN" }, { "-0.0", "-0" }, { "1.0 - 0.5", "0.5" }, { "2.0 * 2.0", "4" }, { "1.5 + 1.0", "2.5" }, { "1.5 % 1.0", "! at 5: no such overload: double % double" },
    { "0.0 / 0.0 < 1.0", "! at 11: NaN comes" }, { "1.0 < 0.0 / 0.0", "! at 5: NaN comes" }, { "0.0 / 0.0 == 0.0 / 0.0", "false" }, { "1.0 == 0.0 / 0.0", "false" }, { "int(0.0 / 0.0)", "! at 1: int(): out of range" },
    { "int(-1e30)", "! at 1: int(): out of range" }, { "-9223372036854775808 % -1", "! at 22: integer overflow" }, { "-9223372036854775808 / 2", "-4611686018427387904" }, { "duration('1s') - duration('2s')", "-1s" },
    { "self.l[1.0]", "2" }, { "self.l[1.5]", "! at 8: no such overload: list [] double" }, { "self.l[-1.0]", "! at 8: index out of bounds: -1" }, { "self.l[-2.0]", "! at 8: no such overload" }, { "self.l[1e300]", "! at 8: no such overload" },
    { "double('x')", "! at 1: double(): not a number" }, { "double('')", "! at 1: double(): not a number" }, { "double('1e')", "! at 1: double(): not a number" },
    { "double('1111111111111111111111111111111111111111111111111111111111111111')", "! at 1: double(): not a number" }, { "double(1.5)", "1.5" }, { "int(7)", "7" }, { "bool(true)", "true" },
    { "['true','True','TRUE','t','1'].all(x, bool(x))", "true" }, { "['false','False','FALSE','f','0'].exists(x, bool(x))", "false" }, { "duration('+1h2m3s4ms5us6ns')", "3723.004005006s" },
    { "duration('1µs') == duration('1μs')", "true" }, { "duration('9999999999h')", "! at 1: duration(): out of range" }, { "duration(duration('1s'))", "1s" }, { "duration('1s2')", "! at 1: type conversion error" },
    { "[9223372036854775807, 1].sum()", "! at 26: sum(): integer overflow" }, { "[duration('1s'), duration('2s')].sum()", "3s" }, { "[1, 1.5].sum()", "! at 10: no such overload: sum(double)" }, { "['a'].sum()", "! at 7: no such overload: sum(string)" },
    { "'a'.split('')", "! at 5: split(): the separator is empty" }, { "'a'.replace('', 'b')", "! at 5: replace(): what to replace is empty" }, { "'aa'.lastIndexOf('')", "2" }, { "[1,2].indexOf(3)", "-1" }, { "[1,2].indexOf(1)", "0" }, { "'abc'.substring(-1)", "! at 7: substring(): index" },
    { "'abc'.substring(0, 9)", "! at 7: substring(): index" }, { "[1, 'a'].min()", "! at 10: no such overload: min(string)" }, { "[1, 'a'].max()", "! at 10: no such overload: max(string)" }, { "[1, 'a'].isSorted()", "! at 10: no such overload" },
    { "self.o.a__dot__b", "! at 8: no such key: a.b" }, { "self.o.__x__", "y" }, { "self.o.__a__b__", "! at 8: no such key: __a__b__" }, { "self.o.__dash__", "! at 8: no such key: -" }, { "self.o.____", "! at 8: no such key: ____" }, { "self.o.__a", "! at 8: no such key: __a" },
    { "[1,2].exists_one(x, 1)", "! at 21: a bool is needed" }, { "[1].filter(x, 1)", "! at 15: a bool is needed" }, { "[1].map(x, y)", "! at 12: undeclared name \"y\"" }, { "[1].map(x, 1, 2)", "! at 12: a bool is needed" }, { "1/0 == 1 || 2/0 == 1", "! at 2: division by zero" },
    { "has(self.l[0])", "! at 1: has() needs a field" }, { "[self.n, self.n].all(x, x == 5)", "true" }, { "self.m == {'a': 1, 'b': 3}", "false" }, { "self.m == {'a': 1, 'c': 2}", "false" }, { "{'a': 1} == {'a': 1, 'b': 2}", "false" },
    { "[1] == [1, 2]", "false" }, { "type(1) == type('')", "false" }, { "null == 1", "false" }, { "self.m[1]", "! at 8: no such key" }, { "{'b': 1.5, 'c': [null, true]}", "{\"b\":1.5,\"c\":[null,true]}" }, { "{1: self.o}", "{\"1\":{\"x\":\"y\",\"in\":7,\"a-b\":8}}" },
    { "'a'.matches('a', 'b')", "! at 5: wrong number of arguments" }, { "matches('aXbX' + '', 'X')", "true" }, { "1.matches('x')", "! at 3: no such overload" }, { "true ? 1 : 'a'", "1" }, { "dyn([1])[0]", "1" }, { "has", "! at 1: undeclared name" },
    { "self.l == [1,2,3]", "true" }, { "[1,2,3] == self.l", "true" }, { "[1,2,4] == self.l", "false" }, { "[[1,2],[1,3]].indexOf([1,3])", "1" }, { "[[1,2],[1,3]].lastIndexOf([1,2])", "0" },
    { "'aaaaaaaaaaaaaaaaaaaa'.contains('b')", "false" }, { "'aaaaaaaaaaaaaaaaaaaa'.startsWith('b')", "false" }, { "'aaaaaaaaaaaaaaaaaaaa'.endsWith('b')", "false" }, { "'aaaaaaaaaaaaaaaaaaaa'.matches('b')", "false" },
    { "'aaaaaaaaaaaaaaaaaaaa'.lowerAscii().upperAscii()", "AAAAAAAAAAAAAAAAAAAA" }, { "'aaaaaaaaaaaaaaaaaaaa'.indexOf('b')", "-1" }, { "'aaaaaaaaaaaaaaaaaaaa' < 'aaaaaaaaaaaaaaaaaaaaa'", "true" }, { "size('aaaaaaaaaaaaaaaaaaaa' + 'b')", "21" },
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

/* An expression that is cut anywhere, or has something too much, is told where it is wrong or means something else. */
static void changed(struct str text, const struct value *self)
{
    static const char *const inserted[] = { "", "@", "\"", " x ", "(", ")" };
    for (size_t k = 0; k < LEN(inserted); k++)
        for (size_t i = 0; i <= text.n; i++) {
            AUTO_BUF struct buf b = { .max = 65536 }, to = { .max = 65536 };
            buf_fmt(&b, "%.*s%s%.*s", (int)i, text.p, inserted[k], k ? (int)(text.n - i) : 0, text.p + i);
            buf_byte(&b, 0);
            answer(&to, b.p, &dynamic, self, 100000);
            if (!CHECK(!str_is(buf_view(&to), "! "))) printf("    %s\n", b.p);
        }
}

/* Any smaller budget, and any less memory, ends an expression with the words for it or is enough. */
static void in_need(const char *text, const struct value *self)
{
    AUTO_BUF struct buf want = { .max = 65536 };
    answer(&want, text, &dynamic, self, 100000);
    bool same = false;
    for (int64_t budget = 0; budget < 2000 && !same; budget++) {
        AUTO_BUF struct buf b = { .max = 65536 };
        answer(&b, text, &dynamic, self, budget);
        same = str_eq(buf_view(&b), buf_view(&want));
        if (!CHECK(same || str_find(buf_view(&b), S("costs more than its budget")) > 0)) printf("    %s: %.*s\n", text, SFMT(buf_view(&b)));
    }
    struct kr_err e = { 0 };
    struct expr *x = expr_compile(str_of(text), &dynamic, &e);
    for (size_t limit = 0; x && limit < 1024; limit += 8) {
        AUTO_ARENA struct arena a = { .limit = limit };
        struct expr_run run = { .arena = &a, .cost_left = 100000 };
        struct value v;
        e = (struct kr_err){ 0 };
        if (expr_eval(x, &run, self, &v, &e) < 0 && e.code == KR_TOO_LARGE)
            CHECK(str_find(str_of(e.msg), S("needs too much memory")) >= 0);
    }
    expr_free(x);
}

TEST(wrong_anywhere_and_short_of_anything)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e;
    struct value self = value_of_json(json_parse(&a, str_of(data), &e), NULL);
    for (size_t i = 0; i < LEN(T); i++) {
        changed(str_of(T[i].text), &self);
        in_need(T[i].text, &self);
    }
}

/* ---- declared fields ---- */
static const struct expr_schema *fields(const struct expr_schema *s, struct str name);
static const struct expr_schema *item(const struct expr_schema *s);
static const struct expr_schema text_schema = { .kind = EXPR_STRING }, object_schema = { .kind = EXPR_OBJECT, .field = fields },
                                set_schema = { .kind = EXPR_LIST, .items = item, .as_set = true }, map_schema = { .kind = EXPR_MAP, .items = item },
                               bare_schema = { .kind = EXPR_LIST }, any_schema = { .kind = EXPR_DYN }, real_schema = { .kind = EXPR_DOUBLE }, loose_schema = { .kind = EXPR_MAP };
static const struct expr_schema *fields(const struct expr_schema *s, struct str name)
{
    (void)s;
    static const struct { const char *name; const struct expr_schema *s; } all[] = {
        { "name", &text_schema }, { "sub", &object_schema }, { "set", &set_schema }, { "map", &map_schema }, { "bare", &bare_schema }, { "any", &any_schema }, { "real", &real_schema }, { "loose", &loose_schema } };
    for (size_t i = 0; i < LEN(all); i++)
        if (str_is(name, all[i].name)) return all[i].s;
    return NULL;
}
static const struct expr_schema *item(const struct expr_schema *s) { (void)s; return &object_schema; }

TEST(undeclared_fields_are_refused_when_compiled)
{
    static const struct { const char *text, *want; } rows[] = {
        { "self.name == 'x'", "false" }, { "self.nam == 'x'", "! at 6: undeclared field \"nam\"" }, { "has(self.sub.nam)", "! at 14: undeclared field \"nam\"" },
        { "self.set.all(x, x.name == '')", "false" }, { "self.set.all(x, x.nam == '')", "! at 19: undeclared field \"nam\"" }, { "self.set[0].foo", "! at 13: undeclared field" },
        { "self['name']", "n" }, { "self['nam']", "! at 6: undeclared field \"nam\"" }, { "self['na' + 'me']", "n" }, { "self['sub'][0]", "! at 13: no such" }, { "self.map.x.name", "m" }, { "self.map['x'].nam", "! at 15: undeclared" },
        { "self.map.all(k, k != '')", "true" }, { "self.bare.all(x, x.y == 1)", "true" }, { "self.bare[0].y", "1" }, { "self.any.x", "2" }, { "self.any[\"x\"]", "2" }, { "self.real / 4.0", "0.5" }, { "self.name[0]", "! at 11: no such" },
        { "self.set == []", "false" }, { "self.bare == oldSelf.set", "false" }, { "oldSelf.set == self.bare", "false" }, { "self.set == oldSelf.bare", "false" }, { "[{'name': 'b'}, {'name': 'a'}] == self.set", "true" },
        { "[{'name': 'b'}, {'name': 'b'}] == self.set", "false" }, { "self.sub == {}", "true" },
        { "self.all(k, k != '')", "true" }, { "self.loose.x", "1" }, { "self.any.y == null", "true" }, { "self.bare == [{'y': 2}]", "false" }, { "[{'y': 2}] == self.bare", "false" }, { "self.set == [{'name': 'a'}, {'name': 'a'}]", "false" },
        { "self.name.foo", "! at 11: this is no object" }, { "self.set == oldSelf.set", "true" }, { "self.set.filter(x, true)[0].foo", "! at 29: undeclared field" },
    };
    const struct expr_env env = { (const struct expr_var[]){ { "self", &object_schema }, { "oldSelf", &object_schema } }, 2, NULL, 0 };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e;
    struct value vars[] = { value_of_json(json_parse(&a, S("{\"name\":\"n\",\"sub\":{},\"set\":[{\"name\":\"a\"},{\"name\":\"b\"}],"
                                             "\"map\":{\"x\":{\"name\":\"m\"}},\"bare\":[{\"y\":1}],\"any\":{\"x\":2,\"y\":null},\"real\":2,\"loose\":{\"x\":1}}"), &e), &object_schema),
                            value_of_json(json_parse(&a, S("{\"name\":\"n\",\"set\":[{\"name\":\"b\"},{\"name\":\"a\"}],\"bare\":[{\"name\":\"b\"},{\"name\":\"c\"}]}"), &e), &object_schema) };
    for (size_t i = 0; i < LEN(rows); i++) {
        AUTO_BUF struct buf b = { .max = 4096 };
        answer(&b, rows[i].text, &env, vars, 1000000);
        if (!CHECK(str_starts(buf_view(&b), str_of(rows[i].want)))) printf("    %s -> %.*s\n", rows[i].text, SFMT(buf_view(&b)));
        for (int64_t budget = 0; budget < 60; budget++) {
            AUTO_BUF struct buf less = { .max = 4096 };
            answer(&less, rows[i].text, &env, vars, budget);
            CHECK(str_eq(buf_view(&less), buf_view(&b)) || str_ends(buf_view(&less), S("costs more than its budget")));
        }
    }
    struct expr *x = expr_compile(S("self.name != ''"), &env, &e);
    CHECK(x && expr_uses(x, "self") && !expr_uses(x, "oldSelf"));
    expr_free(x);
}

/* ---- kinds ---- */
static const char *const of_kind[] = { "1", "1.5", "'a'", "true", "null", "[1]", "{'a': 1}", "duration('1s')", "type(1)", "self", "dyn(self.sub)" };

/* Whoever refuses a kind says its own name. */
static void try(const struct value *self, const char *name, const char *text)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    answer(&b, text, &dynamic, self, 100000);
    struct str got = buf_view(&b);
    ptrdiff_t at = str_find(got, S("no such overload: "));
    if (!CHECK(got.n > 2 || got.p[0] != '!') || (at >= 0 && !CHECK(str_find(str_from(got, (size_t)at), str_of(name)) >= 0)))
        printf("    %s -> %.*s\n", text, SFMT(got));
}

static void try_methods(const struct value *self, const char *one, const char *two)
{
    static const char *const methods[] = { "size", "contains", "startsWith", "endsWith", "matches", "split", "join", "replace", "trim", "lowerAscii", "upperAscii",
                                           "substring", "charAt", "indexOf", "lastIndexOf", "sum", "min", "max", "isSorted" };
    char text[200];
    for (size_t f = 0; f < LEN(methods); f++) {
        const char *m = methods[f];
        snprintf(text, sizeof text, "(%s).%s()", one, m), try(self, m, text);
        snprintf(text, sizeof text, "(%s).%s(%s)", one, m, two), try(self, m, text);
        snprintf(text, sizeof text, "(%s).%s(%s, %s)", one, m, two, one), try(self, m, text);
        snprintf(text, sizeof text, "('a').%s('a', 'a', %s)", m, two), try(self, m, text);
        snprintf(text, sizeof text, "([%s, %s]).%s()", one, two, m), try(self, m, text);
    }
}

TEST(functions_and_operators_take_what_they_take)
{
    static const char *const functions[] = { "size", "int", "double", "string", "bool", "duration", "type", "dyn", "matches" },
                      *const signs[] = { "||", "&&", "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%" };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e;
    struct value self = value_of_json(json_parse(&a, S("{\"name\":\"n\",\"sub\":{}}"), &e), &object_schema);
    char text[200];
    for (size_t i = 0; i < LEN(of_kind); i++) {
        for (size_t k = 0; k < LEN(functions); k++)
            snprintf(text, sizeof text, "%s(%s%s)", functions[k], of_kind[i], k + 1 < LEN(functions) ? "" : ", 'a' + ''"), try(&self, functions[k], text);
        snprintf(text, sizeof text, "[-%s, !%s]", of_kind[i], of_kind[i]), try(&self, "", text);
        snprintf(text, sizeof text, "%s.name", of_kind[i]), try(&self, "", text);
        for (size_t k = 0; k < LEN(of_kind); k++) {
            for (size_t f = 0; f < LEN(signs); f++)
                snprintf(text, sizeof text, "%s %s %s", of_kind[i], signs[f], of_kind[k]), try(&self, signs[f], text);
            snprintf(text, sizeof text, "%s[%s]", of_kind[i], of_kind[k]), try(&self, "[]", text);
            try_methods(&self, of_kind[i], of_kind[k]);
        }
    }
}

TEST(what_an_expression_yields_is_known_beforehand)
{
    static const struct { const char *text; enum expr_kind kind; } rows[] = {
        { "!true", EXPR_BOOL }, { "1 < 2", EXPR_BOOL }, { "[1].all(x, true)", EXPR_BOOL }, { "[1]", EXPR_LIST }, { "[1].map(x, x)", EXPR_LIST }, { "{'a': 1}", EXPR_MAP },
        { "1", EXPR_INT }, { "self.name", EXPR_STRING }, { "true ? self.name : self['name']", EXPR_STRING }, { "true ? self.name : self.sub", EXPR_DYN }, { "size('a')", EXPR_DYN } };
    const struct expr_env env = { (const struct expr_var[]){ { "self", &object_schema } }, 1, NULL, 0 };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct kr_err e = { 0 };
        struct expr *x = expr_compile(str_of(rows[i].text), &env, &e);
        CHECK_Z(e.msg, "");
        if (!CHECK_INT(x ? (int)expr_yields(x) : -1, rows[i].kind)) printf("    %s\n", rows[i].text);
        CHECK(!x || !expr_uses(x, "other"));
        expr_free(x);
    }
}

TEST(an_answer_that_is_no_bool_is_refused_where_one_is_needed)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct expr_run run = { .arena = &a, .cost_left = 100 };
    struct value self = { .kind = EXPR_NULL };
    struct kr_err e = { 0 };
    struct expr *x = expr_compile(S("1"), &dynamic, &e), *bad = expr_compile(S("1/0"), &dynamic, &e);
    bool yes;
    CHECK(x && bad && expr_eval_bool(bad, &run, &self, &yes, &e) < 0);
    CHECK(expr_eval_bool(x, &run, &self, &yes, &e) < 0);
    CHECK_Z(e.msg, "the expression yields int, a bool is needed");
    CHECK(!expr_compile(S("'\xFF'"), &dynamic, &e));
    CHECK_Z(e.msg, "the expression is not valid UTF-8");
    CHECK(!expr_compile(S("1"), &(struct expr_env){ .nvars = LIMIT_EXPR_SLOTS }, &e) && e.code == KR_TOO_LARGE);
    expr_free(x);
    expr_free(bad);
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
    const struct expr_fn own[] = { { "success", 0, 0, false, f_success }, { "many", 0, 20, false, f_success } };
    const struct expr_env env = { NULL, 0, own, LEN(own) };
    AUTO_BUF struct buf b = { .max = 4096 };
    answer(&b, "success() ? 'ok' : 'no'", &env, NULL, 1000);
    CHECK_STR(buf_view(&b), S("ok"));
    buf_clear(&b);
    answer(&b, "many(1, 2, 3, 4, 5, 6, 7, 8, 9)", &env, NULL, 1000);
    CHECK_STR(buf_view(&b), S("! at 1: too many arguments"));
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

/* The same limits, reached at each kind of node: `%s` stands for a chain that is nearly as deep, or follows a list that is nearly as long, as may be. */
TEST(limits_of_expressions_are_told_wherever_they_show)
{
    static const char *const deep[] = { "%s", "true ? %s : 1", "!%s", "-%s", "[%s]", "{'a': %s}", "%s[0]", "%s['a']", "size(%s)", "%s.size()", "has(%s.x)", "%s + 1", "%s.all(x, x)", "%s.map(x, x, x)" };
    /* with so many nodes less before it, the next one is too many */
    static const struct { const char *text; size_t less; } large[] = { { "self", 0 }, { "self", 1 }, { "self.a", 2 }, { "-self", 2 }, { "self[0]", 2 }, { "size(1)", 0 }, { "self.size()", 2 },
        { "self.all(x, x)", 2 }, { "[1]", 0 }, { "1 + 2", 2 }, { "true ? 1 : 2", 1 }, { "-1", 0 } };
    struct kr_err e;
    for (size_t i = 0; i < LEN(deep); i++)
        for (int n = 3 * LIMIT_EXPR_DEPTH - 4; n < 3 * LIMIT_EXPR_DEPTH + 2; n++) {
            AUTO_BUF struct buf chain = { .max = 65536 }, text = { .max = 65536 };
            buf_lit(&chain, "self");
            repeat(&chain, ".a", n);
            buf_byte(&chain, 0);
            struct str form = str_of(deep[i]), before = str_cut(&form, '%');
            buf_fmt(&text, "%.*s%s%.*s", SFMT(before), chain.p, (int)form.n - 1, form.p + 1);
            struct expr *x = expr_compile(buf_view(&text), &dynamic, &e);
            CHECK(x || (e.code == KR_TOO_LARGE && str_ends(str_of(e.msg), S("nested too deeply"))));
            CHECK(x || n > 3 * LIMIT_EXPR_DEPTH - 4);
            CHECK(!x || n < 3 * LIMIT_EXPR_DEPTH + 1);
            expr_free(x);
        }
    AUTO_BUF struct buf list = { .max = 1 << 20 };
    repeat(&list, "1,", LIMIT_EXPR_NODES - 1);
    for (size_t i = 0; i < LEN(large); i++) {
        AUTO_BUF struct buf text = { .max = 1 << 20 };
        buf_fmt(&text, "[%.*s%s]", (int)(list.n - 2 * large[i].less), list.p, large[i].text);
        struct expr *x = expr_compile(buf_view(&text), &dynamic, &e);
        CHECK(!x && e.code == KR_TOO_LARGE && str_is(str_of(e.msg), "the expression is too large"));
        expr_free(x);
    }
}

TEST(what_is_joined_and_replaced_has_a_size)
{
    AUTO_BUF struct buf text = { .max = 1 << 20 }, b = { .max = 4096 };
    struct value self = { .kind = EXPR_NULL };
    buf_byte(&text, '\'');
    repeat(&text, "a", 2000);
    buf_lit(&text, "'.replace('a', '");
    repeat(&text, "b", 600);
    buf_lit(&text, "')");
    buf_byte(&text, 0);
    answer(&b, text.p, &dynamic, &self, 1000000);
    CHECK(str_ends(buf_view(&b), S("the expression needs too much memory")));
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
