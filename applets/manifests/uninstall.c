/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uninstall: a list of steps, one request under way at a time. Our own kinds go first and are waited for, while controller
 * and runtimed are still there to lift their finalizers; were the control plane to go first, they would hang for ever.
 * What is to go after that is read from the very text that installs it, last document first. Test: tests/local/uninstall.py.
 */
#include "applets/manifests/manifests.h"
#include "core/yaml.h"
#include <stdio.h>

enum { LOOK_AGAIN_US = 200000 };

struct going {
    struct kube *k;
    struct loop *loop;
    struct kube_call *call;
    bool over;
    int status;
    struct kr_err e;
    struct buf body;
    struct timer pause;
};

static void answered(void *ctx, const struct kube_result *r)
{
    struct going *g = ctx;
    g->call = NULL;
    g->over = true;
    g->status = r->status;
    g->e = r->error ? *r->error : (struct kr_err){ 0 };
    buf_clear(&g->body);
    if (!r->error)
        buf_str(&g->body, r->body);
}

static void paused(struct loop *loop, struct timer *t)
{
    (void)loop;
    container_of(t, struct going, pause)->over = true;
}

static bool is_over(void *ctx) { return ((struct going *)ctx)->over; }

static int wait_for(struct going *g, struct kr_err *e)
{
    if (loop_run_until(g->loop, is_over, g, INT64_MAX) == 0)
        return 0;
    kube_cancel(TAKE(g->call));
    loop_timer_stop(g->loop, &g->pause);
    return kr_fail(e, KR_CANCELLED, "interrupted: what is gone is gone, the rest is as it was");
}

/* Sends it and waits. 1: done, 0: what was asked for isn't there (nor, perhaps, its kind). */
static int ask(struct going *g, const char *method, struct str path, struct kr_err *e)
{
    g->over = false;
    g->call = kube_send(g->k, &(struct kube_request){ .method = method, .path = path }, (struct kube_user){ answered, g });
    if (wait_for(g, e) < 0)
        return -1;
    if (g->status == 404)
        return 0;
    if (g->e.code) {
        *e = g->e;
        return kr_wrap(e, "%s %.*s", method, SFMT(path));
    }
    return 1;
}

/* ---- objects of our kinds ---------------------------------------------------------------------------------------- */

struct named { struct str ns, name; };

static size_t listed(struct going *g, struct named **ret, struct arena *a)
{
    struct kr_err e = { 0 };
    struct json *items = json_get(json_parse(a, buf_view(&g->body), &e), "items");
    size_t n = 0;
    *ret = arena_alloc(a, (json_len(items) + 1) * sizeof **ret);
    for (const struct json *x = *ret ? json_first(items) : NULL; x; x = json_next(x)) {
        const struct json *m = json_get(x, "metadata");
        (*ret)[n++] = (struct named){ json_string(json_get(m, "namespace")), json_string(json_get(m, "name")) };
    }
    return n;
}

static int delete_listed(struct going *g, const struct kube_resource *r, const struct named *v, size_t n, bool dry_run, struct kr_err *e)
{
    for (size_t i = 0; i < n; i++) {
        AUTO_BUF struct buf path = { .max = 2048 };
        kube_path(&path, r, v[i].ns, v[i].name, NULL);
        if (!dry_run && ask(g, "DELETE", buf_view(&path), e) < 0)
            return -1;
        printf("%s/%.*s in %.*s %s\n", r->plural, SFMT(v[i].name), SFMT(v[i].ns), dry_run ? "would be deleted" : "deleted");
    }
    return 0;
}

/* All objects of the kind: page by page, then again until none is left: one that is being deleted may take its time. */
static int delete_kind(struct going *g, const struct uninstall *u, const struct kube_resource *r, int64_t deadline_us, struct kr_err *e)
{
    AUTO_BUF struct buf path = { .max = 2048 };
    kube_path(&path, r, u->what.only, S(""), NULL);
    buf_lit(&path, "?limit=500");
    for (bool told = false;;) {
        AUTO_ARENA struct arena a = { .limit = LIMIT_KUBE_ANSWER };
        struct named *v;
        int rc = ask(g, "GET", buf_view(&path), e);
        if (rc <= 0)
            return rc;                            /* the kind isn't there: nothing of it is */
        size_t n = listed(g, &v, &a);
        if (!n || (u->dry_run && told))
            return 0;
        if (!told && delete_listed(g, r, v, n, u->dry_run, e) < 0)
            return -1;
        told = u->dry_run || n < 500;             /* the next page is asked for by deleting this one */
        if (u->dry_run)
            return 0;
        if (loop_now_us(g->loop) > deadline_us)
            return kr_fail(e, KR_DEADLINE, "%s \"%.*s\" in \"%.*s\" is still being deleted: look at its finalizers, and whether the controller runs; "
                           "nothing else was taken away", r->plural, SFMT(v[0].name), SFMT(v[0].ns));
        g->over = false;
        loop_timer_in(g->loop, &g->pause, LOOK_AGAIN_US);
        if (wait_for(g, e) < 0)
            return -1;
    }
}

/* ---- the installation -------------------------------------------------------------------------------------------- */

/* Where objects of the kinds that an installation has are in the API. */
static const struct { const char *kind, *plural; } plurals[] = {
    { "Namespace", "namespaces" }, { "CustomResourceDefinition", "customresourcedefinitions" }, { "ServiceAccount", "serviceaccounts" },
    { "ClusterRole", "clusterroles" }, { "ClusterRoleBinding", "clusterrolebindings" }, { "Role", "roles" }, { "RoleBinding", "rolebindings" },
    { "ValidatingAdmissionPolicy", "validatingadmissionpolicies" }, { "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings" },
    { "FlowSchema", "flowschemas" }, { "NetworkPolicy", "networkpolicies" }, { "Deployment", "deployments" },
    { "PodDisruptionBudget", "poddisruptionbudgets" }, { "Service", "services" } };

static struct str path_of(struct str object, struct arena *a)
{
    static const char *const ns_path[] = { "metadata", "namespace" }, *const name_path[] = { "metadata", "name" };
    struct str api = json_str_of(json_find(object, "apiVersion"), a), kind = json_str_of(json_find(object, "kind"), a);
    struct str ns = json_str_of(json_find_path(object, ns_path, 2), a), name = json_str_of(json_find_path(object, name_path, 2), a);
    const char *root = str_chr(api, '/') >= 0 ? "/apis/" : "/api/";
    for (size_t i = 0; i < LEN(plurals); i++)
        if (str_is(kind, plurals[i].kind))
            return arena_fmt(a, "%s%.*s%s%.*s/%s/%.*s", root, SFMT(api), ns.n ? "/namespaces/" : "", SFMT(ns), plurals[i].plural, SFMT(name));
    return S("");
}

/* One part's objects, last first. */
static int delete_part(struct going *g, const struct uninstall *u, const struct install_part *p, struct kr_err *e)
{
    AUTO_BUF struct buf text = { .max = 1 << 20 };
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct yaml_docs docs;
    p->put(&u->what, &text);
    if (yaml_to_json(buf_view(&text), &a, &docs, e) < 0)
        return -1;
    for (size_t i = docs.n; i-- > 0;) {
        struct str path = path_of(docs.docs[i].json, &a);
        if (!strcmp(p->name, "namespace") && !str_is(u->what.ns, "kruntimes-system")) {
            printf("%.*s is left: others may have something in it\n", SFMT(path));
            continue;
        }
        int rc = u->dry_run ? ask(g, "GET", path, e) : ask(g, "DELETE", path, e);
        if (rc < 0)
            return -1;
        if (rc)
            printf("%.*s %s\n", SFMT(path), u->dry_run ? "would be deleted" : "deleted");
    }
    return 0;
}

static int delete_all(struct going *g, const struct uninstall *u, int64_t deadline_us, struct kr_err *e)
{
    static const struct kube_resource *const ours[] = { &kube_workflows, &kube_runtimes, &kube_runs };
    size_t n = 0;
    for (size_t i = 0; i < LEN(ours); i++)
        if (delete_kind(g, u, ours[i], deadline_us, e) < 0)
            return -1;
    if (u->keep_control_plane)
        return 0;
    while (install_parts[n].name)
        n++;
    /* Kinds first: with nobody to act on it no object can come any more. */
    for (size_t i = 0; i < n; i++)
        if (!strcmp(install_parts[i].name, "crds") && delete_part(g, u, &install_parts[i], e) < 0)
            return -1;
    while (n-- > 0)
        if (strcmp(install_parts[n].name, "crds") != 0 && delete_part(g, u, &install_parts[n], e) < 0)
            return -1;
    return 0;
}

int uninstall_run(struct kube *k, const struct uninstall *u, struct kr_err *e)
{
    struct going g = { .k = k, .loop = kube_loop(k), .body = { .max = LIMIT_KUBE_ANSWER }, .pause = { .fire = paused } };
    int rc = delete_all(&g, u, loop_now_us(g.loop) + u->timeout_us, e);
    buf_free(&g.body);
    return rc;
}
