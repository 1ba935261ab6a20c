/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power goes while the API server's store commits, compactions too. What was written but not synced may be on
 * the disk or not, page by page: then the old state is there whole. Behind the sync it is the new one.
 *
 * LMDB writes a commit's pages, syncs, then writes one of the two meta pages and syncs. So a cut before the second write leaves
 * the meta pages as they were and any of the other pages, which is what is made here of the file before and after.
 */
#include "applets/apiserver/store_impl.h"
#include "core/clock.h"
#include "core/fs.h"
#include "tests/kit/test.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { PAGE = 4096, KEYS = 6, COMMITS = 40, CUTS = 6 };

static void read_image(const char *path, struct buf *out)
{
    struct kr_err e = { 0 };
    out->max = 64 << 20;
    buf_clear(out);
    CHECK_INT(fs_read(path, out, &e), 0);
}

/* The file as a cut leaves it: of each page behind the meta pages what was before or what was to be. */
static void mix(const struct buf *old, const struct buf *new, struct rnd *rnd, struct buf *out)
{
    out->max = 64 << 20;
    buf_clear(out);
    uint64_t kind = rnd_below(rnd, 3);               /* nearly none, half, nearly all */
    for (size_t at = 0; at < new->n; at += PAGE) {
        size_t n = new->n - at < PAGE ? new->n - at : PAGE;
        bool newer = at >= 2 * PAGE && (at >= old->n || (kind == 1 ? rnd_below(rnd, 2) : (rnd_below(rnd, 10) == 0) == (kind == 0)));
        if (at >= old->n && rnd_below(rnd, 2))
            for (size_t i = 0; i < n; i++)
                buf_byte(out, '\0');                 /* the file grew, but the page never came */
        else
            buf_str(out, (struct str){ (newer ? new->p : old->p) + at, n });
    }
}

/* All objects and the whole history as text: what a state is. */
static void describe(struct store *s, struct buf *out)
{
    struct store_scan scan;
    struct store_history h;
    struct kr_err e = { 0 };
    size_t steps = 1 << 20;
    int rc;
    out->max = 1 << 20;
    buf_clear(out);
    buf_fmt(out, "revision %llu compacted %llu\n", (unsigned long long)store_revision(s), (unsigned long long)store_compacted(s));
    store_scan_begin(s, &scan, S("k"), S(""));
    while ((rc = store_scan_next(&scan, &e)) > 0)
        buf_fmt(out, "%.*s=%.*s@%llu\n", SFMT(scan.at.key), SFMT(scan.at.json), (unsigned long long)scan.at.revision);
    store_scan_end(&scan);
    CHECK_INT(rc, 0);
    store_history_begin(s, &h, S("k"), store_compacted(s));
    while ((rc = store_history_next(&h, store_revision(s), &steps, &e)) > 0)
        buf_fmt(out, "%llu %.*s %.*s<%.*s\n", (unsigned long long)h.at.revision, SFMT(h.at.key), SFMT(h.at.json), SFMT(h.at.before));
    store_history_end(&h);
    CHECK_INT(rc, 0);
}

static void check_cut(const struct buf *image, const struct buf *want)
{
    char path[600];
    struct kr_err e = { 0 };
    AUTO_BUF struct buf got = { .max = 1 << 20 };
    snprintf(path, sizeof path, "%s/cut.mdb", test_tmpdir());
    CHECK_INT(fs_write(path, buf_view(image), 0600, false, &e), 0);
    struct store *s = store_open(path, &e);
    if (!CHECK(s != NULL)) {
        printf("  %s\n", e.msg);
        return;
    }
    describe(s, &got);
    CHECK_STR(buf_view(&got), buf_view(want));
    CHECK_INT(store_put(s, S("kx"), S("\"goes on\""), &e), 0);
    CHECK_INT(store_commit(s, &e), 0);
    store_close(s);
}

TEST(row_64_65_power_cut_in_a_commit_leaves_the_old_state_or_the_new)
{
    char path[600], key[8], json[700];
    struct kr_err e = { 0 };
    struct rnd rnd;
    AUTO_BUF struct buf old = { .max = 0 }, new = { .max = 0 }, cut = { .max = 0 }, before = { .max = 0 }, after = { .max = 0 };
    rnd_seed(&rnd, test_seed());
    snprintf(path, sizeof path, "%s/power.mdb", test_tmpdir());
    struct store *s = store_open(path, &e);
    if (!CHECK(s != NULL))
        return;
    int64_t wall = INT64_C(1767225600000000);
    describe(s, &before);
    uint64_t compacted = store_compacted(s);
    for (int n = 0; n < COMMITS; n++) {
        read_image(path, &old);
        wall += INT64_C(1000000) * LIMIT_HISTORY_SECONDS / 8;         /* the oldest entries go with each commit, once there are eight */
        store_set_time(s, wall);
        for (uint64_t writes = 1 + rnd_below(&rnd, 4); writes; writes--) {
            snprintf(key, sizeof key, "k%llu", (unsigned long long)rnd_below(&rnd, KEYS));
            snprintf(json, sizeof json, "\"%0*d\"", (int)(1 + rnd_below(&rnd, 600)), n);
            CHECK_INT(rnd_below(&rnd, 4) ? store_put(s, str_of(key), str_of(json), &e) : store_delete(s, str_of(key), S("\"gone\""), &e), 0);
        }
        CHECK_INT(store_commit(s, &e), 0);
        CHECK(store_compacted(s) >= compacted);
        compacted = store_compacted(s);
        describe(s, &after);
        read_image(path, &new);
        for (int i = 0; i < CUTS; i++) {
            mix(&old, &new, &rnd, &cut);
            check_cut(&cut, &before);
        }
        check_cut(&new, &after);
        buf_clear(&before);
        before.max = after.max;
        buf_str(&before, buf_view(&after));
    }
    CHECK(compacted > 10);
    store_close(s);
}
