/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_secrets: Secrets that runtimed mounts, as folders of files beside the pod's state: PODDIR/secrets/VOLUME/KEY. The pod's
 * processes start when all are there, and a changed Secret is written anew, as a kubelet does. The runtime container's
 * volumes are not served: its processes see the machine's files as they are.
 * Tests: tests/local/git.py.
 */
#include "applets/local/node.h"
#include "core/base64.h"
#include "core/fs.h"
#include "core/log.h"
#include <stdio.h>

struct node_secret {
    struct node_secret *next;
    struct npod *p;
    char *volume;
    struct informer *watch;
    bool there;
};

static const char *folder(const struct node_secret *s, struct arena *a)
{
    return arena_fmt(a, "%s/%s/secrets/%s", s->p->n->dir, s->p->uid, s->volume).p;
}

static bool is_plain(struct str key) { return key.n && key.n < 250 && str_chr(key, '/') < 0 && *key.p != '.'; }

static int write_keys(struct node_secret *s, struct str json, struct arena *a, struct kr_err *e)
{
    struct json *o = json_parse(a, json, e);
    const char *dir = folder(s, a);
    if (!o || fs_remove_tree(dir, e) < 0 || fs_make_dir(dir, 0700, e) < 0)
        return -1;
    for (struct json *x = json_first(json_get(o, "data")); x; x = json_next(x)) {
        struct str bytes, key = json_key(x);
        if (!is_plain(key))
            continue;
        if (base64_decode(a, BASE64_STD, json_string(x), &bytes, e) < 0 ||
            fs_write(arena_fmt(a, "%s/%.*s", dir, SFMT(key)).p, bytes, 0600, false, e) < 0)
            return -1;
    }
    return 0;
}

static void set(void *ctx, struct str key, struct str json)
{
    struct node_secret *s = ctx;
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    if (write_keys(s, json, &a, &e) < 0) {
        log_error(&log_std, "a Secret can't be laid out for a pod", LOG_STR("secret", key), LOG_STR("pod", s->p->name), LOG_ERR(&e));
        return;
    }
    s->there = true;
    if (secrets_are_there(s->p))
        npod_secrets_ready(s->p);
}

static void gone(void *ctx, struct str key, struct str json)
{
    (void)ctx, (void)key, (void)json;             /* what a pod has mounted stays until it ends */
}

static void synced(void *ctx)
{
    struct node_secret *s = ctx;
    if (!s->there)
        log_warn(&log_std, "a pod waits for a Secret", LOG_STR("pod", s->p->name), LOG_Z("volume", s->volume));
}

static void watch(struct npod *p, struct str volume, struct str name)
{
    AUTO_BUF struct buf fields = { .max = 512 };
    struct node_secret *s = xcalloc(1, sizeof *s);
    *s = (struct node_secret){ .next = p->secrets, .p = p, .volume = xstrndup(volume.p, volume.n) };
    p->secrets = s;
    buf_fmt(&fields, "metadata.name=%.*s", SFMT(name));
    s->watch = informer_new(p->n->kube, &(struct informer_config){ .resource = &kube_secrets, .ns = p->ns, .fields = buf_view(&fields),
                                                                   .user = { set, gone, synced, NULL, s } }, &p->n->rnd);
}

void secrets_start(struct npod *p, const struct json *pod, const struct json *sidecar)
{
    static const char *const volumes[] = { "spec", "volumes" }, *const name[] = { "secret", "secretName" };
    for (struct json *m = json_first(json_get(sidecar, "volumeMounts")); m; m = json_next(m))
        for (struct json *v = json_first(json_get_path(pod, volumes, 2)); v; v = json_next(v)) {
            struct str secret = json_string(json_get_path(v, name, 2)), volume = json_string(json_get(v, "name"));
            if (secret.n && is_plain(volume) && !str_is(volume, "artifact-store") && str_eq(volume, json_string(json_get(m, "name"))))
                watch(p, volume, secret);
        }
}

bool secrets_are_there(const struct npod *p)
{
    for (const struct node_secret *s = p->secrets; s; s = s->next)
        if (!s->there)
            return false;
    return true;
}

const char *secret_folder(const struct npod *p, const char *volume, struct arena *a)
{
    for (const struct node_secret *s = p->secrets; s; s = s->next)
        if (!strcmp(s->volume, volume))
            return folder(s, a);
    return NULL;
}

void secrets_stop(struct npod *p)
{
    for (struct node_secret *s; (s = p->secrets);) {
        p->secrets = s->next;
        informer_free(s->watch);
        free(s->volume);
        free(s);
    }
}
