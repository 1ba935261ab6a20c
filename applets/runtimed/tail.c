/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tail: kruntimes.logs.v1.Logs. Who presents a Run's access key may read what its attempts wrote, as it is written.
 *
 * A request reads records from the files and follows the log that is open for writing; the two meet without a gap, as the
 * writer only tells "there is more" and the bytes always come from the file.
 */
#include "applets/runtimed/runtimed.h"
#include "grpc/proto/logs.pb.h"

/* TURN: bytes of a log that are passed over at a time; then others have their turn: SOON_US is behind what the loop does now. */
enum { CHUNK = 32768, TURN = 1 << 20, SOON_US = 1 };
struct tail {
    struct log_follower follower;
    struct grpc_request *r;
    struct log_reader *reader;
    struct log_seek *seek;                        /* to the last lines; NULL: it is there */
    struct timer more;
    int64_t tail_lines;                           /* 0 and less: all */
    struct log *log;                              /* followed; NULL: no longer */
    int64_t attempt, since_us;
    struct str rec_uid;                           /* on the request's arena */
    struct stored_log *stored;                    /* on its way from the store */
};

static bool may_read(const struct record *rec, struct str key)
{
    unsigned char diff = key.n != 32;
    for (size_t i = 0; i < 32; i++)
        diff |= (unsigned char)(rec->access_key[i] ^ key.p[key.n ? i % key.n : 0]);
    return !diff;
}

static void stop_following(struct tail *t)
{
    if (t->log)
        log_unfollow(t->log, &t->follower);
    t->log = NULL;
}

static bool send(struct tail *t, const struct log_record *rec)
{
    struct str rest = rec->data;
    while (rest.n) {
        AUTO_ARENA struct arena a = { .limit = 2 * CHUNK };
        struct str part = { rest.p, rest.n < CHUNK ? rest.n : CHUNK };
        kruntimes_logs_v1_TailChunk chunk = { .stream = rec->stream, .data = pb_bytes(&a, part), .unix_nano = rec->unix_us * 1000,
                                              .attempt = (int32_t)t->attempt };
        rest = str_from(rest, part.n);
        if (grpc_reply_pb(t->r, kruntimes_logs_v1_TailChunk_fields, &chunk) < 0)
            return false;
    }
    return true;
}

static void push(struct tail *t);
static void go_on(struct loop *loop, struct timer *timer)
{
    (void)loop;
    push(container_of(timer, struct tail, more));
}

static struct loop *loop_of(const struct tail *t) { return ((struct runtimed *)grpc_service_ctx(t->r))->loop; }

static void push(struct tail *t)
{
    struct log_record rec;
    size_t passed = 0;
    struct record *of = t->rec_uid.n ? record_of_uid(grpc_service_ctx(t->r), t->rec_uid) : NULL;
    if (!t->reader && of)                         /* nothing was written until now */
        t->reader = log_read(((struct runtimed *)grpc_service_ctx(t->r))->state, t->rec_uid, t->attempt);
    if (!t->reader) {
        if (!t->log)
            grpc_end(t->r, GRPC_OK, S(""));
        return;
    }
    if (t->seek && !log_seek_go(t->seek, TURN)) {
        loop_timer_in(loop_of(t), &t->more, SOON_US);
        return;
    }
    t->seek = NULL;
    while (!grpc_is_over(t->r) && passed < TURN && grpc_queued(t->r) < 4 * HTTP_LOW_WATER) {
        if (!log_next(t->reader, &rec)) {
            if (!t->log)
                grpc_end(t->r, GRPC_OK, S(""));
            return;
        }
        if (rec.unix_us < t->since_us)
            passed += rec.data.n + 24;            /* with its head */
        else if (!send(t, &rec))
            return;
    }
    if (passed >= TURN)
        loop_timer_in(loop_of(t), &t->more, SOON_US);
}

static void grown(struct log_follower *f, bool closed)
{
    struct tail *t = container_of(f, struct tail, follower);
    if (closed)
        t->log = NULL;
    push(t);
}

/* NULL: there is nothing yet. */
static void take_reader(struct tail *t, struct log_reader *reader)
{
    t->reader = reader;
    if (reader && t->tail_lines > 0)
        t->seek = log_seek_tail(reader, t->tail_lines);
}

/* ---- from the store, when it isn't here -------------------------------------------------------------------------- */

static void stored_came(void *ctx, struct log_reader *reader, int64_t attempt, int status, struct str text)
{
    struct tail *t = ctx;
    if (!reader) {
        grpc_end(t->r, status, text);             /* `gone` stops what fetched it */
        return;
    }
    t->attempt = attempt;
    take_reader(t, reader);
    push(t);
}

/* Who reads holds a descriptor, which Runs need as well. NULL: too many do, and the call has ended. */
static struct tail *begin(struct grpc_request *r, const kruntimes_logs_v1_TailRequest *q, int64_t attempt)
{
    struct runtimed *d = grpc_service_ctx(r);
    if (d->log_readers == LIMIT_LOG_READERS) {
        grpc_end(r, GRPC_RESOURCE_EXHAUSTED, S("too many read logs here: try again"));
        return NULL;
    }
    d->log_readers++;
    struct tail *t = xcalloc(1, sizeof *t);
    *t = (struct tail){ .follower = { .grown = grown }, .r = r, .more = { .fire = go_on }, .attempt = attempt, .since_us = q->since_unix_nano / 1000, .tail_lines = q->tail_lines };
    grpc_set_user(r, t);
    return t;
}

/* False: there is no store, or the client doesn't say of which Run. */
static bool from_store(struct grpc_request *r, const kruntimes_logs_v1_TailRequest *q, struct str uid)
{
    struct runtimed *d = grpc_service_ctx(r);
    struct str run = http_get(grpc_metadata(r), "kruntimes-run"), key = http_get(grpc_metadata(r), "kruntimes-access-key");
    if (!artifacts_has_store(d) || !run.n || !uid.n)
        return false;
    struct tail *t = begin(r, q, q->attempt);
    if (t && store_reader_begins(r))
        t->stored = stored_fetch(d, run, arena_str(grpc_arena(r), uid), q->attempt, key, stored_came, t);
    return true;
}

static struct record *find(struct grpc_request *r, const kruntimes_logs_v1_TailRequest *q)
{
    struct runtimed *d = grpc_service_ctx(r);
    struct record *rec = record_of_uid(d, pb_str(q->run_uid));
    if (!rec) {
        if (!from_store(r, q, pb_str(q->run_uid)))
            grpc_end(r, GRPC_NOT_FOUND, S("no such Run on this pod"));
        return NULL;
    }
    if (!may_read(rec, http_get(grpc_metadata(r), "kruntimes-access-key"))) {
        grpc_end(r, GRPC_PERMISSION_DENIED, S("the access key is missing or wrong: it is in the Run's status.accessKey"));
        return NULL;
    }
    return rec;
}

static void tail(struct grpc_request *r, struct str bytes)
{
    struct runtimed *d = grpc_service_ctx(r);
    kruntimes_logs_v1_TailRequest *q = grpc_decode(r, kruntimes_logs_v1_TailRequest_fields, sizeof *q, bytes);
    struct record *rec = q ? find(r, q) : NULL;
    if (!rec)
        return;
    int64_t attempt = q->attempt ? q->attempt : rec->attempt;
    struct log_reader *reader = log_read(d->state, str_of(rec->uid), attempt);
    bool live = q->follow && rec->log && attempt == rec->attempt;
    if (!reader && !live && q->attempt && q->attempt < rec->attempt && from_store(r, q, str_of(rec->uid)))
        return;                                   /* that attempt was on another pod */
    if (!reader && !live) {
        grpc_end(r, q->attempt && q->attempt > rec->attempt ? GRPC_NOT_FOUND : GRPC_OK, q->attempt > rec->attempt ? S("there was no such attempt here") : S(""));
        return;
    }
    struct tail *t = begin(r, q, attempt);
    if (!t) {
        log_reader_free(reader);
        return;
    }
    take_reader(t, reader);
    t->rec_uid = arena_str(grpc_arena(r), str_of(rec->uid));
    if (live) {
        t->log = rec->log;
        log_follow(t->log, &t->follower);
    }
    push(t);
}

static void writable(struct grpc_request *r)
{
    if (grpc_user(r))
        push(grpc_user(r));
}

static void gone(struct grpc_request *r)
{
    struct tail *t = grpc_user(r);
    if (!t)
        return;
    stop_following(t);
    stored_stop(t->stored);
    loop_timer_stop(loop_of(t), &t->more);
    log_seek_free(t->seek);
    log_reader_free(t->reader);
    ((struct runtimed *)grpc_service_ctx(r))->log_readers--;
    grpc_set_user(r, NULL);
    free(t);
}

const struct grpc_method tail_methods[] = { { "Tail", .message = tail, .gone = gone, .writable = writable }, { 0 } };
