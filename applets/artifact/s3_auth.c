/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_auth: whose keys a request is signed with, the first that is there:
 *
 *   the Secret that the Runtime names   files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (and ca.crt for TLS)
 *   the environment                     the same names
 *   a web identity                      AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, as a cloud's webhook sets them, given to
 *                                       STS AssumeRoleWithWebIdentity ($AWS_ENDPOINT_URL_STS, else that of the region)
 *
 * The metadata service of a machine is not asked: its rights are not the pod's. No key is ever part of a message.
 */
#include "applets/artifact/s3.h"
#include "core/fs.h"
#include "core/uri.h"

enum { FILE_MAX = 16384, STS_US = 30000000 };

static struct str from_file(struct s3 *s, struct str dir, const char *name)
{
    struct buf b = { .max = FILE_MAX };
    struct kr_err ignored = { 0 };
    const char *path = arena_fmt(&s->arena, "%.*s/%s", SFMT(dir), name).p;
    struct str text = dir.n && fs_exists(path) && fs_read(path, &b, &ignored) == 0 ? arena_str(&s->arena, str_trim(buf_view(&b))) : S("");
    buf_free(&b);
    return text;
}

static struct str from_env(const char *name)
{
    const char *v = getenv(name);
    return str_of(v ? v : "");
}

/* ---- a web identity ---------------------------------------------------------------------------------------------- */

struct asking { bool done; int status; struct buf answer; struct kr_err e; };
static void on_head(struct hcall *h, int status, struct http_fields f)
{
    (void)f;
    ((struct asking *)hcall_ctx(h))->status = status;
}
static void on_data(struct hcall *h, struct str bytes) { buf_str(&((struct asking *)hcall_ctx(h))->answer, bytes); }
static void on_end(struct hcall *h, struct http_fields f)
{
    (void)f;
    ((struct asking *)hcall_ctx(h))->done = true;
}
static void on_failed(struct hcall *h, const struct kr_err *e)
{
    struct asking *q = hcall_ctx(h);
    q->e = *e;
    q->done = true;
}
static bool is_done(void *ctx) { return ((struct asking *)ctx)->done; }

static int ask_sts(struct s3 *s, const struct uri_url *u, struct str form, struct asking *q)
{
    struct http_field type[] = { { S("content-type"), S("application/x-www-form-urlencoded") } };
    struct httpc *http = httpc_new(s->loop, &(struct httpc_config){ .target = { .host = u->host, .port = u->port, .tls = u->https ? s->tls : NULL }, .version = HTTP_11 });
    httpc_call(http, &(struct httpc_request){ .method = S("POST"), .path = u->path, .authority = u->host, .fields = { type, 1 }, .body = form,
                                              .deadline_us = loop_now_us(s->loop) + STS_US },
               (struct hcall_user){ .head = on_head, .data = on_data, .end = on_end, .failed = on_failed, .ctx = q });
    loop_run_until(s->loop, is_done, q, INT64_MAX);
    httpc_free(http);
    return q->e.code ? -1 : 0;
}

static int assume_role(struct s3 *s, struct str role, struct str token_file, struct kr_err *e)
{
    AUTO_BUF struct buf token = { .max = LIMIT_TOKEN }, form = { .max = 4 * LIMIT_TOKEN };
    struct asking q = { .answer = { .max = 65536 } };
    struct uri_url u;
    struct str url = from_env("AWS_ENDPOINT_URL_STS");
    if (!url.n)
        url = arena_fmt(&s->arena, "https://sts.%.*s.amazonaws.com", SFMT(s->region));
    if (uri_parse_url(url, &u, e) < 0 || fs_read(token_file.p, &token, e) < 0)
        return kr_wrap(e, "the web identity");
    uri_put_param(&form, "Action", S("AssumeRoleWithWebIdentity"));
    uri_put_param(&form, "Version", S("2011-06-15"));
    uri_put_param(&form, "RoleArn", role);
    uri_put_param(&form, "RoleSessionName", S("kruntimes"));
    uri_put_param(&form, "WebIdentityToken", str_trim(buf_view(&token)));
    int rc = ask_sts(s, &u, str_from(buf_view(&form), 1), &q);         /* without the '?' */
    struct str doc = buf_view(&q.answer);
    s->keys = (struct s3_keys){ xml_first(doc, "AccessKeyId", &s->arena), xml_first(doc, "SecretAccessKey", &s->arena), xml_first(doc, "SessionToken", &s->arena) };
    if (rc < 0)
        *e = q.e;
    else if (q.status != 200 || !s->keys.id.n || !s->keys.secret.n)
        kr_fail(e, KR_UNAUTHORIZED, "HTTP %d %.*s", q.status, SFMT(xml_first(doc, "Code", &s->arena)));
    buf_free(&q.answer);
    return e->code ? kr_wrap(e, "STS does not give the role \"%.*s\" to this pod's identity", SFMT(role)) : 0;
}

int s3_find_keys(struct s3 *s, struct str dir, struct kr_err *e)
{
    s->keys = (struct s3_keys){ from_file(s, dir, "AWS_ACCESS_KEY_ID"), from_file(s, dir, "AWS_SECRET_ACCESS_KEY"), from_file(s, dir, "AWS_SESSION_TOKEN") };
    if (s->keys.id.n && s->keys.secret.n)
        return 0;
    s->keys = (struct s3_keys){ from_env("AWS_ACCESS_KEY_ID"), from_env("AWS_SECRET_ACCESS_KEY"), from_env("AWS_SESSION_TOKEN") };
    if (s->keys.id.n && s->keys.secret.n)
        return 0;
    struct str role = from_env("AWS_ROLE_ARN"), token = from_env("AWS_WEB_IDENTITY_TOKEN_FILE");
    if (role.n && token.n)
        return assume_role(s, role, token, e);
    return kr_fail(e, KR_UNAUTHORIZED, "no keys for the S3 store: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in credentialsSecretName, nor in the environment, "
                                       "nor a web identity (AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE)");
}
