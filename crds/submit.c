/* SPDX-License-Identifier: Apache-2.0 */
/*
 * submit: YAML → checked JSON. What the CLI refuses beyond the schema is here too: what is wrong with a Workflow's graph.
 */
#include "crds/submit.h"
#include "crds/flow.h"
#include "core/fs.h"
#include "core/model_admit.h"
#include "core/opt.h"
#include "core/yaml.h"

static void put_causes(struct buf *b, const struct model_errors *errors)
{
    for (size_t i = 0; i < errors->n; i++)
        if (!str_is(errors->v[i].field, "<nil>"))        /* only says that there may be more */
            buf_fmt(b, "%s%.*s: %.*s", b->n ? "; " : "", SFMT(errors->v[i].field), SFMT(errors->v[i].message));
}

/* What isn't declared, with what was probably meant: a field that is missing may be one that is misspelt. */
static void put_unknown(struct buf *b, const struct model_type *type, const struct str_list *unknown)
{
    for (size_t i = 0; i < unknown->n; i++) {
        const char *near = model_nearest(type, unknown->v[i]);
        buf_fmt(b, "%sunknown field \"%.*s\"", b->n ? "; " : "", SFMT(unknown->v[i]));
        if (near)
            buf_fmt(b, ": did you mean \"%s\"?", near);
    }
}

static int wrong_kind(struct str api, struct str kind, struct str from, struct kr_err *e)
{
    static const char *const kinds[] = { "Run", "Runtime", "Workflow" };
    const char *near = opt_nearest(kind, kinds, LEN(kinds));
    if (!kind.n || !api.n)
        return kr_fail(e, KR_INVALID, "%.*s: it has no %s: a Run begins with apiVersion: kruntimes.io/v1alpha1 and kind: Run", SFMT(from), kind.n ? "apiVersion" : "kind");
    return kr_fail(e, KR_INVALID, "%.*s: kind \"%.*s\" of apiVersion \"%.*s\" is not taken here: it must be a Run, a Runtime or a Workflow of kruntimes.io/v1alpha1%s%s%s", SFMT(from),
                   SFMT(kind), SFMT(api), near ? "; did you mean " : "", near ? near : "", near ? " of kruntimes.io/v1alpha1?" : "");
}

static const struct model_type *type_of(const struct json *object, const struct kube_resource **resource)
{
    struct str api = json_string(json_get(object, "apiVersion")), kind = json_string(json_get(object, "kind"));
    *resource = kube_resource_of_kind(api, kind);
    return *resource && str_starts(api, S("kruntimes.io/")) ? crd_find(kind) : NULL;
}

int submit_workflow(struct str json, struct flow **flow, struct arena *a, struct kr_err *e)
{
    struct workflow *w = model_decode(workflow, json, a, e);
    if (!w || !(*flow = flow_make(w, a, e)))
        return -1;
    return flow_check(*flow, e);
}

/* Cycles, references and expressions, which a schema can't see. */
static int check_workflow(const struct json *object, struct str from, struct arena *a, struct kr_err *e)
{
    AUTO_BUF struct buf text = { .max = LIMIT_API_BODY };
    struct flow *flow;
    json_print(&text, object);
    return submit_workflow(arena_str(a, buf_view(&text)), &flow, a, e) < 0 ? kr_wrap(e, "%.*s", SFMT(from)) : 0;
}

static void append(struct submissions *s, struct submission x, struct arena *a)
{
    struct submission *v = arena_alloc(a, (s->n + 1) * sizeof *v);
    if (!v)
        return;
    if (s->n)
        memcpy(v, s->v, s->n * sizeof *v);
    v[s->n] = x;
    *s = (struct submissions){ v, s->n + 1 };
}

int submit_check(struct submissions *out, struct str json, struct str from, struct str default_ns, struct arena *a, struct kr_err *e)
{
    const struct kube_resource *resource;
    struct model_errors errors = { 0 };
    struct str_list unknown = { 0 };
    struct json *object = json_parse(a, json, e);
    if (!object)
        return kr_wrap(e, "%.*s", SFMT(from));
    struct str kind = json_string(json_get(object, "kind"));
    const struct model_type *type = type_of(object, &resource);
    if (!type)
        return wrong_kind(json_string(json_get(object, "apiVersion")), kind, from, e);
    struct json *meta = json_ensure_object(a, object, "metadata"), *checked = NULL;
    if (!json_get(meta, "namespace"))
        json_set(a, meta, S("namespace"), json_new_str(a, default_ns));
    if (!(checked = json_clone(a, object)) || model_admit(type, a, checked, NULL, &errors, &unknown, e) < 0)
        return kr_wrap(e, "%.*s", SFMT(from));
    AUTO_BUF struct buf why = { .max = 380 };
    put_unknown(&why, type, &unknown);
    put_causes(&why, &errors);
    if (errors.n || (unknown.n && !out->newer))
        return kr_fail(e, KR_INVALID, "%.*s: %.*s", SFMT(from), SFMT(buf_view(&why)));
    if (type == &type_workflow && check_workflow(object, from, a, e) < 0)
        return -1;
    AUTO_BUF struct buf text = { .max = LIMIT_API_BODY };
    json_print(&text, object);
    if (text.failed)
        return kr_fail(e, KR_TOO_LARGE, "%.*s: the object is larger than %d bytes", SFMT(from), LIMIT_API_BODY);
    append(out, (struct submission){ .resource = resource, .json = arena_str(a, buf_view(&text)), .ns = json_string(json_get(meta, "namespace")),
                                     .name = json_string(json_get(meta, "name")), .generate_name = json_string(json_get(meta, "generateName")),
                                     .from = from }, a);
    return 0;
}

int submit_read(struct submissions *out, const char *path, struct str default_ns, struct arena *a, struct kr_err *e)
{
    AUTO_BUF struct buf file = { .max = LIMIT_FILE_INPUT };
    struct yaml_docs docs;
    const char *shown = strcmp(path, "-") ? path : "stdin";
    if (fs_read(path, &file, e) < 0)
        return -1;
    if (yaml_to_json(buf_view(&file), a, &docs, e) < 0)
        return kr_wrap(e, "%s", shown);
    if (!docs.n)
        return kr_fail(e, KR_INVALID, "%s: there is no object in it", shown);
    for (size_t i = 0; i < docs.n; i++)
        if (submit_check(out, docs.docs[i].json, arena_fmt(a, "%s:%zu", shown, docs.docs[i].line), default_ns, a, e) < 0)
            return -1;
    return 0;
}
