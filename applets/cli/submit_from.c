/* SPDX-License-Identifier: Apache-2.0 */
/*
 * submit_from: a Run like one that is there: `run retry`, and `run submit --from`, where options of the command line take the place of
 * what the other one has. A step of a Workflow is not for this: its workspace and its place in the order are the Workflow's.
 * Tests: tests/local/submit.py
 */
#include "applets/cli/run.h"
#include "applets/cli/which.h"
#include "core/map.h"
#include "k8s/patch.h"

#define STEM "kruntimes.io/retry-stem"

/* Its name without the tail of a former one like it. */
static struct str stem_of(const struct run *r)
{
    struct str name = r->metadata.name, before = str_map_get(r->metadata.annotations, S(STEM));
    struct str stem = before.n && str_starts(name, before) ? before : name;
    return (struct str){ stem.p, stem.n < 200 ? stem.n : 200 };
}

static struct json *like(const struct run *r, const struct json *old, bool retry, struct arena *a)
{
    static const char *const labels_path[] = { "metadata", "labels" };
    struct json *object = json_new_object(a), *meta = json_new_object(a), *notes = json_new_object(a), *spec = json_clone(a, json_get(old, "spec"));
    const struct json *labels = json_get_path(old, labels_path, 2);
    json_set(a, object, S("apiVersion"), json_new_str(a, S("kruntimes.io/v1alpha1")));
    json_set(a, object, S("kind"), json_new_str(a, S("Run")));
    json_set(a, meta, S("generateName"), json_new_str(a, arena_fmt(a, "%.*s-", SFMT(stem_of(r)))));
    json_set(a, meta, S("namespace"), json_new_str(a, r->metadata.namespace));
    if (labels)
        json_set(a, meta, S("labels"), json_clone(a, labels));
    if (retry)
        json_set(a, notes, S("kruntimes.io/retry-of"), json_new_str(a, r->metadata.name));
    json_set(a, notes, S(STEM), json_new_str(a, stem_of(r)));
    json_set(a, meta, S("annotations"), notes);
    json_set(a, object, S("metadata"), meta);
    json_del(spec, S("cancelRequested"));
    json_set(a, object, S("spec"), spec);
    return object;
}

struct json *submit_like(struct cli *c, struct str name, bool retry, struct arena *a, struct kr_err *e)
{
    AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER };
    if (cli_get(c, &kube_runs, cli_ns(c), name, &body, e) < 0)
        return NULL;
    struct str text = arena_str(a, buf_view(&body));
    const struct run *r = model_decode(run, text, a, e);
    const struct json *old = r ? json_parse(a, text, e) : NULL;
    if (!old)
        return NULL;
    if (str_map_get(r->metadata.labels, S("kruntimes.io/workflow-uid")).n) {
        kr_fail(e, KR_INVALID, "run/%.*s is a step of a Workflow: kruntimes workflow rerun --failed executes what failed of that again", SFMT(name));
        return NULL;
    }
    if (retry && !run_is_terminal(r)) {
        kr_fail(e, KR_INVALID, "run/%.*s is not over (%.*s): cancel it, or wait for its end", SFMT(name), SFMT(run_phase(r)));
        return NULL;
    }
    return like(r, old, retry, a);
}

/* ---- options over it --------------------------------------------------------------------------------------------- */

/* A list is replaced as a whole by a merge; of env the names that are not given anew stay. */
static void merge_env(const struct json *base, struct json *given, struct arena *a)
{
    struct map names = { 0 };
    struct json *env = json_get(given, "env"), *all = json_new_array(a);
    for (const struct json *v = json_first(env); v; v = json_next(v))
        map_put(&names, json_string(json_get(v, "name")), all);
    for (const struct json *v = json_first(json_get(base, "env")); v && env; v = json_next(v))
        if (!map_get(&names, json_string(json_get(v, "name"))))
            json_append(all, json_clone(a, v));
    for (const struct json *v = json_first(env); v; v = json_next(v))
        json_append(all, json_clone(a, v));
    if (env)
        json_set(a, given, S("env"), all);
    map_free(&names);
}

int submit_from(struct cli *c, struct str from, struct buf *text, struct arena *a, struct kr_err *e)
{
    static const char *const name_path[] = { "metadata", "name" };
    struct str name = str_starts(from, S("run/")) ? str_from(from, 4) : from;
    if (!c->kube)
        return kr_fail(e, KR_NOT_FOUND, "--from: there is no server to ask for run/%.*s", SFMT(name));
    if (cli_latest(c, &kube_runs, &name, 1, e) < 0)
        return -1;
    struct json *base = submit_like(c, name, false, a, e), *given = base ? json_parse(a, arena_str(a, buf_view(text)), e) : NULL;
    if (!given)
        return kr_wrap(e, "--from");
    struct json *spec = json_get(base, "spec");
    merge_env(spec, json_get(given, "spec"), a);
    if (json_get(json_get(given, "spec"), "source"))
        json_del(spec, S("source"));
    if (json_get_path(given, name_path, 2))
        json_del(json_get(base, "metadata"), S("generateName"));
    const struct json *both = patch_merge(a, base, given, e);
    text->n = 0;
    if (both)
        json_print(text, both);
    return !both ? -1 : text->failed ? kr_fail(e, KR_TOO_LARGE, "the Run is too large") : 0;
}
