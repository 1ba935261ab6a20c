/* SPDX-License-Identifier: Apache-2.0 */
/* identify: the user behind a request's head. Each header of an impersonation needs a right of its own. Tests: tests/local/users.py */
#include "applets/apiserver/identify.h"

struct asking { struct api *api; struct arena *arena; struct api_user *user; };

static int may_impersonate(struct asking *h, const char *resource, struct str ns, struct str name, struct kr_err *e)
{
    struct authz_request q = { .verb = S("impersonate"), .resource = str_of(resource), .ns = ns, .name = name };
    return authz_allows(h->api->authz, h->user, &q) ? 0 : authz_refuse(h->user, &q, e);
}

static bool is_account(struct str user, struct str *ns, struct str *name)
{
    struct str prefix = S("system:serviceaccount:");
    if (!str_starts(user, prefix))
        return false;
    *name = str_from(user, prefix.n);
    *ns = str_cut(name, ':');
    return true;
}

static int may_be(struct asking *h, struct str user, struct kr_err *e)
{
    struct str ns, name;
    return is_account(user, &ns, &name) ? may_impersonate(h, "serviceaccounts", ns, name, e) : may_impersonate(h, "users", S(""), user, e);
}

/* Impersonate-User, -Group, -Uid (Kubernetes docs, "User impersonation"): each needs a right of its own. */
static int impersonate(struct asking *h, struct http_fields f, struct kr_err *e)
{
    struct str name = http_get(f, "impersonate-user");
    struct api_user as = { .name = arena_str(h->arena, name) };
    bool asked = false;
    for (size_t i = 0; i < f.n; i++) {
        if (!str_starts(f.v[i].name, S("impersonate-")))
            continue;
        asked = true;
        if (str_is(f.v[i].name, "impersonate-group")) {
            if (may_impersonate(h, "groups", S(""), f.v[i].value, e) < 0)
                return -1;
            user_add_group(&as, arena_str(h->arena, f.v[i].value));
        } else if (str_is(f.v[i].name, "impersonate-uid")) {
            if (may_impersonate(h, "uids", S(""), f.v[i].value, e) < 0)
                return -1;
            as.uid = arena_str(h->arena, f.v[i].value);
        } else if (!str_is(f.v[i].name, "impersonate-user")) {
            return kr_fail(e, KR_BAD_REQUEST, "the header \"%.*s\" is not offered here", SFMT(f.v[i].name));
        }
    }
    if (!asked)
        return 0;
    if (!name.n)
        return kr_fail(e, KR_BAD_REQUEST, "requested impersonation of groups or a UID without impersonating a user");
    if (may_be(h, name, e) < 0)
        return -1;
    struct str ns, account;
    if (!as.ngroups && is_account(name, &ns, &account))
        user_add_account_groups(&as, ns, h->arena);
    user_add_group(&as, str_is(name, "system:anonymous") ? S("system:unauthenticated") : S("system:authenticated"));
    *h->user = as;
    return 0;
}

int identify(struct api *api, struct hreq *r, struct arena *a, struct api_user *user, struct kr_err *e)
{
    struct http_fields f = hreq_fields(r);
    struct asking h = { api, a, user };
    if (!api->authn)
        return 0;
    return authn_user(api->authn, http_get(f, "authorization"), hreq_link(r), a, user, e) < 0 ? -1 : impersonate(&h, f, e);
}
