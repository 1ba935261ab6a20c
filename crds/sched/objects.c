/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects: decodes Run, Runtime and Pod and hands the cache the few fields it decides by.
 */
#include "crds/sched/objects.h"
#include "core/clock.h"
#include "crds/run.h"

enum { OBJECT_ARENA = 8 << 20 };
static const int64_t CAPACITY_MAX = 999999999999999;      /* as crds/runtime.def has it */

static struct sched_amounts amounts(const struct count_map *m, struct arena *a)
{
    struct sched_amount *v = arena_alloc(a, (m->n + 1) * sizeof *v);
    for (size_t i = 0; v && i < m->n; i++)
        v[i] = (struct sched_amount){ m->v[i].key, m->v[i].value };
    return (struct sched_amounts){ v, v ? m->n : 0 };
}

/* ---- affinity ---------------------------------------------------------------------------------------------------- */

static struct selector *selector_of(const struct run_selector *s, struct kr_err *e)
{
    AUTO_BUF struct buf json = { .max = LIMIT_OBJECT_BYTES };
    AUTO_ARENA struct arena a = { .limit = OBJECT_ARENA };
    model_encode(run_selector, s, &json);
    struct json *tree = json_parse(&a, buf_view(&json), e);
    return tree ? selector_of_json(tree, e) : NULL;
}

static int add_term(struct sched_run *r, const struct run_affinity_term *t, bool anti, int64_t weight, struct kr_err *e)
{
    struct selector *s = selector_of(&t->label_selector, e);
    if (!s)
        return -1;
    r->terms[r->nterms++] = (struct sched_term){ .selector = s, .topology = str_is(t->topology_key, "kubernetes.io/hostname") ? SCHED_BY_NODE : SCHED_BY_POD,
                                                 .anti = anti, .preferred = weight > 0, .weight = (int32_t)weight };
    return 0;
}

static int add_rules(struct sched_run *r, const struct run_affinity_rules *rules, bool anti, struct kr_err *e)
{
    for (size_t i = 0; i < rules->required.n; i++)
        if (add_term(r, &rules->required.v[i], anti, 0, e) < 0)
            return -1;
    for (size_t i = 0; i < rules->preferred.n; i++)
        if (add_term(r, &rules->preferred.v[i].term, anti, rules->preferred.v[i].weight, e) < 0)
            return -1;
    return 0;
}

static int terms_of(struct sched_run *r, const struct run_spec *spec, struct arena *a, struct kr_err *e)
{
    const struct run_affinity *f = &spec->affinity;
    if (!spec->has_affinity)
        return 0;
    size_t n = f->run_affinity.required.n + f->run_affinity.preferred.n + f->run_anti_affinity.required.n + f->run_anti_affinity.preferred.n;
    r->terms = arena_alloc(a, (n + 1) * sizeof *r->terms);
    if (!r->terms)
        return kr_fail(e, KR_TOO_LARGE, "the affinity is too large");
    if (f->has_run_affinity && add_rules(r, &f->run_affinity, false, e) < 0)
        return -1;
    return f->has_run_anti_affinity ? add_rules(r, &f->run_anti_affinity, true, e) : 0;
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

static enum sched_phase phase_of(const struct run *r)
{
    struct str p = run_phase(r);
    if (run_phase_is_terminal(p))
        return SCHED_OVER;
    return str_is(p, "Scheduled") || str_is(p, "Running") ? SCHED_ACTIVE : SCHED_PENDING;
}

static int64_t moment(struct str text)
{
    int64_t us = 0;
    return text.n && time_parse(text, &us) ? us : 0;
}

int sched_take_run(struct sched *s, struct str json, int64_t now_us, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = OBJECT_ARENA };
    struct run *r = model_decode(run, json, &a, e);
    if (!r)
        return -1;
    struct sched_run x = { .ns = r->metadata.namespace, .name = r->metadata.name, .uid = r->metadata.uid, .runtime = r->spec.runtime,
                           .phase = phase_of(r), .pod = r->status.assigned_pod, .pod_uid = r->status.assigned_pod_uid,
                           .priority = (int32_t)r->spec.priority, .created_us = moment(r->metadata.creation_timestamp),
                           .not_before_us = moment(r->status.next_attempt_time), .cancel = r->spec.has_cancel_requested && r->spec.cancel_requested,
                           .attempted = r->status.has_attempt, .started = str_is(run_condition(r, "Started"), "True"),
                           .requests = amounts(&r->spec.resources.requests, &a) };
    str_u64(r->metadata.resource_version, &x.version);
    if (r->spec.has_workspace)
        x.workspace = r->spec.workspace.name;
    x.opens_workspace = str_is(str_map_get(r->metadata.annotations, S(RUN_OPENS_WORKSPACE)), "true");
    for (size_t i = 0; i < r->metadata.owner_references.n; i++)
        if (r->metadata.owner_references.v[i].controller)
            x.owner = r->metadata.owner_references.v[i].uid;
    if (str_is(run_condition(r, "Scheduled"), "False"))
        for (size_t i = 0; i < r->status.conditions.n; i++)
            if (str_is(r->status.conditions.v[i].type, "Scheduled"))
                x.told = r->status.conditions.v[i].reason;
    struct selector_label *labels = arena_alloc(&a, (r->metadata.labels.n + 1) * sizeof *labels);
    if (!labels)
        return kr_fail(e, KR_TOO_LARGE, "its labels are too many");
    for (size_t i = 0; i < r->metadata.labels.n; i++)
        labels[i] = (struct selector_label){ r->metadata.labels.v[i].key, r->metadata.labels.v[i].value };
    x.labels = labels_from(labels, r->metadata.labels.n);
    if (terms_of(&x, &r->spec, &a, e) < 0) {
        for (size_t i = 0; i < x.nterms; i++)
            selector_free(x.terms[i].selector);
        x.nterms = 0;
        x.refused = arena_fmt(&a, "spec.affinity: %s", e->msg);
        *e = (struct kr_err){ 0 };
    }
    sched_set_run(s, &x, now_us);
    return 0;
}

int sched_take_runtime(struct sched *s, struct str json, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = OBJECT_ARENA };
    struct runtime *r = model_decode(runtime, json, &a, e);
    if (!r)
        return -1;
    struct sched_runtime to = { r->metadata.namespace, r->metadata.name, amounts(&r->spec.capacity.resources, &a), r->metadata.deletion_timestamp.n > 0,
                                S(""), S("") };
    for (size_t i = 0; i < r->status.conditions.n; i++) {
        const struct condition *c = &r->status.conditions.v[i];
        if (str_is(c->type, "Degraded") && str_is(c->status, "True"))
            to.degraded = c->reason, to.why = c->message;
    }
    sched_set_runtime(s, &to);
    return 0;
}

/* Who may change a pod's annotations can write anything: what a Runtime could not have offered doesn't count. */
bool sched_capacity(struct str_pair annotation, struct sched_amount *ret)
{
    struct str name = str_from(annotation.key, sizeof "kruntimes.io/capacity." - 1);
    if (!str_starts(annotation.key, S("kruntimes.io/capacity.")) || !str_i64(annotation.value, &ret->n) || ret->n < 0 || ret->n > CAPACITY_MAX)
        return false;
    ret->resource = name;
    return name.n > 0;
}

static struct sched_amounts capacity_of(const struct object_meta *m, struct arena *a)
{
    struct sched_amount *v = arena_alloc(a, (m->annotations.n + 1) * sizeof *v);
    size_t n = 0;
    for (size_t i = 0; v && i < m->annotations.n; i++)
        n += sched_capacity(m->annotations.v[i], &v[n]);
    return (struct sched_amounts){ v, n };
}

int sched_take_pod(struct sched *s, struct str json, struct str *uid, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = OBJECT_ARENA };
    struct pod *p = model_decode(pod, json, &a, e);
    bool ready = false;
    if (!p)
        return -1;
    for (size_t i = 0; i < p->status.conditions.n; i++)
        if (str_is(p->status.conditions.v[i].type, "Ready"))
            ready = str_is(p->status.conditions.v[i].status, "True");
    struct sched_pod x = { .ns = p->metadata.namespace, .name = p->metadata.name, .uid = p->metadata.uid,
                           .runtime = str_map_get(p->metadata.labels, S("kruntimes.io/runtime")), .node = p->spec.node_name,
                           .capacity = capacity_of(&p->metadata, &a), .ready = ready && str_is(p->status.phase, "Running"),
                           .deleting = p->metadata.deletion_timestamp.n > 0,
                           .over = str_is(p->status.phase, "Succeeded") || str_is(p->status.phase, "Failed") };
    *uid = (struct str){ xstrndup(x.uid.p, x.uid.n), x.uid.n };
    sched_set_pod(s, &x);
    return 0;
}
