/* SPDX-License-Identifier: Apache-2.0 */
/*
 * which: from words and selectors to the names of objects. A field selector only knows "and": a set of phases is asked for as none
 * of the others. Tests: tests/local/output.py, tests/local/logs.py
 */
#include "applets/cli/which.h"
#include "core/uri.h"
#include "crds/crds.h"
#include <stdio.h>

#define NAMES_ONLY "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
#define LATEST "@latest"

const struct opt cli_phase_opts[] = {
    { "phase", 0, OPT_LIST, &cli_list.phases, "PHASE,…", "only those in these phases: Failed,Timeout (repeatable)", .also = "status state running completed" },
    { 0 } };
const struct opt cli_named_opts[] = {
    { "selector", 'l', OPT_STR, &cli_list.selector, "LABELS", "instead of names: those with these labels now" },
    { 0 } };

/* ---- phases ------------------------------------------------------------------------------------------------------ */

static struct str phases_of(const struct kube_resource *r)
{
    const struct model_type *t = crd_find(str_of(r->plural));
    const struct model_field *f = NULL;
    struct kr_err ignored = { 0 };
    return t && model_look_up(t, S("status.phase"), &f, &ignored) == 0 && f ? str_of(f->s.one_of) : S("");
}

static bool is_word(struct str words, struct str word)
{
    while (words.n)
        if (str_eq(str_cut(&words, ' '), word))
            return true;
    return false;
}

static int refuse_phase(struct str known, struct str got, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    AUTO_BUF struct buf list = { .max = 256 };
    const char *words[16];
    size_t n = 0;
    while (known.n && n < LEN(words)) {
        words[n] = arena_z(&a, str_cut(&known, ' '));
        buf_fmt(&list, "%s%s", n ? ", " : "", words[n]);
        n++;
    }
    const char *near = opt_nearest(got, words, n);
    return kr_fail(e, KR_USAGE, "--phase: \"%.*s\" is none of %.*s%s%s%s", SFMT(got), SFMT(buf_view(&list)), near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
}

static bool is_wanted(struct str phase)
{
    for (size_t i = 0; i < cli_list.phases.n; i++) {
        struct str rest = cli_list.phases.v[i];
        while (rest.n)
            if (str_eq(str_cut(&rest, ','), phase))
                return true;
    }
    return false;
}

static int check_phases(struct str known, struct kr_err *e)
{
    for (size_t i = 0; i < cli_list.phases.n; i++) {
        struct str rest = cli_list.phases.v[i];
        do {
            struct str one = str_cut(&rest, ',');
            if (!is_word(known, one))
                return refuse_phase(known, one, e);
        } while (rest.n);
    }
    return 0;
}

int cli_phases(const struct kube_resource *r, struct kr_err *e)
{
    static struct buf text = { .max = LIMIT_HTTP1_START_LINE };          /* the selector points into it */
    struct str known = phases_of(r);
    if (!cli_list.phases.n)
        return 0;
    if (check_phases(known, e) < 0)
        return -1;
    buf_str(&text, cli_list.fields);
    while (known.n) {
        struct str one = str_cut(&known, ' ');
        if (!is_wanted(one))
            buf_fmt(&text, "%sstatus.phase!=%.*s", text.n ? "," : "", SFMT(one));
    }
    opt_list_free(&cli_list.phases);
    cli_list.fields = buf_view(&text);
    return text.failed ? kr_fail(e, KR_TOO_LARGE, "--field-selector is longer than %d bytes", LIMIT_HTTP1_START_LINE) : 0;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* Times of a second are equal soon: then the later version counts, where versions are numbers. */
static bool is_later(struct str made, struct str version, struct str than, struct str than_version)
{
    int64_t a = 0, b = 0;
    int order = str_cmp(made, than);
    if (order || !str_i64(version, &a) || !str_i64(than_version, &b))
        return order > 0;
    return a > b;
}

/* Names, times and versions of what the selector lets through; text on the arena. */
struct listed { struct str name, made, version; };

static int list_all(struct cli *c, const struct kube_resource *r, struct arena *a, struct listed **ret, size_t *n, struct kr_err *e)
{
    static const char *const keys[] = { "name", "creationTimestamp", "resourceVersion" };
    AUTO_BUF struct buf p = { .max = LIMIT_HTTP1_START_LINE }, body = { .max = LIMIT_KUBE_ANSWER };
    struct str raw[LEN(keys)];
    size_t cap = 0;
    *n = 0;
    *ret = NULL;
    kube_path(&p, r, str_of(c->own_ns), S(""), NULL);
    if (cli_list.selector.n)
        uri_put_param(&p, "labelSelector", cli_list.selector);
    if (cli_call(c, &(struct kube_request){ .method = "GET", .path = buf_view(&p), .accept = NAMES_ONLY }, &body, e) < 0)
        return -1;
    struct str list = json_find(buf_view(&body), "items");
    struct json_cur cur = json_begin(list);
    if (!list.p || json_kind(&cur) != JSON_ARRAY)
        return kr_fail(e, KR_PROTOCOL, "the API server's answer is no list");
    for (json_enter(&cur); json_item(&cur);) {
        if (*n == cap)
            *ret = xrealloc(*ret, (cap = cap ? 2 * cap : 64) * sizeof **ret);
        json_pick(json_find(json_raw(&cur), "metadata"), keys, raw, LEN(keys));
        (*ret)[(*n)++] = (struct listed){ arena_str(a, json_str_of(raw[0], a)), arena_str(a, json_str_of(raw[1], a)), arena_str(a, json_str_of(raw[2], a)) };
    }
    return 0;
}

int cli_latest(struct cli *c, const struct kube_resource *r, struct str *names, size_t n, struct kr_err *e)
{
    static char *found;                           /* names point to it; one is enough, as all are the same */
    AUTO_ARENA struct arena a = { .limit = LIMIT_KUBE_ANSWER };
    AUTO_FREE struct listed *all = NULL;
    size_t first = 0, count, best = 0;
    for (size_t i = 0; i < n; i++)
        if (cli_named_at_all(names[i], e) < 0)
            return -1;
    while (first < n && !str_is(names[first], LATEST))
        first++;
    if (first == n)
        return 0;
    if (list_all(c, r, &a, &all, &count, e) < 0)
        return -1;
    if (!count)
        return kr_fail(e, KR_NOT_FOUND, LATEST ": no %s found in namespace %s", r->plural, c->own_ns);
    for (size_t i = 1; i < count; i++)
        if (is_later(all[i].made, all[i].version, all[best].made, all[best].version))
            best = i;
    free(found);
    found = xstrndup(all[best].name.p, all[best].name.n);
    for (size_t i = first; i < n; i++)
        if (str_is(names[i], LATEST))
            names[i] = str_of(found);
    return 0;
}

int cli_open_latest(struct cli *c, const struct kube_resource *r, struct applet_call *call, size_t words, struct kr_err *e)
{
    if (cli_open(c, e) < 0)
        return -1;
    int rc = cli_latest(c, r, call->args, words < call->nargs ? words : call->nargs, e);
    if (rc < 0)
        cli_close(c);
    return rc;
}

static int by_age(const void *x, const void *y)
{
    const struct listed *a = x, *b = y;
    int order = str_cmp(a->made, b->made);
    return order ? order : str_cmp(a->name, b->name);
}

static int find_names(struct cli *c, const struct kube_resource *r, const struct applet_call *call, struct cli_named *ret, struct kr_err *e)
{
    AUTO_FREE struct listed *all = NULL;
    if (call->nargs) {
        ret->v = xcalloc(call->nargs, sizeof *ret->v);
        ret->n = call->nargs;
        memcpy(ret->v, call->args, call->nargs * sizeof *ret->v);
        return cli_latest(c, r, ret->v, ret->n, e);
    }
    if (list_all(c, r, &ret->arena, &all, &ret->n, e) < 0)
        return -1;
    if (!ret->n)
        return kr_fail(e, KR_NOT_FOUND, "no %s found in namespace %s with the labels %.*s", r->plural, c->own_ns, SFMT(cli_list.selector));
    qsort(all, ret->n, sizeof *all, by_age);
    ret->v = xcalloc(ret->n, sizeof *ret->v);
    for (size_t i = 0; i < ret->n; i++)
        ret->v[i] = all[i].name;
    return 0;
}

int cli_open_named(struct cli *c, const struct kube_resource *r, const struct applet_call *call, struct cli_named *ret, struct kr_err *e)
{
    *c = (struct cli){ 0 };
    *ret = (struct cli_named){ .arena = { .limit = LIMIT_KUBE_ANSWER } };
    if (!cli_list.selector.n == !call->nargs)
        return kr_fail(e, KR_USAGE, call->nargs ? "names don't go together with --selector" : "say which: names, or --selector");
    if (cli_open(c, e) < 0)
        return -1;
    int rc = find_names(c, r, call, ret, e);
    if (rc < 0) {
        cli_named_free(ret);
        cli_close(c);
    }
    return rc;
}

void cli_named_free(struct cli_named *l)
{
    free(l->v);
    arena_reset(&l->arena);
    *l = (struct cli_named){ 0 };
}
