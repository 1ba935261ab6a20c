/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_secret: the volume of a pod or Job that is a Secret, as files in a folder, before its processes start. A Secret that
 * isn't there is waited for, as a kubelet does. Tests: tests/interop/s3_local.py
 */
#include "applets/local/node.h"
#include "core/base64.h"
#include "core/fs.h"
#include "core/log.h"

enum { AGAIN_US = 1000000, SECRET_MAX = 2 << 20 };

struct str secret_of(struct json *pod, const char *volume)
{
    static const char *const path[] = { "spec", "volumes" }, *const name[] = { "secret", "secretName" };
    for (struct json *v = json_first(json_get_path(pod, path, 2)); v; v = json_next(v))
        if (str_is(json_string(json_get(v, "name")), volume))
            return json_string(json_get_path(v, name, 2));
    return S("");
}

static int write_files(const char *dir, struct str secret, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 8 << 20 };
    struct json *data = json_get(json_parse(&a, secret, e), "data");
    if (e->code || fs_make_dir(dir, 0700, e) < 0)
        return -1;
    for (struct json *x = json_first(data); x; x = json_next(x)) {
        struct str key = json_key(x), bytes;
        if (str_chr(key, '/') >= 0 || key.p[0] == '.' || base64_decode(&a, BASE64_STD, json_string(x), &bytes, e) < 0 ||
            fs_write(fs_join(&a, dir, arena_z(&a, key)), bytes, 0600, false, e) < 0)
            return e->code ? -1 : kr_fail(e, KR_INVALID, "the key \"%.*s\" is no file name", SFMT(key));
    }
    return 0;
}

static void fetch(struct mounting *m);

static void again(struct loop *loop, struct timer *t)
{
    (void)loop;
    fetch(container_of(t, struct mounting, again));
}

static void fetched(void *ctx, const struct kube_result *r)
{
    struct mounting *m = ctx;
    struct kr_err e = { 0 };
    m->call = NULL;
    if (r->error)
        e = *r->error;
    else
        write_files(m->dir, r->body, &e);
    if (!e.code) {
        m->done(m);
        return;
    }
    log_warn(&log_std, "a Secret can't be mounted", LOG_Z("secret", m->name), LOG_Z("namespace", m->ns), LOG_ERR(&e));
    m->again.fire = again;
    loop_timer_in(m->n->loop, &m->again, AGAIN_US);
}

static void fetch(struct mounting *m) { m->call = kube_get(m->n->kube, &kube_secrets, str_of(m->ns), str_of(m->name), (struct kube_user){ fetched, m }); }

void mount_secret(struct node *n, struct mounting *m, struct str ns, struct str name, const char *dir, void (*done)(struct mounting *))
{
    *m = (struct mounting){ .n = n, .ns = xstrndup(ns.p, ns.n), .name = xstrndup(name.p, name.n), .dir = xstrndup(dir, strlen(dir)), .done = done };
    fetch(m);
}

void mounting_end(struct mounting *m)
{
    if (!m->n)
        return;
    kube_cancel(m->call);
    loop_timer_stop(m->n->loop, &m->again);
    free(m->ns);
    free(m->name);
    free(m->dir);
    *m = (struct mounting){ 0 };
}
