/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_job: Jobs of the controller (batch/v1, only `artifact-clean`) as processes of this binary. One that fails is tried again
 * with waits that double, up to its backoffLimit; how it ended is written to its status as a Job controller would. Its
 * activeDeadlineSeconds count from when this node takes it up, as those of a Job that was suspended do.
 * Tests: tests/local/artifacts.py
 */
#include "applets/local/node.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/proc.h"
#include <signal.h>
#include <stdio.h>

enum { WAIT_MIN_US = 100000, WAIT_MAX_US = 60000000, TRIES = 10 };
struct njob {
    struct node *n;
    char *key;
    struct str ns, name;
    char uid[64];
    struct buf json;
    struct child child;
    struct timer again, deadline;
    struct kube_call *write;
    int64_t failed, wait_us;
    bool running, begun, over;
    const char *failure;                          /* why it is over without having succeeded */
    struct secrets secrets;
};

static void start(struct njob *j);

static bool is_over(struct str json)
{
    static const char *const path[] = { "status", "conditions" };
    struct str c = json_find_path(json, path, 2);
    return str_find(c, S("\"Complete\"")) >= 0 || str_find(c, S("\"Failed\"")) >= 0;
}

static void told(void *ctx, const struct kube_result *r)
{
    struct njob *j = ctx;
    j->write = NULL;
    if (r->error && r->error->code != KR_NOT_FOUND && r->error->code != KR_CONFLICT) {
        log_warn(&log_std, "a Job's status could not be written", LOG_Z("job", j->key), LOG_ERR(r->error));
        loop_timer_in(j->n->loop, &j->again, WAIT_MAX_US / 60);
    }
}

static void tell(struct njob *j)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    char now[TIME_TEXT];
    bool ok = !j->failure;
    time_print(now, loop_wall_us(j->n->loop));
    buf_fmt(&b, "{\"metadata\":{\"uid\":\"%s\"},\"status\":{\"succeeded\":%d,\"failed\":%lld,\"conditions\":[{\"type\":\"%s\",\"status\":\"True\",\"lastTransitionTime\":\"%s\"%s%s%s}]}}",
            j->uid, ok, (long long)j->failed, ok ? "Complete" : "Failed", now, ok ? "" : ",\"reason\":\"", ok ? "" : j->failure, ok ? "" : "\"");
    j->write = kube_merge_patch(j->n->kube, &kube_jobs, j->ns, j->name, "status", buf_view(&b), (struct kube_user){ told, j });
}

static void end(struct njob *j, const char *failure)
{
    j->over = true;
    j->failure = failure;
    loop_timer_stop(j->n->loop, &j->again);
    loop_timer_stop(j->n->loop, &j->deadline);
    node_wake(j->n);                              /* a claim may wait for its end */
    tell(j);
}

static void ended(struct loop *loop, struct child *c, int status)
{
    struct njob *j = container_of(c, struct njob, child);
    char text[48];
    j->running = false;
    if (j->over) {
        node_wake(j->n);
        return;
    }
    if (status == 0) {
        end(j, NULL);
        return;
    }
    log_warn(&log_std, "a Job failed", LOG_Z("job", j->key), LOG_STR("how", proc_status_text(status, text)), LOG_INT("tries", j->failed + 1));
    if (++j->failed >= TRIES) {
        end(j, "BackoffLimitExceeded");
        return;
    }
    j->wait_us = !j->wait_us ? WAIT_MIN_US : j->wait_us * 2 < WAIT_MAX_US ? j->wait_us * 2 : WAIT_MAX_US;
    loop_timer_in(loop, &j->again, j->wait_us);
}

static void again(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct njob *j = container_of(t, struct njob, again);
    if (j->over)
        tell(j);
    else
        start(j);
}

static void deadline_over(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct njob *j = container_of(t, struct njob, deadline);
    log_warn(&log_std, "a Job was active for longer than its deadline", LOG_Z("job", j->key), LOG_INT("tries", j->failed));
    j->failed += j->running;
    if (j->running)
        kill(-j->child.pid, SIGKILL);
    end(j, "DeadlineExceeded");
}

static void set_deadline(struct njob *j)
{
    static const char *const path[] = { "spec", "activeDeadlineSeconds" };
    int64_t seconds;
    if (str_i64(json_find_path(buf_view(&j->json), path, 2), &seconds))
        loop_timer_in(j->n->loop, &j->deadline, (seconds < INT32_MAX ? seconds : INT32_MAX) * 1000000);
}

static bool command(struct njob *j, struct words *argv, struct words *env, struct arena *a)
{
    static const char *const path[] = { "spec", "template", "spec", "containers" }, *const pod_path[] = { "spec", "template" };
    struct kr_err e = { 0 };
    struct json *job = json_parse(a, buf_view(&j->json), &e), *box = json_first(json_get_path(job, path, 4));
    word(argv, j->n->self);
    word(argv, "artifact-clean");
    if (!box || !words_after(argv, box, "artifact-clean", a))
        return false;
    const char *claim = claim_dir(j->n, j->ns, json_get_path(job, pod_path, 2), "artifact-store", a, &e);
    if (claim) {
        word(argv, "--artifacts");
        word(argv, claim);
    }
    const char *keys = secrets_folder(&j->secrets, "artifact-store");
    if (keys) {
        word(argv, "--store-credentials");
        word(argv, keys);
    }
    inherit(env, a);
    for (struct json *x = json_first(json_get(box, "env")); x; x = json_next(x))
        word(env, arena_fmt(a, "%.*s=%.*s", SFMT(json_string(json_get(x, "name"))), SFMT(json_string(json_get(x, "value")))).p);
    return true;
}

static void start(struct njob *j)
{
    struct words argv = { .n = 0 }, env = { .n = 0 };
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    if (j->running || j->over || j->n->stopping)
        return;
    if (!command(j, &argv, &env, &a)) {
        log_warn(&log_std, "this node executes no such Job", LOG_Z("job", j->key));
        j->failed = TRIES;
        end(j, "BackoffLimitExceeded");
        return;
    }
    struct proc_spec s = { .argv = argv.v, .envp = env.v, .program = "/proc/self/exe", .in = -1, .out = 2, .err = 2, .new_group = true, .death_signal = SIGKILL };
    if (proc_spawn(&s, &j->child.pid, &e) < 0 || loop_child(j->n->loop, &j->child, &e) < 0) {
        log_error(&log_std, "a Job can't be started", LOG_Z("job", j->key), LOG_ERR(&e));
        loop_timer_in(j->n->loop, &j->again, WAIT_MAX_US / 10);
        return;
    }
    j->running = true;
}

static void secrets_ready(struct secrets *s)
{
    struct njob *j = container_of(s, struct njob, secrets);
    if (!j->begun)
        start(j);
    j->begun = true;
}

/* Its Secret first, where it wants one. */
static void prepare(struct njob *j)
{
    static const char *const pod_path[] = { "spec", "template" }, *const containers[] = { "spec", "containers" };
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    struct json *pod = json_get_path(json_parse(&a, buf_view(&j->json), &e), pod_path, 2);
    j->secrets.ready = secrets_ready;
    if (pod)
        secrets_mount(&j->secrets, j->n, j->ns, pod, json_first(json_get_path(pod, containers, 2)), arena_fmt(&a, "%s/%s/secrets", j->n->dir, j->uid).p);
    if (!j->secrets.first)
        start(j);
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

void njob_free(struct njob *j)
{
    struct node *n = j->n;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kr_err ignored = { 0 };
    map_del(&n->jobs_by_key, str_of(j->key));
    secrets_unmount(&j->secrets);
    fs_remove_tree(arena_fmt(&a, "%s/%s", n->dir, j->uid).p, &ignored);
    loop_timer_stop(n->loop, &j->again);
    loop_timer_stop(n->loop, &j->deadline);
    kube_cancel(j->write);
    if (j->running) {
        kill(-j->child.pid, SIGKILL);
        loop_child_forget(n->loop, &j->child);
    }
    buf_free(&j->json);
    free(j->key);
    free(j);
}

void njob_gone(void *ctx, struct str key, struct str json)
{
    struct node *n = ctx;
    struct njob *j = map_get(&n->jobs_by_key, key);
    (void)json;
    if (j)
        njob_free(j);
    node_wake(n);
}

bool njob_uses(const struct njob *j, struct str ns, struct str claim)
{
    static const char *const path[] = { "spec", "template", "spec", "volumes" };
    return (!j->over || j->running) && str_eq(j->ns, ns) && claim_is_among(json_find_path(buf_view(&j->json), path, 4), claim);
}

bool njob_is(const struct njob *j, const char *uid) { return !strcmp(j->uid, uid); }

void njob_set(void *ctx, struct str key, struct str json)
{
    static const char *const uid_path[] = { "metadata", "uid" };
    struct node *n = ctx;
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct njob *j = map_get(&n->jobs_by_key, key);
    struct str uid = json_str_of(json_find_path(json, uid_path, 2), &a);
    if (j && !str_is(uid, j->uid)) {
        njob_free(j);
        j = NULL;
    }
    if (is_over(json) || j)
        return;                                   /* what a Job does can't be changed */
    j = xcalloc(1, sizeof *j);
    *j = (struct njob){ .n = n, .key = xstrndup(key.p, key.n), .json = { .max = LIMIT_KUBE_LINE }, .child = { .ended = ended }, .again = { .fire = again },
                        .deadline = { .fire = deadline_over } };
    j->name = str_of(j->key);
    j->ns = str_cut(&j->name, '/');
    snprintf(j->uid, sizeof j->uid, "%.*s", SFMT(uid));
    buf_str(&j->json, json);
    map_put(&n->jobs_by_key, str_of(j->key), j);
    set_deadline(j);
    prepare(j);
}
