/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_deploy: as many pods as each Deployment wants, made from its present template (apps/v1 Deployment, as far as pods
 * on one machine need it). A changed template is rolled: new pods first, old ones go when the new ones are ready. Pods that
 * nobody owns and the selector picks are taken up, as a ReplicaSet does; those of a Deployment that is being deleted are the
 * garbage collector's. Tests: tests/unit/applets/local_node.c
 */
#include "applets/local/node.h"
#include "core/log.h"
#include <stdio.h>

static struct npod *each_pod(const struct deploy *d, size_t *at)
{
    struct npod *p;
    while ((p = map_next(&d->n->by_key, at)))
        if (!strcmp(p->owner, d->uid))
            return p;
    return NULL;
}

/* ---- what is wanted ---------------------------------------------------------------------------------------------- */

void deploy_free(struct deploy *d)
{
    buf_free(&d->json);
    selector_free(d->selector);
    free(d->key);
    free(d);
}

void deploy_set(void *ctx, struct str key, struct str json)
{
    struct node *n = ctx;
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    struct deployment *o = model_decode(deployment, json, &a, &e);
    struct deploy *d = map_get(&n->deploys, key);
    if (!o || !o->spec.template.p) {
        log_warn(&log_std, "a Deployment can't be read", LOG_STR("key", key), LOG_ERR(&e));
        return;
    }
    if (!d) {
        d = xcalloc(1, sizeof *d);
        d->n = n;
        d->key = xstrndup(key.p, key.n);
        d->json.max = LIMIT_KUBE_LINE;
        d->name = str_of(d->key);
        d->ns = str_cut(&d->name, '/');
        map_put(&n->deploys, str_of(d->key), d);
    }
    uint64_t hash = 1469598103934665603u;         /* FNV-1a: the same in each process, unlike str_hash */
    for (size_t i = 0; i < o->spec.template.n; i++)
        hash = (hash ^ (unsigned char)o->spec.template.p[i]) * 1099511628211u;
    snprintf(d->hash, sizeof d->hash, "%08x", (unsigned)(hash ^ hash >> 32));
    snprintf(d->uid, sizeof d->uid, "%.*s", SFMT(o->metadata.uid));
    d->replicas = o->spec.has_replicas ? o->spec.replicas : 1;
    d->generation = o->metadata.generation;
    d->deleting = o->metadata.deletion_timestamp.n > 0;
    selector_free(d->selector);
    struct json *selector = o->spec.selector.p ? json_parse(&a, o->spec.selector, &e) : NULL;
    d->selector = selector ? selector_of_json(selector, &e) : NULL;
    buf_clear(&d->json);
    buf_str(&d->json, json);
    node_wake(n);
}

void deploy_gone(void *ctx, struct str key, struct str json)
{
    struct node *n = ctx;
    struct deploy *d = map_del(&n->deploys, key);
    (void)json;
    if (d)
        deploy_free(d);                           /* its pods are the garbage collector's, or nobody's */
}

/* ---- requests ----------------------------------------------------------------------------------------------------- */

struct request { struct node *n; char key[400]; };     /* for a Deployment, which may be gone when the answer comes */

static struct request *request_for(struct deploy *d)
{
    struct request *m = xcalloc(1, sizeof *m);
    m->n = d->n;
    snprintf(m->key, sizeof m->key, "%s", d->key);
    return m;
}

/* ---- making pods ------------------------------------------------------------------------------------------------- */

static void made(void *ctx, const struct kube_result *r)
{
    struct request *m = ctx;
    struct node *n = m->n;
    struct deploy *d = map_get(&n->deploys, str_of(m->key));
    if (d)
        d->creating--;
    if (r->error) {
        log_warn(&log_std, "a pod could not be made", LOG_Z("deployment", m->key), LOG_ERR(r->error));
        loop_timer_in(n->loop, &n->again, AGAIN_US);
    } else {
        static const char *const name[] = { "metadata", "name" }, *const ns[] = { "metadata", "namespace" };
        AUTO_ARENA struct arena a = { .limit = 4096 };
        struct str key = arena_fmt(&a, "%.*s/%.*s", SFMT(json_str_of(json_find_path(r->body, ns, 2), &a)),
                                   SFMT(json_str_of(json_find_path(r->body, name, 2), &a)));
        if (d && !map_get(&n->by_key, key))
            npod_set(n, key, r->body);            /* counted before the watch shows it */
    }
    free(m);
    node_wake(n);
}

static struct json *owners(const struct deploy *d, struct arena *a)
{
    struct json *owner = json_new_object(a), *all = json_new_array(a);
    json_set(a, owner, S("apiVersion"), json_new_str(a, S("apps/v1")));
    json_set(a, owner, S("kind"), json_new_str(a, S("Deployment")));
    json_set(a, owner, S("name"), json_new_str(a, d->name));
    json_set(a, owner, S("uid"), json_new_str(a, str_of(d->uid)));
    json_set(a, owner, S("controller"), json_new_bool(a, true));
    json_append(all, owner);
    return all;
}

static struct json *pod_of(struct deploy *d, struct arena *a, struct kr_err *e)
{
    static const char *const path[] = { "spec", "template" };
    char name[320];
    struct json *root = json_parse(a, buf_view(&d->json), e), *pod = root ? json_get_path(root, path, 2) : NULL;
    if (!pod)
        return NULL;
    pod = json_clone(a, pod);
    json_set(a, pod, S("apiVersion"), json_new_str(a, S("v1")));
    json_set(a, pod, S("kind"), json_new_str(a, S("Pod")));
    struct json *meta = json_ensure_object(a, pod, "metadata"), *spec = json_ensure_object(a, pod, "spec");
    snprintf(name, sizeof name, "%.*s-%.6s-%05x", d->name.n < 230 ? (int)d->name.n : 230, d->name.p, d->hash, (unsigned)rnd_below(&d->n->rnd, 1 << 20));
    json_set(a, meta, S("name"), json_new_str(a, str_of(name)));
    json_set(a, json_ensure_object(a, meta, "labels"), S("pod-template-hash"), json_new_str(a, str_of(d->hash)));
    json_set(a, meta, S("ownerReferences"), owners(d, a));
    json_set(a, spec, S("nodeName"), json_new_str(a, S(NODE_NAME)));
    if (!json_get(spec, "terminationGracePeriodSeconds"))
        json_set(a, spec, S("terminationGracePeriodSeconds"), json_new_int(a, 30));
    return pod;
}

static void make_pod(struct deploy *d)
{
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    AUTO_BUF struct buf body = { .max = LIMIT_API_BODY };
    struct kr_err e = { 0 };
    struct json *pod = pod_of(d, &a, &e);
    if (!pod) {
        log_warn(&log_std, "a pod template can't be used", LOG_Z("deployment", d->key), LOG_ERR(&e));
        return;
    }
    json_print(&body, pod);
    d->creating++;
    kube_create(d->n->kube, &kube_pods, d->ns, buf_view(&body), (struct kube_user){ made, request_for(d) });
}

/* ---- adopting pods ----------------------------------------------------------------------------------------------- */

static bool is_picked(const struct deploy *d, const struct npod *p)
{
    static const char *const path[] = { "metadata", "labels" };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e = { 0 };
    struct str text = json_find_path(buf_view(&p->json), path, 2);
    struct json *map = text.n ? json_parse(&a, text, &e) : NULL;
    struct selector_labels labels = map ? labels_of_json(map, &a) : (struct selector_labels){ 0 };
    return selector_matches(d->selector, &labels);
}

static void adopt(struct deploy *d, struct npod *p)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    AUTO_BUF struct buf b = { .max = 4096 };
    jw_begin(&b, '{');
    jw_kbegin(&b, "metadata", '{');
    jw_kstr(&b, "uid", str_of(p->uid));
    jw_key(&b, S("ownerReferences"));
    json_print(&b, owners(d, &a));
    jw_end(&b, '}');
    jw_end(&b, '}');
    npod_adopt(p, d->uid, buf_view(&b));
}

/* Those that nobody owns: who deletes a Deployment may leave its pods, for the next one of its kind. */
static void adopt_orphans(struct deploy *d)
{
    struct npod *p;
    for (size_t at = 0; d->selector && (p = map_next(&d->n->by_key, &at));)
        if (!*p->owner && !p->deleting && str_eq(p->ns, d->ns) && is_picked(d, p))
            adopt(d, p);
}

/* ---- one look ---------------------------------------------------------------------------------------------------- */

struct count { int64_t now, ready, old, all, all_ready; };

static struct count count(struct deploy *d)
{
    struct count c = { 0 };
    struct npod *p;
    for (size_t at = 0; (p = each_pod(d, &at));) {
        bool current = !strcmp(p->hash, d->hash);
        if (p->deleting)
            continue;
        c.all++;
        c.all_ready += p->ready;
        c.now += current;
        c.ready += current && p->ready;
        c.old += !current;
    }
    return c;
}

/* As a ReplicaSet chooses: not ready, else of the lowest cost, else the youngest. */
static bool goes_before(const struct npod *a, const struct npod *b)
{
    return a->ready != b->ready ? !a->ready : a->cost != b->cost ? a->cost < b->cost : a->created_us > b->created_us;
}

/* The one that is missed least. */
static struct npod *surplus(struct deploy *d, bool old)
{
    struct npod *p, *best = NULL;
    for (size_t at = 0; (p = each_pod(d, &at));) {
        if (p->deleting || (strcmp(p->hash, d->hash) != 0) != old)
            continue;
        if (!best || goes_before(p, best))
            best = p;
    }
    return best;
}

static void status_written(void *ctx, const struct kube_result *r)
{
    struct request *m = ctx;
    struct deploy *d = map_get(&m->n->deploys, str_of(m->key));
    if (r->error && r->error->code != KR_NOT_FOUND) {
        log_warn(&log_std, "a Deployment's status could not be written", LOG_Z("deployment", m->key), LOG_ERR(r->error));
        if (d)
            d->told[0] = '\0';
        loop_timer_in(m->n->loop, &m->n->again, AGAIN_US);
    }
    free(m);
}

/* The condition is the one by which a cluster tells of pods that a quota refuses. */
static void tell(struct deploy *d, struct count c)
{
    char body[sizeof d->told], failure[256] = "null";
    if (d->replicas > LIMIT_LOCAL_PODS)
        snprintf(failure, sizeof failure,
                 "[{\"type\":\"ReplicaFailure\",\"status\":\"True\",\"reason\":\"FailedCreate\",\"message\":\"%lld pods are wanted, %d are the most that are made "
                 "of a Deployment on one machine: give each more slots\"}]",
                 (long long)d->replicas, LIMIT_LOCAL_PODS);
    snprintf(body, sizeof body,
             "{\"status\":{\"observedGeneration\":%lld,\"replicas\":%lld,\"readyReplicas\":%lld,\"availableReplicas\":%lld,"
             "\"updatedReplicas\":%lld,\"conditions\":%s}}",
             (long long)d->generation, (long long)c.all, (long long)c.all_ready, (long long)c.all_ready, (long long)c.now, failure);
    if (!strcmp(body, d->told))
        return;
    memcpy(d->told, body, sizeof body);
    kube_merge_patch(d->n->kube, &kube_deployments, d->ns, d->name, "status", str_of(body), (struct kube_user){ status_written, request_for(d) });
}

static void keep_pods(struct deploy *d)
{
    int64_t want = d->replicas < LIMIT_LOCAL_PODS ? d->replicas : LIMIT_LOCAL_PODS;
    adopt_orphans(d);
    struct count c = count(d);
    for (int64_t i = c.now + d->creating; i < want; i++)
        make_pod(d);
    for (int64_t i = c.now; i > want; i--)
        npod_delete(surplus(d, false));
    if (c.old && c.ready >= want)
        for (int64_t i = 0; i < c.old; i++)
            npod_delete(surplus(d, true));
}

/* One that is being deleted keeps its pods no more, and takes none away: they are the garbage collector's. */
static void look(struct deploy *d)
{
    if (!d->deleting)
        keep_pods(d);
    tell(d, count(d));
}

void deploys_turn(struct node *n)
{
    struct deploy *d;
    if (!informer_is_synced(n->pods) || !informer_is_synced(n->deployments) || n->stopping)
        return;
    for (size_t i = 0; (d = map_next(&n->deploys, &i));)
        look(d);
}
