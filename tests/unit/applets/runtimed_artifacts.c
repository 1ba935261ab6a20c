/* SPDX-License-Identifier: Apache-2.0 */
/* Storing what a Run left, on a clock that is set ahead: beside the embedded API server, and where none is. */
#include "applets/runtimed/runtimed.h"
#include "core/fs.h"
#include "core/log.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define A_RUN "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"r\",\"namespace\":\"default\",\"uid\":\"u\",\"resourceVersion\":\"1\"}," \
              "\"spec\":{\"runtime\":\"bash\"},\"status\":{\"phase\":\"Running\",\"attempt\":1,\"assignedPod\":\"p\",\"assignedPodUID\":\"pu\"}}"

struct storing_run { struct here h; struct httpd *d; struct runtimed rt; struct record rec; char key[16]; struct task *t; };

#define NONE ((struct http_fields){ 0 })
static void on_begin(struct hreq *r, void *ctx) { (void)r; (void)ctx; }
static void on_data(struct hreq *r, struct str bytes) { (void)r; (void)bytes; }
static void on_over(struct hreq *r) { (void)r; }

/* Patches are refused, the Run is there. */
static void on_request(struct hreq *r)
{
    if (str_is(hreq_method(r), "GET"))
        hreq_respond(r, 200, NONE, S(A_RUN));
    else
        hreq_respond(r, 409, NONE, S("{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"it was changed\",\"code\":409}"));
}

static void begin(struct storing_run *s, bool has_api, bool has_artifacts)
{
    struct kr_err e = { 0 };
    char folder[400], file[420];
    snprintf(folder, sizeof folder, "%s/u/out/artifacts", test_tmpdir());
    snprintf(file, sizeof file, "%s/x", folder);
    fs_make_dir(folder, 0755, &e);
    if (has_artifacts)
        fs_write(file, S("1"), 0644, false, &e);
    *s = (struct storing_run){ .rec = { .key = s->key, .uid = "u" }, .key = "default/r" };
    here_loop(&s->h);
    log_std.level = LOG_ERROR;
    s->d = httpd_new(s->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { on_begin, on_data, on_request, NULL, on_over, NULL } }, &e);
    uint16_t port = httpd_port(s->d);
    if (!has_api)
        httpd_free(TAKE(s->d));
    s->rt = (struct runtimed){ .loop = s->h.loop, .kube = here_client(&s->h, port), .pod = S("p"), .pod_uid = S("pu"), .ns = S("default"), .state = test_tmpdir(),
                               .workspace = test_tmpdir(), .workspace_fd = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    s->t = task_new(&s->rt, &s->rec, S(A_RUN));
    s->t->state = TASK_ENDING;
    s->t->end_phase = "Succeeded";
    artifacts_begin(s->t);
}

static void end(struct storing_run *s)
{
    task_free(s->t);
    close(s->rt.workspace_fd);
    kube_free(s->rt.kube);
    httpd_free(s->d);
    loop_free(s->h.loop);
}

/* In steps of the longest wait. */
static void pass(struct storing_run *s, int seconds)
{
    for (; seconds > 0; seconds -= 5) {
        here_run(&s->h, 2000);
        here_skip(&s->h, 5000000);
    }
    here_run(&s->h, 2000);
}

TEST(row63_the_api_may_be_away_for_longer_than_an_upload_may_take)
{
    struct storing_run s;
    begin(&s, false, true);
    pass(&s, 20 * 60);
    CHECK(s.t->storing != NULL);
    CHECK_Z(s.t->end_phase, "Succeeded");
    end(&s);
}

TEST(a_finalizer_that_is_refused_for_ten_minutes_is_given_up)
{
    struct storing_run s;
    begin(&s, true, true);
    pass(&s, 8 * 60);
    CHECK(s.t->storing != NULL);
    pass(&s, 8 * 60);
    CHECK_Z(s.t->end_phase, "Failed");
    CHECK_Z(s.t->end_reason, "ArtifactStore");
    CHECK_Z(s.t->end_message, "the Run is changed too often to put a finalizer on it");
    end(&s);
}

TEST(output_alone_that_can_not_be_stored_decides_nothing)
{
    struct storing_run s;
    begin(&s, true, false);
    pass(&s, 16 * 60);
    CHECK(s.t->storing == NULL);
    CHECK_Z(s.t->end_phase, "Succeeded");
    CHECK_Z(s.t->end_message, "");
    end(&s);
}
