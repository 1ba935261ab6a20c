/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan: what a reconcile wants done: a list of operations, made without I/O, printed as text for tests and logs, and
 * carried out in order by plan_execute (operations of one plan one after another but for those marked `beside`, plans of many keys
 * side by side).
 */
#ifndef K8S_PLAN_H
#define K8S_PLAN_H
#include "k8s/client.h"

enum plan_verb { PLAN_CREATE, PLAN_APPLY, PLAN_MERGE_PATCH, PLAN_JSON_PATCH, PLAN_DELETE };
extern const char *const plan_verbs[];            /* how each is printed */
struct plan_op {
    enum plan_verb verb;
    const struct kube_resource *resource;
    struct str ns, name;
    const char *sub;                              /* "status" or NULL */
    struct str body;                              /* JSON */
    struct str uid;                               /* PLAN_DELETE: precondition */
    const char *manager;                          /* PLAN_APPLY: field manager; applies are forced */
    const char *why;                              /* constant, for people */
    bool beside;                                  /* sent while the operation before it is under way, and though that was refused */
    bool exists_is_fine, missing_is_fine;         /* 409 AlreadyExists of a create, 404 of the others count as done */
    bool refused_is_fine;                         /* so does a refusal or a conflict: it is no loss when it isn't done */
    bool stale_is_fine;                           /* a failed precondition ends the plan without failure: the watch brings a new look */
};
struct plan {
    struct arena arena;                           /* what ops point to may live here */
    struct plan_op *ops; size_t n, cap;
    int64_t look_again_us;                        /* wall clock µs at which the key wants a look without being asked; 0: none */
};
struct plan_op *plan_add(struct plan *, enum plan_verb, const struct kube_resource *, struct str ns, struct str name);
void plan_free(struct plan *);
/* One line an operation: "merge-patch runs/status ns/name {…}  # why", then "look again at …". */
void plan_print(const struct plan *, struct buf *);

/* Takes the plan over (moves it). done comes once, never from inside this call. error NULL: all done; else the first one. */
struct plan_run;
struct plan_run *plan_execute(struct kube *, struct plan *, void (*done)(void *ctx, const struct kr_err *error), void *ctx);
/* The server has read the operation and won't have it: what is wrong is the object or a rule about it, not the server or the way there. */
bool plan_is_refusal(const struct kr_err *);
#endif
