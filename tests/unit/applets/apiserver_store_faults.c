/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row 67 for the API server's store: each system call that it makes fails at its first, second, third… time, in each way. Then
 * the error is told, and after a new start there is what was acknowledged, or that and the whole of what was being written.
 */
#include "applets/apiserver/store_impl.h"
#include "tests/kit/faults.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { ROUNDS = 5, SHORT = 1 };                   /* SHORT: half of it, instead of an errno */

static struct { enum fault_call call; int at, how, seen; bool on, hit; } plan;

static long ask(enum fault_call call, int fd, size_t n)
{
    (void)fd;
    if (call == plan.call && plan.on && ++plan.seen == plan.at) {
        plan.hit = true;
        return plan.how == SHORT ? (long)(n + 1) / 2 : -plan.how;
    }
    return call == FAULT_SYNC ? 0 : (long)n;      /* nothing here needs the disk itself */
}

static const char *path_of(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/faults.mdb", test_tmpdir());
    return path;
}

static void begin_anew(void)
{
    char lock[600];
    snprintf(lock, sizeof lock, "%s-lock", path_of());
    unlink(path_of());
    unlink(lock);
}

/* Small and large values, changed and deleted ones. */
static int write_round(struct store *s, int round, struct kr_err *e)
{
    AUTO_BUF struct buf large = { .max = 65536 };
    char key[16], json[32];
    snprintf(json, sizeof json, "\"round %d\"", round);
    buf_byte(&large, '"');
    for (int i = 0; i < 9000 * round; i++)
        buf_byte(&large, (char)('a' + round));
    buf_byte(&large, '"');
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "k%d", i);
        if (store_put(s, str_of(key), str_of(json), e) < 0)
            return -1;
    }
    if (store_put(s, S("large"), buf_view(&large), e) < 0 || (round > 1 && store_delete(s, S("once"), S("\"last\""), e) < 0) ||
        (round % 2 && store_put(s, S("once"), str_of(json), e) < 0))
        return -1;
    return store_commit(s, e);
}

/* False: the store says that it can't be read. */
static bool describe(struct store *s, struct buf *out)
{
    struct store_scan scan;
    struct kr_err e = { 0 };
    int rc;
    out->max = 1 << 20;
    buf_clear(out);
    buf_fmt(out, "revision %llu\n", (unsigned long long)store_revision(s));
    store_scan_begin(s, &scan, S(""), S(""));
    while ((rc = store_scan_next(&scan, &e)) > 0)
        buf_fmt(out, "%.*s=%.*s@%llu\n", SFMT(scan.at.key), SFMT(scan.at.json), (unsigned long long)scan.at.revision);
    store_scan_end(&scan);
    CHECK(rc == 0 || (e.code != KR_OK && e.msg[0]));
    return rc == 0;
}

static struct buf want[ROUNDS + 1];               /* what is there after each round */

static void record(void)
{
    struct kr_err e = { 0 };
    begin_anew();
    struct store *s = store_open(path_of(), &e);
    if (!CHECK(s))
        abort();
    CHECK(describe(s, &want[0]));
    for (int r = 1; r <= ROUNDS; r++) {
        CHECK_INT(write_round(s, r, &e), 0);
        CHECK(describe(s, &want[r]));
    }
    store_close(s);
}

static bool same(const struct buf *a, const struct buf *b) { return str_eq(buf_view(a), buf_view(b)); }

/* After a new start: the last that was acknowledged, or the one that failed, and it takes writes again. */
static void check_after(int acked, const char *what)
{
    struct kr_err e = { 0 };
    AUTO_BUF struct buf got = { .max = 1 << 20 };
    struct store *s = store_open(path_of(), &e);
    if (!CHECK(s)) {
        printf("  %s: %s\n", what, e.msg);
        return;
    }
    CHECK(describe(s, &got));
    if (!CHECK(same(&got, &want[acked]) || (acked < ROUNDS && same(&got, &want[acked + 1]))))
        printf("  %s: after round %d there is\n%.300s\n", what, acked, got.p);
    CHECK_INT(store_put(s, S("goes"), S("\"on\""), &e), 0);
    CHECK_INT(store_commit(s, &e), 0);
    store_close(s);
}

/* What is acknowledged stays readable beside a disk that has failed, also where it failed within the page that says which state counts,
 * after which LMDB itself lets nobody begin to read (MDB_PANIC). */
static int write_until_it_fails(struct store *s, const char *what)
{
    struct kr_err e = { 0 };
    AUTO_BUF struct buf got = { .max = 1 << 20 };
    int r = 1;
    while (r <= ROUNDS && write_round(s, r, &e) == 0)
        r++;
    if (r > ROUNDS)
        return ROUNDS;
    if (!CHECK(e.code != KR_OK && e.msg[0]))
        printf("  %s\n", what);
    plan.on = false;
    if (!CHECK(describe(s, &got) && same(&got, &want[r - 1])))
        printf("  %s: behind the failed round %d there is\n%.300s\n", what, r, got.p);
    int rc = write_round(s, r, &e);               /* again */
    if (!CHECK(rc == 0 || store_failure(s)) || !CHECK(describe(s, &got) && same(&got, &want[rc ? r - 1 : r])))
        printf("  %s: again, behind the failed round %d: %s\n%.300s\n", what, r, e.msg, got.p);
    return rc ? r - 1 : r;
}

/* False once the call is not made so often. */
static bool fail_at(enum fault_call call, int how, int at, bool from_the_beginning)
{
    char what[64];
    struct kr_err e = { 0 };
    int acked = 0;
    snprintf(what, sizeof what, "%s %d, %s", fault_names[call], at, how == SHORT ? "short" : strerror(how));
    begin_anew();
    plan.on = false;
    if (!from_the_beginning)
        store_close(store_open(path_of(), &e));
    plan.call = call, plan.how = how, plan.at = at, plan.seen = 0, plan.hit = false, plan.on = true;
    struct store *s = store_open(path_of(), &e);
    if (s)
        acked = write_until_it_fails(s, what);
    else if (!CHECK(e.code != KR_OK && e.msg[0] && plan.hit))
        printf("  %s\n", what);
    bool hit = plan.hit;
    if (s)
        store_close(s);
    plan.on = false;
    check_after(acked, what);
    return hit;
}

TEST(row_67_each_system_call_of_the_store_fails_at_each_of_its_times)
{
    static const struct { enum fault_call call; int how; } ways[] = {
        { FAULT_PWRITE, EIO }, { FAULT_PWRITE, ENOSPC }, { FAULT_PWRITE, SHORT }, { FAULT_PWRITE, EINTR }, { FAULT_WRITEV, EIO }, { FAULT_WRITEV, ENOSPC },
        { FAULT_WRITEV, SHORT }, { FAULT_SYNC, EIO }, { FAULT_SYNC, ENOSPC }, { FAULT_TRUNCATE, EIO }, { FAULT_PREAD, EIO }, { FAULT_OPEN, EMFILE }, { FAULT_MMAP, ENOMEM } };
    int hits = 0;
    fault_ask = ask;
    record();
    for (size_t i = 0; i < LEN(ways); i++)
        for (int anew = 0; anew < 2; anew++)
            for (int at = 1; fail_at(ways[i].call, ways[i].how, at, anew); at++)
                hits++;
    CHECK(hits > 60);
    fault_ask = NULL;
    for (int r = 0; r <= ROUNDS; r++)
        buf_free(&want[r]);
}
