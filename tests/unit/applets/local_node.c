/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node: its Deployment controller and its pods against the embedded API server, without a process: no container of these pods
 * is ours. tests/local/pods.py has those that run.
 */
#include "applets/local/node.h"
#include "core/fs.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LABELS "\"labels\":{\"kruntimes.io/runtime\":\"r\",\"app.kubernetes.io/managed-by\":\"kruntimes\"}"

/* The node asks through a door of its own, which a test can shut. */
struct world { struct here here; struct node node; struct serve *door; uint16_t port; };

static void turn(struct loop *loop, struct defer *d)
{
    (void)loop;
    deploys_turn(container_of(d, struct node, turn));
}

static void again(struct loop *loop, struct timer *t)
{
    (void)loop;
    node_wake(container_of(t, struct node, again));
}

static void synced(void *ctx) { node_wake(ctx); }

static void open_door(struct world *w)
{
    struct kr_err e = { 0 };
    w->door = serve_new(&w->here.api, &(struct serve_config){ .host = S("127.0.0.1"), .port = w->port }, &e);
    CHECK(w->door);
    w->port = serve_port(w->door);
}

static void shut_door(struct world *w)
{
    serve_free(w->door);
    w->door = NULL;
}

static struct world *begin(void)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct node *n = &w->node;
    here_init(&w->here);
    open_door(w);
    *n = (struct node){ .loop = w->here.loop, .kube = here_client(&w->here, w->port), .rnd = w->here.rnd, .dir = test_tmpdir(), .volumes = test_tmpdir(), .kubeconfig = "kubeconfig",
                        .self = "kruntimes", .net = 1, .turn = { .run = turn }, .again = { .fire = again } };
    n->deployments = informer_new(n->kube, &(struct informer_config){ .resource = &kube_deployments, .user = { deploy_set, deploy_gone, synced, NULL, n } }, &n->rnd);
    n->pods = informer_new(n->kube, &(struct informer_config){ .resource = &kube_pods, .user = { npod_set, npod_gone, synced, NULL, n } }, &n->rnd);
    return w;
}

static void end(struct world *w)
{
    struct node *n = &w->node;
    struct npod *p;
    struct deploy *d;
    informer_free(n->deployments);
    informer_free(n->pods);
    for (size_t i = 0; (p = map_next(&n->by_key, &i)); i = 0)
        npod_free(p);
    for (size_t i = 0; (d = map_next(&n->deploys, &i));)
        deploy_free(d);
    loop_timer_stop(n->loop, &n->again);
    loop_defer_cancel(n->loop, &n->turn);
    map_free(&n->by_key);
    map_free(&n->deploys);
    kube_free(n->kube);
    serve_free(w->door);
    here_done(&w->here);
    free(w);
}

static void make_deployment(struct world *w, int replicas)
{
    struct here_answer r = { 0 };
    char body[1024];
    snprintf(body, sizeof body, "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\"," LABELS "},\"spec\":{\"replicas\":%d,\"selector\":{\"matchLabels\":"
             "{\"kruntimes.io/runtime\":\"r\"}},\"template\":{\"metadata\":{" LABELS "},\"spec\":{\"containers\":[{\"name\":\"runtime\",\"image\":\"a\"}]}}}}", replicas);
    kube_create(w->here.kube, &kube_deployments, S("default"), str_of(body), here_into(&r));
    here_until(&w->here, &r.over);
    CHECK_INT(r.status, 201);
    here_answer_free(&r);
}

static void patch_deployment(struct world *w, const char *body)
{
    struct here_answer r = { 0 };
    kube_merge_patch(w->here.kube, &kube_deployments, S("default"), S("d"), NULL, str_of(body), here_into(&r));
    here_until(&w->here, &r.over);
    CHECK_INT(r.status, 200);
    here_answer_free(&r);
}

/* Whether so many pods are there, all with the hash of the template as it is. */
struct wanted { struct world *w; int pods; bool makes_ready; };
static bool are_there(void *ctx)
{
    struct wanted *x = ctx;
    struct deploy *d = map_get(&x->w->node.deploys, S("default/d"));
    struct npod *p;
    int n = 0;
    bool all = d;
    for (size_t i = 0; (p = map_next(&x->w->node.by_key, &i)); n++) {
        if (x->makes_ready && !p->ready) {
            p->ready = true;                      /* what a probe would find */
            node_wake(&x->w->node);
        }
        all = all && !strcmp(p->hash, d->hash) && !p->deleting;
    }
    return all && n == x->pods;
}

static void wait_for(struct world *w, int pods, bool makes_ready)
{
    struct wanted x = { w, pods, makes_ready };
    CHECK(loop_run_until(w->here.loop, are_there, &x, loop_now_us(w->here.loop) + 20000000) == 0);
}

TEST(a_rollout_ends_though_more_is_wanted_than_is_made)
{
    struct world *w = begin();
    make_deployment(w, LIMIT_LOCAL_PODS + 1);
    wait_for(w, LIMIT_LOCAL_PODS, true);
    patch_deployment(w, "{\"spec\":{\"template\":{\"spec\":{\"terminationGracePeriodSeconds\":7}}}}");
    wait_for(w, LIMIT_LOCAL_PODS, true);
    end(w);
}

/* A process that doesn't end when it is asked to. */
static void give_process(struct world *w, struct child_proc *c)
{
    struct kr_err e = { 0 };
    signal(SIGTERM, SIG_IGN);
    c->child.pid = fork();
    if (!c->child.pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    signal(SIGTERM, SIG_DFL);
    CHECK_INT(loop_child(w->here.loop, &c->child, &e), 0);
    c->running = true;
}

static void delete_pod(struct world *w, struct str name, int64_t grace_s)
{
    struct here_answer r = { 0 };
    kube_delete(w->here.kube, &kube_pods, S("default"), name, S(""), grace_s, here_into(&r));
    here_until(&w->here, &r.over);
    CHECK_INT(r.status, 200);
    here_answer_free(&r);
}

TEST(a_pod_is_killed_when_the_grace_from_its_first_delete_is_over)
{
    struct world *w = begin();
    char name[128];
    size_t at = 0;
    make_deployment(w, 1);
    wait_for(w, 1, false);
    struct npod *p = map_next(&w->node.by_key, &at);
    snprintf(name, sizeof name, "%.*s", SFMT(p->name));
    give_process(w, &p->runtimed);
    delete_pod(w, str_of(name), 60);
    here_skip(&w->here, 32000000);
    here_turn(&w->here);                          /* else the clock of what is asked next stands where it was */
    delete_pod(w, str_of(name), 33);
    here_skip(&w->here, 5000000);
    wait_for(w, 1, false);                        /* the one that takes its place */
    end(w);
}

static bool one_is_being_deleted(void *ctx)
{
    struct world *w = ctx;
    struct npod *p;
    for (size_t i = 0; (p = map_next(&w->node.by_key, &i));)
        if (p->deleting)
            return true;
    return false;
}

static bool none_is_being_deleted(void *ctx) { return !one_is_being_deleted(ctx); }

static void until(struct world *w, bool (*is_so)(void *)) { CHECK(loop_run_until(w->here.loop, is_so, w, loop_now_us(w->here.loop) + 20000000) == 0); }

TEST(a_delete_that_fails_is_tried_again)
{
    struct world *w = begin();
    make_deployment(w, 2);
    wait_for(w, 2, false);
    shut_door(w);
    struct deploy *d = map_get(&w->node.deploys, S("default/d"));
    patch_deployment(w, "{\"spec\":{\"replicas\":1}}");
    d->replicas = 1;                              /* as the watch has just told */
    node_wake(&w->node);
    until(w, one_is_being_deleted);
    until(w, none_is_being_deleted);
    open_door(w);
    here_skip(&w->here, 1000000);
    wait_for(w, 1, false);
    end(w);
}

/* ---- who owns a pod ---------------------------------------------------------------------------------------------- */

static bool deployment_is_being_deleted(void *ctx)
{
    const struct deploy *d = map_get(&((struct world *)ctx)->node.deploys, S("default/d"));
    return d && d->deleting;
}

static bool deployment_is_gone(void *ctx) { return !map_get(&((struct world *)ctx)->node.deploys, S("default/d")); }

/* By what the API says of them, too. */
static bool pods_are_owned(struct world *w, const char *uid)
{
    struct npod *p;
    for (size_t i = 0; (p = map_next(&w->node.by_key, &i));)
        if (strcmp(p->owner, uid) || str_find(buf_view(&p->json), str_of(uid)) < 0)
            return false;
    return true;
}

static bool pods_are_orphans(void *ctx) { return pods_are_owned(ctx, ""); }
static bool pods_are_adopted(void *ctx)
{
    const struct deploy *d = map_get(&((struct world *)ctx)->node.deploys, S("default/d"));
    return d && pods_are_owned(ctx, d->uid);
}

/* The collector's part is done by hand: a finalizer holds the Deployment, the references go, then the finalizer. */
TEST(pods_that_a_deployment_leaves_live_and_are_taken_up_by_the_next)
{
    struct world *w = begin();
    struct here_answer r = { 0 };
    struct npod *p;
    char names[2][128] = { 0 };
    make_deployment(w, 2);
    wait_for(w, 2, false);
    for (size_t at = 0, i = 0; i < 2 && (p = map_next(&w->node.by_key, &at)); i++)
        snprintf(names[i], sizeof names[i], "%.*s", SFMT(p->name));
    patch_deployment(w, "{\"metadata\":{\"finalizers\":[\"test.io/hold\"]}}");
    kube_delete(w->here.kube, &kube_deployments, S("default"), S("d"), S(""), -1, here_into(&r));
    here_until(&w->here, &r.over);
    until(w, deployment_is_being_deleted);
    for (size_t i = 0; i < 2; i++) {
        kube_merge_patch(w->here.kube, &kube_pods, S("default"), str_of(names[i]), NULL, S("{\"metadata\":{\"ownerReferences\":null}}"), here_into(&r));
        here_until(&w->here, &r.over);
        CHECK_INT(r.status, 200);
    }
    until(w, pods_are_orphans);
    patch_deployment(w, "{\"metadata\":{\"finalizers\":null}}");
    until(w, deployment_is_gone);
    make_deployment(w, 2);
    until(w, pods_are_adopted);
    wait_for(w, 2, false);
    for (size_t i = 0; i < 2; i++) {
        char key[300];
        snprintf(key, sizeof key, "default/%s", names[i]);
        CHECK(map_get(&w->node.by_key, str_of(key)));
    }
    here_answer_free(&r);
    end(w);
}

/* ---- a disk without room: a plain file stands where a folder is to be ---------------------------------------------- */

static const char *block(const char *name)
{
    static char path[256];
    struct kr_err e = { 0 };
    snprintf(path, sizeof path, "%s/%s", test_tmpdir(), name);
    CHECK_INT(fs_write(path, S(""), 0600, false, &e), 0);
    return path;
}

static void unblock(struct world *w, const char *path)
{
    CHECK_INT(unlink(path), 0);
    here_skip(&w->here, 1000000);
    here_turn(&w->here);
}

static bool one_is_there(void *ctx) { return ((struct world *)ctx)->node.by_key.n == 1; }

TEST(a_pod_starts_when_its_folder_can_be_made)
{
    struct world *w = begin();
    size_t at = 0;
    w->node.dir = block("pods");
    make_deployment(w, 1);
    until(w, one_is_there);
    struct npod *p = map_next(&w->node.by_key, &at);
    CHECK(!p->started);
    unblock(w, w->node.dir);
    CHECK(p->started);
    end(w);
}

struct mounted { struct secrets secrets; bool ready; };

static void on_ready(struct secrets *s) { container_of(s, struct mounted, secrets)->ready = true; }

static void mount(struct world *w, struct mounted *m, const char *dir)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kr_err e = { 0 };
    struct json *pod = json_parse(&a, S("{\"spec\":{\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"s\"}}]}}"), &e);
    const struct json *box = json_parse(&a, S("{\"volumeMounts\":[{\"name\":\"v\"}]}"), &e);
    *m = (struct mounted){ .secrets = { .ready = on_ready } };
    secrets_mount(&m->secrets, &w->node, S("default"), pod, box, dir);
}

TEST(a_secret_is_mounted_when_it_can_be_written)
{
    struct world *w = begin();
    struct here_answer r = { 0 };
    struct mounted blocked, free_one;
    kube_create(w->here.kube, &kube_secrets, S("default"), S("{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"},\"data\":{\"k\":\"dg==\"}}"), here_into(&r));
    here_until(&w->here, &r.over);
    CHECK_INT(r.status, 201);
    const char *dir = block("secrets");
    mount(w, &blocked, dir);
    mount(w, &free_one, test_tmpdir());
    here_until(&w->here, &free_one.ready);
    CHECK(!blocked.ready);
    unblock(w, dir);
    here_until(&w->here, &blocked.ready);
    secrets_unmount(&blocked.secrets);
    secrets_unmount(&free_one.secrets);
    here_answer_free(&r);
    end(w);
}
