/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_discovery: /version, health pages, and the lists from which clients learn what is served, all printed from the
 * table of resources.
 */
#include "applets/apiserver/api.h"
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

/* Subresources whose objects are of another kind. */
struct other_kind { const char *sub, *group, *version, *kind; };

static const struct other_kind *other_kind(const char *sub)
{
    static const struct other_kind all[] = { { "/scale", "autoscaling", "v1", "Scale" }, { "/token", "authentication.k8s.io", "v1", "TokenRequest" },
                                             { "/portforward", "", "v1", "PodPortForwardOptions" } };
    for (size_t i = 0; i < LEN(all); i++)
        if (!strcmp(sub, all[i].sub))
            return &all[i];
    return NULL;
}

static void resource_entry(struct buf *b, const struct resource *r, const char *sub, const char *verbs)
{
    const struct other_kind *other = other_kind(sub);
    AUTO_BUF struct buf name = { .max = 128 };
    buf_fmt(&name, "%s%s", r->plural, sub);
    jw_begin(b, '{');
    jw_kstr(b, "name", buf_view(&name));
    jw_kstr(b, "singularName", *sub ? S("") : str_of(r->singular));
    jw_kbool(b, "namespaced", r->namespaced);
    if (other) {
        jw_kstr(b, "group", str_of(other->group));
        jw_kstr(b, "version", str_of(other->version));
    }
    jw_kstr(b, "kind", str_of(other ? other->kind : r->kind));
    words(b, "verbs", verbs);
    if (!*sub && *r->short_names)
        words(b, "shortNames", r->short_names);
    if (!*sub && *r->categories)
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
        resource_entry(b, r, "", r->flags & RES_REVIEW ? "create" : "create,delete,deletecollection,get,list,patch,update,watch");
        if (r->flags & RES_STATUS)
            resource_entry(b, r, "/status", "get,patch,update");
        if (r->flags & RES_SCALE)
            resource_entry(b, r, "/scale", "get,patch,update");
        if (!strcmp(r->plural, "serviceaccounts"))
            resource_entry(b, r, "/token", "create");
        if (!strcmp(r->plural, "pods")) {
            resource_entry(b, r, "/log", "get");
            resource_entry(b, r, "/portforward", "create,get");
        }
        if (!strcmp(r->plural, "namespaces"))
            resource_entry(b, r, "/finalize", "update");
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
        return buf_lit(b, "{\"paths\":[\"/api\",\"/api/v1\",\"/apis\",\"/healthz\",\"/livez\",\"/readyz\",\"/version\"]}"), true;
    if (str_is(part[0], "version") && n == 1)
        return version(b), true;
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
