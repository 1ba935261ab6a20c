/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_parts: are the kinds installed, and as this release has them; do controller and scheduler hold their Leases; and do they
 * work, by what they leave in Runtimes and Runs: that needs no right that a user hasn't, and an instance without Leases is seen too.
 * Tests: tests/local/doctor.py
 */
#include "applets/cli/doctor.h"
#include "core/model_crd.h"
#include "core/uri.h"
#include "core/version.h"
#include "core/yaml.h"
#include "crds/run.h"
#include <stdio.h>

enum { CRD_ARENA = 64 << 20, LATE_US = 15000000, RUNS_SEEN = 500 };

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

static bool differs(const struct json *ours, const struct json *theirs, bool whole, struct buf *at);

static bool differs_object(const struct json *ours, const struct json *theirs, bool whole, struct buf *at)
{
    size_t before = at->n;
    for (const struct json *m = json_first(ours); m; m = json_next(m)) {
        buf_fmt(at, ".%.*s", SFMT(json_key(m)));
        if (differs(m, json_get_str(theirs, json_key(m)), whole || str_is(json_key(m), "schema"), at))
            return true;
        at->n = before;
    }
    for (const struct json *m = whole ? json_first(theirs) : NULL; m; m = json_next(m))
        if (!json_get_str(ours, json_key(m))) {
            buf_fmt(at, ".%.*s", SFMT(json_key(m)));
            return true;
        }
    return false;
}

/* Where `theirs` is not what ours says. Servers add members to an object; within a schema (whole) they add none. */
static bool differs(const struct json *ours, const struct json *theirs, bool whole, struct buf *at)
{
    if (!theirs || json_type(ours) != json_type(theirs))
        return true;
    if (json_is(ours, JSON_OBJECT))
        return differs_object(ours, theirs, whole, at);
    if (!json_is(ours, JSON_ARRAY))
        return !json_equal(ours, theirs);
    if (json_len(ours) != json_len(theirs))
        return true;
    size_t before = at->n, i = 0;
    for (const struct json *a = json_first(ours), *b = json_first(theirs); a; a = json_next(a), b = json_next(b), i++) {
        buf_fmt(at, "[%zu]", i);
        if (differs(a, b, whole, at))
            return true;
        at->n = before;
    }
    return false;
}

/* Which build a kind is from; kinds from before they said so don't. */
static struct str version_of(const struct json *crd)
{
    static const char *const path[] = { "metadata", "annotations", "kruntimes.io/version" };
    struct str version = json_string(json_get_path(crd, path, 3));
    return version.n ? version : S("no version");
}

static void compare(struct doctor *d, const struct model_type *t, struct str name, struct str body)
{
    AUTO_ARENA struct arena a = { .limit = CRD_ARENA };
    AUTO_BUF struct buf yaml = { .max = 4 << 20 }, at = { .max = 4096 };
    struct kr_err e = { 0 };
    struct yaml_docs docs;
    model_crd_yaml(t, &yaml);
    struct json *theirs = json_parse(&a, body, &e), *ours = NULL;
    if (theirs && yaml_to_json(buf_view(&yaml), &a, &docs, &e) == 0)
        ours = json_parse(&a, docs.docs[0].json, &e);
    if (!ours) {
        doctor_fail(d, KR_PROTOCOL, "kinds: %.*s can't be read: %s", SFMT(name), e.msg);
        return;
    }
    buf_lit(&at, "spec");
    if (!differs(json_get(ours, "spec"), json_get(theirs, "spec"), false, &at)) {
        doctor_ok(d, "kinds: %.*s is this release's", SFMT(name));
        return;
    }
    doctor_fail(d, KR_CONFLICT, "kinds: %.*s is another release's (it says %.*s, this is %s): %.*s differs", SFMT(name), SFMT(version_of(theirs)), kr_version,
                SFMT(buf_view(&at)));
    doctor_do("kruntimes crd-gen %s | kubectl apply --server-side -f -  (or use the kruntimes that belongs to the installation)", t->singular);
}

/* Which of ours the server offers, whoever may read the CRDs. */
static bool offered(struct doctor *d, const struct model_type *t, const struct json *list)
{
    for (struct json *i = json_first(json_get(list, "resources")); i; i = json_next(i))
        if (str_is(json_string(json_get(i, "name")), t->plural))
            return true;
    doctor_fail(d, KR_NOT_FOUND, "kinds: %s.%s is not there", t->plural, t->group);
    doctor_do("kruntimes manifests | kubectl apply --server-side -f -");
    return false;
}

static void look_closer(struct doctor *d, const struct model_type *t)
{
    AUTO_BUF struct buf path = { .max = 1024 }, body = { .max = LIMIT_KUBE_ANSWER };
    char name[128];
    struct kr_err e = { 0 };
    snprintf(name, sizeof name, "%s.%s", t->plural, t->group);
    buf_fmt(&path, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s", name);
    if (d->embedded)
        doctor_ok(d, "kinds: %s is built in", name);
    else if (doctor_ask(d, "GET", buf_view(&path), S(""), &body, NULL, &e) == 0)
        compare(d, t, str_of(name), buf_view(&body));
    else
        doctor_note("kinds: %s is there; whether it is this release's you may not see (get on customresourcedefinitions)", name);
}

bool doctor_kinds(struct doctor *d)
{
    AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER };
    AUTO_ARENA struct arena a = { .limit = CRD_ARENA };
    struct kr_err e = { 0 };
    struct json *kinds = NULL;
    bool all = true;
    if (doctor_ask(d, "GET", S("/apis/kruntimes.io/v1alpha1"), S(""), &body, NULL, &e) < 0 || !(kinds = json_parse(&a, buf_view(&body), &e))) {
        doctor_fail(d, e.code, "kinds: kruntimes.io/v1alpha1 is not there: %s", e.msg);
        doctor_do("kruntimes is not installed on this cluster, or it is the wrong one: kruntimes manifests | kubectl apply --server-side -f -");
        return false;
    }
    for (const struct model_type *const *t = crd_types; *t; t++)
        if (offered(d, *t, kinds))
            look_closer(d, *t);
        else
            all = false;
    return all;
}

/* ---- Leases ------------------------------------------------------------------------------------------------------ */

static void judge(struct doctor *d, const char *part, struct str ns, const struct lease_spec *s)
{
    int64_t renewed = 0, late;
    time_parse(s->renew_time, &renewed);
    late = doctor_now(d) - renewed;
    if (s->holder_identity.n && late <= s->lease_duration_seconds * INT64_C(1000000)) {
        doctor_ok(d, "%s: %.*s is at work, and said so %lld s ago", part, SFMT(s->holder_identity), (long long)(late < 0 ? 0 : late / 1000000));
        return;
    }
    if (s->holder_identity.n)
        doctor_fail(d, KR_UNAVAILABLE, "%s: %.*s has not been heard of for %lld s", part, SFMT(s->holder_identity), (long long)(late / 1000000));
    else
        doctor_fail(d, KR_UNAVAILABLE, "%s: none is at work: the Lease is free", part);
    doctor_do("kubectl -n %.*s get pods, and logs deployment/kruntimes-%s", SFMT(ns), part);
}

static void check_lease(struct doctor *d, const char *part, struct str ns)
{
    AUTO_BUF struct buf path = { .max = 1024 }, body = { .max = LIMIT_KUBE_ANSWER };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    char name[64];
    struct kr_err e = { 0 };
    snprintf(name, sizeof name, "kruntimes-%s", part);
    kube_path(&path, &kube_leases, ns, str_of(name), NULL);
    if (doctor_ask(d, "GET", buf_view(&path), S(""), &body, NULL, &e) == 0) {
        struct lease *l = model_decode(lease, buf_view(&body), &a, &e);
        if (l)
            judge(d, part, ns, &l->spec);
        else
            doctor_fail(d, e.code, "%s: its Lease can't be read: %s", part, e.msg);
    } else if (e.code == KR_NOT_FOUND) {
        doctor_fail(d, KR_UNAVAILABLE, "%s: none has ever been at work: there is no Lease %s in namespace \"%.*s\"", part, name, SFMT(ns));
        doctor_do("kubectl -n %.*s get pods; --lease-namespace names another namespace", SFMT(ns));
    } else {
        doctor_note("%s: its Lease can't be looked at: %s", part, e.msg);
    }
}

void doctor_leases(struct doctor *d, struct str ns)
{
    if (d->embedded) {
        doctor_note("controller, scheduler: those of an instance hold no Lease; `kruntimes local status` tells whether it is up");
        return;
    }
    check_lease(d, "controller", ns);
    check_lease(d, "scheduler", ns);
}

/* ---- what they leave --------------------------------------------------------------------------------------------- */

static int list(struct doctor *d, const struct kube_resource *r, const char *fields, struct arena *a, struct json **ret)
{
    AUTO_BUF struct buf path = { .max = 4096 }, body = { .max = LIMIT_KUBE_ANSWER }, limit = { .max = 16 };
    struct kr_err e = { 0 };
    kube_path(&path, r, str_of(d->c.own_ns), S(""), NULL);
    buf_fmt(&limit, "%d", RUNS_SEEN);
    uri_put_param(&path, "limit", buf_view(&limit));
    if (*fields)
        uri_put_param(&path, "fieldSelector", str_of(fields));
    if (doctor_ask(d, "GET", buf_view(&path), S(""), &body, NULL, &e) == 0 && (*ret = json_parse(a, arena_str(a, buf_view(&body)), &e)))
        return 0;
    doctor_note("%s of namespace \"%s\" can't be looked at: %s", r->plural, d->c.own_ns, e.msg);
    return -1;
}

/* One item of a list as a struct; NULL when it can't be read. */
static void *item(const struct model_object *o, const struct json *i, struct arena *a)
{
    AUTO_BUF struct buf text = { .max = LIMIT_OBJECT_BYTES };
    struct kr_err ignored = { 0 };
    json_print(&text, i);
    return model_decode_object(o, arena_str(a, buf_view(&text)), a, &ignored);
}

static bool is_old(const struct doctor *d, struct str created)
{
    int64_t us;
    return time_parse(created, &us) && doctor_now(d) - us > LATE_US;
}

static void check_runtime(struct doctor *d, const struct runtime *r)
{
    int64_t wanted = r->spec.has_replicas ? r->spec.replicas : 1;
    struct str name = r->metadata.name;
    for (size_t i = 0; i < r->status.conditions.n; i++) {
        const struct condition *c = &r->status.conditions.v[i];
        if (str_is(c->type, "Degraded") && str_is(c->status, "True")) {
            doctor_fail(d, KR_PRECONDITION, "runtime/%.*s: %.*s: %.*s", SFMT(name), SFMT(c->reason), SFMT(c->message));
            doctor_do("correct the Runtime; kruntimes runtime describe %.*s, kruntimes events", SFMT(name));
            return;
        }
    }
    if (r->status.observed_generation < r->metadata.generation && is_old(d, r->metadata.creation_timestamp)) {
        doctor_fail(d, KR_UNAVAILABLE, "runtime/%.*s: the controller has not looked at its generation %lld", SFMT(name), (long long)r->metadata.generation);
        doctor_do("is a controller at work, and does it work in this namespace? %s", d->embedded ? "kruntimes local status" : "kubectl -n kruntimes-system get pods");
    } else if (r->status.ready_replicas < wanted) {
        doctor_note("runtime/%.*s: %lld of %lld pods are ready", SFMT(name), (long long)r->status.ready_replicas, (long long)wanted);
    } else {
        doctor_ok(d, "runtime/%.*s: %lld of %lld pods are ready", SFMT(name), (long long)r->status.ready_replicas, (long long)wanted);
    }
}

static void check_runtimes(struct doctor *d)
{
    AUTO_ARENA struct arena a = { .limit = CRD_ARENA };
    struct json *all;
    if (list(d, &kube_runtimes, "", &a, &all) < 0)
        return;
    if (!json_len(json_get(all, "items"))) {
        doctor_fail(d, KR_NOT_FOUND, "runtimes: namespace \"%s\" has none, and a Run needs one", d->c.own_ns);
        doctor_do("kruntimes runtime list -A shows those of all namespaces; manifests/samples has some to begin with");
    }
    for (struct json *i = json_first(json_get(all, "items")); i; i = json_next(i)) {
        struct runtime *r = item(&model_runtime, i, &a);
        if (r)
            check_runtime(d, r);
    }
}

/* A scheduler that works has told each Run that waits for long why, or tells one now and then while they are many. */
static void check_waiting(struct doctor *d)
{
    AUTO_ARENA struct arena a = { .limit = CRD_ARENA };
    struct json *all;
    size_t waiting = 0, untold = 0;
    int64_t last = 0, at;
    if (list(d, &kube_runs, "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Timeout,status.phase!=Cancelled,status.phase!=Running", &a, &all) < 0)
        return;
    for (struct json *i = json_first(json_get(all, "items")); i; i = json_next(i)) {
        struct run *r = item(&model_run, i, &a);
        if (!r || !str_is(run_phase(r), "Pending"))
            continue;
        waiting++;
        untold += !run_condition(r, "Scheduled").n && is_old(d, r->metadata.creation_timestamp);
        for (size_t k = 0; k < r->status.conditions.n; k++)
            if (str_is(r->status.conditions.v[k].type, "Scheduled") && time_parse(r->status.conditions.v[k].last_transition_time, &at) && at > last)
                last = at;
    }
    if (untold && doctor_now(d) - last > LATE_US) {
        doctor_fail(d, KR_UNAVAILABLE, "scheduler: %zu Run%s ha%s waited for more than %d s and %s not told why", untold, untold == 1 ? "" : "s", untold == 1 ? "s" : "ve",
                    LATE_US / 1000000, untold == 1 ? "was" : "were");
        doctor_do("is a scheduler at work, and does it work in this namespace? %s", d->embedded ? "kruntimes local status" : "kubectl -n kruntimes-system get pods");
    } else {
        doctor_ok(d, "scheduler: %zu Run%s wait%s%s", waiting, waiting == 1 ? "" : "s", waiting == 1 ? "s" : "", waiting ? "; kruntimes run explain NAME tells why" : "");
    }
}

void doctor_work(struct doctor *d)
{
    check_runtimes(d);
    check_waiting(d);
}
