/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan: operations as data, and their executor. A precondition that fails (409 Conflict, 422 without causes, 404) is told
 * from a refusal: the world has moved on and the next look decides. A refusal is one object's: what is marked `beside` goes on.
 * Whatever else fails would fail again and ends the plan. Tested in tests/unit/k8s/plan.c.
 */
#include "k8s/plan.h"
#include "core/json.h"

/* BESIDE: operations of one plan under way at a time, as more would stand at the server before what they are for. After so many creates
 * that are forbidden, as by a quota, no more of them are tried. */
enum { BESIDE = 16, FORBIDDEN = 16 };
struct flight { struct plan_run *run; size_t at; };
struct plan_run {
    struct kube *k;
    struct plan plan;
    size_t at, in_flight, forbidden;              /* forbidden: creates that were */
    struct defer next;
    struct kr_err e;
    bool failed, stop;                            /* stop: nothing more is sent */
    void (*done)(void *, const struct kr_err *);
    void *ctx;
};

struct plan_op *plan_add(struct plan *p, enum plan_verb verb, const struct kube_resource *r, struct str ns, struct str name)
{
    if (!p->arena.limit)
        p->arena.limit = LIMIT_PLAN_BYTES;
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 4;
        p->ops = xrealloc(p->ops, p->cap * sizeof *p->ops);
    }
    struct plan_op *op = &p->ops[p->n++];
    *op = (struct plan_op){ .verb = verb, .resource = r, .ns = arena_str(&p->arena, ns), .name = arena_str(&p->arena, name) };
    return op;
}

void plan_free(struct plan *p)
{
    arena_reset(&p->arena);
    free(p->ops);
    *p = (struct plan){ 0 };
}

const char *const plan_verbs[] = { "create", "apply", "merge-patch", "json-patch", "delete" };

void plan_print(const struct plan *p, struct buf *b)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct plan_op *op = &p->ops[i];
        buf_fmt(b, "%s %s%s%s %.*s%s%.*s", plan_verbs[op->verb], op->resource->plural, op->sub ? "/" : "", op->sub ? op->sub : "", SFMT(op->ns),
                op->ns.n ? "/" : "", SFMT(op->name));
        if (op->body.n)
            buf_fmt(b, " %.*s", SFMT(op->body));
        if (op->uid.n)
            buf_fmt(b, " if uid=%.*s", SFMT(op->uid));
        if (op->why)
            buf_fmt(b, "  # %s", op->why);
        buf_byte(b, '\n');
    }
    if (p->look_again_us) {
        char when[TIME_TEXT];
        time_print_micro(when, p->look_again_us);
        buf_fmt(b, "look again at %s\n", when);
    }
}

bool plan_is_refusal(const struct kr_err *e)
{
    return e->code == KR_FORBIDDEN || e->code == KR_INVALID || e->code == KR_BAD_REQUEST || e->code == KR_TOO_LARGE;
}

static bool is_fine(const struct plan_op *op, const struct kube_result *r, bool *stop)
{
    enum kr_code c = r->error->code;
    if (op->exists_is_fine && c == KR_EXISTS)
        return true;
    if (op->missing_is_fine && c == KR_NOT_FOUND)
        return true;
    if (op->refused_is_fine && (plan_is_refusal(r->error) || c == KR_CONFLICT))
        return true;
    bool stale = c == KR_CONFLICT || c == KR_NOT_FOUND || (c == KR_INVALID && op->verb == PLAN_JSON_PATCH && !r->causes);
    *stop = op->stale_is_fine && stale;
    return *stop;
}

static void failed(struct plan_run *run, const struct plan_op *op, const struct kr_err *e)
{
    run->stop |= !plan_is_refusal(e);
    run->forbidden += op->verb == PLAN_CREATE && e->code == KR_FORBIDDEN;
    if (run->failed)
        return;
    run->failed = true;
    run->e = *e;
    kr_wrap(&run->e, "%s %s \"%.*s\"", plan_verbs[op->verb], op->resource->plural, SFMT(op->name));
}

static void answered(void *ctx, const struct kube_result *r)
{
    struct flight *f = ctx;
    struct plan_run *run = f->run;
    const struct plan_op *op = &run->plan.ops[f->at];
    bool stop = false;
    run->in_flight--;
    if (r->error && !is_fine(op, r, &stop))
        failed(run, op, r->error);
    run->stop |= stop;
    free(f);
    loop_defer(kube_loop(run->k), &run->next);
}

static void send_op(struct plan_run *run)
{
    const struct plan_op *op = &run->plan.ops[run->at];
    struct flight *f = xcalloc(1, sizeof *f);
    struct kube_user user = { answered, f };
    *f = (struct flight){ run, run->at++ };
    run->in_flight++;
    switch (op->verb) {
    case PLAN_CREATE:
        kube_create(run->k, op->resource, op->ns, op->body, user);
        break;
    case PLAN_APPLY:
        kube_apply(run->k, op->resource, op->ns, op->name, op->manager, op->body, user);
        break;
    case PLAN_MERGE_PATCH:
        kube_merge_patch(run->k, op->resource, op->ns, op->name, op->sub, op->body, user);
        break;
    case PLAN_JSON_PATCH:
        kube_json_patch(run->k, op->resource, op->ns, op->name, op->sub, op->body, user);
        break;
    case PLAN_DELETE:
        kube_delete(run->k, op->resource, op->ns, op->name, op->uid, -1, user);
        break;
    }
}

static bool may_send(struct plan_run *run)
{
    const struct plan_op *ops = run->plan.ops;
    while (run->forbidden >= FORBIDDEN && run->at < run->plan.n && ops[run->at].beside && ops[run->at].verb == PLAN_CREATE)
        run->at++;
    if (run->stop || run->at == run->plan.n)
        return false;
    return ops[run->at].beside ? run->in_flight < BESIDE : !run->in_flight && !run->failed;
}

static void next(struct loop *loop, struct defer *d)
{
    (void)loop;
    struct plan_run *run = container_of(d, struct plan_run, next);
    while (may_send(run))
        send_op(run);
    if (run->in_flight)
        return;
    struct kr_err e = run->e;
    bool failed = run->failed;
    void (*done)(void *, const struct kr_err *) = run->done;
    void *ctx = run->ctx;
    plan_free(&run->plan);
    free(run);
    done(ctx, failed ? &e : NULL);
}

struct plan_run *plan_execute(struct kube *k, struct plan *p, void (*done)(void *, const struct kr_err *), void *ctx)
{
    struct plan_run *run = xcalloc(1, sizeof *run);
    *run = (struct plan_run){ .k = k, .plan = *p, .next = { .run = next }, .done = done, .ctx = ctx };
    *p = (struct plan){ 0 };
    if (run->plan.arena.over)                     /* some of its texts are missing */
        run->failed = run->stop = kr_fail(&run->e, KR_TOO_LARGE, "the operations need more than %zu bytes", run->plan.arena.limit) < 0;
    loop_defer(kube_loop(k), &run->next);
    return run;
}

