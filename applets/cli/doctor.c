/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: looks at everything between the command line and a Run, one line a check: "ok", "note", or "FAIL" with what to do below it.
 * What makes the rest pointless (no kubeconfig, no server, nobody) ends it; else all is looked at. What there is of kinds and
 * components is in doctor_parts.c. Tests: tests/local/doctor.py
 */
#include "applets/cli/doctor.h"
#include "core/terminal.h"
#include "core/version.h"
#include "crds/access.h"
#include <stdio.h>

enum { SKEW_NOTE_S = 5, SKEW_FAIL_S = 60, REQUEST_US = 10000000 };

static struct { struct str system; int role; } o = { .system = S("kruntimes-system"), .role = 1 };
static const char *const role_words[] = { "viewer", "submitter", "runtime-admin", NULL };
static const struct opt opts[] = {
    { "lease-namespace", 0, OPT_STR, &o.system, "NAME", "where controller and scheduler have their Leases" },
    { "role", 0, OPT_ENUM, &o.role, "ROLE", "whose rights are needed", .words = role_words },
    { 0 } };

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void line(const char *sign, const char *fmt, va_list ap)
{
    char text[4096];
    AUTO_BUF struct buf shown = { 0 };
    vsnprintf(text, sizeof text, fmt, ap);
    struct str told = terminal_text(1, str_of(text), &shown);
    printf("%-5s %.*s\n", sign, SFMT(told));
    fflush(stdout);
}

void doctor_ok(struct doctor *d, const char *fmt, ...)
{
    va_list ap;
    d->checks++;
    va_start(ap, fmt);
    line("ok", fmt, ap);
    va_end(ap);
}

void doctor_note(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line("note", fmt, ap);
    va_end(ap);
}

void doctor_fail(struct doctor *d, enum kr_code code, const char *fmt, ...)
{
    va_list ap;
    d->checks++;
    d->failed++;
    if (!d->exit)
        d->exit = kr_codes[code].exit;
    va_start(ap, fmt);
    line("FAIL", fmt, ap);
    va_end(ap);
}

void doctor_do(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line("", fmt, ap);
    va_end(ap);
}

static void fail_with(struct doctor *d, const char *what, const struct kr_err *e)
{
    AUTO_BUF struct buf hint = { .max = 320 };
    doctor_fail(d, e->code, "%s: %s", what, e->msg);
    if (d->c.kube && cli_hint(&d->c, e, &hint))
        doctor_do("%s", hint.p);
}

int doctor_ask(struct doctor *d, const char *method, struct str path, struct str body, struct buf *answer, int64_t *date_us, struct kr_err *e)
{
    return cli_ask(&d->c, &(struct kube_request){ .method = method, .path = path, .body = body, .timeout_us = REQUEST_US }, answer, date_us, e);
}

int64_t doctor_now(const struct doctor *d) { return loop_wall_us(d->c.loop) + d->skew_us; }

/* ---- the server, and who we are ---------------------------------------------------------------------------------- */

static bool check_server(struct doctor *d)
{
    AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kr_err e = { 0 };
    int64_t date = 0, before = loop_wall_us(d->c.loop), began = loop_now_us(d->c.loop);
    if (doctor_ask(d, "GET", S("/version"), S(""), &body, &date, &e) < 0) {
        fail_with(d, "server", &e);
        return false;
    }
    struct str version = json_str_of(json_find(buf_view(&body), "gitVersion"), &a), server = kube_server(d->c.kube);
    d->embedded = str_find(version, S("+kruntimes")) >= 0;
    doctor_ok(d, "server: %.*s answers in %lld ms, version %.*s; this is kruntimes %s", SFMT(server), (long long)(loop_now_us(d->c.loop) - began) / 1000, SFMT(version), kr_version);
    if (!date) {
        doctor_note("clock: the server doesn't tell its time");
        return true;
    }
    int64_t after = loop_wall_us(d->c.loop);              /* whole seconds on one side, the way on the other: both count as no difference */
    d->skew_us = date + 1000000 < before ? date + 1000000 - before : date > after ? date - after : 0;
    long long s = d->skew_us / 1000000;
    if (s > SKEW_FAIL_S || s < -SKEW_FAIL_S) {
        doctor_fail(d, KR_PRECONDITION, "clock: this machine and the server differ by %lld s", s < 0 ? -s : s);
        doctor_do("set the clock (NTP): tokens and certificates are refused when clocks differ, and ages are told wrong");
    } else if (s > SKEW_NOTE_S || s < -SKEW_NOTE_S) {
        doctor_note("clock: this machine and the server differ by %lld s; ages are told wrong by as much", s < 0 ? -s : s);
    } else {
        doctor_ok(d, "clock: as the server's");
    }
    return true;
}

static bool check_identity(struct doctor *d)
{
    static const char *const name[] = { "status", "userInfo", "username" };
    AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kr_err e = { 0 };
    int rc = doctor_ask(d, "POST", S("/apis/authentication.k8s.io/v1/selfsubjectreviews"),
                        S("{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}"), &body, NULL, &e);
    if (rc < 0 && e.code == KR_UNAUTHORIZED) {
        fail_with(d, "credentials", &e);
        return false;
    }
    struct str user = rc < 0 ? S("") : json_str_of(json_find_path(buf_view(&body), name, 3), &a);
    if (user.n)
        doctor_ok(d, "credentials: you are \"%.*s\"", SFMT(user));
    else
        doctor_note("credentials: they are taken; the server doesn't say as whom");
    return true;
}

/* ---- rights ------------------------------------------------------------------------------------------------------ */

static const struct { const char *what, *verb, *group, *resource, *sub; int role; } rights[] = {
    { "look at Runs", "list", "kruntimes.io", "runs", "", 0 },
    { "follow Runs", "watch", "kruntimes.io", "runs", "", 0 },
    { "look at Runtimes", "list", "kruntimes.io", "runtimes", "", 0 },
    { "look at pods (run explain, top)", "list", "", "pods", "", 0 },
    { "look at Events", "list", "", "events", "", 0 },
    { "submit Runs", "create", "kruntimes.io", "runs", "", 1 },
    { "cancel Runs", "patch", "kruntimes.io", "runs", "", 1 },
    { "delete Runs", "delete", "kruntimes.io", "runs", "", 1 },
    { "submit Workflows", "create", "kruntimes.io", "workflows", "", 1 },
    { "read logs and artifacts", "create", "", "pods", "portforward", 1 },
    { "make Runtimes", "create", "kruntimes.io", "runtimes", "", 2 },
    { "scale Runtimes", "patch", "kruntimes.io", "runtimes", "scale", 2 },
};

static int ask_right(struct doctor *d, size_t i, bool *allowed, struct kr_err *e)
{
    static const char *const path[] = { "status", "allowed" };
    AUTO_BUF struct buf body = { .max = 4096 }, answer = { .max = LIMIT_KUBE_ANSWER };
    jw_begin(&body, '{');
    jw_kstr(&body, "apiVersion", S("authorization.k8s.io/v1"));
    jw_kstr(&body, "kind", S("SelfSubjectAccessReview"));
    jw_kbegin(&body, "spec", '{');
    jw_kbegin(&body, "resourceAttributes", '{');
    jw_kstr(&body, "namespace", str_of(d->c.own_ns));
    jw_kstr(&body, "verb", str_of(rights[i].verb));
    jw_kstr(&body, "group", str_of(rights[i].group));
    jw_kstr(&body, "resource", str_of(rights[i].resource));
    jw_kstr(&body, "subresource", str_of(rights[i].sub));
    jw_end(&body, '}');
    jw_end(&body, '}');
    jw_end(&body, '}');
    if (doctor_ask(d, "POST", S("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"), buf_view(&body), &answer, NULL, e) < 0)
        return -1;
    *allowed = str_is(json_find_path(buf_view(&answer), path, 2), "true");
    return 0;
}

static void put_what(struct buf *b, size_t i) { buf_fmt(b, "%s%s", b->n ? ", " : "", rights[i].what); }

static void refuse_right(struct doctor *d, size_t i, int *missing)
{
    doctor_fail(d, KR_FORBIDDEN, "rights: you may not %s in namespace \"%s\" (%s %s%s%s)", rights[i].what, d->c.own_ns, rights[i].verb, rights[i].resource,
                *rights[i].sub ? "/" : "", rights[i].sub);
    *missing = rights[i].role > *missing ? rights[i].role : *missing;
}

static void name_role(const struct doctor *d, int missing)
{
    static const enum access_role roles[] = { ACCESS_VIEWER, ACCESS_SUBMITTER, ACCESS_RUNTIME_ADMIN };
    const char *name = access_roles[roles[missing]].name;
    doctor_do("who keeps the cluster can give you the role %s: kubectl create rolebinding NAME -n %s --clusterrole %s --user YOU", name, d->c.own_ns, name);
}

static void check_rights(struct doctor *d)
{
    AUTO_BUF struct buf may = { .max = 1024 }, more = { .max = 1024 };
    int missing = -1;
    for (size_t i = 0; i < LEN(rights); i++) {
        struct kr_err e = { 0 };
        bool allowed = false;
        if (ask_right(d, i, &allowed, &e) < 0) {
            fail_with(d, "rights", &e);
            return;
        }
        if (allowed)
            put_what(&may, i);
        else if (rights[i].role > o.role)
            put_what(&more, i);
        else
            refuse_right(d, i, &missing);
    }
    if (missing >= 0)
        name_role(d, missing);
    if (may.n)
        doctor_ok(d, "rights in namespace \"%s\": %s", d->c.own_ns, may.p);
    if (more.n)
        doctor_note("rights in namespace \"%s\" that you don't have, nor does the role %s: %s", d->c.own_ns, role_words[o.role], more.p);
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static bool check_namespace(struct doctor *d)
{
    AUTO_BUF struct buf path = { .max = 1024 };
    struct kr_err e = { 0 };
    kube_path(&path, &kube_namespaces, S(""), str_of(d->c.own_ns), NULL);
    if (doctor_ask(d, "GET", buf_view(&path), S(""), NULL, NULL, &e) < 0 && e.code == KR_NOT_FOUND) {
        fail_with(d, "namespace", &e);
        return false;
    }
    return true;
}

static void check_all(struct doctor *d)
{
    doctor_ok(d, "kubeconfig: %s%s%s%s, namespace \"%s\"", *d->c.context ? "context \"" : "", d->c.context, *d->c.context ? "\" of " : "", d->c.source, d->c.own_ns);
    if (!check_server(d) || !check_identity(d))
        return;
    bool there = check_namespace(d);
    if (!doctor_kinds(d))
        return;
    if (there)
        check_rights(d);
    doctor_leases(d, o.system);
    if (there)
        doctor_work(d);
}

static int run(struct applet_call *call, struct kr_err *e)
{
    struct doctor d = { 0 };
    (void)call;
    if (cli_open(&d.c, e) < 0) {
        doctor_fail(&d, e->code, "%s%s", str_starts(str_of(e->msg), S("kubeconfig: ")) ? "" : "kubeconfig: ", e->msg);
        doctor_do("get a kubeconfig from who keeps the cluster, into ~/.kube/config or by --kubeconfig");
    } else {
        check_all(&d);
    }
    if (d.failed)
        printf("\n%zu of %zu checks failed\n", d.failed, d.checks);
    else
        printf("\nall %zu checks are fine\n", d.checks);
    cli_close(&d.c);
    return d.exit;
}

const struct applet applet_doctor = {
    .name = "doctor", .group = APPLET_WORK, .brief = "what stands between you and a Run that succeeds, and what to do about it",
    .help = "Looks at the kubeconfig, the server and its clock, who you are and what you may, whether the kinds are installed and are this release's, whether controller "
            "and scheduler are at work, and how the Runtimes of the namespace are. Exit status: 0 when no check failed, else that of the first failure.",
    .examples = "doctor\ndoctor --context prod -n team-a --role viewer", .opts = opts, .shared = (const struct opt *const[]){ cli_opts, NULL }, .main = run };
