/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubeconfig_user: an entry of `users`: token, token file, client certificate, user and password, a credential plugin, and
 * whom to act as. Of several, what is sent is decided in credentials.c. Tested in tests/unit/k8s/kubeconfig.c.
 */
#include "core/base64.h"
#include "core/fs.h"
#include "k8s/kubeconfig_private.h"
#include <stdio.h>

enum { MAX_ITEMS = 256 };

/* The strings of an array; what is no string is passed over. */
static const struct str *texts(struct str list, size_t *n, struct arena *a)
{
    struct json_cur cur = json_begin(list);
    *n = 0;
    if (!list.p || json_kind(&cur) != JSON_ARRAY)
        return NULL;
    struct str *v = arena_alloc(a, MAX_ITEMS * sizeof *v);
    json_enter(&cur);
    while (json_item(&cur)) {
        struct str s = json_str_of(json_raw(&cur), a);
        if (v && s.p && *n < MAX_ITEMS)
            v[(*n)++] = s;
    }
    return v;
}

static const struct kube_pair *env_of(struct str list, size_t *n, struct arena *a)
{
    struct json_cur cur = json_begin(list);
    *n = 0;
    if (!list.p || json_kind(&cur) != JSON_ARRAY)
        return NULL;
    struct kube_pair *v = arena_alloc(a, MAX_ITEMS * sizeof *v);
    json_enter(&cur);
    while (json_item(&cur)) {
        struct str item = json_raw(&cur), name = kube_text(item, "name", a);
        if (v && name.n && *n < MAX_ITEMS)
            v[(*n)++] = (struct kube_pair){ name, kube_text(item, "value", a) };
    }
    return v;
}

/* as-user-extra: {key: [value, …]}, one pair a value. */
static const struct kube_pair *extra_of(struct str object, size_t *n, struct arena *a)
{
    struct json_cur cur = json_begin(object);
    struct str key;
    *n = 0;
    if (!object.p || json_kind(&cur) != JSON_OBJECT)
        return NULL;
    struct kube_pair *v = arena_alloc(a, MAX_ITEMS * sizeof *v);
    json_enter(&cur);
    while (json_member(&cur, a, &key)) {
        size_t m;
        const struct str *values = texts(json_raw(&cur), &m, a);
        for (size_t i = 0; v && i < m && *n < MAX_ITEMS; i++)
            v[(*n)++] = (struct kube_pair){ key, values[i] };
    }
    return v;
}

/* ---- the plugin --------------------------------------------------------------------------------------------------- */

/* What the plugin's author may want to know of the cluster (ExecCredential's spec.cluster). */
static struct str cluster_info(struct kube_reading *r, struct str cluster)
{
    static const char *const strings[] = { "server", "tls-server-name", "proxy-url" };
    AUTO_BUF struct buf b = { .max = LIMIT_FILE_INPUT };
    jw_begin(&b, '{');
    for (size_t i = 0; i < LEN(strings); i++) {
        struct str v = kube_text(cluster, strings[i], r->a);
        if (v.n)
            jw_kstr(&b, strings[i], v);
    }
    if (r->c->insecure)
        jw_kbool(&b, "insecure-skip-tls-verify", true);
    if (r->c->ca.n)
        jw_kstr(&b, "certificate-authority-data", base64_encode(r->a, BASE64_STD, r->c->ca));
    struct str list = json_find(cluster, "extensions");
    struct json_cur cur = json_begin(list);
    if (list.p && json_kind(&cur) == JSON_ARRAY) {
        json_enter(&cur);
        while (json_item(&cur)) {
            struct str item = json_raw(&cur), extension = json_find(item, "extension");
            if (extension.p && str_is(kube_text(item, "name", r->a), "client.authentication.k8s.io/exec"))
                jw_kraw(&b, "config", extension);
        }
    }
    jw_end(&b, '}');
    return arena_str(r->a, buf_view(&b));
}

static int read_mode(struct kube_reading *r, struct str exec, struct kr_err *e)
{
    static const char *const modes[] = { "IfAvailable", "Never", "Always" };
    struct str mode = kube_text(exec, "interactiveMode", r->a);
    if (!mode.n && str_ends(r->c->exec.api_version, S("/v1")))
        return kr_fail(e, KR_INVALID, "%s: the user's exec needs an interactiveMode: Never, IfAvailable or Always", r->path);
    for (size_t i = 0; mode.n && i < LEN(modes); i++)
        if (str_is(mode, modes[i])) {
            r->c->exec.interactive = (enum kube_interactive)i;
            return 0;
        }
    return mode.n ? kr_fail(e, KR_INVALID, "%s: the user's exec: interactiveMode \"%.*s\" is none of Never, IfAvailable, Always", r->path, SFMT(mode))
                  : 0;
}

static int read_exec(struct kube_reading *r, struct str exec, struct str cluster, struct kr_err *e)
{
    struct kube_exec *x = &r->c->exec;
    *x = (struct kube_exec){ .command = kube_text(exec, "command", r->a), .api_version = kube_text(exec, "apiVersion", r->a),
                             .install_hint = str_trim(kube_text(exec, "installHint", r->a)) };
    if (!x->command.n)
        return kr_fail(e, KR_INVALID, "%s: the user's exec has no command", r->path);
    if (!str_is(x->api_version, "client.authentication.k8s.io/v1") && !str_is(x->api_version, "client.authentication.k8s.io/v1beta1"))
        return kr_fail(e, KR_UNSUPPORTED, "%s: the user's exec: apiVersion \"%.*s\" is not offered: client.authentication.k8s.io/v1 and v1beta1 are", r->path,
                       SFMT(x->api_version));
    if (str_chr(x->command, '/') >= 0)
        x->command = kube_beside(r, x->command);
    x->args = texts(json_find(exec, "args"), &x->nargs, r->a);
    x->env = env_of(json_find(exec, "env"), &x->nenv, r->a);
    if (str_is(json_find(exec, "provideClusterInfo"), "true"))
        x->cluster = cluster_info(r, cluster);
    return read_mode(r, exec, e);
}

/* ---- the rest ----------------------------------------------------------------------------------------------------- */

int kube_read_token_file(struct kube_reading *r, struct str name, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = LIMIT_TOKEN };
    char *path = arena_z(r->a, kube_beside(r, name));
    if (!path)
        return kr_fail(e, KR_INVALID, "%s: \"%.*s\" is no file name", r->path, SFMT(name));
    r->c->token_file = str_of(path);
    if (fs_read(path, &b, e) < 0) {
        if (!r->c->token.n)
            return kr_wrap(e, "%s", r->path);
        *e = (struct kr_err){ 0 };                /* there is a token beside it, until the file comes */
        return 0;
    }
    r->c->token = arena_str(r->a, str_trim(buf_view(&b)));
    return 0;
}

int kube_read_user(struct kube_reading *r, struct str user, struct str cluster, struct kr_err *e)
{
    struct kube_config *c = r->c;
    struct str exec = json_find(user, "exec"), file = kube_text(user, "tokenFile", r->a);
    if (json_find(user, "auth-provider").p)
        return kr_fail(e, KR_UNSUPPORTED, "%s: the user's \"auth-provider\" is not offered: use an exec plugin, a token, a token file or a client certificate",
                       r->path);
    c->token = kube_text(user, "token", r->a);
    if (file.n && kube_read_token_file(r, file, e) < 0)
        return -1;
    c->username = kube_text(user, "username", r->a);
    c->password = kube_text(user, "password", r->a);
    c->as = kube_text(user, "as", r->a);
    c->as_uid = kube_text(user, "as-uid", r->a);
    c->as_groups = texts(json_find(user, "as-groups"), &c->nas_groups, r->a);
    c->as_extra = extra_of(json_find(user, "as-user-extra"), &c->nas_extra, r->a);
    if (exec.p && exec.p[0] == '{' && read_exec(r, exec, cluster, e) < 0)
        return -1;
    return kube_data_or_file(r, user, "client-certificate", &c->cert, &c->cert_file, e) < 0 ||
                   kube_data_or_file(r, user, "client-key", &c->key, &c->key_file, e) < 0
               ? -1
               : 0;
}
