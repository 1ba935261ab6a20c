/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_explain: why a Run is where it is. The Runs, Runtime and pods of its namespace are put into the scheduler's own cache
 * and one pass is made over them whose decisions nobody carries out, so that what is told can't differ from what is done.
 * With --watch that is repeated with each change until it runs. Tests: tests/local/explain.py
 */
#include "applets/cli/run.h"
#include "applets/cli/which.h"
#include "core/fs.h"
#include "core/terminal.h"
#include "core/uri.h"
#include "crds/sched/asks.h"
#include "crds/sched/objects.h"
#include "k8s/indexer.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { BATCH = 64, SETTLE_US = 200000, OBJECT_ARENA = 16 << 20, TEXT_MAX = 1 << 20 };
#define UNFINISHED "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Timeout,status.phase!=Cancelled"

static struct { bool watch; } o;
static const struct opt opts[] = {
    { "watch", 'w', OPT_FLAG, &o.watch, NULL, "tell again with each change, until it runs" },
    { 0 } };

/* ---- the picture ------------------------------------------------------------------------------------------------- */

enum { RUNS, RUNTIMES, PODS, KINDS };
struct picture { struct informer *informer; struct indexer *objects; struct explaining *of; };
struct explaining {
    struct cli *c;
    struct str ns, name;
    struct picture kinds[KINDS];
    struct timer settle;
    bool changed, interrupted;
    struct kr_err e;
    size_t drawn;                                 /* rows on the terminal */
    struct buf told;
};

static void changed(struct explaining *x)
{
    if (!timer_is_set(&x->settle))
        loop_timer_in(x->c->loop, &x->settle, SETTLE_US);
}

static void settled(struct loop *loop, struct timer *t)
{
    (void)loop;
    container_of(t, struct explaining, settle)->changed = true;
}

static void set(void *ctx, struct str key, struct str json)
{
    struct picture *p = ctx;
    indexer_set(p->objects, key, json);
    changed(p->of);
}

static void gone(void *ctx, struct str key, struct str json)
{
    struct picture *p = ctx;
    struct indexed *i = indexer_get(p->objects, key);
    (void)json;
    if (i)
        indexer_remove(p->objects, i);
    changed(p->of);
}

static void trouble(void *ctx, const struct kr_err *e)
{
    struct explaining *x = ((struct picture *)ctx)->of;
    if (!x->e.code)
        x->e = *e;
}

static void live(void *ctx) { ((struct picture *)ctx)->of->e.code = KR_OK; }

static bool is_synced(const struct explaining *x)
{
    for (int k = 0; k < KINDS; k++)
        if (!informer_is_synced(x->kinds[k].informer))
            return false;
    return true;
}

static bool has_news(void *ctx)
{
    const struct explaining *x = ctx;
    return x->interrupted || (is_synced(x) ? !o.watch || x->changed : x->e.code != KR_OK);
}

static void begin(struct explaining *x)
{
    static const struct kube_resource *const resources[] = { &kube_runs, &kube_runtimes, &kube_pods };
    static const char *const labels[] = { "", "", "kruntimes.io/runtime" }, *const fields[] = { UNFINISHED, "", "" };
    x->settle.fire = settled;
    x->changed = true;
    for (int k = 0; k < KINDS; k++) {
        struct picture *p = &x->kinds[k];
        *p = (struct picture){ .of = x, .objects = indexer_new(0, 0) };
        struct informer_config ic = { .resource = resources[k], .ns = x->ns, .labels = str_of(labels[k]), .fields = str_of(fields[k]),
                                      .fallback_fields = S(""), .user = { set, gone, NULL, trouble, p, live } };
        p->informer = informer_new(x->c->kube, &ic, &x->c->rnd);
    }
}

static void end(struct explaining *x)
{
    for (int k = 0; k < KINDS; k++) {
        informer_free(x->kinds[k].informer);
        indexer_free(x->kinds[k].objects);
    }
    loop_timer_stop(x->c->loop, &x->settle);
    buf_free(&x->told);
}

static struct str object_of(const struct explaining *x, int kind, struct str name)
{
    AUTO_BUF struct buf key = { .max = 1024 };
    buf_fmt(&key, "%.*s/%.*s", SFMT(x->ns), SFMT(name));
    struct indexed *i = indexer_get(x->kinds[kind].objects, buf_view(&key));
    return i ? i->json : (struct str){ 0 };
}

/* ---- the scheduler's view ---------------------------------------------------------------------------------------- */

/* Since when the scheduler has it waiting, as far as the object tells. */
static int64_t since(struct str json, int64_t now_us)
{
    static const char *const created[] = { "metadata", "creationTimestamp" }, *const next[] = { "status", "nextAttemptTime" };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    int64_t us = now_us, later;
    time_parse(json_str_of(json_find_path(json, created, 2), &a), &us);
    if (time_parse(json_str_of(json_find_path(json, next, 2), &a), &later) && later > us)
        us = later;
    return us < now_us ? us : now_us;
}

static void fill(struct explaining *x, struct sched *s, int64_t now_us)
{
    struct indexed *i;
    struct kr_err ignored = { 0 };                /* what can't be read is passed over by the scheduler too */
    struct str uid;
    for (size_t at = 0; (i = indexer_next(x->kinds[RUNTIMES].objects, &at));)
        sched_take_runtime(s, i->json, &ignored);
    for (size_t at = 0; (i = indexer_next(x->kinds[PODS].objects, &at));)
        if (sched_take_pod(s, i->json, &uid, &ignored) == 0)
            free((void *)uid.p);
    for (size_t at = 0; (i = indexer_next(x->kinds[RUNS].objects, &at));)
        sched_take_run(s, i->json, since(i->json, now_us), &ignored);
}

/* On which pod its shared workspace is: the Runs that are over may know. */
static int answer_ask(struct explaining *x, struct sched *s, const struct sched_decision *d, struct kr_err *e)
{
    AUTO_BUF struct buf path = { .max = 16384 }, field = { .max = 256 }, body = { .max = LIMIT_KUBE_ANSWER };
    AUTO_ARENA struct arena a = { .limit = LIMIT_KUBE_ANSWER };
    kube_path(&path, &kube_runs, x->ns, S(""), NULL);
    buf_fmt(&field, "spec.workspace.name=%.*s", SFMT(d->workspace));
    uri_put_param(&path, "fieldSelector", buf_view(&field));
    if (cli_call(x->c, &(struct kube_request){ .method = "GET", .path = buf_view(&path) }, &body, e) < 0)
        return -1;
    sched_workspace(s, d->ns, d->runtime, d->workspace, asks_look(buf_view(&body), d->runtime, d->workspace, &a));
    return 0;
}

/* Makes passes until nothing is left to decide; *ours is what was decided of the Run (verdict WAIT: nothing). */
static int decide(struct explaining *x, struct sched *s, const struct run *r, int64_t now_us, struct sched_decision *ours, struct arena *a, struct kr_err *e)
{
    static struct sched_decision out[BATCH];
    size_t n = BATCH;
    sched_unhurried(s);
    bool asked = false;
    *ours = (struct sched_decision){ .verdict = SCHED_WAIT };
    while (n == BATCH || asked) {
        n = sched_pass(s, now_us, out, BATCH);
        asked = false;
        for (size_t i = 0; i < n; i++) {
            const struct sched_decision *d = &out[i];
            if (d->verdict == SCHED_WAIT) {
                sched_done(s, d->ns, d->run, d->uid, d->version, now_us);
            } else if (d->verdict == SCHED_ASK) {
                if (!str_eq(d->workspace, r->spec.workspace.name) || !str_eq(d->runtime, r->spec.runtime))
                    continue;
                asked = true;
                if (answer_ask(x, s, d, e) < 0)
                    return -1;
            } else if (str_eq(d->run, x->name)) {
                *ours = *d;
                ours->pod = arena_str(a, d->pod);
            }
        }
    }
    return 0;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static const char *room_words(enum sched_room room, bool waits)
{
    switch (room) {
    case SCHED_FREE: return waits ? "has room" : "";
    case SCHED_FULL: return "full";
    case SCHED_APART: return "ruled out by affinity";
    case SCHED_HELD: return "kept free for a Run that waits longer";
    case SCHED_DRAINING: return "draining";
    case SCHED_NOT_READY: return "not ready";
    }
    return "";
}

static const char *advice(const char *reason)
{
    static const struct { const char *reason, *text; } table[] = {
        { "RuntimeNotFound", "make a Runtime of that name, or name another in a new Run: kruntimes runtime list" },
        { "NoPods", "look at the Runtime, which makes them: kruntimes runtime describe" },
        { "NoReadyPods", "look at why they aren't ready: kruntimes runtime describe, kubectl describe pod" },
        { "InsufficientCapacity", "wait for one that ends, or have more pods: kubectl scale runtime" },
        { "AffinityNotMet", "wait for one it wants to be near to begin, or one it keeps away from to end; or correct spec.affinity in a new Run" },
        { "CapacityHeld", "wait: a larger Run is in front" },
        { "SandboxUnavailable", "use nodes with Linux 6.12, or set isolation to Process in the Runtime" },
        { "WorkspaceNotReady", "wait for the pod that has the workspace" },
    };
    for (size_t i = 0; i < LEN(table); i++)
        if (!strcmp(reason, table[i].reason))
            return table[i].text;
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct sched_look_pod *)a)->name, ((const struct sched_look_pod *)b)->name);
}

static void put_pods(struct explaining *x, struct sched *s, const struct sched_look *look, struct arena *a, struct buf *b)
{
    struct sched_look_pod *pods = arena_alloc(a, (look->npods + 1) * sizeof *pods);
    size_t n = 0, name = 3, node = 4, amounts = 4;
    while (pods && n < look->npods && sched_look_pod(s, x->ns, x->name, n, &pods[n])) {
        name = pods[n].name.n > name ? pods[n].name.n : name;
        node = pods[n].node.n > node ? pods[n].node.n : node;
        amounts = strlen(pods[n].amounts) > amounts ? strlen(pods[n].amounts) : amounts;
        n++;
    }
    if (!n)
        return;
    qsort(pods, n, sizeof *pods, by_name);
    buf_fmt(b, "\n%-*s   %-*s   %-*s   FOR THIS RUN\n", (int)name, "POD", (int)node, "NODE", (int)amounts, "USED");
    for (size_t i = 0; i < n; i++)
        buf_fmt(b, "%-*.*s   %-*.*s   %-*s   %s\n", (int)name, SFMT(pods[i].name), (int)node, SFMT(pods[i].node), (int)amounts, pods[i].amounts,
                str_eq(pods[i].name, look->pod) ? "it is here" : room_words(pods[i].room, look->state == SCHED_LOOK_WAITING));
}

/* What the controller says of the Runtime, where that is no good. */
static void put_runtime(struct explaining *x, struct str name, struct arena *a, struct buf *b)
{
    struct kr_err ignored = { 0 };
    struct str json = object_of(x, RUNTIMES, name);
    struct runtime *r = json.p ? model_decode(runtime, json, a, &ignored) : NULL;
    if (!r)
        return;
    buf_fmt(b, "%-14s %.*s: %lld pods wanted, %lld there, %lld ready\n", "Runtime:", SFMT(name), (long long)(r->spec.has_replicas ? r->spec.replicas : 1),
            (long long)r->status.replicas, (long long)r->status.ready_replicas);
    for (size_t i = 0; i < r->status.conditions.n; i++) {
        const struct condition *c = &r->status.conditions.v[i];
        if (str_is(c->type, "Degraded") && str_is(c->status, "True"))
            buf_fmt(b, "%-14s %.*s: %.*s\n", "Degraded:", SFMT(c->reason), SFMT(c->message));
    }
}

static void put_requests(const struct run *r, struct buf *b)
{
    bool runs = false;
    for (size_t i = 0; i < r->spec.resources.requests.n; i++)
        runs |= str_is(r->spec.resources.requests.v[i].key, "runs");
    buf_fmt(b, "%-14s %s", "Asks for:", runs ? "" : "runs 1");
    for (size_t i = 0; i < r->spec.resources.requests.n; i++)
        buf_fmt(b, "%s%.*s %lld", i || !runs ? ", " : "", SFMT(r->spec.resources.requests.v[i].key), (long long)r->spec.resources.requests.v[i].value);
    buf_fmt(b, " of a pod; priority %lld\n", (long long)r->spec.priority);
}

/* The Runtimes there are, where the Run names none of them: the nearest name, or all when they are few. */
static void put_runtimes(struct explaining *x, struct str wanted, struct buf *b)
{
    enum { MOST = 256, FEW = 8 };
    const char *names[MOST];
    size_t n = 0;
    struct indexed *i;
    for (size_t at = 0; n < MOST && (i = indexer_next(x->kinds[RUNTIMES].objects, &at));)
        names[n++] = i->key.p + x->ns.n + 1;
    const char *near = opt_nearest(wanted, names, n);
    if (near)
        buf_fmt(b, "%-14s did you mean Runtime \"%s\"?\n", "Near:", near);
    else if (!n)
        buf_fmt(b, "%-14s namespace \"%.*s\" has no Runtimes\n", "There are:", SFMT(x->ns));
    for (size_t k = 0; !near && k < n && n <= FEW; k++)
        buf_fmt(b, "%-14s Runtime \"%s\"\n", k ? "" : "There are:", names[k]);
}

static void put_waiting(struct explaining *x, const struct run *r, const struct sched_look *look, struct buf *b)
{
    buf_fmt(b, "%-14s %s: %s\n", "Waits:", look->reason, look->message);
    if (look->before)
        buf_fmt(b, "%-14s %zu Run%s, by priority and age\n", "In front:", look->before, look->before == 1 ? "" : "s");
    if (!strcmp(look->reason, "RuntimeNotFound"))
        put_runtimes(x, r->spec.runtime, b);
    if (advice(look->reason))
        buf_fmt(b, "%-14s %s\n", "Next:", advice(look->reason));
}

static void put_decision(const struct sched_decision *d, struct buf *b)
{
    if (d->verdict == SCHED_BIND)
        buf_fmt(b, "%-14s pod %.*s has room for it (%s)\n%-14s if it stays so, no scheduler is at work: kruntimes doctor\n", "Waits:", SFMT(d->pod), d->message, "Next:");
    else
        buf_fmt(b, "%-14s the scheduler is about to end it: %s: %s\n", "Waits:", d->reason, d->message);
}

static void put_delayed(struct explaining *x, const struct run *r, const struct sched_look *look, struct buf *b)
{
    char at[TIME_TEXT];
    long long s = (look->moment_us - loop_wall_us(x->c->loop) + 999999) / 1000000;
    time_print(at, look->moment_us);
    buf_fmt(b, "%-14s until %s, %lld s from now: attempt %lld of %lld comes after a pause\n", "Waits:", at, s < 0 ? 0 : s, (long long)r->status.attempt + 1,
            (long long)run_attempts_max(r));
}

static void put_active(struct explaining *x, const struct run *r, const struct sched_look *look, struct buf *b)
{
    int64_t next;
    if (time_parse(r->status.next_attempt_time, &next) && next > loop_wall_us(x->c->loop))
        buf_fmt(b, "%-14s pod %.*s waits until %.*s before it tries again\n", "Waits:", SFMT(look->pod), SFMT(r->status.next_attempt_time));
    else if (str_is(run_phase(r), "Running"))
        buf_fmt(b, "%-14s on pod %.*s since %.*s\n", "Runs:", SFMT(look->pod), SFMT(r->status.start_time));
    else if (r->status.timings.started.n)
        buf_fmt(b, "%-14s pod %.*s prepares its source\n", "Waits:", SFMT(look->pod));
    else
        buf_fmt(b, "%-14s it is assigned to pod %.*s, which takes it up when a slot is free\n", "Waits:", SFMT(look->pod));
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

/* One that is in the picture: it is not over. */
static int explain(struct explaining *x, const struct run *r, struct arena *a, struct buf *b, struct kr_err *e)
{
    struct sched_decision ours;
    struct sched_look look;
    int64_t now_us = loop_wall_us(x->c->loop);
    struct sched *s = sched_new();
    fill(x, s, now_us);
    int rc = decide(x, s, r, now_us, &ours, a, e);
    if (rc == 0 && sched_look(s, x->ns, x->name, &look)) {
        put_requests(r, b);
        put_runtime(x, r->spec.runtime, a, b);
        if (ours.verdict != SCHED_WAIT)
            put_decision(&ours, b);
        else if (look.state == SCHED_LOOK_WAITING)
            put_waiting(x, r, &look, b);
        else if (look.state == SCHED_LOOK_DELAYED)
            put_delayed(x, r, &look, b);
        else
            put_active(x, r, &look, b);
        put_pods(x, s, &look, a, b);
    }
    sched_free(s);
    return rc;
}

static void put_over(const struct run *r, struct buf *b)
{
    buf_fmt(b, "%-14s %.*s%s%.*s\n", "Is over:", SFMT(r->status.reason), r->status.message.n ? ": " : "", SFMT(r->status.message));
    buf_fmt(b, "%-14s kruntimes run describe %.*s\n", "Next:", SFMT(r->metadata.name));
}

/* *over: there is nothing to watch any more. */
static int tell(struct explaining *x, struct buf *b, bool *over, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = OBJECT_ARENA };
    AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER };
    char age[AGE_TEXT];
    struct str json = object_of(x, RUNS, x->name);
    if (!json.p && cli_get(x->c, &kube_runs, x->ns, x->name, &body, e) < 0)
        return -1;
    struct run *r = model_decode(run, json.p ? json : buf_view(&body), &a, e);
    if (!r)
        return -1;
    buf_fmt(b, "%-14s %.*s, %.*s, made %.*s ago\n", "Run:", SFMT(x->name), SFMT(run_phase(r)), SFMT(cli_age(x->c, r->metadata.creation_timestamp, age)));
    *over = run_is_terminal(r) || str_is(run_phase(r), "Running");
    if (!run_is_terminal(r))
        return explain(x, r, &a, b, e);
    put_over(r, b);
    return 0;
}

/* The line with the age changes every second: it alone is no news. */
static struct str news(struct str text)
{
    str_cut(&text, '\n');
    return text;
}

static int print(struct explaining *x, const struct buf *b, bool last, struct kr_err *e)
{
    AUTO_BUF struct buf out = { .max = 4 * TEXT_MAX + 512 };
    if (x->told.n && str_eq(news(buf_view(&x->told)), news(buf_view(b))))
        return 0;
    if (isatty(1)) {
        terminal_draw(&x->drawn, buf_view(b), last, &out);
    } else {
        buf_lit(&out, x->told.n ? "\n" : "");
        buf_str(&out, buf_view(b));
    }
    buf_clear(&x->told);
    buf_str(&x->told, buf_view(b));
    return applet_print(buf_view(&out), e);
}

static int follow(struct explaining *x, struct kr_err *e)
{
    bool over = false;
    int rc = 0;
    while (rc == 0 && !over && !x->interrupted) {
        AUTO_BUF struct buf b = { .max = TEXT_MAX };
        if (loop_run_until(x->c->loop, has_news, x, INT64_MAX) != 0 || x->interrupted)
            return x->interrupted ? 0 : kr_fail(e, KR_CANCELLED, "interrupted");
        if (!is_synced(x)) {
            *e = x->e;
            cli_advise(x->c, e);
            return -1;
        }
        x->changed = false;
        rc = tell(x, &b, &over, e);
        over |= !o.watch;
        if (rc == 0)
            rc = print(x, &b, over, e);
    }
    return rc;
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    (void)loop;
    (void)sig;
    ((struct explaining *)ctx)->interrupted = true;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    static const int signals[] = { SIGINT, SIGTERM };
    struct cli c;
    if (cli_open_latest(&c, &kube_runs, call, 1, e) < 0)
        return -1;
    struct explaining x = { .c = &c, .ns = cli_ns(&c), .name = call->args[0], .told = { .max = TEXT_MAX } };
    loop_signals(c.loop, signals, LEN(signals), on_signal, &x);
    begin(&x);
    int rc = follow(&x, e);
    end(&x);
    cli_close(&c);
    return rc;
}

const struct applet run_explain = {
    .name = "explain", .brief = "why it waits, with what each pod is to it", .args = "NAME", .names = "runs", .min_args = 1, .max_args = 1, .opts = opts,
    .help = "Asks the scheduler's own rules, of all Runs, pods and the Runtime as they are now: what it tells is what the scheduler does.",
    .examples = "run explain hello\nrun explain hello -w", .shared = (const struct opt *const[]){ cli_opts, NULL }, .main = run };
