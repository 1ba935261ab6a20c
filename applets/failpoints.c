/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failpoints: prints the names of all failpoints of scheduler, controller and runtimed, in the build that has them. Those
 * around API writes follow from what each may write (crds/access.def), so that a new kind of write is in the list at once.
 */
#include "core/failpoint.h"
#ifdef KR_FAILPOINTS
#include "core/applet.h"
#include "crds/access.h"

static void put(struct buf *b, const char *process, const char *verb, struct str resource)
{
    static const char *const when[] = { "before", "after" };
    for (size_t i = 0; i < LEN(when); i++)
        buf_fmt(b, "%s.%s-%.*s.%s\n", process, verb, SFMT(resource), when[i]);
}

/* Applied (PATCH), not created; RBAC asks for the right to create all the same. */
static bool is_applied(struct str resource)
{
    static const char *const names[] = { "serviceaccounts", "roles", "rolebindings", "deployments", "networkpolicies" };
    for (size_t i = 0; i < LEN(names); i++)
        if (str_is(resource, names[i]))
            return true;
    return false;
}

static void put_writes(struct buf *b, const struct access_rule *r, const char *process)
{
    static const char *const verbs[] = { "create", "patch", "delete" };
    for (struct str words = str_of(r->verbs), verb; (verb = str_cut(&words, ' ')).n;)
        for (size_t i = 0; i < LEN(verbs); i++)
            for (struct str names = str_of(r->resources), name; str_is(verb, verbs[i]) && (name = str_cut(&names, ' ')).n;)
                if (i || !is_applied(name))
                    put(b, process, verbs[i], name);
}

static int run(struct applet_call *c, struct kr_err *e)
{
    static const char *const of_role[ACCESS_ROLES] = { [ACCESS_CONTROLLER] = "controller", [ACCESS_CONTROLLER_LEASE] = "controller",
                                                       [ACCESS_SCHEDULER] = "scheduler", [ACCESS_SCHEDULER_LEASE] = "scheduler",
                                                       [ACCESS_RUNTIMED] = "runtimed" };
    AUTO_BUF struct buf b = { .max = 65536 };
    const char *name;
    (void)c;
    for (unsigned i = 0; (name = failpoint_name(i)); i++)
        buf_fmt(&b, "%s%s\n", *name == '*' ? "runtimed" : "", name + (*name == '*'));
    for (size_t i = 0; i < access_nrules; i++)
        if (of_role[access_rules[i].role])
            put_writes(&b, &access_rules[i], of_role[access_rules[i].role]);
    return applet_print(buf_view(&b), e);
}

const struct applet applet_failpoints = { .name = "failpoints", .group = APPLET_TOOL, .brief = "names of the places at which a test may kill a process", .main = run };
#endif
