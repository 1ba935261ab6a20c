/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stored: an attempt's log out of the Runtime's store, for Runs that this pod never had or whose pod is gone. The Run is read
 * from the API (who asks must have its access key), the object is fetched by a helper into a file without a name, and read as
 * any log is. Tests: tests/local/logs.py
 */
#include "applets/runtimed/runtimed.h"
#include "core/digest.h"
#include "core/failpoint.h"
#include "core/fs.h"
#include "core/helper.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const int64_t FETCH_US = INT64_C(120000000);
enum { LOG_MAX = LIMIT_LOG_HEAD + LIMIT_LOG_TAIL + (1 << 20) };        /* with the heads of its records that don't count */
struct stored_log {
    struct runtimed *d;
    struct kube_call *look;
    struct helper *helper;
    struct arena a;
    struct str uid, key;
    int64_t attempt;
    uint64_t bytes;
    int fd;
    struct kr_err e;
    void (*got)(void *ctx, struct log_reader *, int64_t attempt, int status, struct str text);
    void *ctx;
};

void stored_stop(struct stored_log *s)
{
    if (!s)
        return;
    s->d->store_readers--;
    kube_cancel(s->look);
    helper_stop(s->helper);
    kr_closep(&s->fd);
    arena_reset(&s->a);
    free(s);
}

/* `got` may free s. */
static void give(struct stored_log *s, struct log_reader *reader, int status, struct str text) { s->got(s->ctx, reader, s->attempt, status, text); }

static void all_came(void *ctx, const struct helper_end *);

/* Other Runs write to this disk, too: a store that never stops to send doesn't fill it. */
static void bytes_came(void *ctx, struct str bytes)
{
    struct stored_log *s = ctx;
    if (s->e.code)
        return;
    s->bytes += bytes.n;
    if (s->bytes > LOG_MAX)
        kr_fail(&s->e, KR_TOO_LARGE, "what the store has in the place of the log is larger than a log can be");
    else
        fs_write_fd(s->fd, bytes, "a stored log", &s->e);
    if (s->e.code)
        helper_kill(s->helper, (struct helper_user){ bytes_came, all_came, s });
}

static void all_came(void *ctx, const struct helper_end *end)
{
    struct stored_log *s = ctx;
    int no_such = kr_codes[KR_NOT_FOUND].exit;
    s->helper = NULL;
    if (proc_status_code(end->status) == no_such && end->status)
        give(s, NULL, GRPC_NOT_FOUND, S("the output of this attempt is neither on a pod nor in the store"));
    else if (end->status || s->e.code)
        give(s, NULL, GRPC_UNAVAILABLE, s->e.code ? str_of(s->e.msg) : str_trim(end->err));
    else
        give(s, log_read_fd(TAKE_FD(s->fd)), GRPC_OK, S(""));
}

static void fetch(struct stored_log *s)
{
    static const char *const argv[] = { "kruntimes", "artifact-helper", "get", NULL };
    AUTO_BUF struct buf order = { .max = 0 };
    struct kr_err e = { 0 };
    s->fd = open(s->d->state, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    artifacts_order(s->d, &order);
    jw_kstr(&order, "key", arena_fmt(&s->a, "%.*s/%.*s/logs/%lld", SFMT(s->d->ns), SFMT(s->uid), (long long)s->attempt));
    jw_end(&order, '}');
    struct helper_spec h = { .argv = argv, .envp = artifacts_environment(&s->a), .input = buf_view(&order), .timeout_us = FETCH_US, .memory = LIMIT_ARTIFACT_HELPER };
    if (s->fd < 0)
        kr_fail_sys(&e, KR_SYSTEM, errno, "make a file for a stored log");
    else
        s->helper = KR_FAILPOINTS_AROUND("runtimed.read-log.fork", helper_start(s->d->loop, &h, (struct helper_user){ bytes_came, all_came, s }, &e));
    if (!s->helper)
        give(s, NULL, GRPC_UNAVAILABLE, str_of(e.msg));
}

static void found(void *ctx, const struct kube_result *r)
{
    struct stored_log *s = ctx;
    struct kr_err e = { 0 };
    s->look = NULL;
    struct run *run = r->error ? NULL : model_decode(run, arena_str(&s->a, r->body), &s->a, &e);
    if (r->error && r->error->code != KR_NOT_FOUND) {
        give(s, NULL, GRPC_UNAVAILABLE, str_of(r->error->msg));
    } else if (!run || !str_eq(run->metadata.uid, s->uid)) {
        give(s, NULL, GRPC_NOT_FOUND, S("no such Run"));
    } else if (run->status.access_key.n != 32 || !digest_same(run->status.access_key, s->key)) {
        give(s, NULL, GRPC_PERMISSION_DENIED, S("the access key is missing or wrong: it is in the Run's status.accessKey"));
    } else {
        if (!s->attempt)
            s->attempt = run->status.has_attempt ? run->status.attempt : 1;
        fetch(s);
    }
}

bool store_reader_begins(struct grpc_request *r)
{
    struct runtimed *d = grpc_service_ctx(r);
    if (d->store_readers == LIMIT_STORE_READERS) {
        grpc_end(r, GRPC_RESOURCE_EXHAUSTED, S("too many read the store through this pod: try again"));
        return false;
    }
    d->store_readers++;
    return true;
}

struct stored_log *stored_fetch(struct runtimed *d, struct str run, struct str uid, int64_t attempt, struct str key,
                                void (*got)(void *ctx, struct log_reader *, int64_t attempt, int status, struct str text), void *ctx)
{
    struct stored_log *s = xcalloc(1, sizeof *s);
    *s = (struct stored_log){ .d = d, .a = { .limit = 32 << 20, .first = 4096 }, .attempt = attempt, .fd = -1, .got = got, .ctx = ctx };
    s->uid = arena_str(&s->a, uid);
    s->key = arena_str(&s->a, key.p ? key : S(""));
    s->look = kube_get(d->kube, &kube_runs, d->ns, run, (struct kube_user){ found, s });
    return s;
}
