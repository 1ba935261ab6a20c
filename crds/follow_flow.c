/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow_flow: a watch on the Workflow, one on its children, and a follow_run for each child that is read. The two watches
 * know nothing of each other, so after the end the children are listed once more: what the list shows was read, or is. The
 * exit status is that of the step that failed the Workflow. Tests: tests/unit/crds/follow_flow.c, tests/local/workflows.py
 */
#include "crds/follow_flow.h"
#include "core/uri.h"
#include <stdio.h>

enum { AT_A_TIME = 32, LINE_MAX_BYTES = 16384 };
struct kid {
    struct flow_follow *f;
    struct kid *next;
    char *name, *label;
    struct follow *follow;
    bool read, reading;
    int exit;                                     /* -1: it hasn't failed */
    struct buf lines[3];                          /* by stream: what has no newline yet */
};
struct flow_follow {
    struct kube *k;
    struct rnd *rnd;
    struct flow_follow_config c;
    char *ns, *name, *only;
    struct informer *watch, *runs;
    struct kid *kids, **tail;
    size_t reading;
    struct model_kept kept;
    struct workflow *w;                           /* as last seen */
    struct kube_call *list;
    bool listed, is_gone, is_done;
    int failures;                                 /* to reach the API server before the Workflow was seen */
    struct defer turn;
};

bool workflow_is_over(const struct workflow *w)
{
    return w->has_status && (str_is(w->status.phase, "Succeeded") || str_is(w->status.phase, "Failed") || str_is(w->status.phase, "Cancelled"));
}

static void wake(struct flow_follow *f) { loop_defer(kube_loop(f->k), &f->turn); }

static void tell(struct flow_follow *f, const struct kr_err *e)
{
    if (f->c.trouble)
        f->c.trouble(f->c.ctx, e);
}

static const struct workflow_job *spec_of(const struct workflow *w, struct str job)
{
    for (size_t i = 0; w && i < w->spec.jobs.n; i++)
        if (str_eq(w->spec.jobs.v[i].key, job))
            return &w->spec.jobs.v[i].value;
    return NULL;
}

/* ---- the end ------------------------------------------------------------------------------------------------------------- */

/* Whether the Workflow goes on as if it had succeeded, where this step of the job fails. */
static bool forgives(const struct workflow_job *j, struct str step)
{
    for (size_t i = 0; i < j->steps.n; i++)
        if (str_eq(j->steps.v[i].name, step))
            return j->steps.v[i].continue_on_error;
    return false;
}

static int leg_exit(const struct flow_follow *f, const struct workflow_job *j, const struct workflow_leg *l)
{
    for (size_t i = 0; str_is(l->phase, "Failed") && i < l->runs.n; i++)
        for (const struct kid *k = f->kids; k && !forgives(j, l->runs.v[i].step); k = k->next)
            if (k->exit > 0 && str_is(l->runs.v[i].name, k->name))
                return k->exit;
    return 0;
}

/* That of the first step, in the order of jobs, legs and steps, whose failure isn't forgiven; 0: none tells. */
static int step_exit(const struct flow_follow *f)
{
    for (size_t i = 0; i < f->w->status.jobs.n; i++) {
        const struct workflow_job_status *s = &f->w->status.jobs.v[i].value;
        const struct workflow_job *j = spec_of(f->w, f->w->status.jobs.v[i].key);
        for (size_t l = 0; str_is(s->phase, "Failed") && j && !j->continue_on_error && l < s->legs.n; l++) {
            int exit = leg_exit(f, j, &s->legs.v[l]);
            if (exit)
                return exit;
        }
    }
    return 0;
}

static int exit_status(const struct flow_follow *f)
{
    const struct workflow_status *s = &f->w->status;
    if (str_is(s->phase, "Succeeded"))
        return 0;
    if (str_is(s->phase, "Cancelled"))
        return EXIT_CANCELLED;
    int exit = step_exit(f);
    return exit ? exit : str_is(s->reason, "InvalidWorkflow") ? EXIT_USAGE : str_is(s->reason, "Timeout") ? EXIT_TIMEOUT : EXIT_LOST;
}

static void finish(struct flow_follow *f, const struct kr_err *e)
{
    if (f->is_done)
        return;
    f->is_done = true;
    bool over = !e && !f->is_gone && f->w && workflow_is_over(f->w);
    f->c.done(f->c.ctx, f->is_gone ? NULL : f->w, over ? exit_status(f) : e ? failure_exit_status(e) : f->is_gone ? EXIT_LOST : 0, e);
}

/* ---- children ------------------------------------------------------------------------------------------------------------ */

static void give_lines(struct kid *k, int stream, bool all)
{
    struct buf *b = &k->lines[stream];
    size_t at = 0;
    for (ptrdiff_t n; (n = str_chr(str_from(buf_view(b), at), '\n')) >= 0; at += (size_t)n + 1)
        k->f->c.line(k->f->c.ctx, str_of(k->label), stream, (struct str){ b->p + at, (size_t)n + 1 });
    buf_drop(b, at);
    if (b->n && (all || b->n > LINE_MAX_BYTES / 2)) {
        buf_byte(b, '\n');
        k->f->c.line(k->f->c.ctx, str_of(k->label), stream, buf_view(b));
        buf_clear(b);
    }
}

static void on_output(void *ctx, int stream, struct str bytes)
{
    struct kid *k = ctx;
    stream = stream == 2 ? 2 : 1;
    while (bytes.n) {
        size_t n = bytes.n < LINE_MAX_BYTES / 4 ? bytes.n : LINE_MAX_BYTES / 4;
        buf_add(&k->lines[stream], bytes.p, n);
        give_lines(k, stream, false);
        bytes = str_from(bytes, n);
    }
}

static void kid_done(void *ctx, const struct run *r, const struct kr_err *e)
{
    struct kid *k = ctx;
    (void)r;
    if (e && e->code != KR_NOT_FOUND)
        tell(k->f, e);
    give_lines(k, 1, true);
    give_lines(k, 2, true);
    k->read = true;
    k->reading = false;
    k->f->reading--;
    wake(k->f);
}

static void kid_trouble(void *ctx, const struct kr_err *e)
{
    struct kid *k = ctx;
    struct kr_err told = *e;
    kr_wrap(&told, "%s", k->label);
    tell(k->f, &told);
}

/* Some at a time, the first to be seen first. */
static void read_more(struct flow_follow *f)
{
    for (struct kid *k = f->kids; k && f->c.logs && f->reading < AT_A_TIME; k = k->next) {
        if (k->read || k->reading)
            continue;
        k->reading = true;
        f->reading++;
        k->follow = follow_run(f->k, &(struct follow_config){ .ns = str_of(f->ns), .name = str_of(k->name), .logs = true, .until_end = f->c.until_end,
                                                              .output = on_output, .trouble = kid_trouble, .missing = kid_trouble, .done = kid_done, .ctx = k }, f->rnd);
    }
}

static bool is_wanted(const struct flow_follow *f, struct str job, struct str step)
{
    struct str s = str_of(f->only), j = str_cut(&s, '/');
    return !*f->only || (str_eq(j, job) && (!s.n || str_eq(s, step)));
}

static struct kid *kid_of(struct flow_follow *f, const struct run *r)
{
    struct str job = str_map_get(r->metadata.labels, S("kruntimes.io/job")), step = str_map_get(r->metadata.labels, S("kruntimes.io/step"));
    struct str leg = str_map_get(r->metadata.labels, S("kruntimes.io/leg"));
    for (struct kid *k = f->kids; k; k = k->next)
        if (str_is(r->metadata.name, k->name))
            return k;
    struct kid *k = xcalloc(1, sizeof *k);
    char label[400];
    const struct workflow_job *spec = spec_of(f->w, job);
    bool several = spec && spec->has_strategy;
    snprintf(label, sizeof label, "%.*s%s%.*s%s/%.*s", SFMT(job), several ? "[" : "", several ? (int)leg.n : 0, several ? leg.p : "", several ? "]" : "", SFMT(step));
    *k = (struct kid){ .f = f, .name = xstrndup(r->metadata.name.p, r->metadata.name.n), .label = xstrndup(label, strlen(label)), .exit = -1,
                       .read = !f->c.logs || !is_wanted(f, job, step) };
    k->lines[1].max = k->lines[2].max = LINE_MAX_BYTES;
    *f->tail = k;
    f->tail = &k->next;
    return k;
}

static void take_run(struct flow_follow *f, struct str json)
{
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    struct run *r = model_decode(run, json, &a, &e);
    if (!r)
        return;
    struct kid *k = kid_of(f, r);
    if (run_is_terminal(r) && !str_is(run_phase(r), "Succeeded"))
        k->exit = run_exit_status(r);
    if (f->c.child)
        f->c.child(f->c.ctx, r);
    wake(f);
}

static void run_set(void *ctx, struct str key, struct str json)
{
    (void)key;
    take_run(ctx, json);
}

static void run_gone(void *ctx, struct str key, struct str json)
{
    (void)key, (void)json;
    wake(ctx);
}

static void listed(void *ctx, const struct kube_result *r)
{
    struct flow_follow *f = ctx;
    struct str items = r->error ? (struct str){ 0 } : json_find(r->body, "items");
    f->list = NULL;
    f->listed = true;
    if (items.p) {
        struct json_cur c = json_begin(items);
        if (json_kind(&c) == JSON_ARRAY)
            for (json_enter(&c); json_item(&c);)
                take_run(f, json_raw(&c));
    }
    if (r->error && !f->c.until_end)
        finish(f, r->error);                      /* nothing else tells which children there are */
    else if (r->error)
        tell(f, r->error);
    wake(f);
}

static struct str selector(const struct flow_follow *f, struct buf *b)
{
    buf_fmt(b, "kruntimes.io/workflow-uid=%.*s", SFMT(f->w->metadata.uid));
    return buf_view(b);
}

static void list_children(struct flow_follow *f)
{
    AUTO_BUF struct buf path = { .max = 4096 }, s = { .max = 256 };
    kube_path(&path, &kube_runs, str_of(f->ns), S(""), NULL);
    uri_put_param(&path, "labelSelector", selector(f, &s));
    f->list = kube_send(f->k, &(struct kube_request){ .method = "GET", .path = buf_view(&path) }, (struct kube_user){ listed, f });
}

/* ---- the Workflow ---------------------------------------------------------------------------------------------------------- */

static void turn(struct loop *loop, struct defer *d)
{
    struct flow_follow *f = container_of(d, struct flow_follow, turn);
    struct kr_err e = { 0 };
    (void)loop;
    if (f->is_done)
        return;
    if (!f->w) {
        if (informer_is_synced(f->watch)) {
            kr_fail(&e, KR_NOT_FOUND, "workflows.kruntimes.io \"%s\" not found", f->name);
            finish(f, &e);
        }
        return;
    }
    if (f->is_gone) {
        finish(f, NULL);
        return;
    }
    bool over = workflow_is_over(f->w) || !f->c.until_end;
    read_more(f);
    if (over && !f->listed && !f->list)
        list_children(f);
    if (!over || !f->listed || f->reading)
        return;
    for (const struct kid *k = f->kids; k; k = k->next)
        if (!k->read)
            return;
    finish(f, NULL);
}

static void set(void *ctx, struct str key, struct str json)
{
    struct flow_follow *f = ctx;
    struct kr_err e = { 0 };
    (void)key;
    struct workflow *w = model_keep(workflow, &f->kept, json, 32 << 20, &e);
    if (!w) {
        finish(f, &e);
        return;
    }
    f->w = w;
    if (!f->runs && f->c.until_end) {
        AUTO_BUF struct buf s = { .max = 256 };
        f->runs = informer_new(f->k, &(struct informer_config){ .resource = &kube_runs, .ns = str_of(f->ns), .labels = selector(f, &s),
                                                                .user = { run_set, run_gone, NULL, NULL, f } }, f->rnd);
    }
    if (f->c.changed)
        f->c.changed(f->c.ctx, w);
    wake(f);
}

static void gone(void *ctx, struct str key, struct str json)
{
    struct flow_follow *f = ctx;
    (void)key, (void)json;
    f->is_gone = true;
    wake(f);
}

static void synced(void *ctx) { wake(ctx); }

static void trouble(void *ctx, const struct kr_err *e)
{
    struct flow_follow *f = ctx;
    if (!f->w && follow_gives_up(e, &f->failures))
        finish(f, e);
    else
        tell(f, e);
}

struct flow_follow *follow_flow(struct kube *k, const struct flow_follow_config *c, struct rnd *rnd)
{
    struct flow_follow *f = xcalloc(1, sizeof *f);
    AUTO_BUF struct buf fields = { .max = 512 };
    *f = (struct flow_follow){ .k = k, .rnd = rnd, .c = *c, .ns = xstrndup(c->ns.p, c->ns.n), .name = xstrndup(c->name.p, c->name.n),
                               .only = xstrndup(c->only.p, c->only.n), .turn = { .run = turn } };
    f->tail = &f->kids;
    buf_fmt(&fields, "metadata.name=%s", f->name);
    f->watch = informer_new(k, &(struct informer_config){ .resource = &kube_workflows, .ns = str_of(f->ns), .fields = buf_view(&fields),
                                                          .user = { set, gone, synced, trouble, f } }, rnd);
    return f;
}

void follow_flow_stop(struct flow_follow *f)
{
    if (!f)
        return;
    informer_free(f->watch);
    informer_free(f->runs);
    kube_cancel(f->list);
    for (struct kid *k = f->kids, *next; k; k = next) {
        next = k->next;
        follow_stop(k->follow);
        buf_free(&k->lines[1]);
        buf_free(&k->lines[2]);
        free(k->name);
        free(k->label);
        free(k);
    }
    loop_defer_cancel(kube_loop(f->k), &f->turn);
    model_kept_free(&f->kept);
    free(f->ns);
    free(f->name);
    free(f->only);
    free(f);
}
