/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node: one machine as a Kubernetes node of our own: a small Deployment controller and a small kubelet, for Runtime Pods only.
 *
 *   node.c          the process: watches, the Node object
 *   node_deploy.c   Deployments → Pod objects
 *   node_pod.c      Pod objects → processes: runtimed and runtime-server, on a loopback address of the pod's own
 *   node_job.c      the controller's clean-up Jobs → processes
 *   node_claim.c    PersistentVolumeClaims → folders
 *   node_secret.c   Secrets → folders of files
 *
 * Images are not run here: a pod whose `runtime` container isn't our runtime-server stays Pending and says so.
 */
#ifndef APPLETS_LOCAL_NODE_H
#define APPLETS_LOCAL_NODE_H
#include "core/map.h"
#include "grpc/http.h"
#include "k8s/core_types.h"
#include "k8s/informer.h"
#include "k8s/selector.h"

#define NODE_NAME "local"
enum { AGAIN_US = 1000000 };                      /* what failed is tried again */
struct node {
    struct loop *loop;
    struct kube *kube;
    struct rnd rnd;
    const char *dir, *volumes, *kubeconfig, *self;        /* pods live below dir, claims below volumes/NAMESPACE; self: this binary */
    struct informer *pods, *deployments, *jobs, *claims;
    struct map deploys, by_key, jobs_by_key, claims_by_key;       /* struct deploy, npod, njob, claim: by "ns/name" */
    struct defer turn;
    struct timer again;
    unsigned net, next_host;                      /* 127.77.net.host */
    bool stopping, swept;
};

struct deploy {
    struct node *n;
    char *key;
    struct str ns, name;
    char uid[64], hash[12];
    struct buf json;
    struct selector *selector;                    /* NULL: it picks none */
    int64_t replicas, generation, creating;
    bool deleting;
    char told[512];                               /* status last written */
};

/* Secrets that one of these mounts; ready comes when all are there, and again whenever one of them was written anew. */
struct secret;
struct secrets { struct secret *first; void (*ready)(struct secrets *); };

struct child_proc { struct child child; struct npod *p; const char *what; bool running; int restarts; int64_t started_us, wait_us; struct timer again; };
struct npod {
    struct node *n;
    char *key;
    struct str ns, name;
    char uid[64], owner[64], hash[12], ip[20];
    struct buf json;
    struct child_proc runtimed, server;
    struct secrets secrets;
    struct httpc *probe; struct hcall *probing;
    struct timer begin_again, probe_timer, kill_timer;
    struct kube_call *write, *deletion, *adoption;        /* the latter two: what its Deployment asked for */
    bool mine, started, ready, told, deleting, going, removing, unrunnable, sandbox, dirty, deleted;
    int64_t grace_s, gone_by_us, created_us, cost;        /* gone_by_us: its deletionTimestamp; cost: its POD_DELETION_COST */
};

/* node_deploy.c */
void deploy_set(void *node, struct str key, struct str json);
void deploy_gone(void *node, struct str key, struct str json);
void deploys_turn(struct node *);
void deploy_free(struct deploy *);
/* node_pod.c */
void npod_set(void *node, struct str key, struct str json);
void npod_gone(void *node, struct str key, struct str json);
void npod_delete(struct npod *);                  /* asks the API to delete it; `deleting` until that has failed */
void npod_adopt(struct npod *, const char *owner, struct str patch);      /* asks the API to make it the Deployment's of this uid */
void npod_free(struct npod *);                    /* its processes are killed */
void npod_stop(struct npod *);                    /* the machine goes down: TERM */
bool npod_is_down(const struct npod *);
void node_wake(struct node *);
/* Of a pod's spec: words and variables of its processes. */
struct words { const char *v[256]; size_t n; };
void word(struct words *, const char *z);
void inherit(struct words *env, struct arena *);
/* What follows `applet` in the container's command and args; false when it isn't ours. */
bool words_after(struct words *, struct json *container, const char *applet, struct arena *);
/* The folder of a volume that is a PersistentVolumeClaim; made where it is missing. NULL: the pod has no such volume. */
const char *claim_dir(const struct node *, struct str ns, struct json *pod, const char *volume, struct arena *, struct kr_err *);
/* node_secret.c: those among the container's volumes, below dir by the volume's name. They go with their user's folder. */
void secrets_mount(struct secrets *, struct node *, struct str ns, struct json *pod, const struct json *container, const char *dir);
bool secrets_are_there(const struct secrets *);
const char *secrets_folder(const struct secrets *, const char *volume);      /* NULL: there is no such volume */
void secrets_unmount(struct secrets *);
/* node_job.c */
struct njob;
void njob_set(void *node, struct str key, struct str json);
void njob_gone(void *node, struct str key, struct str json);
void njob_free(struct njob *);
bool njob_uses(const struct njob *, struct str ns, struct str claim);
bool njob_is(const struct njob *, const char *uid);
/* node_claim.c */
struct claim;
void claim_set(void *node, struct str key, struct str json);
void claim_gone(void *node, struct str key, struct str json);
void claims_turn(struct node *);
void claim_free(struct claim *);
bool claim_is_among(struct str volumes, struct str name);         /* volumes: a pod's spec.volumes as text, p NULL: none */
#endif
