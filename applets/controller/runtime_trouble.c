/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime_trouble: why a Runtime has no pods, or pods that don't get ready, in the words of who refused: the Deployment (quota,
 * a missing service account, PodSecurity), the scheduler of pods, the kubelet (images, containers that end), or ports of the
 * template that kruntimes needs itself. The first found is told. Tested by the stories runtime_trouble_* of the controller.
 */
#include "applets/controller/controller.h"
#include <stdio.h>

enum { LOGS_PORT = 9093, PAGES_PORT = 9094, MESSAGE_MAX = 800 };

static void tell(struct runtime_trouble *t, struct str reason, struct str message, struct arena *a)
{
    if (t->reason.n)
        return;
    t->reason = arena_str(a, reason);
    t->message = arena_str(a, (struct str){ message.p, str_rune_cut(message, MESSAGE_MAX) });
}

static struct json *part(struct str object, const char *member, struct arena *a)
{
    struct kr_err e = { 0 };
    const char *const path[] = { "status", member };
    struct str raw = json_find_path(object, path, 2);
    return raw.p ? json_parse(a, raw, &e) : NULL;
}

static struct str member(const struct json *o, const char *name) { return json_string(json_get(o, name)); }

/* How the container ended last: a crash loop tells nothing but that it is one. */
static struct str last_end(const struct json *container, struct arena *a)
{
    static const char *const path[] = { "lastState", "terminated" };
    const struct json *end = json_get_path(container, path, 2);
    int64_t code = 0;
    struct str said = str_trim(member(end, "message"));
    if (!end || !json_int(json_get(end, "exitCode"), &code))
        return S("");
    return arena_fmt(a, " (it ended with %lld%s%.*s)", (long long)code, said.n ? ": " : "", SFMT(said));
}

/* Waiting for what may not come by itself. */
static void look_at_containers(struct runtime_trouble *t, struct str pod, struct str name, const char *list, struct arena *a)
{
    static const char *const waiting[] = { "state", "waiting" };
    for (const struct json *c = json_first(part(pod, list, a)); c; c = json_next(c)) {
        const struct json *w = json_get_path(c, waiting, 2);
        struct str reason = member(w, "reason");
        if (!reason.n || str_is(reason, "PodInitializing") || str_is(reason, "ContainerCreating"))
            continue;
        struct str said = str_is(reason, "CrashLoopBackOff") ? S("it keeps ending") : member(w, "message");      /* kubelet's own counts seconds */
        if (str_find(last_end(c, a), S("SandboxUnavailable: ")) >= 0)
            reason = S("SandboxUnavailable");     /* what our Runtime Server left as its last words */
        tell(t, reason, arena_fmt(a, "pod \"%.*s\", container \"%.*s\": %.*s%.*s", SFMT(name), SFMT(member(c, "name")), SFMT(said), SFMT(last_end(c, a))), a);
    }
}

void runtime_trouble_of_pod(struct runtime_trouble *t, struct str pod, struct arena *a)
{
    static const char *const name_path[] = { "metadata", "name" };
    struct str name = json_str_of(json_find_path(pod, name_path, 2), a);
    if (t->reason.n)
        return;
    look_at_containers(t, pod, name, "initContainerStatuses", a);
    look_at_containers(t, pod, name, "containerStatuses", a);
    for (const struct json *c = json_first(part(pod, "conditions", a)); c; c = json_next(c))
        if (str_is(member(c, "type"), "PodScheduled") && str_is(member(c, "status"), "False"))
            tell(t, member(c, "reason"), arena_fmt(a, "pod \"%.*s\" has no node: %.*s", SFMT(name), SFMT(member(c, "message"))), a);
}

void runtime_trouble_of_deployment(struct runtime_trouble *t, struct str deployment, struct arena *a)
{
    for (const struct json *c = json_first(part(deployment, "conditions", a)); c; c = json_next(c))
        if (str_is(member(c, "type"), "ReplicaFailure") && str_is(member(c, "status"), "True"))
            tell(t, member(c, "reason"), member(c, "message"), a);
}

/* All containers of a pod share its ports. */
static void look_at_ports(struct runtime_trouble *t, const struct json *containers, int64_t server_port, struct arena *a)
{
    for (const struct json *c = json_first(containers); c; c = json_next(c)) {
        struct str name = member(c, "name");
        for (const struct json *p = json_first(json_get(c, "ports")); p; p = json_next(p)) {
            int64_t n = 0;
            bool mine = str_is(name, "runtime");
            if (!json_int(json_get(p, "containerPort"), &n) || (n != LOGS_PORT && n != PAGES_PORT && (mine || n != server_port)))
                continue;
            tell(t, S("PortCollision"), arena_fmt(a, "container \"%.*s\" of the template has port %lld, which is that of %s: give it another", SFMT(name),
                                                  (long long)n, n == server_port ? "the Runtime Server (spec.port)" : "runtimed"), a);
        }
    }
}

void runtime_trouble_of_template(struct runtime_trouble *t, const struct runtime *r, struct arena *a)
{
    struct kr_err e = { 0 };
    const struct json *template = json_parse(a, r->spec.template, &e), *spec = json_get(template, "spec");
    int64_t port = r->spec.has_port ? r->spec.port : 9091;
    look_at_ports(t, json_get(spec, "containers"), port, a);
    look_at_ports(t, json_get(spec, "initContainers"), port, a);
}
