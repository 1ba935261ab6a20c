/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git-fetch: a process of its own for what a stranger's server sends: runtimed starts it, limits it, and kills it when its time
 * is over. It brings one commit's files into the folder that is its descriptor 3 and answers with two lines, the first when its
 * time begins to count: until then it may have waited for another one that fetches from there. What is wrong before has the
 * second line alone.
 *
 *     begun
 *     ok COMMIT                            error MESSAGE
 *
 * No shell, no git, no configuration of anybody (all of libgit2's search paths are empty). Where the kernel has Landlock it
 * writes to the mirrors and that folder only, and reads nothing but what a connection needs.
 * Tests: tests/local/git.py, tests/fault/git_hostile.py.
 */
#include "applets/git_fetch/fetch.h"
#include "core/applet.h"
#include "core/fs.h"
#include "core/landlock.h"
#include "core/tls.h"
#include "core/uri.h"
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { INTO_FD = 3 };

static struct { struct str url, ref, mirrors, secret; int64_t timeout_us; bool private; } o = { .timeout_us = 60000000 };
static const struct opt opts[] = {
    { "url", 0, OPT_STR, &o.url, "URL", "of the repository", .required = true },
    { "ref", 0, OPT_STR, &o.ref, "REF", "commit, branch or tag; else the server's HEAD" },
    { "mirrors", 0, OPT_STR, &o.mirrors, "DIR", "where what was fetched is kept", .required = true },
    { "secret", 0, OPT_STR, &o.secret, "DIR", "folder with host, username, password, ca.crt" },
    { "timeout", 0, OPT_DURATION, &o.timeout_us, "TIME", "limit of the whole fetch, from when no other one from there is under way", .lo = 1, .hi = INT64_C(3600000000) },
    { "allow-private", 0, OPT_FLAG, &o.private, NULL, "addresses that aren't public too" },
    { 0 } };

/* ---- what this process may ---------------------------------------------------------------------------------------- */

static int give_up_rights(struct kr_err *e)
{
    static const char *const readable[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/etc/host.conf", "/etc/gai.conf",
                                            "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/run/systemd/resolve", "/dev/null", "/dev/urandom" };
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[2] = { 0 };
    syscall(SYS_capset, &head, none);
    if (!landlock_abi())
        return 0;
    int rules = landlock_begin(LANDLOCK_FILES | (landlock_abi() >= 6 ? LANDLOCK_SCOPES : 0), e);
    if (rules < 0)
        return -1;
    int rc = landlock_path(rules, o.mirrors.p, LANDLOCK_READ | LANDLOCK_WRITE, e);
    if (rc == 0)
        rc = landlock_path_fd(rules, INTO_FD, LANDLOCK_READ | LANDLOCK_WRITE, e);
    for (size_t i = 0; rc == 0 && i < LEN(readable); i++)
        rc = landlock_path(rules, readable[i], LANDLOCK_READ, e);
    if (rc < 0) {
        close(rules);
        return -1;
    }
    return landlock_enter(rules, e);
}

/* Nobody's configuration, no templates, no trust in what is not checked. Objects are hashed when they arrive, not again with each
 * use: mirrors are nobody else's, and a pack carries a checksum of each object's bytes. */
static int start_library(struct kr_err *e)
{
    static const int levels[] = { GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL, GIT_CONFIG_LEVEL_PROGRAMDATA };
    struct fetch none = { 0 };
    bool ok = git_libgit2_init() > 0;
    for (size_t i = 0; i < LEN(levels); i++)
        ok &= git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "") == 0;
    ok &= git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "") == 0 && git_libgit2_opts(GIT_OPT_SET_HOMEDIR, "/nowhere") == 0 &&
          git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0) == 0 && git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0) == 0 && git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)LIMIT_GIT_OBJECTS) == 0 &&
          git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)LIMIT_GIT_MEMORY / 4) == 0;
    return ok ? 0 : git_failed(&none, e, "start libgit2");
}

/* ---- the fetch --------------------------------------------------------------------------------------------------- */

/* What goes wrong with an old mirror may be its fault: it is thrown away, and the fetch done once more without it. */
static int fetch_and_lay_out(struct fetch *f, struct kr_err *e)
{
    int rc = mirror_get(f, false, e) < 0 ? -1 : checkout(f, e);
    struct kr_err wire = { 0 };
    if (rc == 0 || e->code != KR_PROTOCOL || !f->old || wire_failed(f->wire, &wire))
        return rc;
    *e = (struct kr_err){ 0 };
    return mirror_get(f, true, e) < 0 ? -1 : checkout(f, e);
}

void fetch_begins(struct fetch *f)
{
    struct kr_err ignored = { 0 };
    if (f->deadline_us)                           /* a second try */
        return;
    f->deadline_us = clock_system.mono_us(&clock_system) + o.timeout_us;
    wire_begin(f->wire, f->deadline_us);
    applet_print(S("begun\n"), &ignored);
}

static int work(struct fetch *f, struct loop *loop, struct kr_err *e)
{
    struct git_secret secret = { 0 };
    AUTO_BUF struct buf ca = { .max = 1 };
    struct wire_config c = { .url = f->url, .secret = &secret, .allow_private = o.private, .max_bytes = LIMIT_GIT_BYTES };
    int rc = secret_read(o.secret.p, &secret, &ca, e);
    c.ca = buf_view(&ca);
    if (rc == 0)
        rc = (f->wire = wire_new(loop, &c, e)) ? 0 : -1;
    if (rc == 0)
        rc = give_up_rights(e);
    if (rc == 0)
        rc = start_library(e);
    if (rc == 0)
        rc = fetch_and_lay_out(f, e);
    mirror_close(f);
    wire_free(f->wire);
    git_libgit2_shutdown();
    secret_free(&secret);
    return rc;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    struct fetch f = { .url = o.url, .ref = o.ref, .mirrors = o.mirrors.p, .into = INTO_FD, .lock = -1 };
    AUTO_BUF struct buf answer = { .max = 2048 };
    char commit[GIT_OID_SHA1_HEXSIZE + 1];
    struct uri_url u;
    int rc = -1;
    (void)call;
    if (!ref_is_sane(o.ref))
        kr_fail(e, KR_INVALID, "source.commitSHA is no name of a commit, branch or tag");
    else if (uri_parse_url(o.url, &u, e) == 0 && fs_make_dir(o.mirrors.p, 0700, e) == 0) {
        struct loop *loop = loop_new(&clock_system);
        rc = work(&f, loop, e);
        loop_free(loop);
    }
    if (rc == 0)
        buf_fmt(&answer, "ok %s\n", git_oid_tostr(commit, sizeof commit, &f.commit));
    else
        buf_fmt(&answer, "error %s\n", e->msg);
    *e = (struct kr_err){ 0 };
    return applet_print(buf_view(&answer), e);
}

const struct applet applet_git_fetch = {
    .name = "git-fetch", .group = APPLET_COMPONENT, .hidden = true, .brief = "fetches a commit and lays its files out; started by runtimed",
    .opts = opts, .main = run,
};
