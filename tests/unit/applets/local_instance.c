/* SPDX-License-Identifier: Apache-2.0 */
/* instance: waiting for one that never comes up. tests/local has those that do. */
#include "applets/local/instance.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"

TEST(waiting_ends_with_its_time_or_an_interruption)
{
    struct here h;
    here_loop(&h);
    for (int interrupted = 0; interrupted < 2; interrupted++) {
        struct kube *kube = NULL;
        struct kr_err e = { 0 };
        bool flag = interrupted;
        struct instance_goal goal = { .dir = test_tmpdir(), .timeout_us = interrupted * 1000000, .interrupted = &flag };
        CHECK_INT(instance_wait(h.loop, goal, &h.rnd, &kube, &e), -1);
        CHECK_INT(e.code, interrupted ? KR_CANCELLED : KR_UNAVAILABLE);
        CHECK(!kube);
    }
    loop_free(h.loop);
}
