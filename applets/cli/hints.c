/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hints: what to do when an API server can't be reached, doesn't take who we are, refuses, or hasn't what was asked for. Servers say
 * what happened in their own words; here stands the next step, by code and by words that Kubernetes has used for years. What
 * isn't recognised gets no advice. Tests: tests/local/mistakes.py
 */
#include "applets/cli/cli.h"

static bool says(const struct kr_err *e, const char *words) { return str_find(str_of(e->msg), str_of(words)) >= 0; }

static void put_context(const struct cli *c, struct buf *b)
{
    if (*c->context)
        buf_fmt(b, "context \"%s\" of %s", c->context, c->source);
    else
        buf_lit(b, *c->source ? c->source : "the command line");
}

static void unreachable(const struct cli *c, struct buf *b)
{
    struct str server = kube_server(c->kube);
    buf_fmt(b, "is the API server %.*s up, and the right one? ", SFMT(server));
    put_context(c, b);
    buf_lit(b, " names it; --context takes another");
}

static void not_kubernetes(const struct cli *c, struct buf *b)
{
    struct str server = kube_server(c->kube);
    buf_fmt(b, "what answers at %.*s is no Kubernetes API: a proxy, or a wrong address in ", SFMT(server));
    put_context(c, b);
}

/* What Mbed TLS says of certificates; an unknown CA is one fault of several. */
static void bad_certificate(const struct cli *c, const struct kr_err *e, struct buf *b)
{
    struct str server = kube_server(c->kube);
    if (says(e, "validity has expired") || says(e, "validity starts in the future")) {
        buf_lit(b, "it has to be renewed at the server, or this machine's clock is wrong");
    } else if (says(e, "does not match with the expected")) {
        buf_fmt(b, "it is for another name than that of %.*s: --tls-server-name takes the one in it", SFMT(server));
    } else if (says(e, "not correctly signed")) {
        buf_lit(b, "the CA in ");
        put_context(c, b);
        buf_lit(b, " is not this server's: get the kubeconfig anew, or name the right one with --certificate-authority");
    }
}

static void stranger(const struct cli *c, const struct kr_err *e, struct buf *b)
{
    if (says(e, "certificate")) {
        bad_certificate(c, e, b);
        return;
    }
    buf_lit(b, "the credentials in ");
    put_context(c, b);
    buf_lit(b, " are not taken: a token may have expired; log in again, or get the kubeconfig anew");
}

static void forbidden(const struct kr_err *e, struct buf *b)
{
    bool looks = says(e, "cannot list") || says(e, "cannot get") || says(e, "cannot watch"), runtimes = says(e, "\"runtimes\"");
    if (!says(e, "cannot"))
        return;
    buf_fmt(b, "who keeps the cluster can give you the role kruntimes-%s",
            looks ? "viewer" : runtimes ? "runtime-admin" : "submitter");
}

static void not_found(const struct cli *c, const struct kr_err *e, struct buf *b)
{
    if (says(e, "could not find the requested resource") || says(e, "page not found")) {
        buf_lit(b, "kruntimes is not installed there (");
        put_context(c, b);
        buf_lit(b, "): kruntimes manifests | kubectl apply --server-side -f -");
    } else if (says(e, "namespaces \"")) {
        buf_lit(b, "kubectl get namespaces lists those there are; -n takes another");
    } else if (says(e, ".kruntimes.io \"")) {
        struct str kind = str_of(e->msg);
        kind.n = (size_t)str_find(kind, S(".kruntimes.io"));
        struct str verb = str_is(kind, "runs") ? S("run") : str_is(kind, "runtimes") ? S("runtime") : S("workflow");
        buf_fmt(b, "looked in namespace \"%s\"; kruntimes %.*s list -A shows those of all", c->own_ns, SFMT(verb));
    }
}

bool cli_hint(const struct cli *c, const struct kr_err *e, struct buf *b)
{
    size_t before = b->n;
    switch (e->code) {
    case KR_UNAVAILABLE:
        if (!says(e, "the API server answered") && !says(e, "the logs of"))
            unreachable(c, b);
        break;
    case KR_DEADLINE: buf_lit(b, "the server is slow or something on the way is; --request-timeout waits longer"); break;
    case KR_UNAUTHORIZED: stranger(c, e, b); break;
    case KR_FORBIDDEN: forbidden(e, b); break;
    case KR_NOT_FOUND: not_found(c, e, b); break;
    case KR_BAD_REQUEST:
    case KR_PROTOCOL:
        if (says(e, "the API server's answer") || says(e, "the API server answered with"))
            not_kubernetes(c, b);
        break;
    default: break;
    }
    return b->n > before;
}

void cli_advise(const struct cli *c, struct kr_err *e)
{
    AUTO_BUF struct buf hint = { .max = 320 };
    struct kr_err was = *e;
    bool more = e->code == KR_UNAVAILABLE || e->code == KR_UNAUTHORIZED || e->code == KR_FORBIDDEN;
    if (c->kube && cli_hint(c, e, &hint))
        kr_fail(e, was.code, "%s; %.*s%s", was.msg, SFMT(buf_view(&hint)), more ? "; kruntimes doctor looks closer" : "");
    e->retry_after_s = was.retry_after_s;
}
