/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs: what attempts wrote, from runtimed's folder of a Run into its store: one object an attempt, the record files of
 * applets/runtimed/logs.h one behind the other, so that a reader of those reads this. Tests: tests/local/logs.py
 */
#include "applets/artifact/store.h"
#include "core/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 512 };

/* "3.log" → 3, piece 0; "3.log.7" → 3, piece 7. */
static bool parse(struct str name, uint64_t *attempt, uint64_t *piece)
{
    struct str number = str_cut(&name, '.'), word = str_cut(&name, '.');
    *piece = 0;
    return str_is(word, "log") && str_u64(number, attempt) && (!name.n || str_u64(name, piece));
}

static int append(int to, int dir, const char *name, struct kr_err *e)
{
    AUTO_CLOSE int fd = fs_open_beneath(dir, name, O_RDONLY | O_NOFOLLOW, 0);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return kr_fail_sys(e, KR_UNAVAILABLE, errno, "open \"%s\"", name);
    for (off_t left = st.st_size; left > 0;) {
        ptrdiff_t n = sendfile(to, fd, NULL, (size_t)left);
        if (n <= 0)
            return kr_fail_sys(e, KR_UNAVAILABLE, n < 0 ? errno : EIO, "copy \"%s\"", name);
        left -= n;
    }
    return 0;
}

/* All pieces of one attempt, lowest first, in a temporary file. */
static int join(int dir, const struct names *names, uint64_t attempt, int to, struct kr_err *e)
{
    for (uint64_t at = 0;;) {
        const char *next = NULL;
        uint64_t best = UINT64_MAX, n, piece;
        for (size_t i = 0; i < names->n; i++)
            if (parse(names->v[i], &n, &piece) && n == attempt && piece >= at && piece < best) {
                best = piece;
                next = names->v[i].p;
            }
        if (!next)
            return 0;
        if (append(to, dir, next, e) < 0)
            return -1;
        at = best + 1;
    }
}

int store_logs(struct depot *d, struct str folder, struct str prefix, struct str spool, struct arena *a, struct kr_err *e)
{
    AUTO_CLOSE int dir = open(arena_fmt(a, "%.*s", SFMT(folder)).p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct names names;
    uint64_t attempt, piece;
    if (dir < 0)
        return errno == ENOENT ? 0 : kr_fail_sys(e, KR_UNAVAILABLE, errno, "open the folder of the logs");
    if (names_of(dir, FILES_MAX, &names, a, e) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++) {
        if (!parse(names.v[i], &attempt, &piece) || piece)
            continue;
        AUTO_CLOSE int fd = open(arena_fmt(a, "%.*s", SFMT(spool)).p, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
        struct stored ignored;
        struct stat st;
        struct str key = arena_fmt(a, "%.*s/%llu", SFMT(prefix), (unsigned long long)attempt);
        if (fd < 0)
            return kr_fail_sys(e, KR_UNAVAILABLE, errno, "make a temporary file for logs");
        if (join(dir, &names, attempt, fd, e) < 0 || depot_check_key(key, e) < 0)
            return -1;
        if (fstat(fd, &st) < 0 || d->driver->put(d, key, &(struct item){ .name = names.v[i], .fd = fd, .size = (uint64_t)st.st_size }, &ignored, e) < 0)
            return e->code ? -1 : kr_fail_sys(e, KR_UNAVAILABLE, errno, "look at the logs");
    }
    return 0;
}
