/* SPDX-License-Identifier: Apache-2.0 */
/*
 * submit_spec: a Run from the command line: the options that say what it is, written as the JSON that is sent.
 * Tests: tests/local/submit.py
 */
#include "applets/cli/run.h"
#include "applets/cli/upload.h"
#include "core/fs.h"
#include "core/map.h"
#include <stdio.h>

static struct {
    struct opt_list env, env_files, labels, requests, sources;
    struct str from, name, prefix, runtime, entrypoint, inline_file, git, folder;
    int64_t timeout_us, attempts, retries, priority, ttl;
    bool has_retries, has_priority, has_ttl;
} o;
const struct opt submit_spec_opts[] = {
    { "from", 0, OPT_STR, &o.from, "NAME", "like this Run (@latest: the newest), but for what other options say", .also = "last like" },
    { "runtime", 0, OPT_STR, &o.runtime, "NAME", "Runtime that executes it" },
    { "name", 0, OPT_STR, &o.name, "NAME", "name of the Run (default: the Runtime's and a tail)" },
    { "generate-name", 0, OPT_STR, &o.prefix, "PREFIX", "begin of a name that the server completes" },
    { "env", 'e', OPT_LIST, &o.env, "NAME=VALUE", "variable (repeatable)", .also = "param parameter" },
    { "env-file", 0, OPT_LIST, &o.env_files, "FILE", "variables, one NAME=VALUE a line; --env goes before it (repeatable)", .also = "param-file parameter-file" },
    { "label", 0, OPT_LIST, &o.labels, "NAME=VALUE", "label (repeatable)" },
    { "request", 0, OPT_LIST, &o.requests, "NAME=N", "what it takes of a pod's capacity (repeatable)" },
    { "script", 0, OPT_STR, &o.inline_file, "FILE", "source.inline from this file (- is stdin); arguments follow --" },
    { "source", 0, OPT_LIST, &o.sources, "PATH", "a file into the workspace, under this relative path (repeatable)" },
    { "upload", 0, OPT_STR, &o.folder, "FOLDER", "all text files of a folder into the workspace, but what .gitignore names (64 files, 262144 characters)" },
    { "git", 0, OPT_STR, &o.git, "URL[@REF]", "the workspace is this commit, branch or tag of a repository (https or http, without a password)" },
    { "entrypoint", 0, OPT_STR, &o.entrypoint, "PATH", "file of the workspace to execute" },
    { "timeout", 0, OPT_DURATION, &o.timeout_us, "TIME", "limit of each attempt, whole seconds", .lo = 1000000, .hi = INT64_C(31536000000000) },
    { "max-attempts", 0, OPT_INT, &o.attempts, "N", "attempts in all", .lo = 1, .hi = 100 },
    { "retries", 0, OPT_INT, &o.retries, "N", "attempts after the first that failed", .lo = 0, .hi = 99, .given = &o.has_retries },
    { "priority", 0, OPT_INT, &o.priority, "N", "higher goes first", .lo = -1000, .hi = 1000, .given = &o.has_priority },
    { "ttl", 0, OPT_INT, &o.ttl, "SECONDS", "deleted that long after its end", .lo = 0, .hi = INT32_MAX, .given = &o.has_ttl, .also = "ttl-seconds-after-finished" },
    { 0 } };

/* ---- a Run from options ------------------------------------------------------------------------------------------ */

static int pairs(struct buf *b, const struct opt_list *l, const char *option, bool numbers, struct kr_err *e)
{
    for (size_t i = 0; i < l->n; i++) {
        struct str value = l->v[i], name = str_cut(&value, '=');
        int64_t n;
        if (!name.n || name.n == l->v[i].n)
            return kr_fail(e, KR_USAGE, "--%s: \"%.*s\" is not NAME=VALUE", option, SFMT(l->v[i]));
        jw_key(b, name);
        if (numbers && str_i64(value, &n))
            jw_int(b, n);
        else
            jw_str(b, value);
    }
    return 0;
}

/* Variables in the order of their first mention; of several with one name the last one's value. */
struct variables { struct variable { struct str name, value; } *v; size_t n, cap; struct map places; };      /* name → its place + 1 */

static void set_variable(struct variables *l, struct str name, struct str value)
{
    size_t at = (size_t)(uintptr_t)map_get(&l->places, name);
    if (!at) {
        if (l->n == l->cap)
            l->v = xrealloc(l->v, (l->cap = l->cap ? 2 * l->cap : 16) * sizeof *l->v);
        at = ++l->n;
        map_put(&l->places, name, (void *)(uintptr_t)at);
    }
    l->v[at - 1] = (struct variable){ name, value };
}

/* Empty lines and those that begin with # are none; quotes are part of a value. */
static int read_variables(struct variables *l, struct str path, struct arena *a, struct kr_err *e)
{
    AUTO_BUF struct buf text = { .max = LIMIT_FILE_INPUT };
    if (fs_read(path.p, &text, e) < 0)
        return -1;
    struct str rest = arena_str(a, buf_view(&text));
    if (!str_utf8(rest))
        return kr_fail(e, KR_INVALID, "\"%.*s\" is no UTF-8 text", SFMT(path));
    for (size_t number = 1; rest.n; number++) {
        struct str line = str_cut(&rest, '\n'), value;
        while (line.n && (line.p[line.n - 1] == '\r'))
            line.n--;
        struct str shown = str_trim(line);
        if (!shown.n || *shown.p == '#')
            continue;
        value = str_from(line, (size_t)(shown.p - line.p));
        struct str name = str_cut(&value, '=');
        if (!name.n || !value.p)
            return kr_fail(e, KR_INVALID, "%.*s:%zu: \"%.*s\" is not NAME=VALUE", SFMT(path), number, SFMT(shown));
        set_variable(l, name, value);
    }
    return 0;
}

static int put_variables(struct buf *b, struct variables *l, struct arena *a, struct kr_err *e)
{
    for (size_t i = 0; i < o.env_files.n; i++)
        if (read_variables(l, o.env_files.v[i], a, e) < 0)
            return kr_wrap(e, "--env-file");
    for (size_t i = 0; i < o.env.n; i++) {
        struct str value = o.env.v[i], name = str_cut(&value, '=');
        if (!name.n || name.n == o.env.v[i].n)
            return kr_fail(e, KR_USAGE, "--env: \"%.*s\" is not NAME=VALUE", SFMT(o.env.v[i]));
        set_variable(l, name, value);
    }
    if (l->n)
        jw_kbegin(b, "env", '[');
    for (size_t i = 0; i < l->n; i++) {
        jw_begin(b, '{');
        jw_kstr(b, "name", l->v[i].name);
        jw_kstr(b, "value", l->v[i].value);
        jw_end(b, '}');
    }
    if (l->n)
        jw_end(b, ']');
    return 0;
}

static int put_env(struct buf *b, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct variables l = { 0 };
    int rc = put_variables(b, &l, &a, e);
    map_free(&l.places);
    free(l.v);
    return rc;
}

static int put_text_file(struct buf *b, const char *key, struct str path, struct kr_err *e)
{
    AUTO_BUF struct buf text = { .max = LIMIT_FILE_INPUT };
    if (fs_read(path.p, &text, e) < 0)
        return -1;
    if (!str_utf8(buf_view(&text)))
        return kr_fail(e, KR_INVALID, "\"%.*s\" is no UTF-8 text: a Run's source is text", SFMT(path));
    jw_kstr(b, key, buf_view(&text));
    return 0;
}

static int put_files(struct buf *b, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct upload u = { 0 };
    jw_kbegin(b, "files", '[');
    for (size_t i = 0; i < o.sources.n; i++) {
        jw_begin(b, '{');
        jw_kstr(b, "path", o.sources.v[i]);
        if (put_text_file(b, "content", o.sources.v[i], e) < 0)
            return -1;
        jw_end(b, '}');
    }
    int rc = o.folder.n ? upload_read(&u, o.folder.p, &a, e) : 0;
    for (size_t i = 0; rc == 0 && i < u.n; i++) {
        jw_begin(b, '{');
        jw_kstr(b, "path", u.v[i].path);
        jw_kstr(b, "content", u.v[i].content);
        jw_end(b, '}');
    }
    upload_free(&u);
    jw_end(b, ']');
    return rc;
}

/* URL[@REF]: the last "@" behind the host's name begins the ref. What a Run's source can't be is refused here, where it can be said
 * what to do instead. */
static int put_git(struct buf *b, struct kr_err *e)
{
    struct str url = o.git, ref = { 0 };
    ptrdiff_t host = str_find(url, S("://")), path = host < 0 ? -1 : str_chr(str_from(url, (size_t)host + 3), '/');
    if (host < 0 || !(str_starts(url, S("https://")) || str_starts(url, S("http://"))))
        return kr_fail(e, KR_USAGE, "--git: \"%.*s\" is neither https:// nor http://: ssh and local paths are not fetched", SFMT(o.git));
    size_t from = path < 0 ? url.n : (size_t)(host + 3 + path);
    if (str_chr((struct str){ url.p + host + 3, from - (size_t)host - 3 }, '@') >= 0)
        return kr_fail(e, KR_USAGE, "--git: no user name or password in the URL: it would stand in the Run for all to read; a Runtime names a Secret in "
                       "spec.git.credentialsSecretName");
    for (size_t at = url.n; at > from; at--)
        if (url.p[at - 1] == '@') {
            ref = str_from(url, at);
            url.n = at - 1;
            break;
        }
    if (ref.p && !ref.n)
        return kr_fail(e, KR_USAGE, "--git: \"%.*s\": behind @ a commit, branch or tag is missing", SFMT(o.git));
    jw_kstr(b, "repoURL", url);
    if (ref.n)
        jw_kstr(b, "commitSHA", ref);
    return 0;
}

static int put_source(struct buf *b, struct kr_err *e)
{
    bool files = o.sources.n || o.folder.n;
    if (!o.inline_file.n && !files && !o.git.n)
        return 0;
    if (o.git.n && (files || o.inline_file.n))
        return kr_fail(e, KR_USAGE, "--git is the whole workspace: --script, --source and --upload don't go with it");
    jw_kbegin(b, "source", '{');
    if (o.git.n && put_git(b, e) < 0)
        return -1;
    if (o.inline_file.n && put_text_file(b, "inline", o.inline_file, e) < 0)
        return -1;
    if (files && put_files(b, e) < 0)
        return -1;
    jw_end(b, '}');
    return 0;
}

static int put_spec(struct buf *b, const struct applet_call *c, struct kr_err *e)
{
    jw_kbegin(b, "spec", '{');
    if (o.runtime.n)
        jw_kstr(b, "runtime", o.runtime);
    if (c->nargs) {
        jw_kbegin(b, "args", '[');
        for (size_t i = 0; i < c->nargs; i++)
            jw_str(b, c->args[i]);
        jw_end(b, ']');
    }
    if (put_env(b, e) < 0)
        return -1;
    if (put_source(b, e) < 0)
        return -1;
    if (o.entrypoint.n)
        jw_kstr(b, "entrypoint", o.entrypoint);
    if (o.timeout_us)
        jw_kint(b, "timeoutSeconds", (o.timeout_us + 999999) / 1000000);
    if (o.attempts || o.has_retries) {
        jw_kbegin(b, "retryPolicy", '{');
        jw_kint(b, "maxAttempts", o.attempts ? o.attempts : o.retries + 1);
        jw_end(b, '}');
    }
    if (o.has_priority)
        jw_kint(b, "priority", o.priority);
    if (o.has_ttl)
        jw_kint(b, "ttlSecondsAfterFinished", o.ttl);
    if (o.requests.n) {
        jw_kbegin(b, "resources", '{');
        jw_kbegin(b, "requests", '{');
        if (pairs(b, &o.requests, "request", true, e) < 0)
            return -1;
        jw_end(b, '}');
        jw_end(b, '}');
    }
    jw_end(b, '}');
    return 0;
}

int submit_from_options(const struct applet_call *c, struct buf *b, struct kr_err *e)
{
    AUTO_BUF struct buf prefix = { .max = 256 };
    if (!o.runtime.n && !o.from.n)
        return kr_fail(e, KR_USAGE, "what is to be executed, and where? Give -f FILE, or --runtime NAME -- COMMAND");
    if (o.name.n && o.prefix.n)
        return kr_fail(e, KR_USAGE, "--name and --generate-name don't go together");
    if (o.attempts && o.has_retries)
        return kr_fail(e, KR_USAGE, "--max-attempts and --retries say the same: one of them");
    jw_begin(b, '{');
    jw_kstr(b, "apiVersion", S("kruntimes.io/v1alpha1"));
    jw_kstr(b, "kind", S("Run"));
    jw_kbegin(b, "metadata", '{');
    buf_fmt(&prefix, o.prefix.n ? "%.*s" : "%.*s-", SFMT(o.prefix.n ? o.prefix : o.runtime));
    if (o.name.n)
        jw_kstr(b, "name", o.name);
    else if (o.prefix.n || !o.from.n)
        jw_kstr(b, "generateName", buf_view(&prefix));
    if (o.labels.n) {
        jw_kbegin(b, "labels", '{');
        if (pairs(b, &o.labels, "label", false, e) < 0)
            return -1;
        jw_end(b, '}');
    }
    jw_end(b, '}');
    if (put_spec(b, c, e) < 0)
        return -1;
    jw_end(b, '}');
    return b->failed ? kr_fail(e, KR_TOO_LARGE, "the Run is too large") : 0;
}

/* An option that would be passed over where files say all. */
const char *submit_spec_given(void)
{
    static const struct { const struct str *s; const struct opt_list *l; const char *name; } words[] = {
        { &o.from, NULL, "from" }, { NULL, &o.env_files, "env-file" }, { &o.runtime, NULL, "runtime" }, { &o.name, NULL, "name" }, { &o.prefix, NULL, "generate-name" }, { NULL, &o.env, "env" }, { NULL, &o.labels, "label" },
        { NULL, &o.requests, "request" }, { &o.inline_file, NULL, "script" }, { NULL, &o.sources, "source" }, { &o.folder, NULL, "upload" }, { &o.git, NULL, "git" },
        { &o.entrypoint, NULL, "entrypoint" } };
    for (size_t i = 0; i < LEN(words); i++)
        if (words[i].s ? words[i].s->n : words[i].l->n)
            return words[i].name;
    return o.timeout_us ? "timeout" : o.attempts ? "max-attempts" : o.has_retries ? "retries" : o.has_priority ? "priority" : o.has_ttl ? "ttl" : NULL;
}

struct str submit_spec_from(void) { return o.from; }

void submit_spec_done(void)
{
    opt_list_free(&o.env_files);
    opt_list_free(&o.env);
    opt_list_free(&o.labels);
    opt_list_free(&o.requests);
    opt_list_free(&o.sources);
}
