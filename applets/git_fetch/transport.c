/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport: libgit2's smart protocol over wire. libgit2 asks for a stream, writes the request's body, reads the answer; the
 * request is sent at the first read. No other transport is in the binary (core/deps/git2_transport.c).
 * Tests: tests/local/git.py.
 */
#include "applets/git_fetch/fetch.h"
#include <git2/sys/errors.h>
#include <git2/sys/transport.h>

struct subtransport { git_smart_subtransport base; struct wire *wire; };
struct stream {
    git_smart_subtransport_stream base;
    struct wire *wire;
    bool refs, sent;
    struct buf body;
};

static int told(struct wire *w)
{
    struct kr_err e = { 0 };
    if (wire_failed(w, &e))
        git_error_set_str(GIT_ERROR_HTTP, e.msg);
    return -1;
}

static int stream_read(git_smart_subtransport_stream *base, char *to, size_t n, size_t *got)
{
    struct stream *s = (struct stream *)base;
    *got = 0;
    if (!s->sent) {
        s->sent = true;
        if ((s->refs ? wire_get_refs(s->wire) : wire_post_pack(s->wire, buf_view(&s->body))) < 0)
            return told(s->wire);
    }
    ptrdiff_t r = wire_read(s->wire, to, n);
    if (r < 0)
        return told(s->wire);
    *got = (size_t)r;
    return 0;
}

static int stream_write(git_smart_subtransport_stream *base, const char *from, size_t n)
{
    struct stream *s = (struct stream *)base;
    buf_add(&s->body, from, n);
    if (!s->body.failed && !s->sent)
        return 0;
    git_error_set_str(GIT_ERROR_HTTP, "the request is too long");
    return -1;
}

static void stream_free(git_smart_subtransport_stream *base)
{
    struct stream *s = (struct stream *)base;
    wire_end(s->wire);
    buf_free(&s->body);
    free(s);
}

static int action(git_smart_subtransport_stream **out, git_smart_subtransport *base, const char *url, git_smart_service_t what)
{
    struct subtransport *t = (struct subtransport *)base;
    (void)url;                           /* wire has it, and where a redirect led */
    if (what != GIT_SERVICE_UPLOADPACK_LS && what != GIT_SERVICE_UPLOADPACK) {
        git_error_set_str(GIT_ERROR_HTTP, "nothing is ever pushed");
        return -1;
    }
    struct stream *s = xcalloc(1, sizeof *s);
    *s = (struct stream){ .base = { .subtransport = base, .read = stream_read, .write = stream_write, .free = stream_free },
                          .wire = t->wire, .refs = what == GIT_SERVICE_UPLOADPACK_LS, .body.max = (size_t)16 << 20 };
    *out = &s->base;
    return 0;
}

static int close_nothing(git_smart_subtransport *base)
{
    (void)base;
    return 0;
}

static void subtransport_free(git_smart_subtransport *base) { free(base); }

static int subtransport_new(git_smart_subtransport **out, git_transport *owner, void *wire)
{
    struct subtransport *t = xcalloc(1, sizeof *t);
    (void)owner;
    *t = (struct subtransport){ { .action = action, .close = close_nothing, .free = subtransport_free }, wire };
    *out = &t->base;
    return 0;
}

int transport_new(git_transport **out, git_remote *owner, void *fetch)
{
    git_smart_subtransport_definition d = { subtransport_new, 1, ((struct fetch *)fetch)->wire };
    return git_transport_smart(out, owner, &d);
}
