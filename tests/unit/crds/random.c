/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects made at random from the tables themselves, right more often than wrong: what admission lets through must be
 * readable as a struct, come out of it as it went in, and be let through again unchanged.
 */
#include "core/clock.h"
#include "core/model_admit.h"
#include "core/regex.h"
#include "crds/crds.h"
#include "tests/kit/test.h"

struct maker { struct rnd rnd; struct arena *a; unsigned wrong; };        /* one value in `wrong` is of some other type */

static struct json *make(struct maker *, const struct model_schema *, int depth);

static bool one_in(struct maker *m, uint64_t n) { return rnd_below(&m->rnd, n) == 0; }

static struct json *make_text(struct maker *m, const struct model_schema *s)
{
    static const char *const words[] = { "runtime", "a", "b", "1", "1s", "60s", "x.y", "../x", "", "jobs.a.artifacts.b", "WRS",
        "https://h/x", "0123456789abcdef0123456789abcdef", "2026-01-02T03:04:05Z", "True", "\xc3\xa9", "\"\\\n" };
    struct kr_err e;
    struct regex *pattern = s->pattern ? regex_compile(str_of(s->pattern), &e) : NULL;
    struct str rest = str_of(s->one_of), word;
    for (int i = 0; !s->one_of && i < 20; i++) {
        word = str_of(words[one_in(m, 2) ? 0 : rnd_below(&m->rnd, LEN(words))]);
        if (word.n >= (size_t)s->len[0] && (!pattern || regex_search(pattern, word)))
            break;
    }
    regex_free(pattern);
    if (!s->one_of)
        return json_new_str(m->a, word);
    do
        word = str_cut(&rest, ' ');
    while (rest.n && !one_in(m, 3));
    return json_new_str(m->a, word);
}

static struct json *make_any(struct maker *m)
{
    struct json *o = json_new_object(m->a);
    switch (rnd_below(&m->rnd, 6)) {
    case 0: return json_new_null(m->a);
    case 1: return json_new_double(m->a, 1.5);
    case 2: return json_new_str(m->a, S("any"));
    case 3: return json_new_array(m->a);
    case 4: return json_new_bool(m->a, true);
    default: json_set(m->a, o, S("any"), json_new_int(m->a, 1)); return o;
    }
}

static struct json *make_object(struct maker *m, const struct model_object *o, int depth)
{
    struct json *v = json_new_object(m->a);
    for (const struct model_field *f = o->fields; f->name; f++)
        if (f->s.required ? !one_in(m, 50) : depth < 8 && one_in(m, 3))
            json_set(m->a, v, (struct str){ f->name, f->len }, make(m, &f->s, depth + 1));
    if (one_in(m, 10))
        json_set(m->a, v, S("undeclared"), make_any(m));
    return v;
}

static struct json *make(struct maker *m, const struct model_schema *s, int depth)
{
    static const char *const keys[] = { "runs", "a", "b", "a.b", "" };
    struct json *v;
    size_t n = rnd_below(&m->rnd, 3) + (size_t)s->len[0];
    if (one_in(m, m->wrong))
        return make_any(m);
    switch (s->shape) {
    case MODEL_INT:
    case MODEL_INT32:
    case MODEL_COUNT: return json_new_int(m->a, s->range[0] + (int64_t)rnd_below(&m->rnd, 3));
    case MODEL_BOOL: return json_new_bool(m->a, one_in(m, 2));
    case MODEL_RAW: v = json_new_object(m->a); json_set(m->a, v, S("any"), make_any(m)); return v;
    case MODEL_OBJECT: return make_object(m, s->object, depth);
    case MODEL_LIST:
        v = json_new_array(m->a);
        for (size_t i = 0; i < n && i < 3; i++)
            json_append(v, make(m, model_item(s), depth + 1));
        return v;
    case MODEL_MAP:
        v = json_new_object(m->a);
        for (size_t i = 0; i < n; i++)
            json_set(m->a, v, str_of(keys[rnd_below(&m->rnd, LEN(keys))]), make(m, model_item(s), depth + 1));
        return v;
    case MODEL_TEXT:
    case MODEL_TIME: break;
    }
    return s->shape == MODEL_TIME && !one_in(m, 9) ? json_new_str(m->a, S("2026-01-02T03:04:05Z")) : make_text(m, s);
}

/* Without what a struct doesn't keep: undeclared metadata. */
static void same_as_struct(const struct model_type *t, struct arena *a, struct json *v)
{
    AUTO_BUF struct buf text = { .max = 1 << 20 }, again = { .max = 1 << 20 };
    struct kr_err e = { .msg = "" };
    json_print(&text, v);
    CHECK_INT(json_scan(buf_view(&text), &e), 0);
    void *p = model_decode_object(t->object, buf_view(&text), a, &e);
    CHECK_Z(e.msg, "");
    CHECK_OR(p);
    model_encode_object(t->object, p, &again);
    struct json *back = json_parse(a, buf_view(&again), &e);
    CHECK_Z(e.msg, "");
    if (!json_equal(back, v))
        CHECK_STR(buf_view(&again), buf_view(&text));
}

/* What is refused is decoded all the same, with less memory than it may need: an answer or an error, nothing else. */
static void decoded_or_not(struct maker *m, const struct model_type *t, const struct json *v)
{
    AUTO_BUF struct buf text = { .max = 1 << 20 };
    AUTO_ARENA struct arena small = { .limit = 1024 + rnd_below(&m->rnd, 16384) };
    struct kr_err e = { .msg = "" };
    json_print(&text, v);
    CHECK_INT(json_scan(buf_view(&text), &e), 0);
    CHECK((model_decode_object(t->object, buf_view(&text), &small, &e) == NULL) == (e.msg[0] != 0));
}

static size_t let_through(const struct model_type *t, unsigned wrong)
{
    size_t good = 0;
    for (unsigned i = 0; i < 400; i++) {
        struct arena a = { .limit = 1 << 26 };
        struct maker m = { .a = &a, .wrong = wrong };
        rnd_seed(&m.rnd, test_seed() + i);
        struct model_errors errors = { 0 };
        struct str_list unknown = { 0 };
        struct kr_err e = { .msg = "" };
        struct json *v = make_object(&m, t->object, 0), *meta = json_new_object(&a);
        json_set(&a, meta, S("name"), json_new_str(&a, S("x")));
        json_set(&a, v, S("metadata"), meta);
        CHECK_INT(model_admit(t, &a, v, NULL, &errors, &unknown, &e), 0);
        if (!errors.n) {
            struct json *before = json_clone(&a, v);
            good++;
            same_as_struct(t, &a, v);
            CHECK_INT(model_admit(t, &a, v, before, &errors, &unknown, &e), 0);
            CHECK(errors.n == 0 && unknown.n == 0 && json_equal(v, before));
        } else {
            decoded_or_not(&m, t, v);
        }
        arena_reset(&a);
    }
    return good;
}

TEST(runs) { CHECK(let_through(&type_run, 500) > 50); let_through(&type_run, 10); }
TEST(runtimes) { CHECK(let_through(&type_runtime, 500) > 3); let_through(&type_runtime, 10); }
TEST(workflows) { CHECK(let_through(&type_workflow, 500) > 3); let_through(&type_workflow, 10); }
