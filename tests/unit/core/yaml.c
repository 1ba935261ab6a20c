/* SPDX-License-Identifier: Apache-2.0 */
#include "core/yaml.h"
#include "core/clock.h"
#include "tests/kit/test.h"
#include <stdio.h>

/* The documents as "line:json " each, or "!" and the error. */
static void run(struct str yaml, struct buf *out)
{
    AUTO_ARENA struct arena a = { .limit = 8 << 20 };
    struct yaml_docs docs = { 0 };
    struct kr_err e = { 0 };
    if (yaml_to_json(yaml, &a, &docs, &e) < 0) {
        buf_fmt(out, "!%s", e.msg);
        return;
    }
    for (size_t i = 0; i < docs.n; i++) buf_fmt(out, "%s%zu:%.*s", i ? " " : "", docs.docs[i].line, SFMT(docs.docs[i].json));
}

static void check(const char *yaml, const char *want)
{
    AUTO_BUF struct buf out = { .max = 4 << 20 };
    run(str_of(yaml), &out);
    if (!CHECK_STR(buf_view(&out), str_of(want))) CHECK_Z(yaml, "as wanted");
}

TEST(yaml_documents)
{
    static const struct { const char *yaml, *want; } rows[] = {
        { "", "" }, { "---\n", "" }, { "# only words\n---\n---\n...\n", "" }, { "a: 1", "1:{\"a\":1}" }, { "~", "1:null" }, { "--- text", "1:\"text\"" },
        { "a: 1\n---\n# c\nb:\n- x\n- {w: z}\n---\n---\n[1, 2]\n", "1:{\"a\":1} 4:{\"b\":[\"x\",{\"w\":\"z\"}]} 9:[1,2]" },
        { "%YAML 1.1\n---\na: b\n", "3:{\"a\":\"b\"}" }, { "\xEF\xBB\xBF""a: b\n", "1:{\"a\":\"b\"}" },
        { "a: |\n  x\n   y\n\nb: >-\n  x\n  y\nc: 'it''s'\nd: \"\\x41\\n\\u00e9\"\n", "1:{\"a\":\"x\\n y\\n\",\"b\":\"x y\",\"c\":\"it's\",\"d\":\"A\\n\xC3\xA9\"}" },
        { "a: &x {b: [1]}\nc: *x\nd: [*x, &y z, *y]\n", "1:{\"a\":{\"b\":[1]},\"c\":{\"b\":[1]},\"d\":[{\"b\":[1]},\"z\",\"z\"]}" },
        { "\n\n{\"a\": \"\\ud83d\\ude00\",\n\t\"b\": [1e400]}\n", "3:{\"a\": \"\\ud83d\\ude00\",\n\t\"b\": [1e400]}" },
        { "{a: b, 'c': \"d\"}", "1:{\"a\":\"b\",\"c\":\"d\"}" }, { "8080: a\n0x10: b\n\"true\": c\n? d\n: e\n", "1:{\"8080\":\"a\",\"16\":\"b\",\"true\":\"c\",\"d\":\"e\"}" },
        { "a:\nb: ''\nc: []\nd: {}\n", "1:{\"a\":null,\"b\":\"\",\"c\":[],\"d\":{}}" },
        { "- !!str 1\n- !!int '2'\n- !!float 1\n- !!bool yes\n- !!null ''\n- ! 5\n- !!seq [1]\n- !!map {}\n- !!float 1e400\n",
          "1:[\"1\",2,1,true,null,\"5\",[1],{},1e400]" },
    };
    for (size_t i = 0; i < LEN(rows); i++) check(rows[i].yaml, rows[i].want);
}

TEST(yaml_plain_scalars)
{
    static const struct { const char *yaml, *want; } rows[] = {
        { "null", "null" }, { "Null", "null" }, { "NULL", "null" }, { "nULL", "\"nULL\"" }, { "true", "true" }, { "True", "true" }, { "TRUE", "true" },
        { "tRUE", "\"tRUE\"" }, { "yes", "true" }, { "Y", "true" }, { "on", "true" }, { "Off", "false" }, { "no", "false" }, { "n", "false" },
        { "0", "0" }, { "-0", "0" }, { "+12", "12" }, { "-12", "-12" }, { "1_000", "1000" }, { "0644", "420" }, { "0o17", "15" }, { "0x1F", "31" }, { "-0x1f", "-31" },
        { "0b101", "5" }, { "089", "89" }, { "9223372036854775807", "9223372036854775807" }, { "-9223372036854775808", "-9223372036854775808" },
        { "18446744073709551615", "18446744073709551615" }, { "123456789012345678901234567890", "123456789012345678901234567890" },
        { "1.5", "1.5" }, { ".5", "0.5" }, { "5.", "5" }, { "-.5e3", "-0.5e3" }, { "1E+03", "1e03" }, { "1e-3", "1e-3" }, { "1e999", "\"1e999\"" }, { "0x", "\"0x\"" },
        { "1.2.3", "\"1.2.3\"" }, { "1e", "\"1e\"" }, { "1-2", "\"1-2\"" }, { "-", "[null]" }, { "--", "\"--\"" }, { ".", "\".\"" }, { "+", "\"+\"" }, { "0xFFFFFFFFFFFFFFFFFF", "\"0xFFFFFFFFFFFFFFFFFF\"" },
        { "1:30", "\"1:30\"" }, { "2026-01-02", "\"2026-01-02\"" }, { "2026-01-02T03:04:05Z", "\"2026-01-02T03:04:05Z\"" }, { "100m", "\"100m\"" }, { "1Gi", "\"1Gi\"" },
        { "'1'", "\"1\"" }, { "\"true\"", "\"true\"" }, { "a b", "\"a b\"" }, { "10.0.0.1", "\"10.0.0.1\"" }, { "\xC3\xA9", "\"\xC3\xA9\"" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        char want[80];
        snprintf(want, sizeof want, "1:%s", rows[i].want);
        check(rows[i].yaml, want);
    }
}

TEST(yaml_refusals_say_where)
{
    static const struct { const char *yaml, *want; } rows[] = {
        { "a: 1\nb: 2\na: 3\n", "!line 3, column 1: the key 'a' is there already, in line 1" },
        { "1: x\n\"1\": y\n", "!line 2, column 1: the key '1' is there already, in line 1" },
        { "{\"a\": 1,\n\"a\": 2}", "!line 2: the key 'a' is there already" },
        { "on: x\n", "!line 1, column 1: the key 'on' is read as true; put it in quotes" },
        { "a: {~: 1}\n", "!line 1, column 5: the key '~' is read as null; put it in quotes" },
        { "a: &x {b: 1}\nc:\n  <<: *x\n", "!line 3, column 3: merge keys ('<<') are not offered; write the members out" },
        { "a: !Ref x\n", "!line 1, column 4: unknown tag '!Ref'; put a text that begins with '!' in quotes" },
        { "a: !!binary aGk=\n", "!line 1, column 4: unknown tag 'tag:yaml.org,2002:binary'; put a text that begins with '!' in quotes" },
        { "a: !!int x\n", "!line 1, column 4: 'x' is not what its tag says" },
        { "a: !!int 1.5\n", "!line 1, column 4: '1.5' is not what its tag says" },
        { "a: !!set {b}\n", "!line 1, column 4: the tag 'tag:yaml.org,2002:set' is not offered here" },
        { "a: .inf\n", "!line 1, column 4: '.inf' has no place in JSON; quote it if it is a text" },
        { "a: *x\n", "!line 1, column 4: nothing before this has the anchor '&x', or it is not complete yet" },
        { "a: &x [*x]\n", "!line 1, column 8: nothing before this has the anchor '&x', or it is not complete yet" },
        { "a: &x 1\n---\nb: *x\n", "!line 3, column 4: nothing before this has the anchor '&x', or it is not complete yet" },
        { "? [a]\n: b\n", "!line 1, column 3: a key is a text, not a list" },
        { "a: &x b\n*x : c\n", "!line 2, column 1: a key can't be an alias; put a text that begins with '*' in quotes" },
        { "a: \"x\\0y\"\n", "!line 1, column 4: a text has a NUL character inside" },
        { "a: \xFF\n", "!line 1: not UTF-8" },
        { "a: b: c\n", "!line 1, column 5: mapping values are not allowed in this context; put a text with ': ' in quotes, or check the indentation" },
        { "a:\n\t- b\n", "!line 2, column 1: found character that cannot start any token while scanning for the next token; YAML is indented with spaces, here is a tab" },
        { "a: @b\n", "!line 1, column 4: found character that cannot start any token while scanning for the next token; put a text that begins with this character in quotes" },
        { "a:\n  b: 1\n c: 2\n", "!line 3, column 2: did not find expected key while parsing a block mapping; check the indentation of this line and of the one before" },
        { "a: \"b\n", "!line 2, column 1: found unexpected end of stream while scanning a quoted scalar; a quote is not closed" },
    };
    for (size_t i = 0; i < LEN(rows); i++) check(rows[i].yaml, rows[i].want);
}

TEST(yaml_laughs_less_than_a_billion_times)
{
    AUTO_BUF struct buf in = { .max = 1 << 20 }, out = { .max = 8 << 20 };
    buf_lit(&in, "a0: &a0 [lol]\n");
    for (int i = 1; i < 40; i++) {
        buf_fmt(&in, "a%d: &a%d [", i, i);
        for (int k = 0; k < 9; k++) buf_fmt(&in, "%s*a%d", k ? "," : "", i - 1);
        buf_lit(&in, "]\n");
    }
    run(buf_view(&in), &out);
    CHECK(str_starts(buf_view(&out), S("!line 7, column ")) && str_ends(buf_view(&out), S("the aliases of this file stand for more than 1048576 bytes")));
}

TEST(yaml_is_not_nested_too_deeply)
{
    for (int extra = 0; extra < 2; extra++) {
        AUTO_BUF struct buf in = { .max = 1 << 20 }, deep = { .max = 1 << 20 }, out = { .max = 1 << 20 };
        for (int i = 0; i < LIMIT_JSON_DEPTH + extra; i++) buf_lit(&in, "- ");
        run(buf_view(&in), &out);
        CHECK_INT(str_starts(buf_view(&out), S("!line 1, column 129: nested more than 64")), extra);
        buf_clear(&out);
        buf_lit(&deep, "- &a0 []\n");
        for (int i = 1; i < LIMIT_JSON_DEPTH - 1 + extra; i++) buf_fmt(&deep, "- &a%d [*a%d]\n", i, i - 1);
        run(buf_view(&deep), &out);
        CHECK_INT(out.p[0] == '!', extra);
    }
}

TEST(a_file_has_a_size_and_a_number_of_documents)
{
    AUTO_BUF struct buf in = { .max = LIMIT_FILE_INPUT + 1 }, out = { .max = 1 << 20 };
    for (int i = 0; i < LIMIT_YAML_DOCUMENTS; i++)
        buf_lit(&in, "--- 1\n");
    run(buf_view(&in), &out);
    CHECK(out.n && out.p[0] != '!');
    buf_clear(&out);
    buf_lit(&in, "--- 1\n");
    run(buf_view(&in), &out);
    CHECK(str_ends(buf_view(&out), S("the file has more than 10000 documents")));
    while (in.n < (size_t)LIMIT_FILE_INPUT + 1)
        buf_byte(&in, '\n');
    buf_clear(&out);
    run(buf_view(&in), &out);
    CHECK_STR(buf_view(&out), S("!the file has 16777217 bytes, 16777216 are allowed"));
}

TEST(yaml_cut_at_each_byte_is_read_or_refused)
{
    static const char yaml[] = "a: &x\n  - 'b'\n  - \"\\u00e9\"\n  - |+\n    c\n\n---\n? {d: [*x, !!int 1]}\n: >\n  e\n...\n";
    for (size_t n = 0; n < sizeof yaml; n++) {
        AUTO_BUF struct buf out = { .max = 1 << 20 };
        AUTO_FREE char *own = xstrndup(yaml, n);
        run((struct str){ own, n }, &out);
        CHECK(!out.failed);
    }
}

TEST(yaml_prints_like_kubectl)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    struct json *j = json_parse(&a, S("{\"kind\":\"Run\",\"metadata\":{\"name\":\"a\",\"labels\":{},\"at\":\"2026-01-02T03:04:05Z\"},\"spec\":{\"args\":[\"-v\",\"--x=1\",\"- y\",\"\"],"
        "\"n\":[[1,[2]],[],{\"q\":1.5,\"r\":[{\"s\":null,\"t\":true}]}],\"yes\":\"yes\",\"script\":\"echo 1\\n  echo 2\\n\",\"cut\":\"a\\nb\",\"more\":\"a\\n\\n\",\"lead\":\" a\\nb\","
        "\"p\":\"a: b\",\"h\":\"a #b\",\"ip\":\"10.0.0.1\",\"t\":\"x\\ty\",\"c\":\"8080:80\"}}"), &e);
    yaml_print(&b, j);
    CHECK_STR(buf_view(&b), S("kind: Run\nmetadata:\n  name: a\n  labels: {}\n  at: \"2026-01-02T03:04:05Z\"\nspec:\n  args:\n  - -v\n  - --x=1\n  - \"- y\"\n  - \"\"\n"
        "  \"n\":\n  - - 1\n    - - 2\n  - []\n  - q: 1.5\n    r:\n    - s: null\n      t: true\n  \"yes\": \"yes\"\n  script: |\n    echo 1\n      echo 2\n  cut: |-\n    a\n    b\n"
        "  more: |+\n    a\n\n  lead: \" a\\nb\"\n  p: \"a: b\"\n  h: \"a #b\"\n  ip: 10.0.0.1\n  t: \"x\\ty\"\n  c: \"8080:80\"\n"));
}

static struct str random_text(struct rnd *r, struct arena *a)
{
    static const char *const parts[] = { " ", "\n", "\t", ":", "#", "-", "---", "...", "a", "b", "0", "1", "'", "\"", "\\", "|", ">", "%", "@", "`", "{", "}", "[", "]", ",", "&", "*",
        "!", "?", "~", "null", "true", "y", ".", "e", "+", "_", "0x", "<<", "=", "\xC2\x85", "\xE2\x80\xA8", "\xEF\xBB\xBF", "\xC3\xA9", "\xF0\x9F\x98\x80", "\x7F", "\x01", "\r", ": ", " #", "- " };
    AUTO_BUF struct buf b = { .max = 4096 };
    if (rnd_below(r, 200) == 0)
        for (int i = 0; i < 1200; i++) buf_lit(&b, "k");
    for (uint64_t n = rnd_below(r, 6); n; n--) buf_lit(&b, parts[rnd_below(r, LEN(parts))]);
    return arena_str(a, buf_view(&b));
}

static struct json *random_tree(struct rnd *r, struct arena *a, int depth)
{
    static const char *const numbers[] = { "0", "-1", "1.5", "1e5", "-2.5E-7", "1e300", "12345678901234567890123", "18446744073709551615", "0.10" };
    struct kr_err e;
    uint64_t kind = rnd_below(r, depth ? 9 : 6);
    if (kind == 0) return json_new_null(a);
    if (kind == 1) return json_new_bool(a, rnd_below(r, 2));
    if (kind == 2) return json_parse(a, str_of(numbers[rnd_below(r, LEN(numbers))]), &e);
    if (kind < 6) return json_new_str(a, random_text(r, a));
    struct json *j = kind == 6 ? json_new_array(a) : json_new_object(a);
    for (uint64_t n = rnd_below(r, 5); n; n--) {
        struct json *v = random_tree(r, a, depth - 1);
        if (kind == 6) json_append(j, v);
        else json_set(a, j, random_text(r, a), v);
    }
    return j;
}

TEST(yaml_reads_back_what_it_prints)
{
    struct rnd r;
    rnd_seed(&r, test_seed());
    for (int i = 0; i < 20000; i++) {
        AUTO_ARENA struct arena a = { .limit = 8 << 20 };
        AUTO_BUF struct buf text = { .max = 1 << 20 };
        struct yaml_docs docs = { 0 };
        struct kr_err e = { 0 };
        struct json *j = random_tree(&r, &a, 4);
        yaml_print(&text, j);
        bool ok = yaml_to_json(buf_view(&text), &a, &docs, &e) == 0 && docs.n == 1;
        struct json *back = ok ? json_parse(&a, docs.docs[0].json, &e) : NULL;
        if (!back || !json_equal(j, back)) {
            CHECK_STR(buf_view(&text), str_of(e.msg));
            return;
        }
    }
}
