/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines: our patterns and expressions by lines on stdin, for other implementations to be held against: what the programs
 * tests/tools/regexp and tests/tools/cel answer (tests/interop/regexp_go.py, cel_go.py).
 */
#include "core/expr.h"
#include "core/json.h"
#include "core/regex.h"
#include "tests/interop/testing/testing.h"
#include <stdio.h>

enum { LINE = 1 << 20 };
static char line[LINE];

static int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

struct str testing_hex(struct arena *a, struct str hex)
{
    char *p = arena_alloc(a, hex.n / 2 + 1);
    for (size_t i = 0; p && i + 1 < hex.n; i += 2)
        p[i / 2] = (char)(digit(hex.p[i]) * 16 + digit(hex.p[i + 1]));
    return (struct str){ p, p ? hex.n / 2 : 0 };
}

/* "PATTERN TEXT" in hexadecimal digits, "-" for nothing: "true", "false", "!". */
int testing_regex(void)
{
    while (fgets(line, sizeof line, stdin)) {
        AUTO_ARENA struct arena a = { .limit = 2 * LINE };
        struct str text = str_trim(str_of(line)), pattern = str_cut(&text, ' ');
        struct kr_err e;
        struct regex *r = regex_compile(testing_hex(&a, pattern), &e);
        puts(!r ? "!" : regex_search(r, testing_hex(&a, text)) ? "true" : "false");
        regex_free(r);
    }
    return 0;
}

/* The first line is what `self` is; then an expression a line: "EXPRESSION<TAB>VALUE", the value as JSON, "!" for an error. */
int testing_expr(void)
{
    AUTO_ARENA struct arena data = { .limit = LINE };
    struct kr_err e;
    if (!fgets(line, sizeof line, stdin))
        return 2;
    struct value self = value_of_json(json_parse(&data, arena_str(&data, str_trim(str_of(line))), &e), NULL);
    const struct expr_env env = { (const struct expr_var[]){ { "self", NULL } }, 1, NULL, 0 };
    while (fgets(line, sizeof line, stdin)) {
        AUTO_ARENA struct arena a = { .limit = 4 << 20 };
        AUTO_BUF struct buf out = { .max = 4 << 20 };
        struct str text = str_trim(str_of(line));
        struct expr_run run = { .arena = &a, .cost_left = 1000000 };
        struct value v;
        struct expr *x = expr_compile(text, &env, &e);
        if (!x || expr_eval(x, &run, &self, &v, &e) < 0)
            buf_lit(&out, "!");
        else if (v.kind == EXPR_STRING)
            jw_str(&out, v.s);
        else
            value_print(&out, v);
        expr_free(x);
        printf("%.*s\t%.*s\n", SFMT(text), SFMT(buf_view(&out)));
    }
    return 0;
}
