/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inputs: spec.artifacts, one after another: the Run that left it is read from the API, and a helper process brings the bytes,
 * checks them against size and digest, and lays them out in the workspace (applets/artifact/unpack.c). What its status says of
 * a place is taken only when it lies where that Run's artifacts go. The time that all of it may take is that of an upload; it
 * does not count to the Run's timeout. Tests: tests/local/inputs.py
 */
#include "applets/runtimed/runtimed.h"
#include "core/failpoint.h"
#include "core/helper.h"
#include <unistd.h>

enum { ANSWER_MAX = 65536, WAIT_MIN_US = 50000, WAIT_MAX_US = 5000000 };
static const int64_t BRING_US = INT64_C(600000000);

struct inputs {
    struct task *t;
    size_t at;                                    /* of spec.artifacts */
    struct kube_call *call;
    struct helper *helper;
    struct timer again;
    int64_t wait_us, until_us;                    /* until: monotonic; all of it */
};

static const struct run_artifact *wanted(const struct inputs *s) { return &s->t->run->spec.artifacts.v[s->at]; }

static struct task *done(struct inputs *s)
{
    struct task *t = s->t;
    inputs_free(t);
    return t;
}

static void refuse(struct inputs *s, const struct kr_err *why)
{
    struct kr_err e = *why;
    kr_wrap(&e, "artifacts[%zu]", s->at);
    task_refused(done(s), "PrepareSource", str_of(e.msg));
}

static void look(struct inputs *s);

/* ---- the bytes --------------------------------------------------------------------------------------------------- */

static void placed(void *ctx, const struct helper_end *end)
{
    struct inputs *s = ctx;
    struct kr_err e = { 0 };
    s->helper = NULL;
    KR_FAILPOINT("runtimed.bring-artifact.done");
    if (artifacts_answer(end, &e) < 0) {
        refuse(s, &e);
    } else if (++s->at < s->t->run->spec.artifacts.n) {
        look(s);
    } else {
        struct task *t = done(s);
        t->inputs_there = true;
        task_prepared(t);
    }
}

static int bring(struct inputs *s, const struct artifact_ref *ref, struct str key, struct kr_err *e)
{
    static const char *const argv[] = { "kruntimes", "artifact-helper", "place", NULL };
    struct runtimed *d = s->t->d;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    AUTO_BUF struct buf order = { .max = 0 };
    AUTO_CLOSE int work = work_open(s->t, e);
    if (work < 0)
        return -1;
    artifacts_order(d, &order);
    jw_kstr(&order, "key", key);
    jw_kstr(&order, "path", wanted(s)->path);
    jw_kstr(&order, "type", ref->type);
    jw_kint(&order, "sizeBytes", ref->size_bytes);
    jw_kstr(&order, "digest", str_starts(ref->digest, S("sha256:")) ? str_from(ref->digest, 7) : S(""));
    jw_kint(&order, "maxBytes", d->artifacts.bytes);
    jw_end(&order, '}');
    int64_t left = s->until_us - loop_now_us(d->loop);
    struct helper_spec spec = { .argv = argv, .envp = artifacts_environment(&a), .input = buf_view(&order), .fds = (struct proc_fd[]){ { work, 3 } }, .nfds = 1,
                                .max_out = ANSWER_MAX, .timeout_us = left > 0 ? left : 0, .memory = LIMIT_ARTIFACT_HELPER };
    s->helper = KR_FAILPOINTS_AROUND("runtimed.bring-artifact.fork", helper_start(d->loop, &spec, (struct helper_user){ .ended = placed, .ctx = s }, e));
    return s->helper ? 0 : -1;
}

/* ---- which ------------------------------------------------------------------------------------------------------- */

static int begin_one(struct inputs *s, const struct run *run, struct arena *a, struct kr_err *e)
{
    const struct run_artifact *w = wanted(s);
    const struct artifact_ref *ref = artifacts_ref_of(run, w->name);
    if (w->uid.n && !str_eq(w->uid, run->metadata.uid))
        return kr_fail(e, KR_NOT_FOUND, "the Run \"%.*s\" is another one than was meant: its UID is %.*s", SFMT(w->run), SFMT(run->metadata.uid));
    if (!run_is_terminal(run))
        return kr_fail(e, KR_INVALID, "the Run \"%.*s\" is not over: its phase is %.*s", SFMT(w->run), SFMT(run_phase(run)));
    if (!ref)
        return kr_fail(e, KR_NOT_FOUND, "the Run \"%.*s\" has left no artifact \"%.*s\"", SFMT(w->run), SFMT(w->name));
    struct str key = artifacts_key_of(s->t->d, run, ref, a);
    if (!key.n)
        return kr_fail(e, KR_INVALID, "\"%.*s\" of the Run \"%.*s\" is not in the store of this Runtime: both Runtimes need the same artifactStore", SFMT(w->name), SFMT(w->run));
    return bring(s, ref, key, e);
}

static void looked(void *ctx, const struct kube_result *r)
{
    struct inputs *s = ctx;
    AUTO_ARENA struct arena a = { .limit = 32 << 20, .first = 4096 };
    struct kr_err e = { 0 };
    s->call = NULL;
    if (r->error && r->error->code == KR_NOT_FOUND) {
        kr_fail(&e, KR_NOT_FOUND, "there is no Run \"%.*s\"", SFMT(wanted(s)->run));
    } else if (r->error && loop_now_us(s->t->d->loop) < s->until_us) {
        s->wait_us = !s->wait_us ? WAIT_MIN_US : s->wait_us * 2 < WAIT_MAX_US ? s->wait_us * 2 : WAIT_MAX_US;
        loop_timer_in(s->t->d->loop, &s->again, s->wait_us);
        return;
    } else if (r->error) {
        e = *r->error;
    } else {
        struct run *run = model_decode(run, arena_str(&a, r->body), &a, &e);
        if (run && begin_one(s, run, &a, &e) == 0)
            return;
    }
    refuse(s, &e);
}

static void look(struct inputs *s)
{
    s->call = kube_get(s->t->d->kube, &kube_runs, s->t->ns, wanted(s)->run, (struct kube_user){ looked, s });
}

static void again(struct loop *loop, struct timer *t)
{
    (void)loop;
    look(container_of(t, struct inputs, again));
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* One below another's path would be written over by it, or go with it. */
static int check_paths(const struct run *run, struct kr_err *e)
{
    for (size_t i = 0; i < run->spec.artifacts.n; i++)
        for (size_t k = 0; k < run->spec.artifacts.n; k++) {
            struct str p = run->spec.artifacts.v[i].path, q = run->spec.artifacts.v[k].path;
            if (i != k && str_starts(q, p) && (q.n == p.n || q.p[p.n] == '/'))
                return kr_fail(e, KR_INVALID, "artifacts[%zu]: its path lies in that of artifacts[%zu]", k, i);
        }
    return 0;
}

bool inputs_begin(struct task *t)
{
    struct kr_err e = { 0 };
    if (!t->run->spec.artifacts.n || t->inputs_there)
        return false;
    if (!artifacts_has_store(t->d))
        kr_fail(&e, KR_INVALID, "artifacts: the Runtime has no artifactStore to bring them from");
    else
        check_paths(t->run, &e);
    if (e.code) {
        task_refused(t, "PrepareSource", str_of(e.msg));
        return true;
    }
    struct inputs *s = xcalloc(1, sizeof *s);
    *s = (struct inputs){ .t = t, .again = { .fire = again }, .until_us = loop_now_us(t->d->loop) + BRING_US };
    t->inputs = s;
    look(s);
    return true;
}

static void killed(void *ctx, const struct helper_end *end)
{
    struct inputs *s = ctx;
    (void)end;
    s->helper = NULL;
    task_stopped(done(s));
}

/* The workspace is taken away only when nobody writes there any more. */
void inputs_stop(struct task *t)
{
    struct inputs *s = t->inputs;
    if (s->helper)
        helper_kill(s->helper, (struct helper_user){ .ended = killed, .ctx = s });
    else
        task_stopped(done(s));
}

void inputs_free(struct task *t)
{
    struct inputs *s = TAKE(t->inputs);
    if (!s)
        return;
    kube_cancel(s->call);
    helper_stop(s->helper);
    loop_timer_stop(t->d->loop, &s->again);
    free(s);
}
