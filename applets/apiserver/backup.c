/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup: checking a backup and making a store of it.
 *
 * Two passes: one that only checks, one that writes a new store beside the old one. Then a hard link keeps the old one and
 * a rename puts the new one in its place, so that at any moment there is one whole store under the name.
 */
#include "applets/apiserver/backup.h"
#include "applets/apiserver/store_impl.h"
#include "core/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2 * LIMIT_OBJECT_BYTES + 4096, UNKNOWN_GAP = 1000000 };      /* of revisions, where the old store can't tell its own */

uint32_t backup_crc(const struct store_value *v) { return store_crc(v->key, &v->revision, sizeof v->revision, v->json); }

struct reading { FILE *f; const char *path; size_t line; struct buf text; struct str last; char *own_last; uint64_t revision, objects; };

/* 1: the next line, checked JSON; 0: the file's end. */
static int read_line(struct reading *r, struct kr_err *e)
{
    int c;
    buf_clear(&r->text);
    while ((c = getc_unlocked(r->f)) != EOF && c != '\n' && !r->text.failed)
        buf_byte(&r->text, (char)c);
    if (ferror(r->f))
        return kr_fail_sys(e, KR_SYSTEM, errno, "read \"%s\"", r->path);
    if (c == EOF && !r->text.n)
        return 0;
    r->line++;
    if (c == EOF || r->text.failed || json_scan(buf_view(&r->text), e) < 0)
        return kr_fail(e, KR_INVALID, "\"%s\" is damaged at line %zu: the line is not whole", r->path, r->line);
    return 1;
}

static uint64_t number(struct str line, const char *key)
{
    uint64_t n = 0;
    str_u64(json_find(line, key), &n);
    return n;
}

static int check_value(struct reading *r, struct store_value *v, struct arena *a, struct kr_err *e)
{
    struct str line = buf_view(&r->text);
    *v = (struct store_value){ json_str_of(json_find(line, "key"), a), number(line, "revision"), json_find(line, "object") };
    if (!v->key.n || !v->json.n || !v->revision || v->revision > r->revision || number(line, "crc") != backup_crc(v))
        return kr_fail(e, KR_INVALID, "\"%s\" is damaged at line %zu: the checksum of \"%.*s\" differs", r->path, r->line, SFMT(v->key));
    if (r->last.n && str_cmp(r->last, v->key) >= 0)
        return kr_fail(e, KR_INVALID, "\"%s\" is damaged at line %zu: the keys are not in order", r->path, r->line);
    free(r->own_last);
    r->own_last = xstrndup(v->key.p, v->key.n);
    r->last = (struct str){ r->own_last, v->key.n };
    r->objects++;
    return 0;
}

static int read_header(struct reading *r, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    int rc = read_line(r, e);
    struct str line = buf_view(&r->text);
    if (rc < 0 || (rc > 0 && !str_is(json_str_of(json_find(line, "kruntimes"), &a), "backup")) || !rc)
        return kr_fail(e, KR_INVALID, "\"%s\" is no backup of kruntimes", r->path);
    if (number(line, "format") != 1)
        return kr_fail(e, KR_UNSUPPORTED, "\"%s\" has format %llu, this program reads format 1", r->path, (unsigned long long)number(line, "format"));
    if (!str_u64(json_str_of(json_find(line, "revision"), &a), &r->revision) || !r->revision || r->revision > INT64_MAX)
        return kr_fail(e, KR_INVALID, "\"%s\" is damaged at line 1: it names no revision", r->path);
    return 0;
}

/* s NULL: only checks. */
static int read_all(const char *path, struct store *s, struct reading *r, struct kr_err *e)
{
    *r = (struct reading){ .f = fopen(path, "re"), .path = path, .text = { .max = LINE_MAX_BYTES } };
    if (!r->f)
        return kr_fail_sys(e, KR_SYSTEM, errno, "open \"%s\"", path);
    bool ended = false;
    int rc = read_header(r, e) < 0 ? -1 : 1;
    while (rc > 0 && (rc = read_line(r, e)) > 0) {
        AUTO_ARENA struct arena a = { .limit = 65536 };
        struct store_value v;
        if (ended) {
            rc = kr_fail(e, KR_INVALID, "\"%s\" is damaged at line %zu: it goes on behind its end", path, r->line);
        } else if (json_find(buf_view(&r->text), "end").n) {
            ended = true;
            if (number(buf_view(&r->text), "objects") != r->objects)
                rc = kr_fail(e, KR_INVALID, "\"%s\" is damaged: it has %llu objects and says otherwise", path, (unsigned long long)r->objects);
        } else if (check_value(r, &v, &a, e) < 0 || (s && store_import(s, &v, e) < 0)) {
            rc = -1;
        }
    }
    if (rc == 0 && !ended)
        rc = kr_fail(e, KR_INVALID, "\"%s\" is not whole: its last line is missing", path);
    fclose(r->f);
    buf_free(&r->text);
    free(r->own_last);
    r->last = (struct str){ 0 };
    return rc;
}

static int put_in_place(const char *dir, const char *fresh, const char *store, const char *side, struct kr_err *e)
{
    if (unlink(side) < 0 && errno != ENOENT)
        return kr_fail_sys(e, KR_SYSTEM, errno, "remove \"%s\"", side);
    if (link(store, side) < 0 && errno != ENOENT)
        return kr_fail_sys(e, KR_SYSTEM, errno, "keep the old store as \"%s\"", side);
    if (rename(fresh, store) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "put \"%s\" in place", store);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? kr_fail_sys(e, KR_SYSTEM, errno, "sync \"%s\"", dir) : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

int backup_restore(const char *dir, const char *file, uint64_t *objects, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    const char *path = fs_join(&a, dir, "store.mdb"), *fresh = fs_join(&a, dir, "store.mdb.restoring"), *side = fs_join(&a, dir, "store.mdb.before-restore");
    const char *lock = fs_join(&a, dir, "store.mdb.restoring.lock-holder");
    struct reading r;
    struct kr_err why = { 0 };
    store_crc_init();
    if (read_all(file, NULL, &r, e) < 0)
        return -1;
    bool had = fs_exists(path);
    struct store *old = had ? store_open(path, &why) : NULL;      /* held until the new one is in place */
    if (!old && why.code == KR_EXISTS) {
        *e = why;
        return -1;
    }
    uint64_t revision = r.revision + 1;
    if (old && store_revision(old) >= revision)
        revision = store_revision(old) + 1;
    if (had && !old)
        revision += UNKNOWN_GAP;
    unlink(fresh);                                /* of one that was stopped */
    struct store *s = store_open(fresh, e);
    int rc = s && read_all(file, s, &r, e) == 0 ? store_import_end(s, revision, e) : -1;
    store_close(s);
    if (rc == 0)
        rc = put_in_place(dir, fresh, path, side, e);
    if (rc < 0)
        unlink(fresh);
    else
        *objects = r.objects;
    unlink(lock);
    store_close(old);
    return rc;
}
