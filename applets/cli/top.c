/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top: how full Runtimes and their pods are, counted as the scheduler counts, from the Runs and pods there are at this moment; and what
 * the pods take of processor and memory, where the server has the resource metrics of a cluster (metrics.k8s.io). The processes of
 * a local instance are this machine's: there top(1) tells. Tests: tests/local/events.py
 */
#include "applets/cli/cli.h"
#include "core/map.h"
#include "core/uri.h"
#include "crds/sched/objects.h"
#include "k8s/quantity.h"
#include <stdio.h>

enum { ARENA = 256 << 20, PAGE = 1000 };
#define UNFINISHED "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Timeout,status.phase!=Cancelled"

static struct { bool all, headers; } o = { .headers = true };
static const struct opt opts[] = {
    { "all-namespaces", 'A', OPT_FLAG, &o.all, NULL, "of all namespaces" },
    { "headers", 0, OPT_FLAG, &o.headers, NULL, "a line of headings" },
    { 0 } };

/* ---- what there is ----------------------------------------------------------------------------------------------- */

struct usage { int64_t milli, bytes; };
struct looking { struct cli *c; struct str ns; struct sched *s; struct arena arena; struct map usage; bool measured; };

static int take(struct looking *l, const struct kube_resource *r, struct str json)
{
    struct kr_err ignored = { 0 };                /* what can't be read is passed over by the scheduler too */
    struct str uid;
    if (r == &kube_runtimes)
        return sched_take_runtime(l->s, json, &ignored);
    if (r == &kube_runs)
        return sched_take_run(l->s, json, loop_wall_us(l->c->loop), &ignored);
    if (sched_take_pod(l->s, json, &uid, &ignored) == 0)
        free((void *)uid.p);
    return 0;
}

static int list(struct looking *l, const struct kube_resource *r, const char *labels, const char *fields, struct kr_err *e)
{
    AUTO_BUF struct buf page = { .max = LIMIT_HTTP1_START_LINE }, limit = { .max = 16 };
    buf_fmt(&limit, "%d", PAGE);
    do {
        AUTO_BUF struct buf path = { .max = LIMIT_HTTP1_START_LINE }, body = { .max = LIMIT_KUBE_ANSWER };
        AUTO_ARENA struct arena a = { .limit = 1 << 20 };
        kube_path(&path, r, l->ns, S(""), NULL);
        uri_put_param(&path, "limit", buf_view(&limit));
        if (*labels)
            uri_put_param(&path, "labelSelector", str_of(labels));
        if (*fields)
            uri_put_param(&path, "fieldSelector", str_of(fields));
        if (page.n)
            uri_put_param(&path, "continue", buf_view(&page));
        if (cli_call(l->c, &(struct kube_request){ .method = "GET", .path = buf_view(&path) }, &body, e) < 0)
            return -1;
        struct str items = json_find(buf_view(&body), "items");
        struct json_cur cur = items.p ? json_begin(items) : (struct json_cur){ 0 };
        if (items.p && json_kind(&cur) == JSON_ARRAY)
            for (json_enter(&cur); json_item(&cur);)
                take(l, r, json_raw(&cur));
        struct str token;
        if (kube_next_page(buf_view(&body), buf_view(&page), r, &a, &token, e) < 0)
            return -1;
        buf_clear(&page);
        buf_str(&page, token);
    } while (page.n);
    return 0;
}

static void add_usage(struct usage *u, const struct json *container)
{
    static const char *const cpu[] = { "usage", "cpu" }, *const memory[] = { "usage", "memory" };
    struct quantity q;
    struct kr_err ignored = { 0 };
    int64_t n;
    if (quantity_parse(json_string(json_get_path(container, cpu, 2)), &q, &ignored) == 0 && quantity_milli(&q, &n))
        u->milli += n;
    if (quantity_parse(json_string(json_get_path(container, memory, 2)), &q, &ignored) == 0 && quantity_whole(&q, &n))
        u->bytes += n;
}

/* Without them the columns stay empty: no cluster must have them. */
static void measure(struct looking *l)
{
    AUTO_BUF struct buf path = { .max = 4096 }, body = { .max = LIMIT_KUBE_ANSWER };
    struct kr_err ignored = { 0 };
    static const struct kube_resource metrics = { "metrics.k8s.io", "v1beta1", "pods", "PodMetrics", true };
    kube_path(&path, &metrics, l->ns, S(""), NULL);
    uri_put_param(&path, "labelSelector", S("kruntimes.io/runtime"));
    if (cli_ask(l->c, &(struct kube_request){ .method = "GET", .path = buf_view(&path) }, &body, NULL, &ignored) < 0)
        return;
    struct json *all = json_parse(&l->arena, arena_str(&l->arena, buf_view(&body)), &ignored);
    l->measured = all != NULL;
    for (struct json *i = json_first(json_get(all, "items")); i; i = json_next(i)) {
        const struct json *meta = json_get(i, "metadata");
        struct str key = arena_fmt(&l->arena, "%.*s/%.*s", SFMT(json_string(json_get(meta, "namespace"))), SFMT(json_string(json_get(meta, "name"))));
        struct usage *u = arena_new(&l->arena, struct usage);
        for (struct json *c = u ? json_first(json_get(i, "containers")) : NULL; c; c = json_next(c))
            add_usage(u, c);
        if (u)
            map_put(&l->usage, key, u);
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

enum { COLUMNS = 10 };
struct grid { struct str *cells; size_t rows, cap, columns, width[COLUMNS]; };

static void row(struct grid *g, struct arena *a, const struct str *cells)
{
    if (g->rows == g->cap) {
        g->cap = g->cap ? 2 * g->cap : 32;
        g->cells = xrealloc(g->cells, g->cap * g->columns * sizeof *g->cells);
    }
    for (size_t i = 0; i < g->columns; i++) {
        struct str s = arena_str(a, cells[i]);
        g->cells[g->rows * g->columns + i] = s;
        g->width[i] = str_runes(s) > g->width[i] ? str_runes(s) : g->width[i];
    }
    g->rows++;
}

static size_t compared;                           /* columns of a row */
static int by_cells(const void *a, const void *b)
{
    int rc = 0;
    for (size_t i = 0; i < 3 && i < compared && !rc; i++)
        rc = str_cmp(((const struct str *)a)[i], ((const struct str *)b)[i]);
    return rc;
}

static int print(struct grid *g, size_t skip, struct kr_err *e)
{
    AUTO_BUF struct buf out = { .max = LIMIT_KUBE_ANSWER };
    compared = g->columns;
    if (g->rows > 1)
        qsort(g->cells + g->columns, g->rows - 1, g->columns * sizeof *g->cells, by_cells);
    for (size_t r = !o.headers; r < g->rows; r++)
        for (size_t i = skip; i < g->columns; i++) {
            struct str s = g->cells[r * g->columns + i];
            buf_str(&out, s);
            for (size_t pad = i + 1 < g->columns ? g->width[i] + 3 - str_runes(s) : 0; pad; pad--)
                buf_byte(&out, ' ');
            buf_lit(&out, i + 1 == g->columns ? "\n" : "");
        }
    free(g->cells);
    return cli_print(buf_view(&out), e);
}

static void put_usage(const struct looking *l, const struct usage *u, struct arena *a, struct str *cpu, struct str *memory)
{
    *cpu = *memory = l->measured ? S("<unknown>") : S("<none>");
    if (!u)
        return;
    *cpu = arena_fmt(a, "%lldm", (long long)u->milli);
    *memory = arena_fmt(a, "%lldMi", (long long)(u->bytes >> 20));
}

static const struct usage *usage_of(const struct looking *l, struct str ns, struct str pod)
{
    AUTO_BUF struct buf key = { .max = 1024 };
    buf_fmt(&key, "%.*s/%.*s", SFMT(ns), SFMT(pod));
    return map_get(&l->usage, buf_view(&key));
}

static int top_pods(struct looking *l, struct kr_err *e)
{
    static const char *const rooms[] = { [SCHED_FREE] = "ready", [SCHED_FULL] = "full", [SCHED_DRAINING] = "draining", [SCHED_NOT_READY] = "not-ready" };
    struct grid g = { .columns = 8 };
    struct sched_look_pod p;
    struct str ns, runtime;
    row(&g, &l->arena, (struct str[]){ S("NAMESPACE"), S("NAME"), S("RUNTIME"), S("STATE"), S("RUNS"), S("CPU"), S("MEMORY"), S("USED") });
    for (size_t at = 0; sched_next_pod(l->s, &at, &ns, &runtime, &p);) {
        struct str cells[] = { ns, p.name, runtime, str_of(rooms[p.room] ? rooms[p.room] : ""), arena_fmt(&l->arena, "%zu", p.runs), S(""), S(""), str_of(p.amounts) };
        put_usage(l, usage_of(l, ns, p.name), &l->arena, &cells[5], &cells[6]);
        row(&g, &l->arena, cells);
    }
    if (g.rows == 1) {
        fprintf(stderr, "no pods of Runtimes found\n");
        free(g.cells);
        return 0;
    }
    return print(&g, !o.all, e);
}

static struct usage sum_of(const struct looking *l, const struct sched_look_pool *pool, bool *any)
{
    struct usage sum = { 0 };
    struct sched_look_pod p;
    struct str ns, runtime;
    *any = false;
    for (size_t at = 0; sched_next_pod(l->s, &at, &ns, &runtime, &p);) {
        const struct usage *u = str_eq(ns, pool->ns) && str_eq(runtime, pool->name) ? usage_of(l, ns, p.name) : NULL;
        if (!u)
            continue;
        *any = true;
        sum.milli += u->milli;
        sum.bytes += u->bytes;
    }
    return sum;
}

static int top_runtimes(struct looking *l, struct kr_err *e)
{
    struct grid g = { .columns = 8 };
    struct sched_look_pool p;
    row(&g, &l->arena, (struct str[]){ S("NAMESPACE"), S("NAME"), S("READY"), S("RUNS"), S("WAITING"), S("CPU"), S("MEMORY"), S("USED") });
    for (size_t at = 0; sched_next_pool(l->s, &at, &p);) {
        bool any;
        struct usage sum = sum_of(l, &p, &any);
        struct str cells[] = { p.ns, p.name, p.exists ? arena_fmt(&l->arena, "%zu/%zu", p.ready, p.pods) : S("<none>"), arena_fmt(&l->arena, "%zu", p.active),
                               arena_fmt(&l->arena, "%zu", p.waiting), S(""), S(""), str_of(*p.amounts ? p.amounts : "<none>") };
        put_usage(l, any ? &sum : NULL, &l->arena, &cells[5], &cells[6]);
        row(&g, &l->arena, cells);
    }
    if (g.rows == 1) {
        fprintf(stderr, "no Runtimes found\n");
        free(g.cells);
        return 0;
    }
    return print(&g, !o.all, e);
}

static int run(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    bool pods = call->nargs && (str_is(call->args[0], "pods") || str_is(call->args[0], "pod"));
    if (call->nargs && !pods && !str_is(call->args[0], "runtimes") && !str_is(call->args[0], "runtime"))
        return kr_fail(e, KR_USAGE, "\"%.*s\" is neither runtimes nor pods", SFMT(call->args[0]));
    if (cli_open(&c, e) < 0)
        return -1;
    struct looking l = { .c = &c, .ns = o.all ? S("") : str_of(c.own_ns), .s = sched_new(), .arena = { .limit = ARENA } };
    int rc = list(&l, &kube_runtimes, "", "", e);
    if (rc == 0)
        rc = list(&l, &kube_pods, "kruntimes.io/runtime", "", e);
    if (rc == 0)
        rc = list(&l, &kube_runs, "", UNFINISHED, e);
    if (rc == 0) {
        measure(&l);
        rc = pods ? top_pods(&l, e) : top_runtimes(&l, e);
    }
    map_free(&l.usage);
    sched_free(l.s);
    arena_reset(&l.arena);
    cli_close(&c);
    return rc;
}

const struct applet applet_top = {
    .name = "top", .group = APPLET_WORK, .brief = "how full Runtimes and their pods are", .args = "[runtimes|pods]", .max_args = 1, .opts = opts,
    .help = "RUNS are those assigned to pods, WAITING those that no pod has yet; USED is what they take of the capacity. CPU and MEMORY come from the cluster's metrics "
            "server; where there is none they are <none>.",
    .examples = "top\ntop pods -A", .shared = (const struct opt *const[]){ cli_opts, NULL }, .main = run };
