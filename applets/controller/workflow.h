/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow: the controller's half of Workflows: what is known of one → what is to be done. Shared by workflow*.c, known.c and looks.c.
 *
 *   workflow.c          all of it: from the object to a plan, and its end     workflow_child.c    child Runs: names, bodies, what they say
 *   workflow_job.c      jobs: needs, conditions, legs, outputs                workflow_status.c   the status that is written
 *   workflow_leg.c      steps of a leg, one after another
 *
 * A memory belongs to one Workflow: what was seen stays so (a step that ended, a job that is over), whatever goes later. It
 * begins with what status says; a controller that starts anew loses nothing but what can be seen again.
 */
#ifndef APPLETS_CONTROLLER_WORKFLOW_H
#define APPLETS_CONTROLLER_WORKFLOW_H
#include "crds/flow.h"
#include "crds/run.h"
#include "k8s/plan.h"

enum flow_phase { FLOW_PENDING, FLOW_RUNNING, FLOW_SUCCEEDED, FLOW_FAILED, FLOW_CANCELLED, FLOW_SKIPPED };
extern const char *const flow_phases[];

struct flow_leg_memory {
    enum flow_phase phase;
    char *letters;                                /* one of WRSFCK a step, NUL behind */
    int64_t begun_us;                             /* when its first child was created; 0: not yet */
    int64_t asked_us;                             /* when the step that comes next was last asked for; 0: it wasn't */
    size_t named; char child[72];                 /* the name of the child of step `named` - 1, as each look asks for it; 0: none yet */
    bool timed_out;
    bool ours;                                    /* what comes next begins by us: no later step did before this memory */
};
struct flow_job_memory {
    enum flow_phase phase;
    bool looked;                                  /* what had begun before this memory was looked for */
    struct flow_leg_memory *legs; size_t nlegs;
    struct str_map outputs;
};
struct flow_memory {
    struct arena arena;
    bool loaded, checked;                         /* checked: its expressions were */
    struct flow_job_memory jobs[64];
    struct str reason, message;                   /* the first thing that went wrong */
    size_t outputs;                               /* bytes of outputs in all */
    int64_t written_us;                           /* wall clock of the last status */
    char *written;                                /* and its body, so that the same is not written twice */
};
void flow_memory_free(struct flow_memory *);
void flow_memory_failed(struct flow_memory *);    /* the last plan could not be carried out whole */

struct flow_view {
    struct str workflow;                          /* the object */
    /* The Run of that name in its namespace, whoever made it, whole or as workflow_child_text keeps it; p NULL: there is none. */
    struct str (*run)(void *ctx, struct str name);
    bool (*goes_on)(void *ctx, struct str name);  /* it is some Workflow's child and isn't over: known without its text */
    void *ctx;
};
int workflow_plan(const struct flow_view *, struct flow_memory *, int64_t wall_us, struct plan *, struct kr_err *);

/* What a reconcile works with. */
struct flow_act { bool create, cancel; size_t step; struct str child, body; };   /* of one leg */
struct reconcile {
    const struct flow_view *v;
    struct flow_memory *m;
    struct flow *f;
    const struct workflow *w;
    struct plan *p;
    struct arena *a;
    int64_t now_us;
    bool cancel, fail_fast;                       /* asked for; a job has failed */
    struct flow_act *acts[64];                    /* by job and leg */
};
struct flow_at { struct reconcile *r; size_t job, leg; };          /* ctx of struct flow_data */

/* workflow_job.c: looks at the job and decides; true when its phase has changed. */
bool job_look(struct reconcile *, size_t job);
bool job_forgives(const struct reconcile *, size_t job);      /* its failure doesn't fail the Workflow */
bool job_is_over(const struct reconcile *, size_t job);
struct str_map job_outputs(void *at, size_t job);
/* workflow_leg.c */
void leg_look(struct reconcile *, size_t job, size_t leg, bool stop);
struct flow_data leg_data(struct flow_at *, struct str_map env);
/* workflow_child.c */
struct str child_name(const struct reconcile *, size_t job, size_t leg, size_t step);
enum child_state { CHILD_NONE, CHILD_FOREIGN, CHILD_ACTIVE, CHILD_SUCCEEDED, CHILD_FAILED, CHILD_CANCELLED };
/* *run: decoded on the plan's arena, when there is one that is ours. */
enum child_state child_look(const struct reconcile *, struct str name, const struct run **run);
/* The body of the child that executes a step, on the arena of the plan: KR_INVALID when an expression can't be evaluated,
 * KR_NOT_FOUND when nobody has left an artifact that it names. */
int child_body(struct reconcile *, struct flow_act *, size_t job, size_t leg, struct kr_err *);
/* The environment that conditions and outputs see: of spec, and of spec and job in a leg. A value that can't be evaluated isn't there,
 * so that only who asks for it fails; a child, which gets them all, can't be made then. */
struct str_map known_env(const struct reconcile *, struct arena *);
struct str_map known_job_env(struct flow_at *, struct arena *);
/* What is kept of a child that is over: phase, reason, message, outputs, artifacts, when it ended and who it is. */
void workflow_child_text(const struct run *, struct buf *);
/* UID, or the name, of the Workflow that controls the Run; empty when none does. */
struct str workflow_of(const struct object_meta *, bool name);
/* workflow_status.c */
void status_load(struct reconcile *);
void status_plan(struct reconcile *, enum flow_phase, struct str_map outputs);
void flow_blame(struct reconcile *, const char *reason, struct str message);      /* the first one stays */
#endif
