/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_claim: PersistentVolumeClaims as folders: VOLUMES/NAMESPACE/NAME. A claim is bound as soon as its folder is there. One that
 * is deleted waits until no pod and no Job of this node uses it; then its folder goes, with what is in it, and with it
 * the finalizer: what provisioners of a cluster do whose reclaim policy is Delete.
 *
 * Each step follows from what the object says, so a node that was stopped in between goes on where it was. The size that
 * is asked for is not enforced. Tests: tests/local/claims.py.
 */
#include "applets/local/node.h"
#include "core/fs.h"
#include "core/log.h"

#define PROTECTION "kubernetes.io/pvc-protection"

struct claim {
    struct node *n;
    char *key;
    struct str ns, name;
    struct buf json;
    struct kube_call *call;
};

static const char *folder(const struct claim *c, struct arena *a) { return arena_fmt(a, "%s/%.*s/%.*s", c->n->volumes, SFMT(c->ns), SFMT(c->name)).p; }

bool claim_is_among(struct str volumes, struct str name)
{
    static const char *const path[] = { "persistentVolumeClaim", "claimName" };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct json_cur cur = json_begin(volumes);
    bool found = false;
    if (!volumes.p || json_kind(&cur) != JSON_ARRAY)
        return false;
    json_enter(&cur);
    while (!found && json_item(&cur)) {
        struct str claim = json_find_path(json_raw(&cur), path, 2);
        found = claim.p && str_eq(json_str_of(claim, &a), name);
    }
    return found;
}

static bool is_used(const struct claim *c)
{
    static const char *const path[] = { "spec", "volumes" };
    struct npod *p;
    struct njob *j;
    for (size_t i = 0; (p = map_next(&c->n->by_key, &i));)
        if (str_eq(p->ns, c->ns) && claim_is_among(json_find_path(buf_view(&p->json), path, 2), c->name))
            return true;
    for (size_t i = 0; (j = map_next(&c->n->jobs_by_key, &i));)
        if (njob_uses(j, c->ns, c->name))
            return true;
    return false;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static void stepped(void *ctx, const struct kube_result *r)
{
    struct claim *c = ctx;
    c->call = NULL;
    node_wake(c->n);                              /* its event may have come first, and was passed over while the call was under way */
    if (!r->error || r->error->code == KR_NOT_FOUND || r->error->code == KR_CONFLICT || r->error->code == KR_INVALID)
        return;                                   /* the watch brings what it is now */
    log_warn(&log_std, "a claim could not be written", LOG_Z("claim", c->key), LOG_ERR(r->error));
    loop_timer_in(c->n->loop, &c->n->again, AGAIN_US);
}

static void patch(struct claim *c, const char *sub, const struct buf *body)
{
    c->call = kube_merge_patch(c->n->kube, &kube_persistentvolumeclaims, c->ns, c->name, sub, buf_view(body), (struct kube_user){ stepped, c });
}

static bool fail(struct claim *c, const struct kr_err *e)
{
    log_error(&log_std, "the folder of a claim can't be made or removed", LOG_Z("claim", c->key), LOG_ERR(e));
    loop_timer_in(c->n->loop, &c->n->again, AGAIN_US);
    return false;
}

/* Its volume's name, then its state: the first is of the object, the second of its status. */
static void bind(struct claim *c, const struct json *o, struct arena *a)
{
    static const char *const size_path[] = { "spec", "resources", "requests", "storage" };
    const struct json *spec = json_get(o, "spec"), *meta = json_get(o, "metadata"), *size = json_get_path(o, size_path, 4);
    AUTO_BUF struct buf b = { .max = 16384 };
    struct kr_err e = { 0 };
    struct str uid = json_string(json_get(meta, "uid"));
    if (fs_make_dir(folder(c, a), 0700, &e) < 0 && !fail(c, &e))
        return;
    jw_begin(&b, '{');
    jw_kbegin(&b, "metadata", '{');
    jw_kstr(&b, "uid", uid);
    jw_end(&b, '}');
    bool named = json_string(json_get(spec, "volumeName")).n;
    jw_kbegin(&b, named ? "status" : "spec", '{');
    if (named) {
        jw_kstr(&b, "phase", S("Bound"));
        jw_key(&b, S("accessModes"));
        json_print(&b, json_get(spec, "accessModes"));
        jw_kbegin(&b, "capacity", '{');
        jw_key(&b, S("storage"));
        json_print(&b, size);
        jw_end(&b, '}');
    } else {
        jw_kstr(&b, "volumeName", arena_fmt(a, "pvc-%.*s", SFMT(uid)));
    }
    jw_end(&b, '}');
    jw_end(&b, '}');
    patch(c, named ? "status" : NULL, &b);
}

/* The folder first: a claim without its finalizer is gone, and nobody would remember its folder. */
static void let_go(struct claim *c, const struct json *meta, struct arena *a)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    struct kr_err e = { 0 };
    size_t i = 0;
    const struct json *f = json_first(json_get(meta, "finalizers"));
    for (; f && !str_is(json_string(f), PROTECTION); f = json_next(f))
        i++;
    if (!f || is_used(c) || (fs_remove_tree(folder(c, a), &e) < 0 && !fail(c, &e)))
        return;
    log_info(&log_std, "a claim's folder was removed with it", LOG_Z("claim", c->key));
    buf_fmt(&b, "[{\"op\":\"test\",\"path\":\"/metadata/finalizers/%zu\",\"value\":\"" PROTECTION "\"},{\"op\":\"remove\",\"path\":\"/metadata/finalizers/%zu\"}]", i, i);
    c->call = kube_json_patch(c->n->kube, &kube_persistentvolumeclaims, c->ns, c->name, NULL, buf_view(&b), (struct kube_user){ stepped, c });
}

static void look(struct claim *c)
{
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    struct json *o = json_parse(&a, buf_view(&c->json), &e), *meta = json_get(o, "metadata");
    if (c->call || !o)
        return;
    if (json_get(meta, "deletionTimestamp"))
        let_go(c, meta, &a);
    else if (!str_is(json_string(json_get(json_get(o, "status"), "phase")), "Bound"))
        bind(c, o, &a);
}

void claims_turn(struct node *n)
{
    struct claim *c;
    if (!informer_is_synced(n->pods) || !informer_is_synced(n->jobs) || !informer_is_synced(n->claims) || n->stopping)
        return;                                   /* who uses them isn't known yet */
    for (size_t i = 0; (c = map_next(&n->claims_by_key, &i));)
        look(c);
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

void claim_free(struct claim *c)
{
    map_del(&c->n->claims_by_key, str_of(c->key));
    kube_cancel(c->call);
    buf_free(&c->json);
    free(c->key);
    free(c);
}

void claim_set(void *ctx, struct str key, struct str json)
{
    struct node *n = ctx;
    struct claim *c = map_get(&n->claims_by_key, key);
    if (!c) {
        c = xcalloc(1, sizeof *c);
        *c = (struct claim){ .n = n, .key = xstrndup(key.p, key.n), .json = { .max = LIMIT_KUBE_LINE } };
        c->name = str_of(c->key);
        c->ns = str_cut(&c->name, '/');
        map_put(&n->claims_by_key, str_of(c->key), c);
    }
    buf_clear(&c->json);
    buf_str(&c->json, json);
    node_wake(n);
}

void claim_gone(void *ctx, struct str key, struct str json)
{
    struct node *n = ctx;
    struct claim *c = map_get(&n->claims_by_key, key);
    (void)json;
    if (c)
        claim_free(c);
}
