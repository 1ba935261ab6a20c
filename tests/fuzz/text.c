/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of users and peers: JSON, YAML, URIs, base64, quantities, times, selectors, paths. What is accepted can be printed,
 * and what was printed reads back as the same.
 */
#include "core/base64.h"
#include "core/clock.h"
#include "core/expr.h"
#include "core/proxy.h"
#include "core/regex.h"
#include "core/uri.h"
#include "core/yaml.h"
#include "k8s/jsonpath.h"
#include "k8s/quantity.h"
#include "k8s/selector.h"
#include "tests/fuzz/fuzz.h"

#define JSON_WORDS "{\"a\":", "[1,2]", "null", "true", "false", "-0", "1e9", "\\u0000", "\\ud83d\\ude00", "\"\"", "9007199254740993", "0.1", "}", "]", "\xc3\xa9"

/* The scanner and the tree (cJSON) agree; a tree prints as what reads back equal; a walk takes the whole text. */
FUZZ_WORDS(json, JSON_WORDS)
{
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    AUTO_BUF struct buf once = { .max = 1 << 22 }, twice = { .max = 1 << 22 };
    struct kr_err e = { 0 };
    bool ok = json_scan(in, &e) == 0;
    struct json *j = json_parse(&a, in, &e);
    if (!ok) {
        DEMAND(!j);
        return;
    }
    if (!j)
        return;                                    /* a NUL in a key, or too much for the arena */
    json_print(&once, j);
    struct json *k = json_parse(&a, buf_view(&once), &e);
    DEMAND(k && json_equal(j, k));
    json_print(&twice, k);
    DEMAND(str_eq(buf_view(&once), buf_view(&twice)));
    struct json_cur c = json_begin(in);
    DEMAND(json_kind(&c) == json_type(j));
    struct str raw = json_raw(&c);
    DEMAND(str_trim(str_from((struct str){ in.p, in.n }, (size_t)(raw.p + raw.n - in.p))).n == 0);
}

FUZZ_WORDS(yaml, "a: ", "\n  ", "- ", "&a ", "*a", "|\n", ">-\n", "? ", "'", "\"", "---\n", "!!str ", "{a: b}", "[1, 2]", "# c\n", "0x1F", "~", "yes", "1_000", "<<: ")
{
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct yaml_docs docs;
    struct kr_err e = { 0 };
    if (yaml_to_json(in, &a, &docs, &e) < 0) {
        DEMAND(e.code && e.msg[0]);
        return;
    }
    for (size_t i = 0; i < docs.n; i++) {
        AUTO_BUF struct buf text = { .max = 4 << 20 };
        struct yaml_docs back;
        DEMAND(json_scan(docs.docs[i].json, &e) == 0);
        struct json *j = json_parse(&a, docs.docs[i].json, &e);
        if (!j)
            continue;
        yaml_print(&text, j);
        if (text.failed || yaml_to_json(buf_view(&text), &a, &back, &e) < 0) {
            DEMAND(a.over || text.failed || e.code == KR_TOO_LARGE);
            return;
        }
        struct json *k = back.n ? json_parse(&a, back.docs[0].json, &e) : json_new_null(&a);
        DEMAND(a.over || (k && json_equal(j, k)));
    }
}

FUZZ_WORDS(uri, "%2f", "http://", "https://[::1]:8080/", "?a=b&c", "/../", "%00", "+", "//")
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    struct str path, query, part[32], key, value, back;
    struct uri_url url;
    struct proxy proxy;
    uri_split(in, &path, &query);
    int n = uri_segments(&a, path, part, LEN(part), &e);
    for (int i = 0; i < n; i++) {
        buf_clear(&b);
        uri_put_segment(&b, part[i]);
        DEMAND(uri_decode(&a, buf_view(&b), false, &back, &e) == 0 && str_eq(back, part[i]));
    }
    if (uri_query_check(query, &e) == 0)
        for (struct str rest = query; uri_query_next(&rest, &a, &key, &value);)
            DEMAND(key.p && value.p);
    if (uri_parse_url(in, &url, &e) == 0)
        DEMAND(url.host.n && url.port);
    proxy_parse(&proxy, in, &a, &e);
}

FUZZ_WORDS(base64, "==", "AA", "-_", "+/")
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    enum base64_kind kind = fuzz_pick(&in, 2) ? BASE64_URL : BASE64_STD;
    struct kr_err e = { 0 };
    struct str bytes, back;
    DEMAND(base64_decode(&a, kind, base64_encode(&a, kind, in), &back, &e) == 0 && str_eq(back, in));
    if (base64_decode(&a, kind, in, &bytes, &e) == 0)
        DEMAND(str_eq(base64_encode(&a, kind, bytes), in));      /* every byte string has one text */
}

FUZZ_WORDS(quantity, "Ki", "1e3", "E-3", "100m", ".5", "9223372036854775807", "Ei", "n")
{
    struct quantity q, back;
    struct kr_err e = { 0 };
    char text[QUANTITY_TEXT];
    int64_t us;
    time_parse(in, &us);
    if (quantity_parse(in, &q, &e) < 0)
        return;
    struct str s = quantity_print(&q, text);
    DEMAND(quantity_parse(s, &back, &e) == 0 && quantity_cmp(&q, &back) == 0);
}

FUZZ_WORDS(selector, "a=b", "!a", " in (", " notin (", "),", "a/b", "==", "!=", ",")
{
    AUTO_BUF struct buf once = { .max = 1 << 20 }, twice = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    static const struct selector_label label[] = { { { "a", 1 }, { "b", 1 } }, { { "x/y", 3 }, { "", 0 } } };
    struct selector_labels labels = { label, LEN(label) };
    struct selector *s = selector_parse(in, &e);
    if (s) {
        selector_print(&once, s);
        struct selector *same = selector_parse(buf_view(&once), &e);
        DEMAND(same);
        DEMAND(selector_matches(s, &labels) == selector_matches(same, &labels));
        selector_print(&twice, same);
        DEMAND(str_eq(buf_view(&once), buf_view(&twice)));
        selector_free(same);
    }
    selector_free(s);
    struct field_selector f = { 0 };
    if (field_selector_parse(&f, in, &e) < 0)
        DEMAND(e.msg[0]);
    field_selector_free(&f);
}

FUZZ_WORDS(jsonpath, "{.a}", "{range .items[*]}", "{end}", "[?(@.a==", "..", "[0:2]", "[-1]", "['a']", "{\"\\n\"}", "*", "@.b>1)]")
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf out = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    struct json *root = json_parse(&a, S("{\"a\":[{\"b\":1,\"c\":\"x\"},{\"b\":2}],\"items\":[1,2,3],\"m\":{\"n\":null}}"), &e);
    struct jsonpath *p = jsonpath_parse(&a, in, &e);
    if (p)
        jsonpath_print(p, root, &out, &e);
    p = jsonpath_parse_column(&a, in, &e);
    if (p)
        jsonpath_first(p, root);
}

/* Half pattern, half text: an end in linear time, and the same answer a second time (what was learned is kept). */
FUZZ_WORDS(regex, "(a|b)*", "[^a-z]", "{2,5}", "\\d+", "(?i)", "^", "$", ".*", "\\pL", "[[:alpha:]]", "?", "\xc3\xa9")
{
    struct kr_err e = { 0 };
    ptrdiff_t cut = str_chr(in, '\n');
    struct str pattern = { in.p, cut < 0 ? in.n : (size_t)cut }, text = cut < 0 ? S("aab") : str_from(in, (size_t)cut + 1);
    struct regex *r = regex_compile(pattern, &e);
    if (!r) {
        DEMAND(e.msg[0]);
        return;
    }
    bool found = regex_search(r, text);
    DEMAND(regex_search(r, text) == found);
    regex_free(r);
    r = regex_compile(pattern, &e);
    DEMAND(r && regex_search(r, text) == found);
    regex_free(r);
}

FUZZ_WORDS(expr, "self", ".a", "[0]", " && ", " || ", "has(self.a)", ".all(x, ", ".map(x, ", "size(", "'a'", "1", "==", " ? ", " : ", "matches('a*')", "in ", "{'a': 1}", "[1, 2]", "-", "!")
{
    AUTO_ARENA struct arena a = { .limit = 4 << 20 };
    AUTO_BUF struct buf once = { .max = 1 << 20 }, twice = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    static const struct expr_var vars[] = { { "self", NULL } };
    struct expr_env env = { .vars = vars, .nvars = 1 };
    struct expr *x = expr_compile(in, &env, &e);
    if (!x) {
        DEMAND(e.msg[0]);
        return;
    }
    struct value self = value_of_json(json_parse(&a, S("{\"a\":[1,2,3],\"b\":\"text\",\"c\":{\"d\":null,\"e\":1.5},\"f\":[{\"g\":true}]}"), &e), NULL), v;
    for (int i = 0; i < 2; i++) {
        struct expr_run run = { .arena = &a, .cost_left = 20000 };
        struct kr_err why = { 0 };
        struct buf *out = i ? &twice : &once;
        if (expr_eval(x, &run, &self, &v, &why) == 0)
            value_print(out, v);
        else
            buf_lit(out, why.msg);
    }
    DEMAND(a.over || str_eq(buf_view(&once), buf_view(&twice)));
    expr_free(x);
}
