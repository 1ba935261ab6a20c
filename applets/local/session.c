/* SPDX-License-Identifier: Apache-2.0 */
/* session: a loop of its own that runs until the answer is there. */
#include "applets/local/session.h"
#include "applets/local/user.h"
#include "core/clock.h"
#include <stdio.h>

enum { CALL_US = 10000000 };

int session_open(struct session *s, struct kr_err *e)
{
    char path[4200];
    *s = (struct session){ .answer = { .max = 16 << 20 }, .e = e };
    if (local_state_dir(s->dir, e) < 0)
        return -1;
    if (!instance_pid(s->dir))
        return kr_fail(e, KR_UNAVAILABLE, "the instance in \"%s\" is not up: start it with \"kruntimes local up\"", s->dir);
    snprintf(path, sizeof path, "%s/kubeconfig", s->dir);
    if (kube_config_load(&s->config, path, S(""), e) < 0)
        return -1;
    s->loop = loop_new(&clock_system);
    s->kube = kube_new(s->loop, &s->config, "kruntimes-local", e);
    return s->kube ? 0 : -1;
}

void session_close(struct session *s)
{
    kube_free(s->kube);
    if (s->loop)
        loop_free(s->loop);
    kube_config_free(&s->config);
    buf_free(&s->answer);
}

static void answered(void *ctx, const struct kube_result *r)
{
    struct session *s = ctx;
    s->done = true;
    s->failed = r->error != NULL;
    if (r->error)
        *s->e = *r->error;
    else
        buf_str(&s->answer, r->body);
}

static bool is_done(void *ctx) { return ((struct session *)ctx)->done; }

int session_call(struct session *s, const char *method, struct str path, struct str body)
{
    s->done = false;
    buf_clear(&s->answer);
    kube_send(s->kube, &(struct kube_request){ .method = method, .path = path, .body = body, .timeout_us = CALL_US }, (struct kube_user){ answered, s });
    loop_run_until(s->loop, is_done, s, INT64_MAX);
    return s->failed ? -1 : 0;
}
