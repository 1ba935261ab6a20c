/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe: a Run in words, for people: what it is, what became of it, and what may help. Tests: tests/local/runs.py,
 * tests/fault/hostile_runs.py
 */
#include "applets/cli/run.h"
#include "applets/cli/which.h"
#include <stdio.h>

static void line(struct buf *b, const char *key, struct str value)
{
    if (value.n)
        buf_fmt(b, "%-14s %.*s\n", key, SFMT(value));
}

static void number(struct buf *b, const char *key, bool has, int64_t n)
{
    if (has)
        buf_fmt(b, "%-14s %lld\n", key, (long long)n);
}

static void pairs(struct buf *b, const char *key, const struct str_map *m)
{
    for (size_t i = 0; i < m->n; i++)
        buf_fmt(b, "%-14s %.*s=%.*s\n", i ? "" : key, SFMT(m->v[i].key), SFMT(m->v[i].value));
}

static void advice(struct buf *b, const struct run *r)
{
    static const struct { const char *reason, *text; } table[] = {
        { "ExitCode", "look at its output: kruntimes run logs" },
        { "RuntimeNotFound", "make a Runtime of that name, or correct spec.runtime in a new Run" },
        { "OutputsInvalid", "each line of $KRUNTIME_OUTPUTS is KEY=VALUE, or KEY<<WORD … WORD" },
        { "ExecutionLost", "the Runtime Server was restarted; with retryPolicy.maxAttempts it is tried again" },
        { "PodLost", "its pod went; with retryPolicy.maxAttempts it is tried again elsewhere" },
        { "PrepareSource", "correct spec.source in a new Run" },
    };
    for (size_t i = 0; i < LEN(table); i++)
        if (str_is(r->status.reason, table[i].reason))
            line(b, "Advice:", str_of(table[i].text));
}

/* When the container ended for want of memory; empty when it didn't. */
static struct str killed_at(struct str state, struct arena *a)
{
    static const char *const reason[] = { "terminated", "reason" }, *const at[] = { "terminated", "finishedAt" };
    bool killed = str_is(json_str_of(json_find_path(state, reason, 2), a), "OOMKilled");
    return killed ? json_str_of(json_find_path(state, at, 2), a) : S("");
}

/* The kubelet's times are whole seconds. */
static bool was_meanwhile(const struct run_status *s, struct str at)
{
    int64_t us, from, to;
    enum { SECOND = 1000000 };
    return time_parse(at, &us) && time_parse(s->timings.started, &from) && time_parse(s->completion_time, &to) && us > from - SECOND && us <= to + SECOND;
}

/* Where the kernel ends a container as a whole, nobody in the pod is left to say why: its pod's status does. */
static void lost_container(struct cli *c, const struct run *r, struct buf *b)
{
    AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER };
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err ignored = { 0 };
    if (!str_is(r->status.reason, "ExecutionLost") || !r->status.assigned_pod.n || cli_get(c, &kube_pods, r->metadata.namespace, r->status.assigned_pod, &body, &ignored) < 0)
        return;
    struct pod *p = model_decode(pod, buf_view(&body), &a, &ignored);
    for (size_t i = 0; p && str_eq(p->metadata.uid, r->status.assigned_pod_uid) && i < p->status.container_statuses.n; i++) {
        const struct container_status *s = &p->status.container_statuses.v[i];
        struct str now = killed_at(s->state, &a), before = killed_at(s->last_state, &a), at = now.n ? now : before;
        if (was_meanwhile(&r->status, at))
            buf_fmt(b, "%-14s container \"%.*s\" of the pod was killed for want of memory (OOMKilled, %.*s): raise its memory limit in the Runtime's template, or let fewer "
                       "Runs share it (capacity)\n", "Cause:", SFMT(s->name), SFMT(at));
    }
}

static void describe(struct cli *c, const struct run *r, struct buf *b)
{
    const struct run_status *s = &r->status;
    char age[32];
    line(b, "Name:", r->metadata.name);
    line(b, "Namespace:", r->metadata.namespace);
    line(b, "UID:", r->metadata.uid);
    pairs(b, "Labels:", &r->metadata.labels);
    line(b, "Age:", cli_age(c, r->metadata.creation_timestamp, age));
    line(b, "Runtime:", r->spec.runtime);
    for (size_t i = 0; i < r->spec.args.n; i++)
        line(b, i ? "" : "Args:", r->spec.args.v[i]);
    line(b, "Entrypoint:", r->spec.entrypoint);
    number(b, "Timeout:", r->spec.has_timeout_seconds, r->spec.timeout_seconds);
    line(b, "Phase:", run_phase(r));
    line(b, "Reason:", s->reason);
    line(b, "Message:", s->message);
    lost_container(c, r, b);
    advice(b, r);
    line(b, "Pod:", s->assigned_pod);
    if (s->has_attempt)
        buf_fmt(b, "%-14s %lld of %lld\n", "Attempt:", (long long)s->attempt, (long long)run_attempts_max(r));
    number(b, "Exit code:", s->has_exit_code, s->exit_code);
    line(b, "Started:", s->start_time);
    line(b, "Completed:", s->completion_time);
    line(b, "Duration:", s->duration);
    line(b, "Next attempt:", s->next_attempt_time);
    line(b, "Scheduled at:", s->timings.scheduled);
    line(b, "Taken at:", s->timings.started);
    line(b, "Executed at:", s->timings.executed);
    line(b, "Finished at:", s->timings.finished);
    pairs(b, "Outputs:", &s->outputs);
    for (size_t i = 0; i < s->conditions.n; i++)
        buf_fmt(b, "%-14s %.*s=%.*s %.*s%s%.*s\n", i ? "" : "Conditions:", SFMT(s->conditions.v[i].type), SFMT(s->conditions.v[i].status),
                SFMT(s->conditions.v[i].reason), s->conditions.v[i].message.n ? ": " : "", SFMT(s->conditions.v[i].message));
}

static int run(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    struct cli_named named;
    int rc = cli_open_named(&c, &kube_runs, call, &named, e);
    for (size_t i = 0; rc == 0 && i < named.n; i++) {
        AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER }, out = { .max = LIMIT_KUBE_ANSWER };
        AUTO_ARENA struct arena a = { .limit = 16 << 20 };
        rc = cli_get(&c, &kube_runs, cli_ns(&c), named.v[i], &body, e);
        struct run *r = rc == 0 ? model_decode(run, buf_view(&body), &a, e) : NULL;
        if (!r) {
            rc = -1;
            break;
        }
        if (i)
            buf_byte(&out, '\n');
        describe(&c, r, &out);
        cli_put_events(&c, r->metadata.namespace, r->metadata.uid, &out);
        rc = cli_print(buf_view(&out), e);
    }
    cli_named_free(&named);
    cli_close(&c);
    return rc;
}

const struct applet run_describe = { .name = "describe", .brief = "all about it, in words", .args = "[NAME…]", .names = "runs",
                                     .examples = "run describe hello\nrun describe @latest\nrun describe -l team=a", .shared = (const struct opt *const[]){ cli_named_opts, cli_opts, NULL }, .main = run };
