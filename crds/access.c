/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access: the rows of crds/access.def as arrays, and a role's rules as the API has them (rbac.authorization.k8s.io/v1,
 * PolicyRule). Tests: tests/unit/crds/access.c; tests/local runs the control plane with nothing but these rights.
 */
#include "crds/access.h"

const struct access_role_def access_roles[ACCESS_ROLES] = {
#define ROLE(id, ...) [ACCESS_##id] = { __VA_ARGS__ },
#define ACCESS(...)
#include "crds/access.def"
#undef ACCESS
#undef ROLE
};

const struct access_rule access_rules[] = {
#define ROLE(...)
#define ACCESS(id, ...) { ACCESS_##id, __VA_ARGS__ },
#include "crds/access.def"
#undef ACCESS
#undef ROLE
};
const size_t access_nrules = LEN(access_rules);

static void put_words(struct buf *b, const char *key, const char *words)
{
    struct str rest = str_of(words);
    jw_kbegin(b, key, '[');
    do
        jw_str(b, str_cut(&rest, ' '));
    while (rest.n);
    jw_end(b, ']');
}

void access_put_rules(enum access_role role, struct buf *b)
{
    jw_begin(b, '[');
    for (size_t i = 0; i < access_nrules; i++) {
        const struct access_rule *r = &access_rules[i];
        if (r->role != role)
            continue;
        jw_begin(b, '{');
        put_words(b, "apiGroups", r->group);
        put_words(b, "resources", r->resources);
        if (*r->names)
            put_words(b, "resourceNames", r->names);
        put_words(b, "verbs", r->verbs);
        jw_end(b, '}');
    }
    jw_end(b, ']');
}
