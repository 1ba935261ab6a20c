/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stories: tests/golden/plans/workflow/NAME.in is the spec of a Workflow as YAML, a line "---", and what happens, a line each;
 * NAME.plan is what the controller does, and the status at the end. `open` is a create that says that its Run is the first of the leg's workspace.
 *
 *   look                            one look: its plan, carried out
 *   go                              looks, and lets every child that is there end, until there is nothing left to do
 *   when JOB[/LEG] STEP PHASE [reason=R] [artifact=NAME] [KEY=VALUE…]      how a child ends in `go` (else: Succeeded); KEY=VALUE are outputs
 *   run JOB[/LEG] STEP PHASE …      the child's status now; Running leaves it there
 *   hold JOB[/LEG] STEP             `go` leaves it running
 *   deleted JOB[/LEG] STEP          somebody deletes the child
 *   stranger JOB[/LEG] STEP         a Run of the name of that child exists, of somebody else
 *   cancel                          cancelRequested
 *   restart                         a new controller: nothing is remembered but the objects
 *   refused                         the next plan can't be carried out at all
 *   conflict                        the next status is answered with 409 Conflict
 *   after SECONDS                   time passes
 */
#include "applets/controller/workflow.h"
#include "core/yaml.h"
#include "k8s/patch.h"
#include "tests/kit/test.h"
#include <dirent.h>
#include <stdio.h>

enum { CHILDREN = 1024 };
struct kid { char *name, *job, *step, *text, *ends; int64_t created_us; long leg; bool active, held; };
struct rule { char *who, *ends; };
struct story {
    struct arena a;
    struct buf out;
    struct json *object;
    struct flow_memory m;
    struct kid kids[CHILDREN]; size_t nkids;
    struct rule rules[64]; size_t nrules;
    int64_t now_us;
    bool refused, conflict;
};

static char *copy(struct story *t, struct str s) { return arena_z(&t->a, s); }

static struct kid *kid_of(struct story *t, struct str name)
{
    for (size_t i = 0; i < t->nkids; i++)
        if (t->kids[i].name && str_is(name, t->kids[i].name))
            return &t->kids[i];
    return NULL;
}

static struct str run_named(void *ctx, struct str name)
{
    struct kid *k = kid_of(ctx, name);
    return k ? str_of(k->text) : (struct str){ 0 };
}

static bool goes_on(void *ctx, struct str name)
{
    struct kid *k = kid_of(ctx, name);
    return k && k->active;
}

static struct str at(struct json *j, const char *a, const char *b) { return json_string(json_get(json_get(j, a), b)); }

/* ---- children ---- */
static void set_text(struct story *t, struct kid *k, const char *phase, struct str words)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    AUTO_BUF struct buf outputs = { .max = 65536 }, artifacts = { .max = 65536 };
    char now[TIME_TEXT];
    struct str reason = S("");
    if (!k->created_us)
        k->created_us = t->now_us;
    time_print(now, k->created_us);
    buf_lit(&outputs, "{");
    while (words.n) {
        struct str value = str_cut(&words, ' '), key = str_cut(&value, '=');
        if (str_is(key, "reason"))
            reason = value;
        else if (str_is(key, "artifact"))
            buf_fmt(&artifacts, "%s{\"name\":\"%.*s\",\"driver\":\"s3\",\"type\":\"file\",\"location\":{\"s3\":{\"bucket\":\"b\",\"key\":\"k\"}}}", artifacts.n ? "," : "", SFMT(value));
        else
            jw_kstr(&outputs, copy(t, key), value);
    }
    buf_lit(&outputs, "}");
    buf_fmt(&b, "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\",\"creationTimestamp\":\"%s\",\"ownerReferences\":[{\"apiVersion\":\"kruntimes.io/v1alpha1\","
                "\"kind\":\"Workflow\",\"name\":\"w\",\"uid\":\"u\",\"controller\":true}]},\"status\":{\"phase\":\"%s\",\"outputs\":%.*s", k->name, now, phase,
            SFMT(buf_view(&outputs)));
    if (reason.n)
        jw_kstr(&b, "reason", reason);
    if (artifacts.n)
        buf_fmt(&b, ",\"artifactRefs\":[%.*s]", SFMT(buf_view(&artifacts)));
    k->active = !run_phase_is_terminal(str_of(phase));
    if (!k->active) {
        time_print(now, t->now_us);
        jw_kstr(&b, "completionTime", str_of(now));
    }
    buf_lit(&b, "}}");
    k->text = copy(t, buf_view(&b));
    if (!k->active) {                             /* as the controller keeps it */
        AUTO_BUF struct buf kept = { .max = 65536 };
        struct kr_err e = { 0 };
        workflow_child_text(model_decode(run, str_of(k->text), &t->a, &e), &kept);
        k->text = copy(t, buf_view(&kept));
    }
}

static bool is_kid(const struct kid *k, struct str who, struct str step)
{
    struct str leg = who, job = str_cut(&leg, '/');
    int64_t n = 0;
    if (leg.n)
        str_i64(leg, &n);
    return k->name && k->job && str_is(job, k->job) && str_is(step, k->step) && (!leg.n || n == k->leg);
}

static void create(struct story *t, const struct plan_op *op)
{
    struct kr_err e = { 0 };
    struct json *body = json_parse(&t->a, op->body, &e), *labels = json_get(json_get(body, "metadata"), "labels"), *spec = json_get(body, "spec");
    struct str job = json_string(json_get(labels, "kruntimes.io/job")), step = json_string(json_get(labels, "kruntimes.io/step"));
    struct str leg = json_string(json_get(labels, "kruntimes.io/leg"));
    AUTO_BUF struct buf line = { .max = 65536 };
    CHECK_STR(at(body, "metadata", "name"), op->name);
    bool opens = str_is(json_string(json_get(json_get(json_get(body, "metadata"), "annotations"), RUN_OPENS_WORKSPACE)), "true");
    buf_fmt(&line, "  %s %.*s/%.*s %.*s", opens ? "open" : "create", SFMT(job), SFMT(leg), SFMT(step));
    struct str inline_ = at(spec, "source", "inline");
    if (inline_.n)
        buf_fmt(&line, " inline=%zu bytes", inline_.n);
    for (struct json *i = json_first(json_get(spec, "args")); i; i = json_next(i))
        buf_fmt(&line, " '%.*s'", (int)(json_string(i).n < 80 ? json_string(i).n : 80), json_string(i).p);
    for (struct json *i = json_first(json_get(spec, "env")); i; i = json_next(i))
        buf_fmt(&line, " %.*s=%.*s", SFMT(json_string(json_get(i, "name"))), (int)(json_string(json_get(i, "value")).n < 80 ? json_string(json_get(i, "value")).n : 80),
                json_string(json_get(i, "value")).p);
    for (struct json *i = json_first(json_get(spec, "artifacts")); i; i = json_next(i)) {
        struct kid *from = kid_of(t, json_string(json_get(i, "run")));
        buf_fmt(&line, " %.*s<%s/%ld/%s:%.*s", SFMT(json_string(json_get(i, "path"))), from ? from->job : "?", from ? from->leg : 0, from ? from->step : "?",
                SFMT(json_string(json_get(i, "name"))));
    }
    buf_fmt(&t->out, "%.*s\n", SFMT(buf_view(&line)));
    struct kid *k = kid_of(t, op->name);
    if (k || !CHECK(t->nkids < CHILDREN))
        return;                                   /* AlreadyExists */
    k = &t->kids[t->nkids++];
    int64_t n = 0;
    str_i64(leg, &n);
    *k = (struct kid){ .name = copy(t, op->name), .job = copy(t, job), .step = copy(t, step), .leg = (long)n };
    for (size_t i = 0; i < t->nrules; i++) {
        struct str step_of = str_of(t->rules[i].who), who = str_cut(&step_of, ' ');
        if (is_kid(k, who, step_of))
            k->ends = t->rules[i].ends, k->held = !*k->ends;
    }
    set_text(t, k, "Pending", S(""));
}

static void cancel_kid(struct story *t, const struct plan_op *op)
{
    struct kid *k = kid_of(t, op->name);
    CHECK_OR(k && strstr(op->body.p, "cancelRequested"));
    buf_fmt(&t->out, "  cancel %s/%ld %s\n", k->job, k->leg, k->step);
    k->ends = (char *)"Cancelled";
    k->held = false;
    AUTO_BUF struct buf b = { .max = 65536 };
    buf_fmt(&b, "{\"spec\":{\"cancelRequested\":true},%s", k->text + 1);
    k->text = copy(t, buf_view(&b));
}

/* ---- the Workflow ---- */
static void status(struct story *t, const struct plan_op *op)
{
    struct kr_err e = { 0 };
    struct json *s = json_get(json_parse(&t->a, op->body, &e), "status");
    CHECK_OR(s);
    if (t->conflict) {
        buf_lit(&t->out, "  status conflicts\n");
        if (!op->stale_is_fine)
            flow_memory_failed(&t->m);            /* and the key is looked at again */
        t->conflict = false;
        return;
    }
    json_set(&t->a, t->object, S("status"), patch_merge(&t->a, json_get(t->object, "status"), s, &e));
    buf_fmt(&t->out, "  status %.*s", SFMT(json_string(json_get(s, "phase"))));
    for (struct json *j = json_first(json_get(s, "jobs")); j; j = json_next(j)) {
        buf_fmt(&t->out, " %.*s=%.*s", SFMT(json_key(j)), SFMT(json_string(json_get(j, "phase"))));
        for (struct json *l = json_first(json_get(j, "legs")); l; l = json_next(l))
            buf_fmt(&t->out, "%s%.*s", l == json_first(json_get(j, "legs")) ? ":" : ",", SFMT(json_string(json_get(l, "steps"))));
    }
    buf_byte(&t->out, '\n');
}

static bool look(struct story *t)
{
    AUTO_BUF struct buf b = { .max = 4 << 20 };
    struct plan p = { 0 };
    struct kr_err e = { 0 };
    json_print(&b, t->object);
    int rc = workflow_plan(&(struct flow_view){ buf_view(&b), run_named, goes_on, t }, &t->m, t->now_us, &p, &e);
    if (rc < 0)
        buf_fmt(&t->out, "  error: %s\n", e.msg);
    if (t->refused && p.n) {
        buf_fmt(&t->out, "  %zu operations are refused\n", p.n);
        t->refused = false;
        flow_memory_failed(&t->m);
        plan_free(&p);
        return true;
    }
    for (size_t i = 0; i < p.n; i++) {
        const struct plan_op *op = &p.ops[i];
        if (op->verb == PLAN_CREATE)
            create(t, op);
        else if (op->verb == PLAN_DELETE)
            buf_fmt(&t->out, "  delete the Workflow if uid=%.*s\n", SFMT(op->uid));
        else if (op->sub)
            status(t, op);
        else
            cancel_kid(t, op);
    }
    if (!p.n && p.look_again_us)
        buf_fmt(&t->out, "  look again in %.0f s\n", (double)(p.look_again_us - t->now_us) / 1e6);
    else if (!p.n)
        buf_lit(&t->out, "  nothing\n");
    bool did = p.n > 0;
    plan_free(&p);
    return did;
}

static bool is_over(struct story *t)
{
    struct str p = at(t->object, "status", "phase");
    return p.n && !str_is(p, "Pending") && !str_is(p, "Running");
}

static void go(struct story *t)
{
    for (int i = 0; i < 200; i++) {
        look(t);
        bool any = false;
        for (size_t k = 0; k < t->nkids; k++)
            if (t->kids[k].name && t->kids[k].active && !t->kids[k].held) {
                struct str words = str_of(t->kids[k].ends ? t->kids[k].ends : "Succeeded"), phase = str_cut(&words, ' ');
                buf_fmt(&t->out, "%s/%ld %s ends: %.*s\n", t->kids[k].job, t->kids[k].leg, t->kids[k].step, SFMT(phase));
                set_text(t, &t->kids[k], copy(t, phase), words);
                any = true;
            }
        if (!any || is_over(t))
            return;
    }
}

static void on_kid(struct story *t, struct str verb, struct str line)
{
    struct str who = str_cut(&line, ' '), step = str_cut(&line, ' '), words = line, phase = str_cut(&words, ' ');
    int n = 0;
    for (size_t i = 0; i < t->nkids; i++) {
        struct kid *k = &t->kids[i];
        if (!is_kid(k, who, step))
            continue;
        n++;
        if (str_is(verb, "run"))
            set_text(t, k, copy(t, phase), words);
        else
            k->name = NULL;
    }
    CHECK(n > 0);
}

static void on_stranger(struct story *t, struct str line)
{
    AUTO_BUF struct buf b = { .max = 4 << 20 };
    struct kr_err e = { 0 };
    struct str who = str_cut(&line, ' '), leg = who, job = str_cut(&leg, '/');
    json_print(&b, t->object);
    struct workflow *w = model_decode(workflow, arena_str(&t->a, buf_view(&b)), &t->a, &e);
    struct flow *f = flow_make(w, &t->a, &e);
    struct reconcile r = { .w = w, .f = f, .a = &t->a };
    size_t at_job = (size_t)flow_job_of(f, job), step = 0;
    int64_t l = 0;
    str_i64(leg, &l);
    while (!str_eq(f->jobs[at_job].spec->steps.v[step].name, line))
        step++;
    t->kids[t->nkids++] = (struct kid){ .name = copy(t, child_name(&r, at_job, (size_t)l, step)), .text = (char *)"{}" };
}

static void tell(struct story *t, struct str line)
{
    struct str rest = line, verb = str_cut(&rest, ' ');
    int64_t n;
    if (str_is(verb, "look")) {
        look(t);
    } else if (str_is(verb, "go")) {
        go(t);
    } else if (str_is(verb, "when") || str_is(verb, "hold")) {
        struct str who = str_cut(&rest, ' '), step = str_cut(&rest, ' ');
        t->rules[t->nrules++] = (struct rule){ copy(t, arena_fmt(&t->a, "%.*s %.*s", SFMT(who), SFMT(step))), copy(t, rest) };
    } else if (str_is(verb, "run") || str_is(verb, "deleted")) {
        on_kid(t, verb, rest);
    } else if (str_is(verb, "stranger")) {
        on_stranger(t, rest);
    } else if (str_is(verb, "cancel")) {
        json_set(&t->a, json_get(t->object, "spec"), S("cancelRequested"), json_new_bool(&t->a, true));
    } else if (str_is(verb, "restart")) {
        flow_memory_free(&t->m);
    } else if (str_is(verb, "refused")) {
        t->refused = true;
    } else if (str_is(verb, "conflict")) {
        t->conflict = true;
    } else if (str_is(verb, "after") && str_i64(rest, &n)) {
        t->now_us += n * 1000000;
    } else {
        CHECK_STR(verb, S("a verb of the list above"));
    }
}

static void show_end(struct story *t)
{
    struct json *s = json_get(t->object, "status");
    struct str reason = json_string(json_get(s, "reason")), message = json_string(json_get(s, "message"));
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    buf_fmt(&t->out, "end: %.*s", SFMT(json_string(json_get(s, "phase"))));
    if (reason.n)
        buf_fmt(&t->out, " (%.*s)%s%.*s", SFMT(reason), message.n ? " " : "", SFMT(message));
    if (json_get(s, "outputs"))
        json_print(&b, json_get(s, "outputs"));
    buf_fmt(&t->out, "%s%.*s\n", b.n ? " outputs " : "", SFMT(buf_view(&b)));
}

static void story_free(struct story *t)
{
    flow_memory_free(&t->m);
    buf_free(&t->out);
    arena_reset(&t->a);
    free(t);
}

static void play(const char *name)
{
    char path[300];
    struct kr_err e = { 0 };
    struct yaml_docs docs;
    struct story *t = xcalloc(1, sizeof *t);
    t->a.limit = 256 << 20;
    t->out.max = 4 << 20;
    time_parse(S("2026-01-01T00:00:00Z"), &t->now_us);
    snprintf(path, sizeof path, "tests/golden/plans/workflow/%s.in", name);
    struct str text = test_file(path);
    ptrdiff_t cut = str_find(text, S("\n---\n"));
    bool readable = cut > 0 && yaml_to_json((struct str){ text.p, (size_t)cut + 1 }, &t->a, &docs, &e) == 0;
    if (!readable)
        printf("%s: %s\n", path, e.msg);
    CHECK_OR(readable && docs.n == 1);
    t->object = json_parse(&t->a, arena_fmt(&t->a, "{\"metadata\":{\"name\":\"w\",\"namespace\":\"default\",\"uid\":\"u\",\"generation\":1},\"spec\":%.*s}",
                                            SFMT(docs.docs[0].json)), &e);
    CHECK_OR(t->object);
    for (struct str rest = str_from(text, (size_t)cut + 5); rest.n;) {
        struct str line = str_cut(&rest, '\n');
        buf_fmt(&t->out, "%.*s\n", SFMT(line));
        ptrdiff_t hash = str_chr(line, '#');
        line = str_trim(hash >= 0 ? (struct str){ line.p, (size_t)hash } : line);
        if (line.n)
            tell(t, line);
    }
    show_end(t);
    snprintf(path, sizeof path, "plans/workflow/%s.plan", name);
    test_golden(path, buf_view(&t->out));
    story_free(t);
}

TEST(a_spec_that_is_too_large_is_refused)
{
    struct story *t = xcalloc(1, sizeof *t);
    struct plan p = { 0 };
    struct kr_err e = { 0 };
    AUTO_BUF struct buf text = { .max = 4 << 20 }, told = { .max = 1 << 20 };
    t->a.limit = 256 << 20;
    buf_lit(&text, "{\"metadata\":{\"name\":\"w\",\"namespace\":\"default\",\"uid\":\"u\",\"generation\":1},\"spec\":{\"jobs\":{");
    for (int i = 0; text.n <= LIMIT_FLOW_SPEC + 65536; i++) {        /* each job is one that may be */
        buf_fmt(&text, "%s\"j%d\":{\"runs-on\":\"bash\",\"steps\":[{\"name\":\"s\",\"run\":\"", i ? "," : "", i);
        for (int j = 0; j < 30000; j++)
            buf_byte(&text, 'x');
        buf_lit(&text, "\"}]}");
    }
    buf_lit(&text, "}}}");
    CHECK_INT(workflow_plan(&(struct flow_view){ buf_view(&text), run_named, goes_on, t }, &t->m, 1000000, &p, &e), 0);
    plan_print(&p, &told);
    CHECK(str_find(buf_view(&told), S("\"phase\":\"Failed\"")) >= 0 && str_find(buf_view(&told), S("InvalidWorkflow")) >= 0);
    CHECK(str_find(buf_view(&told), S("spec: is larger than 1048576 bytes")) >= 0);
    CHECK(str_find(buf_view(&told), S("create ")) < 0);
    plan_free(&p);
    flow_memory_free(&t->m);
    arena_reset(&t->a);
    free(t);
}

/* A script that is as long as it may be, in as many legs as there may be: some begin in each look. more: of the job; beside: other jobs. */
static void wide(struct story *t, const char *more, const char *beside)
{
    struct kr_err e = { 0 };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    t->a.limit = 512 << 20;
    t->out.max = 4 << 20;
    time_parse(S("2026-01-01T00:00:00Z"), &t->now_us);
    buf_fmt(&b, "{\"metadata\":{\"name\":\"w\",\"namespace\":\"default\",\"uid\":\"u\",\"generation\":1},\"spec\":{\"jobs\":{%s\"a\":{%s\"runs-on\":\"bash\",\"strategy\":{\"matrix\":{", beside, more);
    for (int d = 0; d < 2; d++) {
        buf_fmt(&b, "%s\"%c\":[", d ? "," : "", 'x' + d);
        for (int i = 0; i < 16; i++)
            buf_fmt(&b, "%s\"%d\"", i ? "," : "", i);
        buf_lit(&b, "]");
    }
    buf_lit(&b, "}},\"steps\":[{\"name\":\"s\",\"run\":\"${{ matrix.x }}");
    for (int i = 0; i < 262100; i++)
        buf_byte(&b, 'x');
    buf_lit(&b, "\"}]}}}}");
    t->object = json_parse(&t->a, arena_str(&t->a, buf_view(&b)), &e);
}

TEST(many_large_children_begin_in_several_looks)
{
    struct story *t = xcalloc(1, sizeof *t);
    wide(t, "", "");
    for (int i = 0; i < 8; i++)
        look(t);
    CHECK_INT(t->nkids, 256);
    CHECK(str_find(buf_view(&t->out), S("error")) < 0 && str_find(buf_view(&t->out), S("Failed")) < 0);
    story_free(t);
}

/* A look has two rounds then: what the first one made is not made again. */
TEST(many_large_children_begin_beside_a_failed_job)
{
    struct story *t = xcalloc(1, sizeof *t);
    wide(t, "\"if\":\"always()\",\"needs\":[\"b\"],", "\"b\":{\"runs-on\":\"bash\",\"steps\":[{\"name\":\"s\",\"run\":\"exit 1\"}]},");
    look(t);
    tell(t, S("run b s Failed"));
    for (int i = 0; i < 8; i++)
        look(t);
    CHECK_INT(t->nkids, 1 + 256);
    CHECK(str_find(buf_view(&t->out), S("error")) < 0);
    story_free(t);
}

TEST(what_a_look_that_fails_asked_for_is_asked_for_again)
{
    struct story *t = xcalloc(1, sizeof *t);
    AUTO_BUF struct buf b = { .max = 4 << 20 };
    struct plan full = { .arena = { .limit = LIMIT_PLAN_BYTES } }, p = { 0 };
    struct kr_err e = { 0 };
    wide(t, "", "");
    json_print(&b, t->object);
    const struct flow_view v = { buf_view(&b), run_named, goes_on, t };
    CHECK_OR(arena_alloc(&full.arena, LIMIT_PLAN_BYTES - 4096));
    CHECK(workflow_plan(&v, &t->m, t->now_us, &full, &e) < 0);       /* no room for the status */
    CHECK_INT(workflow_plan(&v, &t->m, t->now_us, &p, &e), 0);
    CHECK(p.n > 1 && p.ops[0].verb == PLAN_CREATE && p.ops[p.n - 1].sub);
    plan_free(&full);
    plan_free(&p);
    story_free(t);
}

TEST(golden_plans_of_workflows)
{
    DIR *dir = opendir("tests/golden/plans/workflow");
    int n = 0;
    CHECK_OR(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".in"))
            continue;
        *dot = '\0';
        play(e->d_name);
        n++;
    }
    closedir(dir);
    CHECK(n >= 60);
}
