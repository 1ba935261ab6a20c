/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api: from path and method to the function that carries the call out, and Status objects for what goes wrong.
 *
 * Texts and reasons are those of a kube-apiserver, since people, kubectl and client libraries know them.
 */
#include "applets/apiserver/backup.h"
#include "core/clock.h"
#include "core/uri.h"
#include <stdio.h>
#include <unistd.h>

#define OWN_NAME "kruntimes-apiserver"             /* as a manager of fields */

void api_reply_free(struct api_reply *r)
{
    buf_free(&r->body);
    buf_free(&r->warnings);
    free(r->own_token);
    r->own_token = NULL;
    if (r->follow && r->follow->fd >= 0)
        close(r->follow->fd);
    free(r->follow);
    r->follow = NULL;
    if (r->watch)
        filter_free(&r->start.filter);
}

struct str api_query(struct api_call *c, const char *name)
{
    struct str v = uri_query_get(c->q->query, name, &c->arena);
    return v.p ? v : S("");
}

bool api_query_given(struct api_call *c, const char *name) { return uri_query_get(c->q->query, name, &c->arena).p; }

bool api_query_bool(struct api_call *c, const char *name)
{
    struct str v = api_query(c, name);
    return api_query_given(c, name) && !str_is(v, "0") && !str_caseeq(v, S("false"));
}

bool api_is_namespace(const struct api_call *c) { return !*c->path.r->group && !strcmp(c->path.r->plural, "namespaces"); }

struct str api_resource_name(const struct resource *r, struct arena *a)
{
    return *r->group ? arena_fmt(a, "%s.%s", r->plural, r->group) : str_of(r->plural);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

int api_fail_not_found(struct api_call *c, struct str name)
{
    c->about = name;
    return kr_fail(&c->e, KR_NOT_FOUND, "%.*s \"%.*s\" not found", SFMT(api_resource_name(c->path.r, &c->arena)), SFMT(name));
}

int api_fail_conflict(struct api_call *c, struct str name, const char *why)
{
    c->about = name;
    return kr_fail(&c->e, KR_CONFLICT, "Operation cannot be fulfilled on %.*s \"%.*s\": %s",
                   SFMT(api_resource_name(c->path.r, &c->arena)), SFMT(name), why);
}

void api_add_cause(struct api_call *c, const char *reason, struct str message, struct str field)
{
    if (c->ncauses == c->causes_cap) {
        c->causes_cap = c->causes_cap ? c->causes_cap * 2 : 8;
        c->causes = xrealloc(c->causes, c->causes_cap * sizeof *c->causes);
    }
    c->causes[c->ncauses++] = (struct api_cause){ arena_str(&c->arena, str_of(reason)), arena_str(&c->arena, message),
                                                 arena_str(&c->arena, field) };
}

const char *api_options_of(struct str method)
{
    return str_is(method, "POST") ? "CreateOptions" : str_is(method, "PUT") ? "UpdateOptions" : str_is(method, "PATCH") ? "PatchOptions" : "DeleteOptions";
}

int api_fail_option(struct api_call *c, const char *options, const char *field, const char *reason, struct str message)
{
    api_add_cause(c, reason, message, str_of(field));
    c->options = options;
    return kr_fail(&c->e, KR_INVALID, "%s.meta.k8s.io \"\" is invalid: %s: %.*s", options, field, SFMT(message));
}

int api_fail_invalid(struct api_call *c, struct str name)
{
    const struct resource *r = c->path.r;
    AUTO_BUF struct buf b = { .max = LIMIT_OBJECT_BYTES };
    buf_fmt(&b, "%s%s%s \"%.*s\" is invalid: %s", r->kind, *r->group ? "." : "", r->group, SFMT(name), c->ncauses > 1 ? "[" : "");
    for (size_t i = 0; i < c->ncauses; i++)
        buf_fmt(&b, "%s%.*s%s%.*s", i ? ", " : "", SFMT(c->causes[i].field), c->causes[i].field.n ? ": " : "", SFMT(c->causes[i].message));
    if (c->ncauses > 1)
        buf_byte(&b, ']');
    c->about = name;
    c->about_kind = true;
    c->message = arena_str(&c->arena, buf_view(&b));
    return kr_fail(&c->e, KR_INVALID, "%.*s", SFMT(c->message));
}

void api_warn(struct api_call *c, struct str text)
{
    if (c->reply->warnings.n > 4096)
        return;
    buf_str(&c->reply->warnings, text);
    buf_byte(&c->reply->warnings, '\n');
}

/* Whom it is about. */
static void write_about(struct api_call *c, struct buf *b)
{
    const struct resource *r = c->path.r;
    struct str name = c->about.n ? c->about : c->path.name;
    if (c->options) {
        if (*c->options) {
            jw_kstr(b, "group", S("meta.k8s.io"));
            jw_kstr(b, "kind", str_of(c->options));
        }
        return;
    }
    if (name.n)
        jw_kstr(b, "name", name);
    if (*r->group)
        jw_kstr(b, "group", str_of(r->group));
    jw_kstr(b, "kind", str_of(c->about_kind ? r->kind : r->plural));
}

static void write_details(struct api_call *c, struct buf *b)
{
    jw_kbegin(b, "details", '{');
    write_about(c, b);
    if (c->ncauses) {
        jw_kbegin(b, "causes", '[');
        for (size_t i = 0; i < c->ncauses; i++) {
            jw_begin(b, '{');
            jw_kstr(b, "reason", c->causes[i].reason);
            jw_kstr(b, "message", c->causes[i].message);
            if (c->causes[i].field.n)
                jw_kstr(b, "field", c->causes[i].field);
            jw_end(b, '}');
        }
        jw_end(b, ']');
    }
    if (c->e.retry_after_s)
        jw_kint(b, "retryAfterSeconds", c->e.retry_after_s);
    jw_end(b, '}');
}

static void write_status(struct buf *b, const struct kr_err *e, struct str message, struct str next_token)
{
    jw_begin(b, '{');
    jw_kstr(b, "kind", S("Status"));
    jw_kstr(b, "apiVersion", S("v1"));
    jw_kbegin(b, "metadata", '{');
    if (next_token.n)
        jw_kstr(b, "continue", next_token);
    jw_end(b, '}');
    jw_kstr(b, "status", S("Failure"));
    jw_kstr(b, "message", message);
    jw_kstr(b, "reason", str_of(kr_codes[e->code].reason));
}

/* What can't be understood, or not be answered, is about no object yet. */
static bool about_nothing(enum kr_code code) { return code == KR_BAD_REQUEST || code == KR_UNSUPPORTED || code == KR_NOT_ACCEPTABLE; }

static void api_status_reply(struct api_call *c)
{
    struct api_reply *r = c->reply;
    buf_free(&r->body);
    r->body.max = LIMIT_API_BODY;
    write_status(&r->body, &c->e, c->message.n ? c->message : str_of(c->e.msg), r->next_token);
    if (c->path.r && !about_nothing(c->e.code))
        write_details(c, &r->body);
    r->status = kr_codes[c->e.code].http;
    jw_kint(&r->body, "code", r->status);
    jw_end(&r->body, '}');
    r->content_type = "application/json";
    r->retry_after_s = c->e.retry_after_s;
}

void api_reply_error(struct api_reply *r, const struct kr_err *e)
{
    if (r->watch)
        filter_free(&r->start.filter);
    r->watch = false;
    buf_free(&r->body);
    r->body.max = LIMIT_API_BODY;
    write_status(&r->body, e, str_of(e->msg), S(""));
    r->status = kr_codes[e->code].http;
    jw_kint(&r->body, "code", r->status);
    jw_end(&r->body, '}');
    r->content_type = "application/json";
    r->retry_after_s = e->code == KR_NO_SPACE ? 1 : e->retry_after_s;
}

/* ---- dispatch ---------------------------------------------------------------------------------------------------- */

static int refuse_method(struct api_call *c)
{
    c->options = "";
    return kr_fail(&c->e, KR_METHOD, "the server does not allow this method on the requested resource");
}

static int check_sub(struct api_call *c)
{
    const struct api_path *p = &c->path;
    if (!p->sub.n || (str_is(p->sub, "status") && (p->r->flags & RES_STATUS)))
        return 0;
    if (str_is(p->sub, "token") && !strcmp(p->r->plural, "serviceaccounts"))
        return str_is(c->q->method, "POST") ? 0 : refuse_method(c);
    if (str_is(p->sub, "finalize") && api_is_namespace(c))
        return str_is(c->q->method, "PUT") ? 0 : refuse_method(c);
    if (str_is(p->sub, "log") && !*p->r->group && !strcmp(p->r->plural, "pods"))
        return str_is(c->q->method, "GET") ? 0 : refuse_method(c);
    if (str_is(p->sub, "scale") && (p->r->flags & RES_SCALE))
        return 0;
    return kr_fail(&c->e, KR_NOT_FOUND, "the server could not find the requested resource");
}

static int dispatch(struct api_call *c)
{
    struct str m = c->q->method, dry = api_query(c, "dryRun");
    if (str_is(c->q->path, "/kruntimes/backup"))
        return api_backup(c);
    if (api_path_parse(&c->path, c->q->path, &c->arena) < 0) {
        c->path = (struct api_path){ 0 };
        return kr_fail(&c->e, KR_NOT_FOUND, "the server could not find the requested resource");
    }
    if (check_sub(c) < 0)
        return -1;
    if (c->form == FORM_NONE && !str_is(c->path.sub, "log"))
        return kr_fail(&c->e, KR_NOT_ACCEPTABLE, "only the following media types are accepted: application/json");
    if (dry.n && !str_is(dry, "All"))
        return api_fail_option(c, api_options_of(m), "dryRun", "FieldValueNotSupported",
                               arena_fmt(&c->arena, "Unsupported value: [\"%.*s\"]: supported values: \"All\"", SFMT(dry)));
    c->dry_run = dry.n > 0;
    if (str_is(m, "POST") && (((c->path.r->flags & RES_REVIEW) && !c->path.name.n) || str_is(c->path.sub, "token")))
        return api_review(c);
    if (c->path.r->flags & RES_REVIEW)
        return refuse_method(c);
    bool read = str_is(m, "GET") || str_is(m, "HEAD");
    if (read && !c->path.name.n)
        return api_query_bool(c, "watch") ? api_watch(c) : api_list(c);
    if (read)
        return str_is(c->path.sub, "log") ? api_log(c) : api_get(c);
    if (str_is(m, "POST") && !c->path.name.n && !c->path.all_namespaces)
        return api_create(c);
    if (str_is(m, "PUT") && c->path.name.n)
        return api_update(c);
    if (str_is(m, "PATCH") && c->path.name.n)
        return api_patch(c);
    if (str_is(m, "DELETE") && c->path.name.n && !c->path.sub.n)
        return api_delete(c);
    if (str_is(m, "DELETE") && !c->path.name.n && !c->path.all_namespaces)
        return api_delete_collection(c);
    return refuse_method(c);
}

/* ?timeout=30s, as client libraries send it; 0 and less: the client has no wish. */
static int read_timeout(struct api_call *c)
{
    struct str text = api_query(c, "timeout"), value = text;
    int64_t us = 0;
    if (str_starts(text, S("-")) || str_starts(text, S("+")))
        value = str_from(text, 1);
    if (text.n && !str_is(value, "0") && !duration_parse(value, &us))
        return kr_fail(&c->e, KR_BAD_REQUEST, "invalid timeout specified in the request URL - time: invalid duration \"%.*s\": write 30s", SFMT(text));
    if (!str_starts(text, S("-")))
        c->reply->timeout_us = us;
    return 0;
}

/* A parameter that can't be decoded is refused: a selector that is passed over would pick everything. */
static int check_query(struct api_call *c) { return uri_query_check(c->q->query, &c->e) < 0 ? -1 : read_timeout(c); }

void api_handle(struct api *api, const struct api_request *q, struct api_reply *reply)
{
    struct api_call c = { .api = api, .q = q, .reply = reply, .arena = { .limit = LIMIT_API_ARENA, .first = 16384 } };
    *reply = (struct api_reply){ .content_type = "application/json", .body = { .max = SIZE_MAX / 4 }, .warnings = { .max = 65536 } };
    store_set_time(api->store, loop_wall_us(api->loop));
    c.form = api_form_of(q->accept, api_query(&c, "includeObject"));
    if (check_query(&c) < 0 || api_authorize(&c) < 0 || (!api_discovery(&c) && dispatch(&c) < 0))
        api_status_reply(&c);
    if (reply->body.failed || c.arena.over) {
        kr_fail(&c.e, KR_TOO_LARGE, API_OVER);
        c.ncauses = 0;
        c.message = S("");
        api_status_reply(&c);
    }
    free(c.causes);
    arena_reset(&c.arena);
}

int api_check(struct api *api, const struct api_user *user, struct str method, struct str path, struct str query, struct kr_err *e)
{
    struct api_request q = { .method = method, .path = path, .query = query, .user = user };
    struct api_call c = { .api = api, .q = &q, .arena = { .limit = 65536 } };
    int rc = uri_query_check(query, &c.e) < 0 ? -1 : api_authorize(&c);
    if (rc < 0)
        *e = c.e;
    arena_reset(&c.arena);
    return rc;
}

/* Creates it unless it is there. */
static int ensure(struct api *api, const char *path, struct str body, struct kr_err *e)
{
    struct api_reply r;
    api_handle(api, &(struct api_request){ .method = S("POST"), .path = str_of(path), .user_agent = S(OWN_NAME), .body = body }, &r);
    int rc = r.status == 201 || r.status == 409 ? 0 : kr_fail(e, KR_SYSTEM, "what is always there can't be made (%s): %.*s", path, SFMT(buf_view(&r.body)));
    api_reply_free(&r);
    return rc;
}

/* What the control plane may is the table of this binary, whatever the one before it had: an instance outlives a release. */
static int put(struct api *api, const char *path, const char *name, struct str body, struct kr_err *e)
{
    AUTO_BUF struct buf whole = { .max = 512 };
    struct api_reply r;
    if (ensure(api, path, body, e) < 0)
        return -1;
    buf_fmt(&whole, "%s/%s", path, name);
    api_handle(api, &(struct api_request){ .method = S("PUT"), .path = buf_view(&whole), .user_agent = S(OWN_NAME), .body = body }, &r);
    int rc = r.status == 200 ? 0 : kr_fail(e, KR_SYSTEM, "\"%s\" can't be brought up to date: %.*s", whole.p, SFMT(buf_view(&r.body)));
    api_reply_free(&r);
    return rc;
}

/* A role of crds/access.def, and who of the control plane has it. */
static int ensure_role(struct api *api, enum access_role role, struct kr_err *e)
{
    AUTO_BUF struct buf body = { .max = 8192 }, binding = { .max = 8192 }, name = { .max = 128 };
    const struct access_role_def *d = &access_roles[role];
    bool home = d->where == ACCESS_HOME;
    if (d->where == ACCESS_GIVEN)
        return 0;
    authz_put_role(role, &body);
    if (d->where == ACCESS_PEOPLE)                /* whoever changed it meant to */
        return ensure(api, "/apis/rbac.authorization.k8s.io/v1/clusterroles", buf_view(&body), e);
    buf_fmt(&name, "%s%s", d->name, home ? "-lease" : "");
    authz_put_binding(role, component_accounts[str_starts(str_of(d->name), S("kruntimes-scheduler"))].user, &binding);
    return put(api, home ? "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles" : "/apis/rbac.authorization.k8s.io/v1/clusterroles", name.p,
               buf_view(&body), e) < 0 ? -1
        : put(api, home ? "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings" : "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
              name.p, buf_view(&binding), e);
}

int api_bootstrap(struct api *api, struct kr_err *e)
{
    static const char *const namespaces[] = {
        "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"default\"}}",
        "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"kube-system\"}}" };
    int rc = 0;
    for (size_t i = 0; i < LEN(namespaces) && rc == 0; i++)
        rc = ensure(api, "/api/v1/namespaces", str_of(namespaces[i]), e);
    for (size_t i = 0; i < authz_ndefaults && rc == 0; i++) {
        struct str body = str_of(authz_defaults[i]);
        bool binding = str_find(body, S("\"kind\":\"ClusterRoleBinding\"")) >= 0;
        rc = ensure(api, binding ? "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings" : "/apis/rbac.authorization.k8s.io/v1/clusterroles", body, e);
    }
    for (enum access_role r = 0; r < ACCESS_ROLES && rc == 0; r++)
        rc = ensure_role(api, r, e);
    if (rc < 0)
        return -1;
    if (store_commit(api->store, e) < 0) {
        watch_forget(api->watches);
        return -1;
    }
    watch_publish(api->watches);
    return 0;
}
