/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known: what the controller knows and what is to be looked at: its watches keep the texts of objects by key, a few notes beside
 * them, and queue the keys that a change concerns. Shared by known.c, looks.c and main.c.
 *
 * Keys of the one queue say what they are: "runtime/NS/NAME", "run/NS/NAME" (its pod), "ttl/NS/NAME", "history/NS/PHASE",
 * "clean/NS/GROUP", "workflow/NS/NAME".
 */
#ifndef APPLETS_CONTROLLER_KNOWN_H
#define APPLETS_CONTROLLER_KNOWN_H
#include "applets/controller/controller.h"
#include "applets/controller/workflow.h"
#include "core/map.h"
#include "k8s/component.h"
#include "k8s/indexer.h"
#include "k8s/informer.h"
#include "k8s/workqueue.h"

enum { KEY_MAX = 400, HISTORY_US = 1000000 };

/* What is kept beside an object's text. Of a Run that is over this is all. child: what its Workflow was last queued for. sound: a
 * pod that isn't lost by itself, or a Run that has such a pod on a node that is heard of. */
enum kin { NO_CHILD, CHILD_GOES_ON, CHILD_IS_OVER };
struct note { int64_t unknown_since_us, due_us, ended_us; enum kin child; bool sound; char uid[40]; };
enum store_id { RUNTIMES, DEPLOYMENTS, ACCOUNTS, ROLES, BINDINGS, POLICIES, PODS, NODES, RUNS, WORKFLOWS, JOBS, STORES };
/* Of a Workflow: what was seen of it. A child of one that isn't over keeps a short text when it is over itself. */
struct flow_note { struct flow_memory *memory; char uid[40]; };
/* Objects are filed under "NS/RUNTIME"; of Runs only those that have a pod and aren't over, under "NS/POD" too;
 * children of Workflows under "NS/WORKFLOW"; where finished Runs are counted (--keep), those under "NS/PHASE"; pods under their NODE. */
enum { BY_RUNTIME, BY_POD, BY_CLEAN, BY_OWNER, BY_HISTORY, INDEXES, BY_NODE = BY_POD };
struct controller;
struct store { struct controller *c; enum store_id id; struct indexer *objects; struct informer *informer; };
struct controller_options { struct str image; int64_t node_lost_us; struct opt_list keep; struct gc_limits limits; };
struct controller {
    struct component *c;
    const struct controller_options *o;
    struct store stores[STORES];
    struct workqueue *queue;
    struct map no_jobs;                           /* "NS/GROUP" whose Job the API refused, as their namespace is being deleted → the key */
    struct map written;                           /* "NS/NAME" of a Runtime → struct written */
    int64_t trouble_us;                           /* monotonic: when a watch was last interrupted */
};
struct written { char *key; int64_t at_us; char refused[600]; };      /* refused: what the API server said to its last plan */

/* ---- known.c ----------------------------------------------------------------------------------------------------- */
void known_watch(struct controller *);            /* all of it, into an empty struct with c, o and queue set; the queue begins when every first list is there */
void known_free(struct controller *);
bool known_is_ready(const struct controller *, struct buf *why);
bool known_may_judge(const struct controller *);  /* pods, nodes and Runs are as new as Runs of lost pods are to be judged by */
struct indexed *known_get(struct controller *, enum store_id, struct str key);
struct str known_text(struct controller *, enum store_id, struct str key);      /* p NULL: there is none, or it is not kept */
struct note *known_note(struct controller *, enum store_id, struct indexed *);
bool known_is_active(struct controller *, struct indexed *run);
void known_forget_flow(struct controller *, struct indexed *workflow);          /* what was seen of it */
struct written *known_written(struct controller *, struct str runtime);         /* made when there is none */
void queue_runtime(struct controller *, struct str key);

/* ---- looks.c ----------------------------------------------------------------------------------------------------- */
int look_at(struct controller *, struct str what, struct str key, struct plan *, struct kr_err *);      /* by the kind of key */
/* How the plan of a look ended: error NULL: all of it is done. */
void look_ended(struct controller *, struct str what, struct str key, const struct kr_err *error);
#endif
