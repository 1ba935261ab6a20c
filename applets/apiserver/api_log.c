/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_log: GET pods/NAME/log, from the files that the local node keeps beneath its folder: UID/runtimed.log and
 * UID/runtime-server.log, and what the process before wrote as UID/runtimed.previous.log. The node and this process share
 * a machine, so the file is read where it lies; a Run can write in its pod's folder, hence no symlink and nothing but a
 * plain file is followed.
 */
#include "applets/apiserver/api.h"
#include "applets/apiserver/follow.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_container(const struct json *spec, const char *list, struct str name)
{
    for (const struct json *m = json_first(json_get(spec, list)); m; m = json_next(m))
        if (str_eq(json_string(json_get(m, "name")), name))
            return true;
    return false;
}

/* The number of that name, -1 when it isn't asked for. */
static int number(struct api_call *c, const char *name, int64_t least, int64_t *ret)
{
    struct str text = api_query(c, name);
    *ret = -1;
    if (text.n && (!str_i64(text, ret) || *ret < least))
        return kr_fail(&c->e, KR_BAD_REQUEST, "%s: Invalid value: \"%.*s\": must be greater than or equal to %d", name, SFMT(text), (int)least);
    return 0;
}

/* The container that is meant: the only one, unless it is named. */
static int choose(struct api_call *c, const struct json *pod, struct str *ret)
{
    const struct json *spec = json_get(pod, "spec"), *containers = json_get(spec, "containers");
    struct str name = api_query(c, "container");
    if (!name.n && json_len(containers) != 1)
        return kr_fail(&c->e, KR_BAD_REQUEST, "a container name must be specified for pod %.*s", SFMT(c->path.name));
    if (!name.n)
        name = json_string(json_get(json_first(containers), "name"));
    if (!has_container(spec, "containers", name) && !has_container(spec, "initContainers", name))
        return kr_fail(&c->e, KR_BAD_REQUEST, "container %.*s is not valid for pod %.*s", SFMT(name), SFMT(c->path.name));
    *ret = name;
    return 0;
}

/* There is no such file. */
static int absent(struct api_call *c, struct str container, bool previous)
{
    if (previous)
        return kr_fail(&c->e, KR_BAD_REQUEST, "previous terminated container \"%.*s\" in pod \"%.*s\" not found", SFMT(container), SFMT(c->path.name));
    return kr_fail(&c->e, KR_BAD_REQUEST, "container \"%.*s\" in pod \"%.*s\" is waiting to start", SFMT(container), SFMT(c->path.name));
}

static int open_log(struct api_call *c, const struct json *pod, struct str container)
{
    struct str uid = json_string(json_get(json_get(pod, "metadata"), "uid"));
    bool previous = api_query_bool(c, "previous");
    const char *file = str_is(container, "runtimed") ? "runtimed" : str_is(container, "runtime") ? "runtime-server" : NULL;
    if (!c->api->pods_dir.n)
        return kr_fail(&c->e, KR_UNAVAILABLE, "this server has no pods' folder to read logs from (--pods-dir)");
    if (!file || !uid.n)
        return absent(c, container, previous);
    struct str path = arena_fmt(&c->arena, "%.*s/%.*s/%s%s", SFMT(c->api->pods_dir), SFMT(uid), file, previous ? LOG_PREVIOUS : ".log");
    int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? absent(c, container, previous) : kr_fail_sys(&c->e, KR_SYSTEM, errno, "the log of container \"%.*s\" can't be opened", SFMT(container));
    return fd;
}

/* Appends the file's end, whole lines, as many bytes as an answer may have. */
static int read_end(struct api_call *c, int fd, struct buf *out, struct stat *ret)
{
    struct stat st;
    char chunk[16384];
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return kr_fail(&c->e, KR_SYSTEM, "the log is not a plain file");
    bool cut = st.st_size > LIMIT_OBJECT_BYTES;
    off_t at = cut ? st.st_size - LIMIT_OBJECT_BYTES : 0;
    while (at < st.st_size) {                     /* what is appended meanwhile is left for the next call */
        size_t want = st.st_size - at < (off_t)sizeof chunk ? (size_t)(st.st_size - at) : sizeof chunk;
        ssize_t n = pread(fd, chunk, want, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kr_fail_sys(&c->e, KR_SYSTEM, errno, "the log can't be read");
        if (n == 0)
            break;
        buf_str(out, (struct str){ chunk, (size_t)n });
        at += n;
    }
    st.st_size = at;
    *ret = st;
    struct str text = buf_view(out);
    if (cut) {
        str_cut(&text, '\n');
        buf_drop(out, out->n - text.n);
    }
    return 0;
}

static struct str last_lines(struct str text, int64_t lines)
{
    size_t at = text.n;
    if (lines < 0)
        return text;
    if (at && text.p[at - 1] == '\n' && lines)
        at--;
    while (at && lines) {
        if (text.p[at - 1] == '\n' && !--lines)
            break;
        at--;
    }
    return str_from(text, at);
}

/* What is asked for of the text. */
static int read_view(struct api_call *c, struct log_view *v, int64_t *lines)
{
    struct str since = api_query(c, "sinceTime");
    int64_t seconds;
    *v = (struct log_view){ .stamps = api_query_bool(c, "timestamps") };
    if (number(c, "tailLines", 0, lines) < 0 || number(c, "limitBytes", 1, &v->limit) < 0 || number(c, "sinceSeconds", 1, &seconds) < 0)
        return -1;
    if (since.n && seconds >= 0)
        return kr_fail(&c->e, KR_BAD_REQUEST, "at most one of `sinceTime` or `sinceSeconds` may be specified");
    if (since.n && !time_parse(since, &v->since_us))
        return kr_fail(&c->e, KR_BAD_REQUEST, "sinceTime: Invalid value: \"%.*s\": a time as 2026-01-02T03:04:05Z was expected", SFMT(since));
    if (seconds >= 0)
        v->since_us = loop_wall_us(c->api->loop) - seconds * 1000000;
    return 0;
}

int api_log(struct api_call *c)
{
    struct store_value v;
    struct log_view view;
    struct stat st;
    struct str container = { 0 };
    int64_t lines;
    int rc = store_get(c->api->store, resource_key(c->path.r, c->path.ns, c->path.name, &c->arena), &v, &c->e);
    if (rc <= 0)
        return rc < 0 ? -1 : api_fail_not_found(c, c->path.name);
    struct json *pod = json_parse(&c->arena, arena_str(&c->arena, v.json), &c->e);
    if (!pod || read_view(c, &view, &lines) < 0 || choose(c, pod, &container) < 0)
        return -1;
    AUTO_CLOSE int fd = open_log(c, pod, container);
    AUTO_BUF struct buf whole = { .max = 2 * LIMIT_OBJECT_BYTES };
    if (fd < 0 || read_end(c, fd, &whole, &st) < 0)
        return -1;
    bool follow = api_query_bool(c, "follow");
    struct str text = last_lines(buf_view(&whole), lines);
    view.at_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    size_t taken = log_view_feed(&view, text, !follow, &c->reply->body);
    c->reply->status = 200;
    c->reply->content_type = "text/plain";
    if (!follow || log_view_over(&view))
        return 0;
    c->reply->follow = xcalloc(1, sizeof *c->reply->follow);
    *c->reply->follow = (struct api_follow){ TAKE_FD(fd), (int64_t)st.st_size - (int64_t)(text.n - taken), view };
    return 0;
}
