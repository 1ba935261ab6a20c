/* SPDX-License-Identifier: Apache-2.0 */
/* The table of rights: its shape, what the controller may pass on, and what nobody has. */
#include "crds/access.h"
#include "tests/kit/test.h"

static bool lists(const char *words, const char *word)
{
    struct str rest = str_of(words);
    while (rest.n)
        if (str_is(str_cut(&rest, ' '), word))
            return true;
    return false;
}

/* May the role do this with this resource, of any name? */
static bool may(enum access_role role, struct str group, struct str resource, struct str verb)
{
    for (size_t i = 0; i < access_nrules; i++) {
        const struct access_rule *r = &access_rules[i];
        AUTO_FREE char *res = xstrndup(resource.p, resource.n), *v = xstrndup(verb.p, verb.n);
        if (r->role == role && !*r->names && str_is(group, r->group) && lists(r->resources, res) && lists(r->verbs, v))
            return true;
    }
    return false;
}

TEST(a_role_as_json)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    access_put_rules(ACCESS_RUNTIMED, &b);
    CHECK_STR(buf_view(&b), S("[{\"apiGroups\":[\"kruntimes.io\"],\"resources\":[\"runs\"],\"verbs\":[\"get\",\"list\",\"watch\",\"patch\"]},"
                              "{\"apiGroups\":[\"kruntimes.io\"],\"resources\":[\"runs/status\"],\"verbs\":[\"patch\"]},"
                              "{\"apiGroups\":[\"kruntimes.io\"],\"resources\":[\"runs/runtimed\"],\"verbs\":[\"act\"]}]"));
    buf_clear(&b);
    access_put_rules(ACCESS_SCHEDULER_LEASE, &b);
    CHECK_STR(buf_view(&b), S("[{\"apiGroups\":[\"coordination.k8s.io\"],\"resources\":[\"leases\"],\"verbs\":[\"create\"]},"
                              "{\"apiGroups\":[\"coordination.k8s.io\"],\"resources\":[\"leases\"],\"resourceNames\":[\"kruntimes-scheduler\"],\"verbs\":[\"get\",\"patch\"]}]"));
}

/* The API refuses a Role with a right that its maker lacks: no Runtime would start. */
TEST(the_controller_has_what_it_gives)
{
    for (size_t i = 0; i < access_nrules; i++) {
        const struct access_rule *r = &access_rules[i];
        if (r->role != ACCESS_RUNTIMED)
            continue;
        for (struct str resources = str_of(r->resources); resources.n;) {
            struct str resource = str_cut(&resources, ' ');
            for (struct str verbs = str_of(r->verbs); verbs.n;)
                CHECK(may(ACCESS_CONTROLLER, str_of(r->group), resource, str_cut(&verbs, ' ')));
        }
    }
}

TEST(no_wildcards_no_secrets_and_logs_by_both_verbs)
{
    for (size_t i = 0; i < access_nrules; i++) {
        const struct access_rule *r = &access_rules[i];
        CHECK(!strchr(r->group, '*') && !strchr(r->resources, '*') && !strchr(r->verbs, '*'));
        CHECK(!lists(r->resources, "secrets"));
        CHECK(!lists(r->resources, "pods/portforward") || (lists(r->verbs, "get") && lists(r->verbs, "create")));
        CHECK(access_roles[r->role].where != ACCESS_PEOPLE || !lists(r->verbs, "act"));      /* people aren't runtimed */
        CHECK(access_roles[r->role].where != ACCESS_PEOPLE || !lists(r->resources, "runs/status") || str_is(str_of(r->verbs), "get list watch"));
    }
    CHECK(!may(ACCESS_VIEWER, S(""), S("pods/portforward"), S("get")));
    CHECK(may(ACCESS_SUBMITTER, S(""), S("pods/portforward"), S("create")));
    CHECK(!may(ACCESS_SUBMITTER, S("kruntimes.io"), S("runtimes"), S("create")));
    CHECK(may(ACCESS_RUNTIME_ADMIN, S("kruntimes.io"), S("runtimes/scale"), S("update")));
}
