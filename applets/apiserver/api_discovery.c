/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_discovery: /version, health pages, and the lists from which clients learn what is served, all printed from the
 * table of resources.
 */
#include "applets/apiserver/api.h"
#include "core/metrics.h"
#include "core/version.h"

static void text(struct api_call *c, const char *z)
{
    c->reply->status = 200;
    c->reply->content_type = "text/plain; charset=utf-8";
    buf_lit(&c->reply->body, z);
}

static void version(struct buf *b)
{
    jw_begin(b, '{');
    jw_kstr(b, "major", S("1"));
    jw_kstr(b, "minor", S("34"));
    jw_kstr(b, "gitVersion", S("v1.34.0+kruntimes"));
    jw_kstr(b, "gitCommit", S(""));
    jw_kstr(b, "gitTreeState", S("clean"));
    jw_kstr(b, "buildDate", S("1970-01-01T00:00:00Z"));
    jw_kstr(b, "goVersion", S("none"));
    jw_kstr(b, "compiler", S("gcc"));
    jw_kstr(b, "platform", S("linux/amd64"));
    jw_end(b, '}');
}

static bool first_of_group(size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!strcmp(resources[k].group, resources[i].group))
            return false;
    return true;
}

static void group(struct buf *b, const struct resource *r)
{
    char api[96];
    jw_begin(b, '{');
    jw_kstr(b, "name", str_of(r->group));
    jw_kbegin(b, "versions", '[');
    jw_begin(b, '{');
    jw_kstr(b, "groupVersion", resource_api_version(r, api));
    jw_kstr(b, "version", str_of(r->version));
    jw_end(b, '}');
    jw_end(b, ']');
    jw_kbegin(b, "preferredVersion", '{');
    jw_kstr(b, "groupVersion", resource_api_version(r, api));
    jw_kstr(b, "version", str_of(r->version));
    jw_end(b, '}');
    jw_end(b, '}');
}

static void groups(struct buf *b)
{
    jw_begin(b, '{');
    jw_kstr(b, "kind", S("APIGroupList"));
    jw_kstr(b, "apiVersion", S("v1"));
    jw_kbegin(b, "groups", '[');
    for (size_t i = 0; i < nresources; i++)
        if (*resources[i].group && first_of_group(i))
            group(b, &resources[i]);
    jw_end(b, ']');
    jw_end(b, '}');
}

static void words(struct buf *b, const char *key, const char *list)
{
    struct str rest = str_of(list);
    jw_kbegin(b, key, '[');
    while (rest.n)
        jw_str(b, str_cut(&rest, ','));
    jw_end(b, ']');
}

/* A subresource, and the kind of its objects where that is another one than the resource's. */
struct sub { const char *name, *verbs, *group, *version, *kind; };
enum { SUBS_MAX = 4 };

static size_t subs_of(const struct resource *r, struct sub out[SUBS_MAX])
{
    size_t n = 0;
    if (r->flags & RES_STATUS)
        out[n++] = (struct sub){ "status", "get,patch,update", NULL, NULL, NULL };
    if (r->flags & RES_SCALE)
        out[n++] = (struct sub){ "scale", "get,patch,update", "autoscaling", "v1", "Scale" };
    if (!strcmp(r->plural, "serviceaccounts"))
        out[n++] = (struct sub){ "token", "create", "authentication.k8s.io", "v1", "TokenRequest" };
    if (!strcmp(r->plural, "namespaces"))
        out[n++] = (struct sub){ "finalize", "update", NULL, NULL, NULL };
    if (!strcmp(r->plural, "pods")) {
        out[n++] = (struct sub){ "log", "get", NULL, NULL, NULL };
        out[n++] = (struct sub){ "portforward", "create,get", "", "v1", "PodPortForwardOptions" };
    }
    return n;
}

static const char *verbs_of(const struct resource *r)
{
    return r->flags & RES_REVIEW ? "create" : api_deletes_collections(r) ? "create,delete,deletecollection,get,list,patch,update,watch"
                                                                         : "create,delete,get,list,patch,update,watch";
}

static void resource_entry(struct buf *b, const struct resource *r, const struct sub *sub)
{
    AUTO_BUF struct buf name = { .max = 128 };
    buf_fmt(&name, "%s%s%s", r->plural, sub ? "/" : "", sub ? sub->name : "");
    jw_begin(b, '{');
    jw_kstr(b, "name", buf_view(&name));
    jw_kstr(b, "singularName", sub ? S("") : str_of(r->singular));
    jw_kbool(b, "namespaced", r->namespaced);
    if (sub && sub->kind) {
        jw_kstr(b, "group", str_of(sub->group));
        jw_kstr(b, "version", str_of(sub->version));
    }
    jw_kstr(b, "kind", str_of(sub && sub->kind ? sub->kind : r->kind));
    words(b, "verbs", sub ? sub->verbs : verbs_of(r));
    if (!sub && *r->short_names)
        words(b, "shortNames", r->short_names);
    if (!sub && *r->categories)
        words(b, "categories", r->categories);
    jw_end(b, '}');
}

static bool resource_list(struct buf *b, struct str group_name, struct str version_name)
{
    bool any = false;
    char api[96];
    for (size_t i = 0; i < nresources; i++) {
        const struct resource *r = &resources[i];
        if (!str_is(group_name, r->group) || !str_is(version_name, r->version))
            continue;
        if (!any) {
            jw_begin(b, '{');
            jw_kstr(b, "kind", S("APIResourceList"));
            jw_kstr(b, "apiVersion", S("v1"));
            jw_kstr(b, "groupVersion", resource_api_version(r, api));
            jw_kbegin(b, "resources", '[');
            any = true;
        }
        resource_entry(b, r, NULL);
        struct sub subs[SUBS_MAX];
        for (size_t k = 0, n = subs_of(r, subs); k < n; k++)
            resource_entry(b, r, &subs[k]);
    }
    if (any) {
        jw_end(b, ']');
        jw_end(b, '}');
    }
    return any;
}

static bool group_by_name(struct buf *b, struct str name)
{
    for (size_t i = 0; i < nresources; i++) {
        if (!*resources[i].group || !str_is(name, resources[i].group))
            continue;
        AUTO_BUF struct buf g = { .max = 1024 };
        group(&g, &resources[i]);
        buf_lit(b, "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",");
        buf_str(b, str_from(buf_view(&g), 1));
        return true;
    }
    return false;
}

/* ---- aggregated: all of it in two answers (KEP-3352) --------------------------------------------------------------- */

static void response_kind(struct buf *b, const char *group_name, const char *version_name, const char *kind)
{
    jw_kbegin(b, "responseKind", '{');
    jw_kstr(b, "group", str_of(group_name));
    jw_kstr(b, "version", str_of(version_name));
    jw_kstr(b, "kind", str_of(kind));
    jw_end(b, '}');
}

static void aggregated_resource(struct buf *b, const struct resource *r)
{
    struct sub subs[SUBS_MAX];
    size_t n = subs_of(r, subs);
    jw_begin(b, '{');
    jw_kstr(b, "resource", str_of(r->plural));
    response_kind(b, r->group, r->version, r->kind);
    jw_kstr(b, "scope", r->namespaced ? S("Namespaced") : S("Cluster"));
    jw_kstr(b, "singularResource", str_of(r->singular));
    words(b, "verbs", verbs_of(r));
    if (*r->short_names)
        words(b, "shortNames", r->short_names);
    if (*r->categories)
        words(b, "categories", r->categories);
    if (n)
        jw_kbegin(b, "subresources", '[');
    for (size_t i = 0; i < n; i++) {
        bool own = !subs[i].kind;
        jw_begin(b, '{');
        jw_kstr(b, "subresource", str_of(subs[i].name));
        response_kind(b, own ? r->group : subs[i].group, own ? r->version : subs[i].version, own ? r->kind : subs[i].kind);
        words(b, "verbs", subs[i].verbs);
        jw_end(b, '}');
    }
    if (n)
        jw_end(b, ']');
    jw_end(b, '}');
}

static void aggregated_group(struct buf *b, const struct resource *first)
{
    jw_begin(b, '{');
    jw_kbegin(b, "metadata", '{');
    if (*first->group)
        jw_kstr(b, "name", str_of(first->group));
    jw_kraw(b, "creationTimestamp", S("null"));
    jw_end(b, '}');
    jw_kbegin(b, "versions", '[');
    jw_begin(b, '{');
    jw_kstr(b, "version", str_of(first->version));
    jw_kbegin(b, "resources", '[');
    for (size_t i = 0; i < nresources; i++)
        if (!strcmp(resources[i].group, first->group))
            aggregated_resource(b, &resources[i]);
    jw_end(b, ']');
    jw_kstr(b, "freshness", S("Current"));
    jw_end(b, '}');
    jw_end(b, ']');
    jw_end(b, '}');
}

#define AGGREGATED "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

/* Does the client name it before plain JSON? Blanks between the parameters don't count. */
static bool wants_aggregated(struct str accept)
{
    while (accept.n) {
        char one[128];
        size_t n = 0;
        struct str media = str_cut(&accept, ',');
        for (size_t i = 0; i < media.n && n < sizeof one; i++)
            if (media.p[i] != ' ')
                one[n++] = media.p[i];
        if (str_is((struct str){ one, n }, AGGREGATED))
            return true;
        if (str_is((struct str){ one, n }, "application/json"))
            return false;
    }
    return false;
}

static void aggregated(struct api_call *c, bool core)
{
    struct buf *b = &c->reply->body;
    c->reply->content_type = AGGREGATED;
    jw_begin(b, '{');
    jw_kstr(b, "kind", S("APIGroupDiscoveryList"));
    jw_kstr(b, "apiVersion", S("apidiscovery.k8s.io/v2"));
    jw_kraw(b, "metadata", S("{}"));
    jw_kbegin(b, "items", '[');
    for (size_t i = 0; i < nresources; i++)
        if (core == !*resources[i].group && first_of_group(i))
            aggregated_group(b, &resources[i]);
    jw_end(b, ']');
    jw_end(b, '}');
}

bool api_discovery(struct api_call *c)
{
    struct str rest = c->q->path, part[5];
    struct buf *b = &c->reply->body;
    size_t n = 0;
    if (!str_is(c->q->method, "GET") && !str_is(c->q->method, "HEAD"))
        return false;
    str_cut(&rest, '/');
    while (rest.n && n < LEN(part)) {
        struct str p = str_cut(&rest, '/');
        if (p.n)
            part[n++] = p;
    }
    c->reply->status = 200;
    if (n == 0)
        return buf_lit(b, "{\"paths\":[\"/api\",\"/api/v1\",\"/apis\",\"/healthz\",\"/livez\",\"/metrics\",\"/readyz\",\"/version\"]}"), true;
    if (str_is(part[0], "version") && n == 1)
        return version(b), true;
    if (str_is(part[0], "metrics") && n == 1) {
        enum metrics_format format = metrics_accepted(c->q->accept);
        c->reply->content_type = metrics_content_types[format];
        return metrics_print(b, format, loop_wall_us(c->api->loop)), true;
    }
    const struct kr_err *failure = store_failure(c->api->store);
    if (str_is(part[0], "readyz") && failure) {
        text(c, arena_fmt(&c->arena, "[-]store failed: it stopped writing: %s\nreadyz check failed\n", failure->msg).p);
        c->reply->status = 500;
        return true;
    }
    if (str_is(part[0], "healthz") || str_is(part[0], "livez") || str_is(part[0], "readyz"))
        return text(c, "ok"), true;
    if (str_is(part[0], "openapi"))
        return api_openapi(c, part, n);
    if (n == 1 && (str_is(part[0], "api") || str_is(part[0], "apis")) && wants_aggregated(c->q->accept))
        return aggregated(c, str_is(part[0], "api")), true;
    if (str_is(part[0], "api") && n == 1)
        return buf_lit(b, "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],\"serverAddressByClientCIDRs\":[]}"), true;
    if (str_is(part[0], "api") && n == 2)
        return resource_list(b, S(""), part[1]);
    if (str_is(part[0], "apis") && n == 1)
        return groups(b), true;
    if (str_is(part[0], "apis") && n == 2)
        return group_by_name(b, part[1]);
    if (str_is(part[0], "apis") && n == 3)
        return resource_list(b, part[1], part[2]);
    return false;
}
