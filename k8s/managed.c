/* SPDX-License-Identifier: Apache-2.0 */
/*
 * managed: a manager's set is changed by set arithmetic only: what a write changed or added leaves all other sets and enters
 * the writer's, what it removed leaves every set. Objects that nobody tracked so far are taken over by
 * "before-first-apply" when the first apply comes. Tests: tests/unit/k8s/fieldset.c, tests/unit/applets/apply.c
 */
#include "k8s/managed.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static struct manager *add(struct arena *a, struct managers *m, struct manager x)
{
    if (m->n == m->cap) {
        struct manager *v = arena_alloc(a, (m->cap + 8) * sizeof *v);
        if (!v)
            return NULL;
        if (m->n)
            memcpy(v, m->v, m->n * sizeof *v);
        m->v = v;
        m->cap += 8;
    }
    m->v[m->n] = x;
    return &m->v[m->n++];
}

void managed_parse(struct arena *a, const struct json *list, struct managers *out)
{
    *out = (struct managers){ 0 };
    for (const struct json *j = json_first(list); j; j = json_next(j)) {
        struct kr_err e;
        struct manager m = { .name = json_string(json_get(j, "manager")), .api_version = json_string(json_get(j, "apiVersion")),
                             .subresource = json_string(json_get(j, "subresource")), .time = json_string(json_get(j, "time")),
                             .apply = str_is(json_string(json_get(j, "operation")), "Apply") };
        if (json_get(j, "fieldsV1") && fieldset_parse(a, json_get(j, "fieldsV1"), &m.fields, &e) < 0) {
            out->n = 0;
            return;
        }
        m.fields.member = false;
        add(a, out, m);
    }
}

static void add_text(struct arena *a, struct json *o, const char *key, struct str v)
{
    if (v.n)
        json_add(a, o, str_of(key), json_new_str(a, v));
}

/* Applies first, then by time, as a kube-apiserver lists them. */
static int by_age(const void *x, const void *y)
{
    const struct manager *a = x, *b = y;
    if (a->apply != b->apply)
        return a->apply ? -1 : 1;
    int order = str_cmp(a->time, b->time);
    return order ? order : str_cmp(a->name, b->name);
}

struct json *managed_json(struct arena *a, const struct managers *m)
{
    struct json *list = json_new_array(a);
    if (m->n > 1)
        qsort(m->v, m->n, sizeof *m->v, by_age);
    for (size_t i = 0; i < m->n; i++) {
        const struct manager *x = &m->v[i];
        struct json *o = json_new_object(a);
        add_text(a, o, "apiVersion", x->api_version);
        json_add(a, o, S("fieldsType"), json_new_str(a, S("FieldsV1")));
        json_add(a, o, S("fieldsV1"), fieldset_json(a, &x->fields));
        add_text(a, o, "manager", x->name);
        add_text(a, o, "operation", x->apply ? S("Apply") : S("Update"));
        add_text(a, o, "subresource", x->subresource);
        add_text(a, o, "time", x->time);
        json_append(list, o);
    }
    return m->n ? list : NULL;
}

/* ---- sets -------------------------------------------------------------------------------------------------------- */

static bool is_same(const struct manager *a, const struct manager *b)
{
    return a->apply == b->apply && str_eq(a->name, b->name) && str_eq(a->api_version, b->api_version) && str_eq(a->subresource, b->subresource);
}

static struct manager *find(struct managers *m, const struct manager *who)
{
    for (size_t i = 0; i < m->n; i++)
        if (is_same(&m->v[i], who))
            return &m->v[i];
    return NULL;
}

static void drop_empty(struct managers *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->n; i++)
        if (!fieldset_is_empty(&m->v[i].fields))
            m->v[kept++] = m->v[i];
    m->n = kept;
}

/* Fields that are the server's own, or the object's name. */
static void strip(struct fieldset *s)
{
    static const char *const meta[] = { "f:creationTimestamp", "f:generation", "f:managedFields", "f:name", "f:namespace", "f:resourceVersion",
                                        "f:selfLink", "f:uid" };
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct fieldset *x = &s->v[i];
        if (str_is(x->element, "f:apiVersion") || str_is(x->element, "f:kind"))
            continue;
        if (str_is(x->element, "f:metadata")) {
            size_t n = 0;
            x->member = false;
            for (size_t k = 0; k < x->n; k++) {
                bool own = false;
                for (size_t q = 0; q < LEN(meta); q++)
                    own |= str_is(x->v[k].element, meta[q]);
                if (!own)
                    x->v[n++] = x->v[k];
            }
            x->n = n;
            if (!n)
                continue;
        }
        s->v[kept++] = *x;
    }
    s->n = kept;
}

static void compare(struct arena *a, const struct model_object *schema, const struct json *old, const struct json *now, struct field_changes *c)
{
    fieldset_compare(a, schema, old, now, c);
    strip(&c->added);
    strip(&c->modified);
    strip(&c->removed);
}

/* Takes what was changed and removed out of everybody's set but `except`'s; true when that took something. */
static bool take_from_others(struct arena *a, struct managers *m, const struct manager *except, const struct fieldset *changed,
                             const struct fieldset *removed)
{
    bool any = false;
    struct fieldset all = fieldset_union(a, changed, removed);
    for (size_t i = 0; i < m->n && !fieldset_is_empty(&all); i++) {
        const struct fieldset *out = &m->v[i] == except ? removed : &all;
        struct fieldset less = fieldset_difference(a, &m->v[i].fields, out);
        if (fieldset_equal(&less, &m->v[i].fields))
            continue;
        m->v[i].fields = less;
        any = true;
    }
    return any;
}

/* The oldest updates become one when there are too many. */
static void cap_updates(struct arena *a, struct managers *m)
{
    size_t updates = 0;
    for (size_t i = 0; i < m->n; i++)
        updates += !m->v[i].apply && !m->v[i].subresource.n;
    while (updates > LIMIT_FIELD_MANAGERS) {
        struct manager *oldest[2] = { NULL, NULL };
        for (size_t i = 0; i < m->n; i++) {
            struct manager *x = &m->v[i];
            if (x->apply || x->subresource.n)
                continue;
            if (!oldest[0] || str_cmp(x->time, oldest[0]->time) < 0) {
                oldest[1] = oldest[0];
                oldest[0] = x;
            } else if (!oldest[1] || str_cmp(x->time, oldest[1]->time) < 0) {
                oldest[1] = x;
            }
        }
        oldest[1]->fields = fieldset_union(a, &oldest[1]->fields, &oldest[0]->fields);
        oldest[1]->name = S("ancient-changes");
        oldest[0]->fields = (struct fieldset){ 0 };
        drop_empty(m);
        updates--;
    }
}

bool managed_update(struct arena *a, struct managers *m, const struct manager *who, const struct model_object *schema, const struct json *old,
                    const struct json *now)
{
    struct field_changes c;
    compare(a, schema, old, now, &c);
    struct fieldset changed = fieldset_union(a, &c.added, &c.modified);
    struct manager *self = find(m, who);
    bool any = take_from_others(a, m, self, &changed, &c.removed);
    if (!fieldset_is_empty(&changed)) {
        if (!self && (self = add(a, m, *who)))
            self->fields = (struct fieldset){ 0 };
        struct fieldset more = self ? fieldset_union(a, &self->fields, &changed) : changed;
        if (self && !fieldset_equal(&more, &self->fields)) {
            self->fields = more;
            self->time = who->time;
            any = true;
        }
    }
    drop_empty(m);
    cap_updates(a, m);
    return any;
}

/* ---- apply ------------------------------------------------------------------------------------------------------- */

struct collect { struct arena *a; struct managed_conflicts *out; const struct manager *manager; };

static void note_conflict(void *ctx, struct str path)
{
    struct collect *c = ctx;
    if (c->out->n == c->out->cap) {
        struct managed_conflict *v = arena_alloc(c->a, (c->out->cap + 16) * sizeof *v);
        if (!v)
            return;
        if (c->out->n)
            memcpy(v, c->out->v, c->out->n * sizeof *v);
        c->out->v = v;
        c->out->cap += 16;
    }
    c->out->v[c->out->n++] = (struct managed_conflict){ arena_str(c->a, path), c->manager };
}

static void find_conflicts(struct arena *a, const struct managers *m, const struct manager *self, const struct fieldset *changed,
                           struct managed_conflicts *out)
{
    for (size_t i = 0; i < m->n; i++) {
        if (is_same(&m->v[i], self))
            continue;
        struct fieldset both = fieldset_intersection(a, &m->v[i].fields, changed);
        struct collect c = { a, out, &m->v[i] };
        fieldset_each(&both, note_conflict, &c);
    }
}

/* The fields of everybody but `self`. */
static struct fieldset others(struct arena *a, const struct managers *m, const struct manager *self)
{
    struct fieldset all = { 0 };
    for (size_t i = 0; i < m->n; i++)
        if (!is_same(&m->v[i], self))
            all = fieldset_union(a, &all, &m->v[i].fields);
    return all;
}

struct json *managed_apply(struct arena *a, struct managers *m, const struct manager *who, const struct model_object *schema,
                           const struct json *live, const struct json *applied, bool force, struct managed_conflicts *out)
{
    struct managers next = { .n = m->n, .cap = m->n, .v = m->n ? arena_copy(a, m->v, m->n * sizeof *m->v) : NULL };
    *out = (struct managed_conflicts){ 0 };
    if (a->over)
        return NULL;
    if (live && !m->n) {
        struct manager before = { .name = S("before-first-apply"), .api_version = who->api_version, .time = who->time };
        managed_update(a, &next, &before, schema, NULL, live);
    }
    struct fieldset now = fieldset_of(a, schema, applied), last = { 0 };
    strip(&now);
    struct manager *self = find(&next, who);
    if (self)
        last = self->fields;
    struct json *object = live ? fieldset_merge(a, schema, live, applied) : json_clone(a, applied);
    struct fieldset theirs = others(a, &next, who), keep = fieldset_union(a, &theirs, &now), gone = fieldset_difference(a, &last, &now);
    fieldset_remove(a, schema, object, &gone, &keep);

    struct field_changes c;
    compare(a, schema, live, object, &c);
    struct fieldset changed = fieldset_union(a, &c.added, &c.modified);
    find_conflicts(a, &next, who, &changed, out);
    if (out->n && !force)
        return NULL;
    if (!self)
        self = add(a, &next, *who);
    if (!self)
        return NULL;
    bool same = fieldset_equal(&last, &now);
    self->fields = now;
    take_from_others(a, &next, self, &changed, &c.removed);
    self->fields = now;
    if (!same || !self->time.n)
        self->time = who->time;
    drop_empty(&next);
    *m = next;
    return object;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

void manager_print(const struct manager *m, struct buf *b)
{
    buf_fmt(b, "\"%.*s\"", SFMT(m->name));
    if (m->subresource.n)
        buf_fmt(b, " with subresource \"%.*s\"", SFMT(m->subresource));
    if (!m->apply)
        buf_fmt(b, " using %.*s", SFMT(m->api_version));
}

void managed_conflicts_print(const struct managed_conflicts *c, struct buf *b)
{
    buf_fmt(b, "%zu conflict%s: ", c->n, c->n == 1 ? "" : "s");
    if (c->n == 1) {
        buf_lit(b, "conflict with ");
        manager_print(c->v[0].manager, b);
        buf_fmt(b, ": %.*s", SFMT(c->v[0].path));
        return;
    }
    for (size_t i = 0; i < c->n; i++) {
        if (!i || c->v[i].manager != c->v[i - 1].manager) {
            buf_lit(b, i ? "\nconflicts with " : "conflicts with ");
            manager_print(c->v[i].manager, b);
            buf_byte(b, ':');
        }
        buf_fmt(b, "\n- %.*s", SFMT(c->v[i].path));
    }
}
