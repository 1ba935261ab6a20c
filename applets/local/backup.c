/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup: pages of objects at one revision from the running API server, a line each into a file; restoring is the API
 * server's own work (apiserver --restore), as the store is. Tests: tests/local/backup.py
 */
#include "applets/local/backup.h"
#include "applets/local/session.h"
#include "applets/local/user.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/uri.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { TRIES = 5 };                               /* each takes longer than the history is kept */

struct output { int fd; const char *path; uint64_t objects; struct str revision, after; struct arena arena; };

/* The items of a page, each on a line. */
static int write_page(struct output *out, struct str page, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = 32 << 20 };
    AUTO_ARENA struct arena was = out->arena;     /* revision and after of the page before */
    out->arena = (struct arena){ .limit = 65536 };
    bool first = !out->revision.n;
    struct str revision = json_str_of(json_find(page, "revision"), &out->arena);
    if (!revision.n || (!first && !str_eq(revision, out->revision)))
        return kr_fail(e, KR_UNAVAILABLE, "the server's answer is not a page of this backup");
    out->revision = revision;
    out->after = json_str_of(json_find(page, "after"), &out->arena);
    if (first)
        buf_fmt(&b, "{\"kruntimes\":\"backup\",\"format\":1,\"revision\":\"%.*s\"}\n", SFMT(revision));
    struct str items = json_find(page, "items");
    struct json_cur cur = json_begin(items.n ? items : S("[]"));
    json_enter(&cur);
    while (json_item(&cur)) {
        buf_str(&b, json_raw(&cur));
        buf_byte(&b, '\n');
        out->objects++;
    }
    if (!out->after.n)
        buf_fmt(&b, "{\"end\":true,\"objects\":%llu}\n", (unsigned long long)out->objects);
    return fs_write_fd(out->fd, buf_view(&b), out->path, e);
}

static int write_all(struct session *s, struct output *out, struct kr_err *e)
{
    int rc = 0;
    out->objects = 0;
    out->revision = out->after = S("");
    if (ftruncate(out->fd, 0) < 0 || lseek(out->fd, 0, SEEK_SET) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "write \"%s\"", out->path);
    do {
        AUTO_BUF struct buf path = { .max = 65536 };
        buf_lit(&path, "/kruntimes/backup");
        if (out->revision.n) {
            uri_put_param(&path, "revision", out->revision);
            uri_put_param(&path, "after", out->after);
        }
        rc = session_call(s, "GET", buf_view(&path), S(""));
        if (rc == 0)
            rc = write_page(out, buf_view(&s->answer), e);
    } while (rc == 0 && out->after.n);
    return rc;
}

static int backup(struct applet_call *c, struct kr_err *e)
{
    struct session s;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct output out = { .path = arena_z(&a, c->args[0]) };
    int rc = session_open(&s, e);
    if (rc == 0) {
        out.fd = open(out.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (out.fd < 0 && errno == EEXIST)
            rc = kr_fail(e, KR_EXISTS, "\"%s\" is there already: name a new file", out.path);
        else if (out.fd < 0)
            rc = kr_fail_sys(e, KR_SYSTEM, errno, "make \"%s\"", out.path);
        int tries = TRIES;
        bool made = rc == 0;
        if (made)
            while ((rc = write_all(&s, &out, e)) < 0 && e->code == KR_EXPIRED && --tries)
                ;
        if (rc == 0 && fsync(out.fd) < 0)
            rc = kr_fail_sys(e, KR_SYSTEM, errno, "sync \"%s\"", out.path);
        if (made && close(out.fd) < 0 && rc == 0)
            rc = kr_fail_sys(e, KR_SYSTEM, errno, "close \"%s\"", out.path);
        if (made && rc < 0)
            unlink(out.path);
    }
    if (rc == 0)
        printf("%s: %llu objects at revision %.*s\n", out.path, (unsigned long long)out.objects, SFMT(out.revision));
    arena_reset(&out.arena);
    session_close(&s);
    return rc;
}

static int restore(struct applet_call *c, struct kr_err *e)
{
    char dir[4096];
    AUTO_ARENA struct arena a = { .limit = 65536 };
    if (local_state_dir(dir, e) < 0)
        return -1;
    if (instance_pid(dir))
        return kr_fail(e, KR_EXISTS, "the instance in \"%s\" is up: stop it first with \"kruntimes local down\"", dir);
    execl("/proc/self/exe", "kruntimes", "apiserver", "--state-dir", dir, "--restore", arena_z(&a, c->args[0]), (char *)NULL);
    return kr_fail_sys(e, KR_SYSTEM, errno, "start the API server's restore");
}

static const struct opt *const shared[] = { local_dir_opts, log_opts, NULL };
const struct applet local_backup_applet = {
    .name = "backup", .brief = "copy all objects into a file while the instance is up", .args = "FILE", .min_args = 1, .max_args = 1,
    .help = "All objects as they were at one moment, Secrets too: keep the file to yourself (it is made with mode 0600).",
    .examples = "local backup monday.backup", .shared = shared, .main = backup };
const struct applet local_restore_applet = {
    .name = "restore", .brief = "put a backup in the place of what is there; the instance must be down", .args = "FILE", .min_args = 1, .max_args = 1,
    .help = "The whole file is checked first. What was there stays as store.mdb.before-restore in the instance's folder.",
    .examples = "local restore monday.backup", .shared = shared, .main = restore };
