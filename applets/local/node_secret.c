/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_secret: the Secrets that a pod's runtimed or a Job mounts, as folders of files, before its processes start. One that isn't
 * there is waited for, one that can't be written is tried again, and one that changes is written anew, file by file, as a kubelet
 * does: who reads one sees the old or the new. The runtime container's volumes are not served: its processes see the machine's
 * files as they are.
 * Tests: tests/unit/applets/local_node.c, tests/local/git.py, tests/interop/s3_local.py
 */
#include "applets/local/node.h"
#include "core/base64.h"
#include "core/fs.h"
#include "core/log.h"
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

struct secret {
    struct secret *next;
    struct secrets *of;
    struct loop *loop;
    char *volume, *name, *dir;
    struct informer *watch;
    struct buf json;                              /* what could not be written yet */
    struct timer again;
    bool there;
};

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* What a Secret's key may be (an API server says the same), and a file's name. */
static bool is_key(struct str key)
{
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return key.n && key.n < 250 && !str_is(key, ".") && !str_starts(key, S(".."));
}

static void remove_others(const char *dir, const struct json *data)
{
    DIR *d = opendir(dir);
    for (struct dirent *x; d && (x = readdir(d));)
        if (strcmp(x->d_name, ".") && strcmp(x->d_name, "..") && !json_get(data, x->d_name))
            unlinkat(dirfd(d), x->d_name, 0);
    if (d)
        closedir(d);
}

static int write_keys(const struct secret *s, struct str json, struct arena *a, struct kr_err *e)
{
    struct json *o = json_parse(a, json, e), *data = json_get(o, "data");
    if (!o || fs_make_dir(s->dir, 0700, e) < 0)
        return -1;
    for (struct json *x = json_first(data); x; x = json_next(x)) {
        struct str bytes, key = json_key(x);
        if (!is_key(key)) {
            log_warn(&log_std, "a key of a Secret is no file name: it is left out", LOG_Z("secret", s->name), LOG_STR("key", key));
            continue;
        }
        if (base64_decode(a, BASE64_STD, json_string(x), &bytes, e) < 0 || fs_write(fs_join(a, s->dir, arena_z(a, key)), bytes, 0600, false, e) < 0)
            return -1;
    }
    remove_others(s->dir, data);
    return 0;
}

/* ---- the watch --------------------------------------------------------------------------------------------------- */

static void put(struct secret *s)
{
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    if (write_keys(s, buf_view(&s->json), &a, &e) < 0) {
        log_error(&log_std, "a Secret can't be mounted", LOG_Z("secret", s->name), LOG_ERR(&e));
        loop_timer_in(s->loop, &s->again, AGAIN_US);
        return;
    }
    loop_timer_stop(s->loop, &s->again);
    buf_free(&s->json);
    s->there = true;
    if (secrets_are_there(s->of))
        s->of->ready(s->of);
}

static void put_again(struct loop *loop, struct timer *t)
{
    (void)loop;
    put(container_of(t, struct secret, again));
}

static void set(void *ctx, struct str key, struct str json)
{
    struct secret *s = ctx;
    (void)key;
    buf_clear(&s->json);
    buf_str(&s->json, json);
    put(s);
}

static void gone(void *ctx, struct str key, struct str json)
{
    struct secret *s = ctx;
    (void)key, (void)json;
    loop_timer_stop(s->loop, &s->again);          /* what is mounted stays until its user ends */
}

static void synced(void *ctx)
{
    const struct secret *s = ctx;
    if (!s->there)
        log_warn(&log_std, "a Secret is waited for", LOG_Z("secret", s->name), LOG_Z("volume", s->volume));
}

static void mount(struct secrets *of, struct node *n, struct str ns, struct str volume, struct str name, const char *dir)
{
    AUTO_BUF struct buf fields = { .max = 512 };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct secret *s = xcalloc(1, sizeof *s);
    *s = (struct secret){ .next = of->first, .of = of, .loop = n->loop, .volume = xstrndup(volume.p, volume.n), .name = xstrndup(name.p, name.n),
                          .json = { .max = LIMIT_KUBE_LINE }, .again = { .fire = put_again } };
    const char *path = arena_fmt(&a, "%s/%s", dir, s->volume).p;
    s->dir = xstrndup(path, strlen(path));
    of->first = s;
    buf_fmt(&fields, "metadata.name=%.*s", SFMT(name));
    s->watch = informer_new(n->kube, &(struct informer_config){ .resource = &kube_secrets, .ns = ns, .fields = buf_view(&fields), .user = { set, gone, synced, NULL, s } },
                            &n->rnd);
}

/* ---- all of one pod or Job --------------------------------------------------------------------------------------- */

void secrets_mount(struct secrets *of, struct node *n, struct str ns, struct json *pod, const struct json *container, const char *dir)
{
    static const char *const volumes[] = { "spec", "volumes" }, *const name[] = { "secret", "secretName" };
    for (struct json *m = json_first(json_get(container, "volumeMounts")); m; m = json_next(m))
        for (struct json *v = json_first(json_get_path(pod, volumes, 2)); v; v = json_next(v)) {
            struct str secret = json_string(json_get_path(v, name, 2)), volume = json_string(json_get(v, "name"));
            if (secret.n && is_key(volume) && str_eq(volume, json_string(json_get(m, "name"))))
                mount(of, n, ns, volume, secret, dir);
        }
}

bool secrets_are_there(const struct secrets *of)
{
    for (const struct secret *s = of->first; s; s = s->next)
        if (!s->there)
            return false;
    return true;
}

const char *secrets_folder(const struct secrets *of, const char *volume)
{
    for (const struct secret *s = of->first; s; s = s->next)
        if (!strcmp(s->volume, volume))
            return s->dir;
    return NULL;
}

void secrets_unmount(struct secrets *of)
{
    for (struct secret *s; (s = of->first);) {
        of->first = s->next;
        informer_free(s->watch);
        loop_timer_stop(s->loop, &s->again);
        buf_free(&s->json);
        free(s->volume);
        free(s->name);
        free(s->dir);
        free(s);
    }
}
