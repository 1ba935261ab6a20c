/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret: the keys of a Secret, as files of a mounted folder. A password without a host is refused: the URL is chosen by who
 * makes the Run, and a password that goes wherever that says is a password given away.
 */
#include "applets/git_fetch/fetch.h"
#include "core/fs.h"
#include <stdio.h>

enum { FIELD_MAX = 65536, CA_MAX = 4 << 20 };

static int read_key(const char *dir, const char *key, struct buf *out, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 8192 };
    const char *path = fs_join(&a, dir, key);
    if (!path || !fs_exists(path))
        return 0;
    return fs_read(path, out, e) < 0 ? kr_wrap(e, "the Secret's key \"%s\"", key) : 0;
}

/* Without the line end that editors add. A line end inside could begin another header. */
static int read_word(const char *dir, const char *key, char **out, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = FIELD_MAX };
    if (read_key(dir, key, &b, e) < 0)
        return -1;
    struct str s = buf_view(&b);
    while (str_ends(s, S("\n")) || str_ends(s, S("\r")))
        s.n--;
    if (memchr(s.p, '\n', s.n) || memchr(s.p, '\r', s.n) || memchr(s.p, '\0', s.n))
        return kr_fail(e, KR_INVALID, "the Secret's key \"%s\" has several lines", key);
    *out = s.n ? xstrndup(s.p, s.n) : NULL;
    return 0;
}

int secret_read(const char *dir, struct git_secret *s, struct buf *ca, struct kr_err *e)
{
    ca->max = CA_MAX;
    if (!dir || !*dir)
        return 0;
    if (read_word(dir, "host", &s->host, e) < 0 || read_word(dir, "username", &s->username, e) < 0 || read_word(dir, "password", &s->password, e) < 0 ||
        read_key(dir, "ca.crt", ca, e) < 0)
        return -1;
    if (s->password && !s->host)
        return kr_fail(e, KR_INVALID, "the Secret has a \"password\" but no \"host\": name the one host (or host:port) that may see it");
    if (s->host && strpbrk(s->host, "/@ "))
        return kr_fail(e, KR_INVALID, "the Secret's \"host\" is no host name: write it as git.example.com or git.example.com:8443");
    if (!s->password) {
        free(TAKE(s->host));
        return 0;
    }
    if (!s->username)
        s->username = xstrndup("git", 3);
    if (strchr(s->username, ':'))
        return kr_fail(e, KR_INVALID, "the Secret's \"username\" has a colon, which Basic authentication can't carry");
    return 0;
}

void secret_free(struct git_secret *s)
{
    if (s->password)
        explicit_bzero(s->password, strlen(s->password));
    free(s->host);
    free(s->username);
    free(s->password);
    *s = (struct git_secret){ 0 };
}
