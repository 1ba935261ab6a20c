/* SPDX-License-Identifier: Apache-2.0 */
/*
 * items: objects between the server and their form: which of them by age, and in which order. Keys are taken out once, so
 * sorting compares numbers and texts, not objects. Tests: tests/local/output.py
 */
#include "applets/cli/output.h"

void items_add(struct items *l, struct str object, struct str cells)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->v = xrealloc(l->v, l->cap * sizeof *l->v);
    }
    l->v[l->n] = (struct item){ .object = object, .cells = cells, .at = l->n };
    l->n++;
}

void items_free(struct items *l)
{
    free(l->v);
    arena_reset(&l->arena);
    *l = (struct items){ .arena = { .limit = l->arena.limit } };
}

/* ---- age --------------------------------------------------------------------------------------------------------- */

bool item_is_recent(const struct item *i, const char *const time_path[2], int64_t wall_us)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    int64_t made;
    if (!cli_list.since_us && !cli_list.older_us)
        return true;
    if (!time_parse(json_str_of(json_find_path(i->object, time_path, time_path[1] ? 2 : 1), &a), &made))
        return false;
    return (!cli_list.since_us || made >= wall_us - cli_list.since_us) && (!cli_list.older_us || made < wall_us - cli_list.older_us);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits count as the number they are: run-9 comes before run-10. */
static int compare_texts(struct str a, struct str b)
{
    while (a.n && b.n) {
        size_t x = 0, y = 0, zero = 0;
        if (!is_digit(*a.p) || !is_digit(*b.p)) {
            if (*a.p != *b.p)
                return (unsigned char)*a.p < (unsigned char)*b.p ? -1 : 1;
            a = str_from(a, 1), b = str_from(b, 1);
            continue;
        }
        for (; zero < a.n && a.p[zero] == '0'; zero++) ;
        a = str_from(a, zero);
        for (zero = 0; zero < b.n && b.p[zero] == '0'; zero++) ;
        b = str_from(b, zero);
        for (; x < a.n && is_digit(a.p[x]); x++) ;
        for (; y < b.n && is_digit(b.p[y]); y++) ;
        int order = x != y ? (x < y ? -1 : 1) : memcmp(a.p, b.p, x);
        if (order)
            return order;
        a = str_from(a, x), b = str_from(b, y);
    }
    return (a.n > 0) - (b.n > 0);
}

/* What is absent comes first, then numbers and durations, then texts; of equals the one that came first. */
static int compare(const void *x, const void *y)
{
    const struct item *a = x, *b = y;
    int order = (int)a->key.kind - (int)b->key.kind;
    if (!order && a->key.kind == KEY_NUMBER)
        order = (a->key.number > b->key.number) - (a->key.number < b->key.number);
    if (!order && a->key.kind == KEY_TEXT)
        order = compare_texts(a->key.text, b->key.text);
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

static int take_key(struct item *i, const struct jsonpath *path, struct items *l, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct json *root = json_parse(&a, i->object, e);
    const struct json *v = root ? jsonpath_first(path, root) : NULL;
    int64_t us;
    if (json_is(v, JSON_NUMBER))
        i->key = (struct item_key){ .kind = KEY_NUMBER, .number = json_double(v) };
    else if (json_is(v, JSON_STRING) && duration_parse(json_string(v), &us))
        i->key = (struct item_key){ .kind = KEY_NUMBER, .number = (double)us };
    else if (json_is(v, JSON_STRING))
        i->key = (struct item_key){ .kind = KEY_TEXT, .text = arena_str(&l->arena, json_string(v)) };
    else if (json_is(v, JSON_TRUE) || json_is(v, JSON_FALSE))
        i->key = (struct item_key){ .kind = KEY_NUMBER, .number = json_is(v, JSON_TRUE) };
    else if (v && !json_is(v, JSON_NULL))
        return kr_fail(e, KR_USAGE, "--sort-by: \"%.*s\" is no number, text or time, but an %s", SFMT(cli_list.sort_by), json_type_name(json_type(v)));
    return root ? 0 : -1;
}

static int sort(struct items *l, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct jsonpath *path = jsonpath_parse_column(&a, cli_list.sort_by, e);
    if (!path)
        return e->code = KR_USAGE, kr_wrap(e, "--sort-by");
    for (size_t i = 0; i < l->n; i++)
        if (take_key(&l->v[i], path, l, e) < 0)
            return -1;
    if (l->n)
        qsort(l->v, l->n, sizeof *l->v, compare);
    return 0;
}

int items_arrange(struct items *l, const char *const time_path[2], int64_t wall_us, struct kr_err *e)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++)
        if (item_is_recent(&l->v[i], time_path, wall_us))
            l->v[kept++] = l->v[i];
    l->n = kept;
    return cli_list.sort_by.n ? sort(l, e) : 0;
}
