/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_apply: server-side apply, and who owns which field after any other write (k8s/managed.h knows how).
 *
 * Everybody is tracked from the creation on. An object that was made before that was so, or whose managers were reset, is
 * tracked from its next apply on; what was there before counts as "before-first-apply".
 * The applied text may be YAML. Undeclared fields are refused with their place, under every fieldValidation: a manager can't
 * own what isn't stored.
 */
#include "applets/apiserver/api.h"
#include "core/map.h"
#include "core/model_admit.h"
#include "k8s/managed.h"
#include <stdio.h>

enum { MANAGER_MAX = 128 };

/* ---- who writes -------------------------------------------------------------------------------------------------- */

static int fail_manager(struct api_call *c, const char *reason, struct str message)
{
    return api_fail_option(c, "PatchOptions", "fieldManager", reason, message);
}

/* ?fieldManager=, else the first word of the client's User-Agent. */
static int read_manager(struct api_call *c, bool apply, struct manager *who)
{
    char version[96], now[TIME_TEXT];
    struct str name = api_query(c, "fieldManager"), agent = c->q->user_agent;
    time_print(now, loop_wall_us(c->api->loop));
    if (apply && !name.n)
        return fail_manager(c, "FieldValueRequired", S("Required value: is required for apply patch"));
    if (name.n > MANAGER_MAX)
        return fail_manager(c, "FieldValueTooLong", S("Too long: may not be more than 128 bytes"));
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f)
            return fail_manager(c, "FieldValueInvalid", arena_fmt(&c->arena, "Invalid value: \"%.*s\": should only contain printable characters", SFMT(name)));
    if (!name.n)
        name = str_cut(&agent, '/');
    if (name.n > MANAGER_MAX)
        name.n = str_rune_cut(name, MANAGER_MAX);
    *who = (struct manager){ .name = name.n ? name : S("unknown"), .apply = apply, .subresource = c->path.sub,
                             .api_version = arena_str(&c->arena, resource_api_version(c->path.r, version)), .time = arena_str(&c->arena, str_of(now)) };
    return 0;
}

static void set_managers(struct api_call *c, struct json *object, struct managers *m)
{
    struct json *meta = json_ensure_object(&c->arena, object, "metadata"), *list = managed_json(&c->arena, m);
    if (list)
        json_set(&c->arena, meta, S("managedFields"), list);
    else
        json_del(meta, S("managedFields"));
}

static const struct json *managed_of(const struct json *object) { return json_get(json_get(object, "metadata"), "managedFields"); }

bool api_resets_managers(const struct json *object)
{
    const struct json *list = managed_of(object);
    return json_len(list) == 1 && json_is(json_first(list), JSON_OBJECT) && !json_len(json_first(list));
}

int api_track(struct api_call *c, struct json *object, const struct json *old, const struct json *base)
{
    struct managers m;
    struct manager who;
    if (read_manager(c, false, &who) < 0)
        return -1;
    managed_parse(&c->arena, base, &m);
    if (!m.n && old) {
        set_managers(c, object, &m);              /* as with a kube-apiserver */
        return 0;
    }
    if (managed_update(&c->arena, &m, &who, resource_object(c->path.r), old, object))
        set_managers(c, object, &m);
    else if (base)
        json_set(&c->arena, json_ensure_object(&c->arena, object, "metadata"), S("managedFields"), json_clone(&c->arena, base));
    return 0;
}

/* ---- apply ------------------------------------------------------------------------------------------------------- */

static int read_applied(struct api_call *c, struct json **ret)
{
    if (api_parse_yaml(c, ret) < 0)
        return -1;
    if (!json_is(*ret, JSON_OBJECT))
        return kr_fail(&c->e, KR_BAD_REQUEST, "an apply patch must be an object");
    if (json_len(managed_of(*ret)))
        return kr_fail(&c->e, KR_BAD_REQUEST, "metadata.managedFields must be nil");
    return 0;
}

static void drop_nulls(struct json *j)
{
    for (struct json *m = json_first(j), *next; m; m = next) {
        next = json_next(m);
        if (json_is(m, JSON_NULL) && json_is(j, JSON_OBJECT))
            json_remove(j, m);
        else
            drop_nulls(m);
    }
}

static int refuse_undeclared(struct api_call *c, const struct json *applied, struct str name)
{
    struct str_list unknown = { 0 };
    if (!c->path.r->type)
        return 0;
    model_prune(c->path.r->type, &c->arena, json_clone(&c->arena, applied), &unknown);
    for (size_t i = 0; i < unknown.n; i++)
        api_add_cause(c, "FieldValueInvalid", S("field not declared in schema"), unknown.v[i]);
    return c->ncauses ? api_fail_invalid(c, name) : 0;
}

/* What this endpoint doesn't write is nobody's to apply here: status on the object, all else under /status. */
static void keep_half(struct api_call *c, struct json *applied)
{
    if (str_is(c->path.sub, "status")) {
        for (struct json *m = json_first(applied), *next; m; m = next) {
            next = json_next(m);
            if (!str_is(json_key(m), "status") && !str_is(json_key(m), "apiVersion") && !str_is(json_key(m), "kind") && !str_is(json_key(m), "metadata"))
                json_remove(applied, m);
        }
        struct json *meta = json_get(applied, "metadata");
        for (struct json *m = json_first(meta), *next; m; m = next) {
            next = json_next(m);
            if (!str_is(json_key(m), "name") && !str_is(json_key(m), "namespace") && !str_is(json_key(m), "uid") && !str_is(json_key(m), "resourceVersion"))
                json_remove(meta, m);
        }
    } else if (c->path.r->flags & RES_STATUS) {
        json_del(applied, S("status"));
    }
}

static int fail_conflicts(struct api_call *c, const struct managed_conflicts *all)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    for (size_t i = 0; i < all->n; i++) {
        AUTO_BUF struct buf who = { .max = 1024 };
        buf_lit(&who, "conflict with ");
        manager_print(all->v[i].manager, &who);
        api_add_cause(c, "FieldManagerConflict", buf_view(&who), all->v[i].path);
    }
    managed_conflicts_print(all, &b);
    c->options = "";
    kr_fail(&c->e, KR_CONFLICT, "Apply failed with ");
    c->message = arena_fmt(&c->arena, "Apply failed with %.*s", SFMT(buf_view(&b)));
    return -1;
}

/* Paths that are the applier's own by the annotation; the map borrows them from the arena. */
struct known_paths { struct arena *arena; struct map by; };

static void note_path(void *ctx, struct str path)
{
    struct known_paths *k = ctx;
    map_put(&k->by, arena_str(k->arena, path), k);
}

/* Who went from client-side to server-side apply owns by the annotation what kubectl applied before: kubectl's own field
 * manager has no conflict there. */
static bool was_applied_by_kubectl(struct api_call *c, const struct manager *who, const struct json *live, struct managed_conflicts conflicts)
{
    static const char *const path[] = { "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration" };
    struct kr_err e;
    struct str text = json_string(json_get_path(live, path, 3));
    struct json *last = text.n && str_is(who->name, "kubectl") ? json_parse(&c->arena, text, &e) : NULL;
    if (!last)
        return false;
    struct fieldset fields = fieldset_of(&c->arena, resource_object(c->path.r), last);
    struct known_paths known = { .arena = &c->arena };
    size_t left = 0;
    fieldset_each(&fields, note_path, &known);
    for (size_t i = 0; i < conflicts.n; i++)
        left += !map_get(&known.by, conflicts.v[i].path);
    map_free(&known.by);
    return !left && !c->arena.over;
}

int api_apply(struct api_call *c, const struct json *live, struct json **ret)
{
    struct json *applied = NULL;
    struct manager who;
    struct managers m;
    struct managed_conflicts conflicts;
    if (read_manager(c, true, &who) < 0 || read_applied(c, &applied) < 0)
        return -1;
    drop_nulls(applied);
    keep_half(c, applied);
    struct json *meta = json_ensure_object(&c->arena, applied, "metadata");
    struct str name = json_string(json_get(meta, "name")), uid = json_string(json_get(meta, "uid"));
    if (!name.n)
        json_set(&c->arena, meta, S("name"), json_new_str(&c->arena, c->path.name));
    else if (!str_eq(name, c->path.name))
        return kr_fail(&c->e, KR_BAD_REQUEST, "the name of the object (%.*s) does not match the name on the URL (%.*s)", SFMT(name), SFMT(c->path.name));
    if (!live && uid.n)
        return api_fail_conflict(c, c->path.name, arena_fmt(&c->arena, "uid mismatch: the provided object specified uid %.*s, and no existing object was found",
                                                            SFMT(uid)).p);
    if (meta_check_kind(c, applied) < 0 || refuse_undeclared(c, applied, c->path.name) < 0)
        return -1;
    managed_parse(&c->arena, managed_of(live), &m);
    *ret = managed_apply(&c->arena, &m, &who, resource_object(c->path.r), live, applied, api_query_bool(c, "force"), &conflicts);
    if (!*ret && conflicts.n && was_applied_by_kubectl(c, &who, live, conflicts))
        *ret = managed_apply(&c->arena, &m, &who, resource_object(c->path.r), live, applied, true, &conflicts);
    if (!*ret)
        return conflicts.n ? fail_conflicts(c, &conflicts) : kr_fail(&c->e, KR_TOO_LARGE, "the request needs more memory than it may take");
    set_managers(c, *ret, &m);
    return 0;
}
