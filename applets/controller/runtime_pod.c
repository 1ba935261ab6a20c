/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime_pod: the user's PodTemplateSpec, kept as it is, with what a Runtime Pod needs laid over it: the sidecar, the
 * injected server, volumes, identity, probes, labels. What a user set on anything reserved gives way and is named.
 */
#include "applets/controller/controller.h"

#define BINARY "/kruntimes/bin/kruntimes"
#define SECRET "/kruntimes/secret/secret"
/* In containers of our own image, where /kruntimes is the program. */
#define OUR_SECRETS "/var/lib/kruntimes/secret"
#define OUR_COPY "/var/lib/kruntimes/bin"
#define OUR_GIT "/var/lib/kruntimes/git"
enum { NOBODY = 65532, GRACE_S = 3600 };

struct making {
    const struct runtime *r;
    const struct runtime_config *config;
    struct arena *a;
    struct buf *overridden;
    struct json *spec, *meta, *runtime;           /* of the template; the user's container */
};

struct json *parse_z(struct arena *a, const char *z)
{
    struct kr_err e = { 0 };
    struct json *j = json_parse(a, str_of(z), &e);
    if (!j)
        abort();                                  /* a literal of ours */
    return j;
}

static struct json *text(struct making *m, struct str s) { return json_new_str(m->a, s); }
static void set(struct making *m, struct json *o, const char *key, struct json *v) { json_set(m->a, o, str_of(key), v); }

/* Sets a reserved member; another value that stood there is told. */
static void reserve(struct making *m, struct json *o, const char *key, struct json *v, const char *where)
{
    const struct json *was = json_get(o, key);
    if (was && !json_equal(was, v))
        buf_fmt(m->overridden, "%s%s", m->overridden->n ? ", " : "", where);
    set(m, o, key, v);
}

static void set_default(struct making *m, struct json *o, const char *key, struct json *v)
{
    if (!json_get(o, key))
        set(m, o, key, v);
}

static struct json *ensure_array(struct making *m, struct json *o, const char *key)
{
    if (!json_is(json_get(o, key), JSON_ARRAY))
        set(m, o, key, json_new_array(m->a));
    return json_get(o, key);
}

static struct json *named(struct json *list, const char *name)
{
    for (struct json *x = json_first(list); x; x = json_next(x))
        if (str_is(json_string(json_get(x, "name")), name))
            return x;
    return NULL;
}

/* A list item of ours, by name: one of the user's with that name gives way. */
static void put_item(struct making *m, struct json *list, struct json *item, bool first, const char *where)
{
    struct json *was = named(list, json_string(json_get(item, "name")).p);
    if (was) {
        buf_fmt(m->overridden, "%s%s", m->overridden->n ? ", " : "", where);
        json_remove(list, was);
    }
    if (first)
        json_insert(list, 0, item);
    else
        json_append(list, item);
}

static void put_env(struct making *m, struct json *list, const char *name, struct str value)
{
    struct json *e = json_new_object(m->a);
    set(m, e, "name", text(m, str_of(name)));
    set(m, e, "value", text(m, value));
    json_append(list, e);
}

static void put_mount(struct making *m, struct json *container, const char *volume, const char *path, bool read_only)
{
    struct json *list = ensure_array(m, container, "volumeMounts"), *v = json_new_object(m->a);
    set(m, v, "name", text(m, str_of(volume)));
    set(m, v, "mountPath", text(m, str_of(path)));
    if (read_only)
        set(m, v, "readOnly", json_new_bool(m->a, true));
    for (struct json *x = json_first(list), *next; x; x = next) {
        next = json_next(x);
        if (str_is(json_string(json_get(x, "mountPath")), path))
            json_remove(list, x);
    }
    json_append(list, v);
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

static void set_labels(struct making *m)
{
    struct json *labels = json_ensure_object(m->a, m->meta, "labels"), *notes = json_ensure_object(m->a, m->meta, "annotations");
    reserve(m, labels, "kruntimes.io/runtime", text(m, m->r->metadata.name), "metadata.labels[kruntimes.io/runtime]");
    set(m, labels, "app.kubernetes.io/name", text(m, S("kruntimes")));
    set(m, labels, "app.kubernetes.io/component", text(m, S("runtime")));
    set(m, labels, "app.kubernetes.io/part-of", text(m, S("kruntimes")));
    set(m, labels, "app.kubernetes.io/managed-by", text(m, S("kruntimes")));
    const struct count_map *c = &m->r->spec.capacity.resources;
    bool runs = false;
    for (size_t i = 0; m->r->spec.has_capacity && i < c->n; i++) {
        struct str key = arena_fmt(m->a, "kruntimes.io/capacity.%.*s", SFMT(c->v[i].key));
        reserve(m, notes, key.p, text(m, arena_fmt(m->a, "%lld", (long long)c->v[i].value)), "metadata.annotations[kruntimes.io/capacity.*]");
        runs |= str_is(c->v[i].key, "runs");
    }
    if (!runs)
        set(m, notes, "kruntimes.io/capacity.runs", text(m, S("2")));
    set(m, notes, "eks.amazonaws.com/skip-containers", text(m, S("runtime")));
}

static struct str capacity_list(struct making *m)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    const struct count_map *c = &m->r->spec.capacity.resources;
    for (size_t i = 0; m->r->spec.has_capacity && i < c->n; i++)
        buf_fmt(&b, "%s%.*s=%lld", i ? "," : "", SFMT(c->v[i].key), (long long)c->v[i].value);
    return arena_str(m->a, buf_view(&b));
}

/* ---- users, identity --------------------------------------------------------------------------------------------- */

/* runtime and runtimed run as one user: the container's, else the pod's, else 65532. */
static int64_t user_of(struct making *m)
{
    int64_t uid = NOBODY;
    json_int(json_get(json_get(m->spec, "securityContext"), "runAsUser"), &uid);
    json_int(json_get(json_get(m->runtime, "securityContext"), "runAsUser"), &uid);
    return uid;
}

static void set_security(struct making *m, struct json *container, int64_t uid)
{
    struct json *sc = json_ensure_object(m->a, container, "securityContext");
    set(m, sc, "runAsUser", json_new_int(m->a, uid));
    if (uid)
        set_default(m, sc, "runAsNonRoot", json_new_bool(m->a, true));
    set_default(m, sc, "allowPrivilegeEscalation", json_new_bool(m->a, false));
    set_default(m, sc, "capabilities", parse_z(m->a, "{\"drop\":[\"ALL\"]}"));
    set_default(m, sc, "seccompProfile", parse_z(m->a, "{\"type\":\"RuntimeDefault\"}"));
}

/* Volumes of projected tokens for the API server itself would give the executed code an identity. */
static void strip_tokens(struct making *m)
{
    for (struct json *v = json_first(json_get(m->spec, "volumes")), *next_v; v; v = next_v) {
        next_v = json_next(v);
        struct json *sources = json_get(json_get(v, "projected"), "sources");
        for (struct json *s = json_first(sources), *next; s; s = next) {
            next = json_next(s);
            struct json *token = json_get(s, "serviceAccountToken");
            if (token && !json_string(json_get(token, "audience")).n) {
                json_remove(sources, s);
                buf_fmt(m->overridden, "%sspec.volumes[%.*s]", m->overridden->n ? ", " : "", SFMT(json_string(json_get(v, "name"))));
            }
        }
    }
}

/* ---- the artifact store: of runtimed alone ----------------------------------------------------------------------- */

static bool has_store_secret(const struct making *m) { return m->r->spec.artifact_store.has_s3 && m->r->spec.artifact_store.s3.credentials_secret_name.n; }

static void set_store_volume(struct making *m, struct json *list)
{
    const struct runtime_artifact_store *s = &m->r->spec.artifact_store;
    struct json *v = json_new_object(m->a);
    if (!m->r->spec.has_artifact_store || !(s->has_filesystem || has_store_secret(m)))
        return;
    set(m, v, "name", text(m, S("artifact-store")));
    if (s->has_filesystem)
        set(m, json_ensure_object(m->a, v, "persistentVolumeClaim"), "claimName", text(m, s->filesystem.volume_claim_name));
    else
        set(m, json_ensure_object(m->a, v, "secret"), "secretName", text(m, s->s3.credentials_secret_name));
    put_item(m, list, v, false, "spec.volumes[artifact-store]");
}

static void set_store(struct making *m, struct json *sidecar, struct json *env)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    if (!m->r->spec.has_artifact_store)
        return;
    model_encode(runtime_artifact_store, &m->r->spec.artifact_store, &b);
    put_env(m, env, "KRUNTIMES_ARTIFACT_STORE", buf_view(&b));
    if (str_is(str_map_get(m->r->metadata.annotations, S("kruntimes.io/keep-logs")), "true"))
        put_env(m, env, "KRUNTIMES_KEEP_LOGS", S("true"));
    if (m->r->spec.artifact_store.has_filesystem)
        put_mount(m, sidecar, "artifact-store", "/var/lib/kruntimes/artifacts", false);
    else if (has_store_secret(m))
        put_mount(m, sidecar, "artifact-store", "/var/lib/kruntimes/store-credentials", true);
}

static void set_volumes(struct making *m)
{
    struct json *list = ensure_array(m, m->spec, "volumes"), *ws = json_new_object(m->a);
    struct kr_err e = { 0 };
    if (m->r->spec.workspace.p && json_parse(m->a, m->r->spec.workspace, &e))
        ws = json_parse(m->a, m->r->spec.workspace, &e);
    else
        set(m, ws, "emptyDir", json_new_object(m->a));
    set(m, ws, "name", text(m, S("workspace")));
    strip_tokens(m);
    put_item(m, list, ws, false, "spec.volumes[workspace]");
    put_item(m, list, parse_z(m->a, "{\"name\":\"kruntimes-secret\",\"emptyDir\":{\"medium\":\"Memory\",\"sizeLimit\":\"64Ki\"}}"), false, "spec.volumes[kruntimes-secret]");
    put_item(m, list, parse_z(m->a, "{\"name\":\"kruntimes-state\",\"emptyDir\":{}}"), false, "spec.volumes[kruntimes-state]");
    put_item(m, list, parse_z(m->a, "{\"name\":\"kruntimes-token\",\"projected\":{\"sources\":["
                                    "{\"serviceAccountToken\":{\"path\":\"token\",\"expirationSeconds\":3607}},"
                                    "{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}},"
                                    "{\"downwardAPI\":{\"items\":[{\"path\":\"namespace\",\"fieldRef\":{\"fieldPath\":\"metadata.namespace\"}}]}}]}}"),
             false, "spec.volumes[kruntimes-token]");
    set_store_volume(m, list);
    if (m->r->spec.git.credentials_secret_name.n) {
        struct json *git = parse_z(m->a, "{\"name\":\"kruntimes-git\",\"secret\":{\"defaultMode\":288}}");
        set(m, json_get(git, "secret"), "secretName", text(m, m->r->spec.git.credentials_secret_name));
        put_item(m, list, git, false, "spec.volumes[kruntimes-git]");
    }
    if (str_is(m->r->spec.server, "Injected"))
        put_item(m, list, parse_z(m->a, "{\"name\":\"kruntimes-bin\",\"emptyDir\":{}}"), false, "spec.volumes[kruntimes-bin]");
}

/* ---- containers -------------------------------------------------------------------------------------------------- */

static struct str image_of(struct making *m) { return m->r->spec.daemon_image.n ? m->r->spec.daemon_image : str_of(m->config->image); }

/* How sources are fetched; the Secret is mounted into runtimed alone. */
static void set_git(struct making *m, struct json *c, struct json *env)
{
    const struct runtime_git *g = &m->r->spec.git;
    if (!m->r->spec.has_git)
        return;
    if (g->has_timeout_seconds)
        put_env(m, env, "KRUNTIMES_GIT_TIMEOUT", arena_fmt(m->a, "%llds", (long long)g->timeout_seconds));
    if (g->has_allow_private_addresses && g->allow_private_addresses)
        put_env(m, env, "KRUNTIMES_GIT_ALLOW_PRIVATE", S("true"));
    if (!g->credentials_secret_name.n)
        return;
    put_env(m, env, "KRUNTIMES_GIT_SECRET", S(OUR_GIT));
    put_mount(m, c, "kruntimes-git", OUR_GIT, true);
}

static struct json *sidecar(struct making *m, int64_t uid, int64_t grace)
{
    struct json *c = parse_z(m->a,
        "{\"name\":\"runtimed\",\"restartPolicy\":\"Always\",\"command\":[\"/kruntimes\",\"runtimed\",\"--secret-file\",\"" OUR_SECRETS "/secret\"],"
        "\"ports\":[{\"name\":\"kr-pages\",\"containerPort\":9094}],"
        "\"readinessProbe\":{\"httpGet\":{\"path\":\"/readyz\",\"port\":9094},\"periodSeconds\":2},"
        "\"livenessProbe\":{\"httpGet\":{\"path\":\"/healthz\",\"port\":9094},\"periodSeconds\":10,\"failureThreshold\":6},"
        "\"lifecycle\":{\"preStop\":{\"exec\":{\"command\":[\"/kruntimes\",\"runtimed\",\"--drain\"]}}},"
        "\"resources\":{\"requests\":{\"cpu\":\"10m\",\"memory\":\"16Mi\"}},\"terminationMessagePolicy\":\"FallbackToLogsOnError\"}");
    struct json *env = parse_z(m->a, "[{\"name\":\"KRUNTIMES_POD_NAME\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.name\"}}},"
                                     "{\"name\":\"KRUNTIMES_POD_UID\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.uid\"}}},"
                                     "{\"name\":\"KRUNTIMES_NAMESPACE\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.namespace\"}}}]");
    set(m, c, "image", text(m, image_of(m)));
    put_env(m, env, "KRUNTIMES_RUNTIME", m->r->metadata.name);
    put_env(m, env, "KRUNTIMES_SERVER_PORT", arena_fmt(m->a, "%lld", (long long)(m->r->spec.has_port ? m->r->spec.port : 9091)));
    struct str capacity = capacity_list(m);
    if (capacity.n)
        put_env(m, env, "KRUNTIMES_CAPACITY", capacity);
    put_env(m, env, "KRUNTIMES_DRAIN_GRACE", arena_fmt(m->a, "%llds", (long long)grace));
    set_store(m, c, env);
    if (str_is(str_map_get(m->r->metadata.annotations, S("kruntimes.io/print-output")), "true"))
        put_env(m, env, "KRUNTIMES_PRINT_OUTPUT", S("true"));
    set(m, c, "env", env);
    put_mount(m, c, "workspace", "/workspace", false);
    put_mount(m, c, "kruntimes-secret", OUR_SECRETS, false);
    put_mount(m, c, "kruntimes-state", "/var/lib/kruntimes/runtimed", false);
    put_mount(m, c, "kruntimes-token", "/var/run/secrets/kubernetes.io/serviceaccount", true);
    set_git(m, c, env);
    set_security(m, c, uid);
    set(m, json_get(c, "securityContext"), "readOnlyRootFilesystem", json_new_bool(m->a, true));
    return c;
}

static void set_injected(struct making *m, struct json *inits, int64_t uid)
{
    struct json *copy = parse_z(m->a, "{\"name\":\"kruntimes-copy\",\"command\":[\"/kruntimes\",\"install\",\"" OUR_COPY "\"],"
                                         "\"terminationMessagePolicy\":\"FallbackToLogsOnError\"}");
    struct json *command = parse_z(m->a, "[\"" BINARY "\",\"runtime-server\",\"--secret-file\",\"" SECRET "\"]");
    set(m, copy, "image", text(m, image_of(m)));
    put_mount(m, copy, "kruntimes-bin", OUR_COPY, false);
    set_security(m, copy, uid);
    put_item(m, inits, copy, true, "spec.initContainers[kruntimes-copy]");
    json_append(command, text(m, S("--port")));
    json_append(command, text(m, arena_fmt(m->a, "%lld", (long long)(m->r->spec.has_port ? m->r->spec.port : 9091))));
    json_append(command, text(m, S("--isolation")));
    json_append(command, text(m, m->r->spec.isolation.n ? m->r->spec.isolation : S("Process")));
    for (size_t i = 0; i < m->r->spec.interpreter.n; i++) {
        json_append(command, text(m, S("--interpreter")));
        json_append(command, text(m, m->r->spec.interpreter.v[i]));
    }
    reserve(m, m->runtime, "command", command, "spec.containers[runtime].command");
    if (json_get(m->runtime, "args")) {
        json_del(m->runtime, S("args"));
        buf_fmt(m->overridden, "%sspec.containers[runtime].args", m->overridden->n ? ", " : "");
    }
    put_mount(m, m->runtime, "kruntimes-bin", "/kruntimes/bin", true);
}

static void set_runtime_container(struct making *m, int64_t uid)
{
    long long port = (long long)(m->r->spec.has_port ? m->r->spec.port : 9091);
    put_mount(m, m->runtime, "workspace", "/workspace", false);
    put_mount(m, m->runtime, "kruntimes-secret", "/kruntimes/secret", false);
    struct json *life = json_ensure_object(m->a, m->runtime, "lifecycle");
    reserve(m, life, "preStop", parse_z(m->a, "{\"httpGet\":{\"path\":\"/drain\",\"port\":9094}}"), "spec.containers[runtime].lifecycle.preStop");
    if (!json_get(m->runtime, "ports"))
        set(m, m->runtime, "ports", parse_z(m->a, arena_fmt(m->a, "[{\"name\":\"kr-server\",\"containerPort\":%lld}]", port).p));
    set_default(m, m->runtime, "terminationMessagePolicy", text(m, S("FallbackToLogsOnError")));      /* how it ended is told by the Runtime */
    set_security(m, m->runtime, uid);
}

struct json *runtime_pod_template(const struct runtime *r, const struct runtime_config *config, struct arena *a, struct buf *overridden,
                                  struct kr_err *e)
{
    struct json *template = json_parse(a, r->spec.template, e);
    int64_t grace = GRACE_S;
    if (!template)
        return NULL;
    struct making m = { .r = r, .config = config, .a = a, .overridden = overridden, .spec = json_ensure_object(a, template, "spec"),
                        .meta = json_ensure_object(a, template, "metadata") };
    m.runtime = named(json_get(m.spec, "containers"), "runtime");
    if (!m.runtime) {
        kr_fail(e, KR_INVALID, "spec.template has no container \"runtime\"");
        return NULL;
    }
    int64_t uid = user_of(&m);
    struct json *inits = ensure_array(&m, m.spec, "initContainers"), *pod_security = json_ensure_object(a, m.spec, "securityContext");
    set_default(&m, m.spec, "terminationGracePeriodSeconds", json_new_int(a, GRACE_S));
    json_int(json_get(m.spec, "terminationGracePeriodSeconds"), &grace);
    reserve(&m, m.spec, "automountServiceAccountToken", json_new_bool(a, false), "spec.automountServiceAccountToken");
    set_default(&m, m.spec, "serviceAccountName", json_new_str(a, runtime_object_name(r->metadata.name, a)));
    set_default(&m, pod_security, "fsGroup", json_new_int(a, uid));
    set_labels(&m);
    set_volumes(&m);
    put_item(&m, inits, sidecar(&m, uid, grace), true, "spec.initContainers[runtimed]");
    if (str_is(r->spec.server, "Injected"))
        set_injected(&m, inits, uid);
    set_runtime_container(&m, uid);
    return template;
}
