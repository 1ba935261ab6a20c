/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scheduler: tests/golden/plans/scheduler/NAME.in is a story of events, one a line; `pass` prints what is decided.
 *
 *   at SECONDS                               the clock (starts at 1000)
 *   runtime NAME [runs=N gpu=N…] [deleting]  ns/name is allowed wherever a name is
 *   runtime-gone NAME
 *   pod NAME RUNTIME [uid=U] [node=N] [down] [deleting] [over] [runs=N…]
 *   pod-gone [ns/]UID
 *   run NAME RUNTIME [v=N] [uid=U] [prio=N] [created=S] [after=S] [cancel] [on=POD[:UID]] [started] [over] [told=REASON] [refused=TEXT]
 *                    [ws=NAME] [opens] [owner=UID] [runs=N…] [label:K=V…] [near:pod|node:K=V] [apart:…] [prefer-near:WEIGHT:pod|node:K=V] [prefer-apart:…]
 *   run-gone NAME
 *   ok NAME v=N | fail NAME                  how the last decision about NAME ended
 *   workspace RUNTIME NAME [UID]             the answer to `ask`
 *   ahead                                    full pods take one Run more
 *   pass [max=N]                             decisions, as text
 */
#include "crds/sched/objects.h"
#include "tests/kit/test.h"
#include <dirent.h>
#include <stdio.h>

struct story { struct sched *s; int64_t now_us; struct buf out; struct arena a; };

static void split_name(struct str word, struct str *ns, struct str *name)
{
    ptrdiff_t at = str_chr(word, '/');
    *ns = at < 0 ? S("default") : (struct str){ word.p, (size_t)at };
    *name = at < 0 ? word : str_from(word, (size_t)at + 1);
}

/* "key=value" words behind the names; what has another meaning is taken by the callers first. */
static bool value(struct str word, const char *key, struct str *out)
{
    struct str k = str_of(key);
    if (!str_starts(word, k)) return false;
    *out = str_from(word, k.n);
    return true;
}

static int64_t number(struct str s)
{
    int64_t n = 0;
    CHECK(str_i64(s, &n));
    return n;
}

struct amounts { struct sched_amount v[8]; size_t n; };
static void amount(struct amounts *a, struct str word)
{
    struct str rest = word, name = str_cut(&rest, '=');
    if (CHECK(a->n < LEN(a->v))) a->v[a->n++] = (struct sched_amount){ name, number(rest) };
}

static void on_runtime(struct story *t, struct str line)
{
    struct sched_runtime r = { 0 };
    struct amounts cap = { 0 };
    split_name(str_cut(&line, ' '), &r.ns, &r.name);
    while (line.n) {
        struct str w = str_cut(&line, ' ');
        if (str_is(w, "deleting")) r.deleting = true;
        else if (value(w, "degraded=", &r.degraded)) r.why = S("pod \"a\", container \"runtime\": it keeps ending");
        else amount(&cap, w);
    }
    r.capacity = (struct sched_amounts){ cap.v, cap.n };
    sched_set_runtime(t->s, &r);
}

static void on_pod(struct story *t, struct str line)
{
    struct sched_pod p = { .ready = true };
    struct amounts cap = { 0 };
    split_name(str_cut(&line, ' '), &p.ns, &p.name);
    p.uid = p.name;
    p.runtime = str_cut(&line, ' ');
    while (line.n) {
        struct str w = str_cut(&line, ' ');
        if (str_is(w, "down")) p.ready = false;
        else if (str_is(w, "deleting")) p.deleting = true;
        else if (str_is(w, "over")) p.over = true;
        else if (!value(w, "uid=", &p.uid) && !value(w, "node=", &p.node)) amount(&cap, w);
    }
    p.capacity = (struct sched_amounts){ cap.v, cap.n };
    sched_set_pod(t->s, &p);
}

static bool term(struct sched_run *r, struct sched_term *terms, struct str w)
{
    struct sched_term t = { 0 };
    struct str rest = w, kind = str_cut(&rest, ':');
    struct kr_err e;
    t.preferred = str_starts(kind, S("prefer-"));
    if (t.preferred) kind = str_from(kind, 7), t.weight = (int32_t)number(str_cut(&rest, ':'));
    if (!str_is(kind, "near") && !str_is(kind, "apart")) return false;
    t.anti = str_is(kind, "apart");
    t.topology = str_is(str_cut(&rest, ':'), "node") ? SCHED_BY_NODE : SCHED_BY_POD;
    t.selector = selector_parse(rest, &e);
    if (CHECK(t.selector) && CHECK(r->nterms < 4)) terms[r->nterms++] = t;
    return true;
}

static void on_run(struct story *t, struct str line)
{
    struct sched_run r = { .version = 1, .created_us = 900 * 1000000ll };
    struct amounts req = { 0 };
    struct sched_term terms[4];
    struct selector_label labels[4];
    size_t nlabels = 0;
    struct str v, rest;
    split_name(str_cut(&line, ' '), &r.ns, &r.name);
    r.uid = r.name;
    r.runtime = str_cut(&line, ' ');
    while (line.n) {
        struct str w = str_cut(&line, ' ');
        if (str_is(w, "cancel")) r.cancel = true;
        else if (str_is(w, "started")) r.started = true;
        else if (str_is(w, "opens")) r.opens_workspace = true;
        else if (str_is(w, "over")) r.phase = SCHED_OVER;
        else if (value(w, "v=", &v)) r.version = (uint64_t)number(v);
        else if (value(w, "uid=", &r.uid) || value(w, "told=", &r.told) || value(w, "refused=", &r.refused) || value(w, "ws=", &r.workspace) ||
                 value(w, "owner=", &r.owner)) continue;
        else if (value(w, "prio=", &v)) r.priority = (int32_t)number(v);
        else if (value(w, "created=", &v)) r.created_us = number(v) * 1000000;
        else if (value(w, "after=", &v)) r.not_before_us = number(v) * 1000000;
        else if (value(w, "on=", &rest)) r.phase = SCHED_ACTIVE, r.pod = str_cut(&rest, ':'), r.pod_uid = rest.n ? rest : r.pod;
        else if (value(w, "label:", &rest) && CHECK(nlabels < 4)) v = str_cut(&rest, '='), labels[nlabels++] = (struct selector_label){ v, rest };
        else if (!term(&r, terms, w)) amount(&req, w);
    }
    r.requests = (struct sched_amounts){ req.v, req.n };
    r.labels = (struct selector_labels){ labels, nlabels };
    r.terms = terms;
    sched_set_run(t->s, &r, t->now_us);
}

static void on_pass(struct story *t, struct str line)
{
    static const char *const verb[] = { [SCHED_BIND] = "bind", [SCHED_CANCEL] = "cancel", [SCHED_FAIL] = "fail", [SCHED_WAIT] = "wait", [SCHED_ASK] = "ask" };
    struct sched_decision d[64];
    struct str max = line;
    size_t n = sched_pass(t->s, t->now_us, d, value(line, "max=", &max) ? (size_t)number(max) : LEN(d));
    for (size_t i = 0; i < n; i++) {
        if (d[i].verdict == SCHED_ASK) {
            buf_fmt(&t->out, "  ask %.*s/%.*s workspace=%.*s\n", SFMT(d[i].ns), SFMT(d[i].runtime), SFMT(d[i].workspace));
            continue;
        }
        buf_fmt(&t->out, "  %s %.*s/%.*s v=%llu", verb[d[i].verdict], SFMT(d[i].ns), SFMT(d[i].run), (unsigned long long)d[i].version);
        if (d[i].verdict == SCHED_BIND) buf_fmt(&t->out, " pod=%.*s uid=%.*s", SFMT(d[i].pod), SFMT(d[i].pod_uid));
        buf_fmt(&t->out, "  # %s%s%s\n", d[i].reason ? d[i].reason : "", d[i].reason ? ": " : "", d[i].message);
    }
    int64_t next = sched_next_us(t->s);
    if (next == INT64_MAX) buf_lit(&t->out, "  idle\n");
    else buf_fmt(&t->out, "  next in %.2f s\n", (double)(next - t->now_us) / 1e6);
}

static void on_done(struct story *t, struct str line, bool ok)
{
    struct str ns, name, v = S("0"), uid;
    split_name(str_cut(&line, ' '), &ns, &name);
    uid = name;
    while (line.n) {
        struct str w = str_cut(&line, ' ');
        CHECK(value(w, "v=", &v) || value(w, "uid=", &uid));
    }
    sched_done(t->s, ns, name, uid, ok ? (uint64_t)number(v) : 0, t->now_us);
}

static void on_workspace(struct story *t, struct str line)
{
    struct str ns, runtime, name;
    split_name(str_cut(&line, ' '), &ns, &runtime);
    name = str_cut(&line, ' ');
    sched_workspace(t->s, ns, runtime, name, line);
}

static void tell(struct story *t, struct str line)
{
    struct str rest = line, verb = str_cut(&rest, ' '), ns, name;
    if (str_is(verb, "at")) t->now_us = number(rest) * 1000000;
    else if (str_is(verb, "runtime")) on_runtime(t, rest);
    else if (str_is(verb, "pod")) on_pod(t, rest);
    else if (str_is(verb, "run")) on_run(t, rest);
    else if (str_is(verb, "ok") || str_is(verb, "fail")) on_done(t, rest, str_is(verb, "ok"));
    else if (str_is(verb, "ahead")) sched_assign_ahead(t->s, true);
    else if (str_is(verb, "pass")) on_pass(t, rest);
    else if (str_is(verb, "workspace")) on_workspace(t, rest);
    else {
        split_name(rest, &ns, &name);
        if (str_is(verb, "pod-gone")) sched_del_pod(t->s, ns, name);
        else if (str_is(verb, "runtime-gone")) sched_del_runtime(t->s, ns, name);
        else if (str_is(verb, "run-gone")) sched_del_run(t->s, ns, name);
        else CHECK_STR(verb, S("a verb of the list above"));
    }
}

static void play(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "tests/golden/plans/scheduler/%s.in", name);
    struct story t = { .s = sched_new(), .now_us = 1000 * 1000000ll, .out = { .max = 1 << 20 } };
    struct str text = test_file(path);
    while (text.n) {
        struct str line = str_cut(&text, '\n');
        buf_fmt(&t.out, "%.*s\n", SFMT(line));
        ptrdiff_t hash = str_chr(line, '#');
        if (hash >= 0) line.n = (size_t)hash;
        line = str_trim(line);
        if (line.n) tell(&t, line);
    }
    snprintf(path, sizeof path, "plans/scheduler/%s.plan", name);
    test_golden(path, buf_view(&t.out));
    buf_free(&t.out);
    sched_free(t.s);
}

TEST(golden_plans)
{
    DIR *dir = opendir("tests/golden/plans/scheduler");
    int n = 0;
    CHECK_OR(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".in")) continue;
        *dot = 0;
        play(e->d_name);
        n++;
    }
    closedir(dir);
    CHECK(n >= 40);
}

/* Random events and answers; the cache's own count must agree with one made from scratch, and no pod is ever over. */
TEST(slots_are_never_exceeded)
{
    enum { PODS = 5, RUNS = 60 };
    struct sched *s = sched_new();
    uint64_t x = test_seed(), version = 1;
    int on[RUNS], used[PODS] = { 0 }, flight[RUNS];
    for (int i = 0; i < RUNS; i++) on[i] = -1, flight[i] = -1;
    sched_set_runtime(s, &(struct sched_runtime){ .ns = S("n"), .name = S("r"), .capacity = { (struct sched_amount[]){ { S("runs"), 4 } }, 1 } });
    char names[RUNS][16], pods[PODS][16];
    for (int i = 0; i < PODS; i++) {
        snprintf(pods[i], sizeof pods[i], "p%d", i);
        sched_set_pod(s, &(struct sched_pod){ .ns = S("n"), .name = str_of(pods[i]), .uid = str_of(pods[i]), .runtime = S("r"), .ready = true,
                                              .capacity = { (struct sched_amount[]){ { S("runs"), 4 } }, 1 } });
    }
    for (int i = 0; i < RUNS; i++) snprintf(names[i], sizeof names[i], "r%d", i);
    for (int step = 0; step < 20000; step++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        int i = (int)(x >> 33) % RUNS;
        struct str name = str_of(names[i]);
        switch (x >> 20 & 3) {
        case 0:                                    /* a fresh or unchanged object is shown */
            if (flight[i] < 0 && on[i] < 0)
                sched_set_run(s, &(struct sched_run){ .ns = S("n"), .name = name, .uid = name, .runtime = S("r"), .version = ++version }, 1000);
            break;
        case 1:                                    /* it ends */
            if (on[i] < 0) break;
            used[on[i]]--, on[i] = -1;
            sched_del_run(s, S("n"), name);
            break;
        case 2:                                    /* the write is answered */
            if (flight[i] < 0) break;
            if (x >> 25 & 1) on[i] = flight[i], sched_done(s, S("n"), name, name, ++version, 1000);
            else used[flight[i]]--, sched_done(s, S("n"), name, name, 0, 1000), sched_del_run(s, S("n"), name);
            flight[i] = -1;
            break;
        default: {
            struct sched_decision d[8];
            for (size_t n = sched_pass(s, 1000, d, LEN(d)), k = 0; k < n; k++) {
                int r = (int)strtol(d[k].run.p + 1, NULL, 10), p = (int)strtol(d[k].pod.p + 1, NULL, 10);
                CHECK_OR(d[k].verdict == SCHED_BIND && on[r] < 0 && flight[r] < 0);
                flight[r] = p;
                CHECK_OR(++used[p] <= 4);
            }
        }
        }
    }
    sched_free(s);
}

static enum sched_verdict next_in(struct sched *s, int number, uint64_t version)
{
    struct sched_decision d = { 0 };
    char workspace[32];
    snprintf(workspace, sizeof workspace, "w%d", number);
    sched_set_run(s, &(struct sched_run){ .ns = S("n"), .name = S("next"), .uid = str_of(workspace), .runtime = S("r"), .version = version,
                                          .workspace = str_of(workspace), .owner = S("o") }, 1000);
    CHECK_INT(sched_pass(s, 1000, &d, 1), 1);
    sched_del_run(s, S("n"), S("next"));
    return d.verdict;
}

/* Where the workspace of an owner is need not be asked while it is remembered; of so many that nobody uses the oldest is forgotten. */
TEST(so_many_idle_workspaces_are_remembered)
{
    struct sched *s = sched_new();
    uint64_t version = 0;
    struct sched_amounts many = { (struct sched_amount[]){ { S("runs"), 4 } }, 1 };
    sched_set_runtime(s, &(struct sched_runtime){ .ns = S("n"), .name = S("r"), .capacity = many });
    sched_set_pod(s, &(struct sched_pod){ .ns = S("n"), .name = S("p"), .uid = S("p"), .runtime = S("r"), .ready = true, .capacity = many });
    for (int i = 0; i <= LIMIT_IDLE_WORKSPACES; i++) {
        char name[32], workspace[32];
        snprintf(name, sizeof name, "r%d", i);
        snprintf(workspace, sizeof workspace, "w%d", i);
        struct sched_run r = { .ns = S("n"), .name = str_of(name), .uid = str_of(name), .runtime = S("r"), .version = ++version, .phase = SCHED_ACTIVE,
                               .started = true, .pod = S("p"), .pod_uid = S("p"), .workspace = str_of(workspace), .owner = S("o") };
        sched_set_run(s, &r, 1000);
        r.phase = SCHED_OVER;
        r.version = ++version;
        sched_set_run(s, &r, 1000);
    }
    CHECK_INT(next_in(s, 1, ++version), SCHED_BIND);
    CHECK_INT(next_in(s, 0, ++version), SCHED_ASK);
    sched_free(s);
}

/* Whoever may make Runs may think of any number of names. They cost while somebody uses them, and mix up nothing. */
TEST(names_of_resources_have_no_end)
{
    enum { MANY = 70000, EACH = 32 };
    struct sched *s = sched_new();
    struct sched_decision d[2];
    struct sched_amount each[EACH];
    char names[EACH][32];
    for (int i = 0; i < MANY / EACH; i++) {
        char name[32];
        snprintf(name, sizeof name, "r%d", i);
        for (int k = 0; k < EACH; k++) {
            snprintf(names[k], sizeof names[k], "x-%d", i * EACH + k);
            each[k] = (struct sched_amount){ str_of(names[k]), 1 };
        }
        sched_set_run(s, &(struct sched_run){ .ns = S("theirs"), .name = str_of(name), .uid = str_of(name), .runtime = S("none"), .version = 1, .requests = { each, EACH } }, 1000);
    }
    struct sched_amounts gpu = { (struct sched_amount[]){ { S("gpu"), 1 } }, 1 }, fpga = { (struct sched_amount[]){ { S("fpga"), 1 } }, 1 };
    sched_set_runtime(s, &(struct sched_runtime){ .ns = S("n"), .name = S("r"), .capacity = gpu });
    sched_set_pod(s, &(struct sched_pod){ .ns = S("n"), .name = S("p"), .uid = S("p"), .runtime = S("r"), .ready = true, .capacity = gpu });
    sched_set_run(s, &(struct sched_run){ .ns = S("n"), .name = S("a"), .uid = S("a"), .runtime = S("r"), .version = 1, .requests = fpga }, 1000);
    CHECK_INT(sched_pass(s, 1000, d, 1), 1);
    CHECK_INT(d[0].verdict, SCHED_FAIL);
    CHECK_STR(str_of(d[0].message), S("requests 1 of \"fpga\", a pod of runtime \"r\" offers 0"));
    sched_set_run(s, &(struct sched_run){ .ns = S("n"), .name = S("b"), .uid = S("b"), .runtime = S("r"), .version = 1, .requests = gpu }, 1000);
    CHECK_INT(sched_pass(s, 1000, d, 1), 1);
    CHECK_INT(d[0].verdict, SCHED_BIND);
    for (int i = 0; i < MANY / EACH; i++) {
        char name[32];
        snprintf(name, sizeof name, "r%d", i);
        sched_del_run(s, S("theirs"), str_of(name));
    }
    size_t before = sched_stats(s).resources;
    CHECK_INT(before, 3);                                /* runs, gpu and, as that Run is still there, fpga */
    sched_free(s);
}

/* Each Run of them asks for something else. What a pass costs grows with their number, not with its square: that would take minutes here. */
TEST(so_many_different_requests_are_looked_at)
{
    enum { MANY = 60000 };
    struct sched *s = sched_new();
    struct sched_decision d[4];
    struct sched_amount all[] = { { S("runs"), 2 }, { S("memory"), MANY } };
    sched_set_runtime(s, &(struct sched_runtime){ .ns = S("n"), .name = S("r"), .capacity = { all, 2 } });
    sched_set_pod(s, &(struct sched_pod){ .ns = S("n"), .name = S("p"), .uid = S("p"), .runtime = S("r"), .ready = true, .capacity = { all, 2 } });
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof name, "r%d", i);
        struct sched_amount some = { S("memory"), i };
        sched_set_run(s, &(struct sched_run){ .ns = S("n"), .name = str_of(name), .uid = str_of(name), .runtime = S("r"), .version = 1, .created_us = -i, .requests = { &some, 1 } }, 1000);
    }
    CHECK_INT(sched_pass(s, 1000, d, LEN(d)), 2);         /* the largest leaves no memory but for the one that asks for next to none */
    CHECK_STR(d[0].run, S("r59999"));
    CHECK_STR(d[1].run, S("r1"));
    sched_done(s, d[0].ns, d[0].run, d[0].uid, 2, 1000);
    sched_del_run(s, S("n"), S("r59999"));
    CHECK_INT(sched_pass(s, 1000, d, LEN(d)), 1);
    CHECK_STR(d[0].run, S("r59998"));
    sched_free(s);
}

/* A Run may name a Runtime that nobody has, and say that it is on a pod that nobody has: what was made for that goes with it. */
TEST(names_of_runtimes_go_with_their_runs)
{
    struct sched *s = sched_new();
    struct sched_decision d[4];
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "r%d", i);
        struct sched_run r = { .ns = S("n"), .name = str_of(name), .uid = str_of(name), .runtime = str_of(name), .version = 1, .workspace = i % 3 ? S("") : S("w") };
        if (i % 2) r.phase = SCHED_ACTIVE, r.pod = S("p"), r.pod_uid = S("u");       /* all on one pod: it is of the first one's Runtime */
        sched_set_run(s, &r, 1000);
    }
    sched_pass(s, 1000, d, LEN(d));
    sched_set_runtime(s, &(struct sched_runtime){ .ns = S("n"), .name = S("r7") });
    sched_set_pod(s, &(struct sched_pod){ .ns = S("n"), .name = S("p"), .uid = S("u"), .runtime = S("r8"), .ready = true });
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "r%d", i);
        sched_del_run(s, S("n"), str_of(name));
        if (i == 50) while (sched_pass(s, 1000, d, LEN(d))) {}
    }
    while (sched_pass(s, 1000, d, LEN(d))) {}
    CHECK_INT(sched_stats(s).names, 2 + 34);             /* of the Runtime, of the pod, and what is remembered of workspaces */
    sched_del_pod(s, S("n"), S("u"));
    sched_del_runtime(s, S("n"), S("r7"));
    while (sched_pass(s, 1000, d, LEN(d))) {}
    CHECK_INT(sched_stats(s).names, 34);
    sched_free(s);
}

/* ---- affinity ---- */
static struct selector *selects(const char *text)
{
    struct kr_err e = { 0 };
    struct selector *s = selector_parse(str_of(text), &e);
    CHECK_STR(str_of(e.msg), S(""));
    return s;
}

/* What is known of objects in the test below: enough to make a scheduler anew. */
enum { SOME_PODS = 6, SOME_RUNS = 24 };
struct picture {
    struct { int node; bool ready; } pods[SOME_PODS];
    struct { bool exists; int runtime, term, label, on; uint64_t version; } runs[SOME_RUNS];       /* term: which of the table below; on: −1 waits */
};
static const struct { const char *selector; bool anti, preferred; enum sched_topology by; } some_terms[] = {
    { NULL }, { "app=x", .by = SCHED_BY_POD }, { "app=y", .by = SCHED_BY_NODE }, { "app", .anti = true, .by = SCHED_BY_POD }, { "app=y", .anti = true, .by = SCHED_BY_NODE },
    { "app=x", .preferred = true, .by = SCHED_BY_NODE }, { "!app", .by = SCHED_BY_POD },
};

static void show_pod(struct sched *s, const struct picture *p, int i)
{
    char name[16], node[16];
    snprintf(name, sizeof name, "p%d", i), snprintf(node, sizeof node, "n%d", p->pods[i].node);
    sched_set_pod(s, &(struct sched_pod){ .ns = S("n"), .name = str_of(name), .uid = str_of(name), .runtime = i % 2 ? S("a") : S("b"), .ready = p->pods[i].ready,
                                          .node = p->pods[i].node ? str_of(node) : S(""), .capacity = { (struct sched_amount[]){ { S("runs"), 3 } }, 1 } });
}

static void show_run(struct sched *s, const struct picture *p, int i)
{
    char name[16], pod[16] = "";
    struct sched_term term = { .topology = some_terms[p->runs[i].term].by, .anti = some_terms[p->runs[i].term].anti, .preferred = some_terms[p->runs[i].term].preferred, .weight = 7 };
    struct selector_label label = { S("app"), p->runs[i].label == 1 ? S("x") : S("y") };
    snprintf(name, sizeof name, "r%d", i);
    if (p->runs[i].on >= 0) snprintf(pod, sizeof pod, "p%d", p->runs[i].on);
    if (p->runs[i].term) term.selector = selects(some_terms[p->runs[i].term].selector);
    sched_set_run(s, &(struct sched_run){ .ns = S("n"), .name = str_of(name), .uid = str_of(name), .runtime = p->runs[i].runtime ? S("a") : S("b"),
                                          .version = p->runs[i].version, .labels = { &label, p->runs[i].label > 0 }, .terms = &term, .nterms = p->runs[i].term > 0,
                                          .phase = *pod ? SCHED_ACTIVE : SCHED_PENDING, .pod = str_of(pod), .pod_uid = str_of(pod) }, 1000);
}

static void show_runtimes(struct sched *s)
{
    sched_set_runtime(s, &(struct sched_runtime){ .ns = S("n"), .name = S("a") });
    sched_set_runtime(s, &(struct sched_runtime){ .ns = S("n"), .name = S("b") });
}

/* One that saw each change on its own has placed whatever one that begins now, with the same objects, would place. */
TEST(whoever_may_go_somewhere_has_gone)
{
    struct sched *s = sched_new();
    struct picture p = { 0 };
    struct sched_decision d[8];
    uint64_t x = test_seed(), version = 0;
    size_t bound = 0;
    show_runtimes(s);
    for (int step = 0; step < 6000; step++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        int i = (int)(x >> 40) % SOME_RUNS, pod = (int)(x >> 33) % SOME_PODS, any = (int)(x >> 20 & 1023);
        char name[16];
        snprintf(name, sizeof name, "r%d", i);
        if (any < 60) {
            p.pods[pod].ready = any % 5 > 0, p.pods[pod].node = any % 3;
            show_pod(s, &p, pod);
        } else if (!p.runs[i].exists) {
            p.runs[i].exists = true, p.runs[i].runtime = any & 1, p.runs[i].term = any / 2 % (int)LEN(some_terms), p.runs[i].label = any / 16 % 3, p.runs[i].on = -1;
            p.runs[i].version = ++version;
            show_run(s, &p, i);
        } else if (any < 600) {
            p.runs[i].label = any % 3, p.runs[i].version = ++version;
            show_run(s, &p, i);
        } else {
            p.runs[i].exists = false;
            sched_del_run(s, S("n"), str_of(name));
        }
        for (size_t n; (n = sched_pass(s, 1000, d, 1 + x % LEN(d)));)
            for (size_t k = 0; k < n; k++) {
                int r = (int)strtol(d[k].run.p + 1, NULL, 10);
                CHECK_OR(d[k].verdict == SCHED_BIND && p.runs[r].on < 0);
                p.runs[r].on = (int)strtol(d[k].pod.p + 1, NULL, 10), p.runs[r].version = ++version, bound++;
                sched_done(s, S("n"), d[k].run, d[k].uid, version, 1000);
            }
        struct sched *anew = sched_new();
        show_runtimes(anew);
        for (int k = 0; k < SOME_PODS; k++) show_pod(anew, &p, k);
        for (int k = 0; k < SOME_RUNS; k++) if (p.runs[k].exists) show_run(anew, &p, k);
        CHECK_INT(sched_pass(anew, 1000, d, LEN(d)), 0);
        sched_free(anew);
    }
    CHECK(bound > 500);
    sched_free(s);
}

/* app: its label; on: where it runs; near: what its last term wants to be near, those before it keep away from nobody. */
static void add_run(struct sched *s, struct str ns, struct str runtime, const char *name, const char *app, uint64_t version, const char *on, const char *near, size_t nterms)
{
    struct sched_term terms[64] = { { NULL } };
    struct selector_label label = { S("app"), str_of(app) };
    for (size_t i = 0; i < nterms; i++) terms[i] = (struct sched_term){ .selector = selects(i == nterms - 1 ? near : "app=y,app=z"), .anti = i < nterms - 1, .topology = SCHED_BY_POD };
    sched_set_run(s, &(struct sched_run){ .ns = ns, .name = str_of(name), .uid = str_of(name), .runtime = runtime, .version = version, .created_us = (int64_t)version, .labels = { &label, 1 },
                                          .terms = terms, .nterms = nterms, .phase = on ? SCHED_ACTIVE : SCHED_PENDING, .pod = str_of(on ? on : ""), .pod_uid = str_of(on ? on : "") }, 1000);
}

static void add_many(struct sched *s, const char *runtime, int n, const char *name, const char *app, uint64_t version, const char *on, const char *near, size_t nterms)
{
    char full[64];
    for (int i = 0; i < n; i++) snprintf(full, sizeof full, "%s-%d", name, i), add_run(s, S("n"), str_of(runtime), full, app, version + (uint64_t)i, on, near, nterms);
}

static void add_pod(struct sched *s, struct str ns, struct str runtime)
{
    sched_set_runtime(s, &(struct sched_runtime){ .ns = ns, .name = runtime });
    sched_set_pod(s, &(struct sched_pod){ .ns = ns, .name = runtime, .uid = runtime, .runtime = runtime, .ready = true, .capacity = { (struct sched_amount[]){ { S("runs"), 1000 } }, 1 } });
}

/* Passes at the moments it asks for, a Run ending before each, until that one is bound: so many seconds later. −1: never. */
static double seconds_until(struct sched *s, const char *name, int64_t *now_us)
{
    static int ended;
    int64_t from = *now_us;
    struct sched_decision d[64];
    for (int n = 0; n < 300; n++) {
        char end[32];
        snprintf(end, sizeof end, "act-%d", ended++);
        sched_del_run(s, S("n"), str_of(end));
        bool found = false;
        for (size_t i = sched_pass(s, *now_us, d, LEN(d)); i--;) {
            found |= str_is(d[i].run, name) && d[i].verdict == SCHED_BIND;
            sched_done(s, d[i].ns, d[i].run, d[i].uid, 10000000 + (uint64_t)ended, *now_us);
        }
        if (found) return (double)(*now_us - from) / 1e6;
        *now_us = sched_next_us(s);
    }
    return -1;
}

/* Two hundred Runs of 64 terms among five hundred that run: no pass takes long for them, others don't wait for them, and who
 * comes behind them has its turn though something ends all the time. */
TEST(affinity_has_a_budget)
{
    struct sched *s = sched_new();
    struct sched_decision d[64];
    struct sched_look look;
    int64_t now_us = 1000;
    add_pod(s, S("n"), S("r"));
    add_pod(s, S("n"), S("r2"));
    add_pod(s, S("m"), S("r"));
    add_many(s, "r", 500, "act", "x", 1, "r", NULL, 0);
    add_many(s, "r", 200, "long", "", 1000, NULL, "app=nobody", 64);
    add_run(s, S("n"), S("r"), "last", "", 2000, NULL, "app=x", 1);
    add_run(s, S("n"), S("r"), "plain", "", 2001, NULL, NULL, 0);
    CHECK_INT(sched_pass(s, now_us, d, LEN(d)), 1);
    CHECK_STR(d[0].run, S("plain"));
    CHECK_OR(sched_look(s, S("n"), S("last"), &look));
    CHECK_STR(str_of(look.message), S("1 pod: 1 yet to be judged by affinity"));
    add_run(s, S("m"), S("r"), "other", "m", 2002, NULL, "app=m", 1);
    add_many(s, "r2", 100, "too", "", 3000, NULL, "app=nobody", 64);
    add_run(s, S("n"), S("r2"), "elsewhere", "n", 4000, NULL, "app=n", 1);
    CHECK_INT(sched_pass(s, now_us, d, LEN(d)), 1);
    CHECK_STR(d[0].run, S("other"));                      /* another namespace has its own budget, another Runtime of this one has to wait for its turn */
    CHECK_INT(sched_pass(s, now_us, d, LEN(d)), 0);
    double elsewhere = seconds_until(s, "elsewhere", &now_us);
    CHECK(elsewhere > 1 && elsewhere < 10);
    CHECK(sched_look(s, S("n"), S("last"), &look) && look.state == SCHED_LOOK_ACTIVE);
    add_run(s, S("n"), S("r"), "late", "", 5000, NULL, "app=x", 1);
    now_us -= 3600000000;                                 /* the clock is set back */
    double late = seconds_until(s, "late", &now_us);
    CHECK(late >= 0 && late < 10);
    sched_unhurried(s);
    add_many(s, "r", 100, "more", "", 6000, NULL, "app=nobody", 64);
    add_run(s, S("n"), S("r"), "at-once", "", 7000, NULL, "app=x", 1);
    CHECK(seconds_until(s, "at-once", &now_us) == 0);
    sched_free(s);
}

/* What happens while the others are yet to be judged counts when all were, though nothing happens any more. */
TEST(affinity_looks_again_at_the_end_of_a_round)
{
    struct sched *s = sched_new();
    struct sched_decision d[64];
    struct sched_look look;
    int64_t now_us = 1000;
    add_pod(s, S("n"), S("r"));
    add_many(s, "r", 500, "act", "x", 1, "r", NULL, 0);
    add_many(s, "r", 5, "guest", "", 1000, NULL, "app=host", 64);
    add_many(s, "r", 30, "long", "", 2000, NULL, "app=nobody", 64);
    CHECK_INT(sched_pass(s, now_us, d, LEN(d)), 0);
    add_run(s, S("n"), S("r"), "host", "host", 3000, "r", NULL, 0);
    size_t bound = 0;
    for (int i = 0; i < 8; i++) {
        for (size_t n; (n = sched_pass(s, now_us, d, LEN(d)));)
            for (size_t k = 0; k < n; k++) bound += d[k].verdict == SCHED_BIND;
        now_us = sched_next_us(s);
    }
    CHECK_INT(bound, 5);
    CHECK_OR(now_us < INT64_MAX);                         /* the others are to be told */
    CHECK_INT(sched_pass(s, now_us += 10000000, d, 1), 1);
    CHECK_INT(d[0].verdict, SCHED_WAIT);
    sched_done(s, d[0].ns, d[0].run, d[0].uid, 4000, now_us);
    CHECK_OR(sched_look(s, d[0].ns, d[0].run, &look));
    CHECK_STR(str_of(look.message), S("1 pod: 1 ruled out by affinity"));        /* it was told, and is not judged again for that */
    sched_free(s);
}

/*
 * A namespace that has used up what it may compare: where a pod was kept free for a Run it still is, though nobody can say
 * anew whether that is the right one. What was kept free for none so far is when it is the Runtime's turn.
 */
TEST(a_pod_is_kept_free_while_affinity_rests)
{
    static const char *const before[] = {
        "runtime n/bash runs=4", "pod n/a bash runs=4", "pod n/b bash runs=2", "run n/y0 bash on=a", "run n/y1 bash on=a", "run n/y2 bash on=a", "run n/y3 bash on=a",
        "run n/z bash on=b runs=2", "run n/big bash runs=4 prio=5 prefer-near:1:pod:app=x", "run n/new two runs=4 prefer-near:1:pod:app=x", "at 1100", "pass", "ok n/big v=2",
        "ok n/new v=2", "run n/s1 bash", "run-gone n/y0", "pass",
    }, *const after[] = {
        "run n/y4 two on=c runs=2", "runtime n/two runs=4", "pod n/c two runs=4", "run n/s2 bash", "run-gone n/y1", "pass", "run n/first bash prio=9", "pass max=1",
        "run-gone n/first", "pass", "run-gone n/y2", "run-gone n/y3", "pass", "run n/s3 bash", "pass",
    };
    struct story t = { .s = sched_new(), .now_us = 1000 * 1000000ll, .out = { .max = 1 << 20 } };
    struct sched_decision d[64];
    struct sched_look look;
    for (size_t i = 0; i < LEN(before); i++) tell(&t, str_of(before[i]));
    add_pod(t.s, S("n"), S("other"));
    add_many(t.s, "other", 500, "act", "x", 1, "other", NULL, 0);
    add_many(t.s, "other", 200, "long", "", 1000, NULL, "app=nobody", 64);
    sched_pass(t.s, t.now_us, d, LEN(d));
    CHECK(sched_look(t.s, S("n"), S("long-150"), &look) && str_find(str_of(look.message), S("yet to be judged by affinity")) >= 0);
    for (size_t i = 0; i < LEN(after); i++) tell(&t, str_of(after[i]));
    CHECK(str_find(buf_view(&t.out), S("bind n/first")) >= 0 && str_find(buf_view(&t.out), S("bind n/big")) < 0);
    for (int i = 0; i < 100 && sched_next_us(t.s) < INT64_MAX; i++) {
        t.now_us = sched_next_us(t.s);
        tell(&t, S("pass"));
    }
    CHECK(str_find(buf_view(&t.out), S("bind n/big v=2 pod=a")) >= 0 && str_find(buf_view(&t.out), S("bind n/s")) < 0);
    tell(&t, S("run n/s4 two"));
    CHECK_OR(sched_look(t.s, S("n"), S("s4"), &look));
    CHECK_STR(str_of(look.message), S("1 pod: 1 kept free for a Run that waits longer"));
    buf_free(&t.out);
    sched_free(t.s);
}

/* As many labels as an object has place for: it is read or passed over, and those behind it are read. */
TEST(labels_have_no_end)
{
    struct sched *s = sched_new();
    for (int n = 10000, passed_over = 0; n < 300000 && !passed_over; n += 10000) {
        AUTO_BUF struct buf b = { .max = 16 << 20 };
        struct kr_err e = { 0 };
        buf_fmt(&b, "{\"metadata\":{\"name\":\"r%d\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"labels\":{\"a\":\"b\"", n);
        for (int i = 0; i < n; i++) buf_fmt(&b, ",\"%x\":\"\"", i);
        buf_lit(&b, "}},\"spec\":{\"runtime\":\"r\"}}");
        CHECK_OR(sched_take_run(s, buf_view(&b), 1000, &e) == 0 || e.code == KR_TOO_LARGE);
        passed_over = e.code == KR_TOO_LARGE;
    }
    struct kr_err e = { 0 };
    CHECK_INT(sched_take_run(s, S("{\"metadata\":{\"name\":\"r\",\"namespace\":\"n\",\"resourceVersion\":\"1\"},\"spec\":{\"runtime\":\"r\"}}"), 1000, &e), 0);
    sched_free(s);
}
