/* SPDX-License-Identifier: Apache-2.0 */
/*
 * namespaces: what a namespace has from the start, and how one that is being deleted is emptied: kind by kind, with the
 * finalizers and grace of what is in it, then its own finalizer "kubernetes" is lifted (Kubernetes docs, "Namespaces").
 */
#include "applets/apiserver/collector.h"
#include <stdio.h>

enum { DELETES_PER_STEP = 64 };
static const struct resource *ns_resource(void) { return resource_by_kind(S("v1"), S("Namespace")); }

bool namespace_has_always(const struct resource *r, struct str name)
{
    return (!strcmp(r->plural, "serviceaccounts") && str_is(name, "default")) || (!strcmp(r->plural, "configmaps") && str_is(name, "kube-root-ca.crt"));
}

static int make(struct api *api, const char *kind, struct str ns, const char *name, const char *key, struct str value)
{
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    jw_begin(&b, '{');
    jw_kstr(&b, "apiVersion", S("v1"));
    jw_kstr(&b, "kind", str_of(kind));
    jw_kbegin(&b, "metadata", '{');
    jw_kstr(&b, "name", str_of(name));
    jw_kstr(&b, "namespace", ns);
    jw_end(&b, '}');
    if (key) {
        jw_kbegin(&b, "data", '{');
        jw_kstr(&b, key, value);
        jw_end(&b, '}');
    }
    jw_end(&b, '}');
    int status = collector_call(api, "POST", resource_by_kind(S("v1"), str_of(kind)), ns, S(""), NULL, "application/json", buf_view(&b), NULL);
    return status == 409 || status == 404 || status == 403 ? 0 : status;     /* there already, or the namespace goes */
}

int namespace_furnish(struct api *api, struct str name)
{
    int status = make(api, "ServiceAccount", name, "default", NULL, S(""));
    return status || !api->ca.n ? status : make(api, "ConfigMap", name, "kube-root-ca.crt", "ca.crt", api->ca);
}

/* ---- emptying ---------------------------------------------------------------------------------------------------- */

struct rest { size_t left, deleted, refused, finalizers; };

/* Deletes what isn't being deleted yet, some at a time; counts what is left. */
static int empty_kind(struct api *api, const struct resource *r, struct str ns, struct rest *rest)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_API_ARENA };
    static const char *const deleted[] = { "metadata", "deletionTimestamp" }, *const finalizers[] = { "metadata", "finalizers" };
    struct str names[DELETES_PER_STEP];
    struct store_scan s;
    struct kr_err e;
    size_t n = 0;
    int rc;
    store_scan_begin(api->store, &s, resource_prefix(r, ns, &a), S(""));
    while ((rc = store_scan_next(&s, &e)) > 0 && n < DELETES_PER_STEP - rest->deleted) {
        struct str name = s.at.key;
        str_cut(&name, '/');
        str_cut(&name, '/');
        rest->left++;
        rest->finalizers += json_find_path(s.at.json, finalizers, 2).n > 2;
        if (!json_find_path(s.at.json, deleted, 2).p)
            names[n++] = arena_str(&a, name);
    }
    store_scan_end(&s);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        int status = collector_call(api, "DELETE", r, ns, names[i], NULL, "application/json", S("{\"propagationPolicy\":\"Background\"}"), NULL);
        bool gone = !status || status == 404;
        rest->deleted += gone;
        rest->refused += !gone;
        if (status >= 500)
            rc = -1;
    }
    return rc < 0 ? -1 : 0;
}

static void set_condition(struct arena *a, struct json *conditions, const char *type, bool holds, const char *reason, struct str message, const char *now)
{
    struct json *c = json_new_object(a);
    json_set(a, c, S("type"), json_new_str(a, str_of(type)));
    json_set(a, c, S("status"), json_new_str(a, holds ? S("True") : S("False")));
    json_set(a, c, S("lastTransitionTime"), json_new_str(a, str_of(now)));
    json_set(a, c, S("reason"), json_new_str(a, str_of(reason)));
    json_set(a, c, S("message"), json_new_str(a, message));
    json_append(conditions, c);
}

/* Says in the status what it waits for. */
static int tell(struct api *api, struct json *ns, struct str name, const struct rest *rest, struct arena *a)
{
    char now[TIME_TEXT];
    time_print(now, loop_wall_us(api->loop));
    struct json *status = json_ensure_object(a, ns, "status"), *old = json_get(status, "conditions"), *conditions = json_new_array(a);
    struct str left = arena_fmt(a, "Some resources are remaining: %zu in all", rest->left);
    struct str held = arena_fmt(a, "Some content in the namespace has finalizers remaining: %zu in all", rest->finalizers);
    set_condition(a, conditions, "NamespaceContentRemaining", rest->left > 0, rest->left ? "SomeResourcesRemain" : "ContentRemoved", left, now);
    set_condition(a, conditions, "NamespaceFinalizersRemaining", rest->finalizers > 0, rest->finalizers ? "SomeFinalizersRemain" : "ContentHasNoFinalizers",
                  held, now);
    if (json_len(old) == 2 && str_eq(json_string(json_get(json_at(old, 0), "message")), left) &&
        str_eq(json_string(json_get(json_at(old, 1), "message")), held))
        return 0;
    json_set(a, status, S("conditions"), conditions);
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    json_print(&b, ns);
    return collector_call(api, "PUT", ns_resource(), S(""), name, "status", "application/json", buf_view(&b), NULL);
}

static int finalize(struct api *api, struct json *ns, struct str name, struct arena *a)
{
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    json_set(a, json_ensure_object(a, ns, "spec"), S("finalizers"), json_new_array(a));
    json_print(&b, ns);
    return collector_call(api, "PUT", ns_resource(), S(""), name, "finalize", "application/json", buf_view(&b), NULL);
}

int namespace_empty(struct api *api, struct str name)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_API_ARENA };
    struct store_value v;
    struct kr_err e;
    struct rest rest = { 0 };
    if (store_get(api->store, resource_key(ns_resource(), S(""), name, &a), &v, &e) <= 0)
        return 0;
    struct json *ns = json_parse(&a, arena_str(&a, v.json), &e);
    if (!ns || !json_get(json_get(ns, "metadata"), "deletionTimestamp"))
        return 0;
    for (size_t i = 0; i < nresources && rest.deleted < DELETES_PER_STEP; i++)
        if (resources[i].namespaced && empty_kind(api, &resources[i], name, &rest) < 0)
            return -1;
    if (rest.deleted)
        return 1;
    int status = rest.left ? tell(api, ns, name, &rest, &a) : finalize(api, ns, name, &a);
    return status >= 500 || rest.refused ? -1 : 0;       /* what was refused is tried again, not at once */
}
