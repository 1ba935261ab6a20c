/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime: one look at a Runtime → what is to be written. Objects are created where they are missing and patched where a
 * field we own differs: owned fields are compared with the live object as a server keeps them, never whole objects, which it defaults.
 */
#include "applets/controller/controller.h"
#include "core/clock.h"
#include "crds/access.h"
#include "k8s/quantity.h"
#include <stdio.h>

enum { SUMS_US = 10000000 };
#define FINALIZER "kruntimes.io/runtime-drain"

struct look {
    const struct runtime_view *v;
    const struct runtime_config *config;
    struct runtime *r;
    struct arena *a;
    struct plan *p;
    struct str name;                              /* of owned objects */
    int64_t now_us;
    const char *degraded; char why[900];
};

/* ---- what we own, as it is to be -------------------------------------------------------------------------------- */

/* A server leaves out empty lists and texts, and of the rest what has no pointer in its Go types: an absent `hostUsers` isn't false. */
static bool may_be_absent(const struct json *want)
{
    static const char *const plain[] = { "annotations", "hostIPC", "hostNetwork", "hostPID", "initialDelaySeconds", "labels", "limits", "matchLabels",
                                         "minReadySeconds", "nodeSelector", "overhead", "readOnly", "requests", "stdin", "stdinOnce", "tty" };
    int64_t n = 0;
    if (json_is(want, JSON_ARRAY))
        return !json_len(want);
    if (json_is(want, JSON_STRING))
        return !json_string(want).n && !str_is(json_key(want), "storageClassName");
    bool empty = json_is(want, JSON_OBJECT) ? !json_len(want) : json_is(want, JSON_FALSE) || (json_int(want, &n) && !n);
    for (size_t i = 0; empty && i < LEN(plain); i++)
        if (str_is(json_key(want), plain[i]))
            return true;
    return false;
}

/* "0.5" is kept as "500m", and 1 as "1". */
static bool same_amount(const struct json *a, const struct json *b)
{
    struct quantity x, y;
    struct kr_err e = { 0 };
    return quantity_parse(json_is(a, JSON_STRING) ? json_string(a) : json_number_text(a), &x, &e) == 0 &&
           quantity_parse(json_is(b, JSON_STRING) ? json_string(b) : json_number_text(b), &y, &e) == 0 && quantity_cmp(&x, &y) == 0;
}

static bool is_amount(struct str key)
{
    static const char *const keys[] = { "requests", "limits", "overhead", "sizeLimit", "divisor" };
    for (size_t i = 0; i < LEN(keys); i++)
        if (str_is(key, keys[i]))
            return true;
    return false;
}

/* Does `live` have all that `want` says? Arrays must be equal as far as their members say something. amount: it is one, or has some. */
static bool has_all(const struct json *live, const struct json *want, bool amount)
{
    if (!live)
        return may_be_absent(want);
    if (json_is(want, JSON_OBJECT)) {
        for (const struct json *m = json_first(want); m; m = json_next(m)) {
            const struct json *l = json_get_str(live, json_key(m));
            if (json_is(m, JSON_NULL) ? l != NULL : !has_all(l, m, amount || is_amount(json_key(m))))
                return false;
        }
        return true;
    }
    if (json_is(want, JSON_ARRAY)) {
        if (!json_is(live, JSON_ARRAY) || json_len(live) != json_len(want))
            return false;
        const struct json *l = json_first(live);
        for (const struct json *m = json_first(want); m; m = json_next(m), l = json_next(l))
            if (!has_all(l, m, false))
                return false;
        return true;
    }
    return json_equal(live, want) || (amount && same_amount(live, want));
}

static void put_owner(struct look *k, struct json *object)
{
    AUTO_BUF struct buf b = { .max = 1024 };
    jw_begin(&b, '[');
    jw_begin(&b, '{');
    jw_kstr(&b, "apiVersion", S("kruntimes.io/v1alpha1"));
    jw_kstr(&b, "kind", S("Runtime"));
    jw_kstr(&b, "name", k->r->metadata.name);
    jw_kstr(&b, "uid", k->r->metadata.uid);
    jw_kbool(&b, "controller", true);
    jw_kbool(&b, "blockOwnerDeletion", true);
    jw_end(&b, '}');
    jw_end(&b, ']');
    struct json *meta = json_ensure_object(k->a, object, "metadata");
    json_set(k->a, meta, S("ownerReferences"), parse_z(k->a, b.p));
    json_set(k->a, meta, S("labels"), parse_z(k->a, arena_fmt(k->a, "{\"kruntimes.io/runtime\":\"%.*s\",\"app.kubernetes.io/name\":\"kruntimes\","
                                                                    "\"app.kubernetes.io/component\":\"runtime\",\"app.kubernetes.io/part-of\":\"kruntimes\","
                                                                    "\"app.kubernetes.io/managed-by\":\"kruntimes\"}", SFMT(k->r->metadata.name)).p));
}

static struct str printed(struct look *k, const struct json *j)
{
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    json_print(&b, j);
    return arena_str(k->a, buf_view(&b));
}

/* What was applied last is told by a hash, so that a field that is no longer wanted is noticed too: applying without it
 * takes it away. */
static void put_hash(struct look *k, struct json *want)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    struct str text = printed(k, want);
    for (size_t i = 0; i < text.n; i++)
        hash = (hash ^ (unsigned char)text.p[i]) * UINT64_C(1099511628211);
    struct json *notes = json_ensure_object(k->a, json_get(want, "metadata"), "annotations");
    json_set(k->a, notes, S("kruntimes.io/applied"), json_new_str(k->a, arena_fmt(k->a, "%016llx", (unsigned long long)hash)));
}

/* Server-side apply, when the object is missing, something of ours was changed, or we want something else. */
static int ensure(struct look *k, const struct kube_resource *res, struct str live, struct json *want, struct kr_err *e)
{
    char api[96];
    put_owner(k, want);
    put_hash(k, want);
    struct json *have = live.p ? json_parse(k->a, live, e) : NULL;
    if (live.p && !have)
        return -1;
    if (have && has_all(have, want, false))
        return 0;
    json_set(k->a, want, S("apiVersion"), json_new_str(k->a, kube_api_version(res, api)));
    json_set(k->a, want, S("kind"), json_new_str(k->a, str_of(res->kind)));
    json_set(k->a, json_get(want, "metadata"), S("name"), json_new_str(k->a, k->name));
    struct plan_op *op = plan_add(k->p, PLAN_APPLY, res, k->r->metadata.namespace, k->name);
    op->body = printed(k, want);
    op->manager = "kruntimes-controller";
    op->stale_is_fine = true;
    op->why = have ? "a field of ours differs" : "it is missing";
    return 0;
}

/* ---- owned objects ----------------------------------------------------------------------------------------------- */

static int ensure_identity(struct look *k, struct kr_err *e)
{
    AUTO_BUF struct buf rules = { .max = 4096 };
    struct json *role = json_new_object(k->a);
    access_put_rules(ACCESS_RUNTIMED, &rules);
    json_set(k->a, role, S("rules"), parse_z(k->a, arena_str(k->a, buf_view(&rules)).p));
    static const char *const account_path[] = { "spec", "serviceAccountName" };
    struct json *template = json_parse(k->a, k->r->spec.template, e);
    struct str account = json_string(json_get_path(template, account_path, 2));
    struct json *binding = parse_z(k->a, arena_fmt(k->a, "{\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"%.*s\"},"
                                                         "\"subjects\":[{\"kind\":\"ServiceAccount\",\"name\":\"%.*s\",\"namespace\":\"%.*s\"}]}",
                                                   SFMT(k->name), SFMT(account.n ? account : k->name), SFMT(k->r->metadata.namespace)).p);
    if (!account.n && ensure(k, &kube_serviceaccounts, k->v->service_account, parse_z(k->a, "{\"automountServiceAccountToken\":false}"), e) < 0)
        return -1;
    return ensure(k, &kube_roles, k->v->role, role, e) < 0 ? -1 : ensure(k, &kube_rolebindings, k->v->role_binding, binding, e);
}

static int ensure_network(struct look *k, struct kr_err *e)
{
    struct json *policy = parse_z(k->a, arena_fmt(k->a, "{\"spec\":{\"podSelector\":{\"matchLabels\":{\"kruntimes.io/runtime\":\"%.*s\"}},\"policyTypes\":[\"Ingress\"],"
                                                        "\"ingress\":[{\"from\":[{\"namespaceSelector\":{\"matchLabels\":{\"kruntimes.io/metrics\":\"allowed\"}}}],"
                                                        "\"ports\":[{\"protocol\":\"TCP\",\"port\":9094}]}]}}", SFMT(k->r->metadata.name)).p);
    return ensure(k, &kube_networkpolicies, k->v->network_policy, policy, e);
}

/* Before pods are taken away: those that execute least are to go first. With all of them there is nothing to choose. */
static void tell_costs(struct look *k, int64_t replicas)
{
    static const char *const path[] = { "spec", "replicas" };
    int64_t live;
    if (!replicas || !str_i64(json_find_path(k->v->deployment, path, 2), &live) || live <= replicas)
        return;
    for (const struct pod_load *l = k->v->loads; l; l = l->next) {
        struct str cost = arena_fmt(k->a, "%lld", (long long)l->runs);
        if (str_eq(cost, l->cost.n ? l->cost : S("0")))
            continue;
        struct plan_op *op = plan_add(k->p, PLAN_MERGE_PATCH, &kube_pods, k->r->metadata.namespace, arena_str(k->a, l->name));
        op->body = arena_fmt(k->a, "{\"metadata\":{\"annotations\":{\"" POD_DELETION_COST "\":\"%.*s\"}}}", SFMT(cost));
        op->beside = op->missing_is_fine = op->refused_is_fine = true;      /* it is advice */
        op->why = "replicas are lowered";
    }
}

static int ensure_deployment(struct look *k, int64_t replicas, struct kr_err *e)
{
    AUTO_BUF struct buf overridden = { .max = 800 };
    struct json *template = runtime_pod_template(k->r, k->config, k->a, &overridden, e);
    if (!template)
        return -1;
    if (overridden.n) {
        k->degraded = "ReservedField";
        snprintf(k->why, sizeof k->why, "these fields of the template are kruntimes' own and were overridden: %s", overridden.p);
    }
    struct json *want = json_new_object(k->a), *spec = json_ensure_object(k->a, want, "spec");
    json_set(k->a, spec, S("replicas"), json_new_int(k->a, replicas));
    json_set(k->a, spec, S("selector"), parse_z(k->a, arena_fmt(k->a, "{\"matchLabels\":{\"kruntimes.io/runtime\":\"%.*s\"}}", SFMT(k->r->metadata.name)).p));
    json_set(k->a, spec, S("template"), template);
    tell_costs(k, replicas);
    return ensure(k, &kube_deployments, k->v->deployment, want, e);
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static const struct condition *find_condition(const struct runtime *r, const char *type)
{
    for (size_t i = 0; r->has_status && i < r->status.conditions.n; i++)
        if (str_is(r->status.conditions.v[i].type, type))
            return &r->status.conditions.v[i];
    return NULL;
}

/* True when it differs from what the object says. */
static bool put_condition(struct look *k, struct buf *b, const char *type, bool on, const char *reason, const char *message)
{
    const struct condition *was = find_condition(k->r, type);
    bool same_status = was && str_is(was->status, on ? "True" : "False");
    char now[TIME_TEXT];
    time_print(now, k->now_us);
    jw_begin(b, '{');
    jw_kstr(b, "type", str_of(type));
    jw_kstr(b, "status", on ? S("True") : S("False"));
    jw_kstr(b, "lastTransitionTime", same_status ? was->last_transition_time : str_of(now));
    jw_kstr(b, "reason", str_of(reason));
    jw_kstr(b, "message", str_of(message));
    jw_end(b, '}');
    return !same_status || !str_is(was->reason, reason) || !str_is(was->message, message);
}

static bool same_counts(const struct count_map *a, const struct count_map *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct count_pair *other = count_map_find(b, a->v[i].key);
        if (!other || other->value != a->v[i].value)
            return false;
    }
    return true;
}

/* A merge patch: what is no longer there is taken away by name. */
static void put_counts(struct buf *b, const char *key, const struct count_map *m, const struct count_map *old)
{
    jw_kbegin(b, key, '{');
    for (size_t i = 0; i < old->n; i++)
        if (!count_map_find(m, old->v[i].key)) {
            jw_key(b, old->v[i].key);
            jw_null(b);
        }
    for (size_t i = 0; i < m->n; i++) {
        jw_key(b, m->v[i].key);
        jw_int(b, m->v[i].value);
    }
    jw_end(b, '}');
}

static void plan_status(struct look *k)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    const struct runtime_status *s = &k->r->status;
    int64_t want = k->r->spec.has_replicas ? k->r->spec.replicas : 1;
    bool ready = k->v->ready_pods >= want, moving = k->v->pods != want || !ready, changed = false;
    char text[96];
    struct str selector = arena_fmt(k->a, "kruntimes.io/runtime=%.*s", SFMT(k->r->metadata.name));
    jw_begin(&b, '{');
    jw_kbegin(&b, "status", '{');
    jw_kint(&b, "observedGeneration", k->r->metadata.generation);
    jw_kint(&b, "replicas", k->v->pods);
    jw_kint(&b, "readyReplicas", k->v->ready_pods);
    jw_kstr(&b, "selector", selector);
    changed |= s->observed_generation != k->r->metadata.generation || s->replicas != k->v->pods || s->ready_replicas != k->v->ready_pods ||
               !s->has_replicas || !str_eq(s->selector, selector);
    snprintf(text, sizeof text, "%lld of %lld pods are ready", (long long)k->v->ready_pods, (long long)want);
    jw_kbegin(&b, "conditions", '[');
    changed |= put_condition(k, &b, "Ready", ready, !want ? "Parked" : ready ? "PodsReady" : "PodsMissing", text);
    changed |= put_condition(k, &b, "Progressing", moving, moving ? "PodsComing" : "Complete", moving ? "pods are being made or removed" : "all pods are there");
    changed |= put_condition(k, &b, "Degraded", k->degraded != NULL, k->degraded ? k->degraded : "AsExpected", k->why);
    jw_end(&b, ']');
    bool sums = !same_counts(&s->capacity, &k->v->capacity) || !same_counts(&s->used, &k->v->used);
    int64_t due = k->v->status_written_us + SUMS_US;
    if (sums && (changed || k->now_us >= due)) {
        put_counts(&b, "capacity", &k->v->capacity, &s->capacity);
        put_counts(&b, "used", &k->v->used, &s->used);
        changed = true;
    } else if (sums) {
        k->p->look_again_us = due;
    }
    jw_end(&b, '}');
    jw_end(&b, '}');
    if (!changed)
        return;
    struct plan_op *op = plan_add(k->p, PLAN_MERGE_PATCH, &kube_runtimes, k->r->metadata.namespace, k->r->metadata.name);
    op->sub = "status";
    op->body = arena_str(k->a, buf_view(&b));
    op->missing_is_fine = op->stale_is_fine = true;
}

/* ---- deletion ---------------------------------------------------------------------------------------------------- */

static bool has_finalizer(const struct object_meta *m)
{
    for (size_t i = 0; i < m->finalizers.n; i++)
        if (str_is(m->finalizers.v[i], FINALIZER))
            return true;
    return false;
}

static void scale_to_0(struct look *k)
{
    static const char *const replicas[] = { "spec", "replicas" };
    struct str have = json_find_path(k->v->deployment, replicas, 2);
    if (!k->v->deployment.p || str_is(have, "0"))
        return;
    struct plan_op *op = plan_add(k->p, PLAN_MERGE_PATCH, &kube_deployments, k->r->metadata.namespace, k->name);
    op->body = S("{\"spec\":{\"replicas\":0}}");
    op->missing_is_fine = true;
    op->why = "the Runtime is being deleted";
}

static void plan_deletion(struct look *k)
{
    const struct runtime_view *v = k->v;
    if (!has_finalizer(&k->r->metadata))
        return;
    scale_to_0(k);
    if (v->pods)
        return;                                   /* the pods' end brings another look; garbage collection takes the rest */
    AUTO_BUF struct buf b = { .max = 4096 };
    jw_begin(&b, '[');
    for (size_t i = 0; i < k->r->metadata.finalizers.n; i++) {
        if (!str_is(k->r->metadata.finalizers.v[i], FINALIZER))
            continue;
        buf_fmt(&b, "{\"op\":\"test\",\"path\":\"/metadata/finalizers/%zu\",\"value\":\"" FINALIZER "\"},{\"op\":\"remove\",\"path\":\"/metadata/finalizers/%zu\"}",
                i, i);
        break;
    }
    jw_end(&b, ']');
    struct plan_op *op = plan_add(k->p, PLAN_JSON_PATCH, &kube_runtimes, k->r->metadata.namespace, k->r->metadata.name);
    op->body = arena_str(k->a, buf_view(&b));
    op->missing_is_fine = op->stale_is_fine = true;
    op->why = "no pod is left";
}

static void plan_finalizer(struct look *k)
{
    struct plan_op *op = plan_add(k->p, PLAN_JSON_PATCH, &kube_runtimes, k->r->metadata.namespace, k->r->metadata.name);
    op->body = k->r->metadata.finalizers.n ? S("[{\"op\":\"add\",\"path\":\"/metadata/finalizers/-\",\"value\":\"" FINALIZER "\"}]")
                                           : S("[{\"op\":\"add\",\"path\":\"/metadata/finalizers\",\"value\":[\"" FINALIZER "\"]}]");
    op->missing_is_fine = op->stale_is_fine = true;
}

/* ---- what is not offered ----------------------------------------------------------------------------------------- */

/* What is worst is told: what can't be, what the API server refused, what pods and their makers say, what gave way. */
static void check_trouble(struct look *k)
{
    struct runtime_trouble t = { 0 };
    if (k->degraded && strcmp(k->degraded, "ReservedField") && strcmp(k->degraded, "NotOffered"))
        return;
    if (k->v->refused.n)
        t = (struct runtime_trouble){ S("Refused"), k->v->refused };
    else
        runtime_trouble_of_template(&t, k->r, k->a);
    if (!t.reason.n)
        t = k->v->trouble;
    if (!t.reason.n)
        return;
    k->degraded = arena_fmt(k->a, "%.*s", SFMT(t.reason)).p;
    snprintf(k->why, sizeof k->why, "%.*s", (int)str_rune_cut(t.message, sizeof k->why - 1), t.message.p);
}

static void check_offers(struct look *k)
{
    const struct runtime_spec *s = &k->r->spec;
    if (str_is(s->isolation, "Sandbox") && !str_is(s->server, "Injected")) {
        k->degraded = "SandboxUnavailable";
        snprintf(k->why, sizeof k->why, "isolation Sandbox is that of our own Runtime Server: no pod is made until server is Injected or isolation another");
    }
}

int runtime_plan(const struct runtime_view *v, const struct runtime_config *config, int64_t wall_us, struct plan *p, struct kr_err *e)
{
    p->arena.limit = LIMIT_PLAN_BYTES;
    struct look k = { .v = v, .config = config, .a = &p->arena, .p = p, .now_us = wall_us };
    k.r = model_decode(runtime, v->runtime, &p->arena, e);
    if (!k.r)
        return -1;
    k.name = runtime_object_name(k.r->metadata.name, k.a);
    if (k.r->metadata.deletion_timestamp.n) {
        plan_deletion(&k);
        return 0;
    }
    if (!has_finalizer(&k.r->metadata))
        plan_finalizer(&k);
    check_offers(&k);
    int64_t replicas = k.degraded && !strcmp(k.degraded, "SandboxUnavailable") ? 0 : k.r->spec.has_replicas ? k.r->spec.replicas : 1;
    if (v->refused.n) {                           /* told first: the plan ends where it is refused again */
        check_trouble(&k);
        plan_status(&k);
    }
    if (ensure_identity(&k, e) < 0 || ensure_network(&k, e) < 0)
        return -1;
    if (ensure_deployment(&k, replicas, e) < 0) {
        k.degraded = "BadTemplate";
        snprintf(k.why, sizeof k.why, "%s", e->msg);
        *e = (struct kr_err){ 0 };
    }
    if (!v->refused.n) {
        check_trouble(&k);
        plan_status(&k);
    }
    return 0;
}
