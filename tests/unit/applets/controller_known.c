/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller keeps of a Runtime beside its text, for as long as there is one, and when it begins: before the embedded API server. */
#include "applets/controller/known.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define RUNTIME "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Runtime\",\"metadata\":{\"name\":\"bash\"}," \
                "\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"runtime\",\"image\":\"x\"}]}}}}"
#define KEY S("default/bash")

struct fixture { struct here h; struct component component; struct controller_options o; struct controller c; int looks; };

/* Plans are made and not carried out. */
static void work(void *ctx, struct str key)
{
    struct fixture *f = ctx;
    struct plan p = { 0 };
    struct kr_err e = { 0 };
    struct str rest = key, what = str_cut(&rest, '/');
    f->looks += str_is(what, "runtime");
    for (int i = 0; i < STORES; i++)
        CHECK(informer_is_synced(f->c.stores[i].informer));
    CHECK_INT(look_at(&f->c, what, rest, &p, &e), 0);
    plan_free(&p);
    workqueue_done(f->c.queue, key, false);
}

static void watch(struct fixture *f)
{
    f->component = (struct component){ .loop = f->h.loop, .kube = f->h.kube, .rnd = f->h.rnd };
    f->c = (struct controller){ .c = &f->component, .o = &f->o, .trouble_us = INT64_MIN };
    f->c.queue = workqueue_new(f->h.loop, work, f);
    known_watch(&f->c);
}

static void begin(struct fixture *f)
{
    *f = (struct fixture){ .o = { .image = S("kruntimes:1") } };
    here_init(&f->h);
    watch(f);
}

static void end(struct fixture *f)
{
    known_free(&f->c);
    workqueue_free(f->c.queue);
    here_done(&f->h);
}

static bool make_runtime(struct fixture *f)
{
    struct here_answer a = { 0 };
    int looks = f->looks;
    kube_create(f->h.kube, &kube_runtimes, S("default"), S(RUNTIME), here_into(&a));
    bool ok = here_until(&f->h, &a.over) && CHECK_INT(a.status, 201) && here_until_is(&f->h, &f->looks, looks + 1);
    here_answer_free(&a);
    return ok;
}

/* What is there already is looked at when every list is: that of Runs has a second page here. work checks it. */
TEST(the_first_look_comes_when_all_lists_are_there)
{
    struct fixture f = { .o = { .image = S("kruntimes:1") } };
    struct here_answer runs = { 0 }, a = { 0 };
    here_init(&f.h);
    for (int i = 0; i < 501; i++) {
        char run[200];
        snprintf(run, sizeof run, "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"r%d\"},\"spec\":{\"runtime\":\"bash\",\"args\":[\"x\"]}}", i);
        kube_create(f.h.kube, &kube_runs, S("default"), str_of(run), here_into(&runs));
    }
    kube_create(f.h.kube, &kube_runtimes, S("default"), S(RUNTIME), here_into(&a));
    here_until(&f.h, &a.over);
    CHECK(runs.status == 201 && a.status == 201);
    watch(&f);
    CHECK(here_until_is(&f.h, &f.looks, 1));
    here_answer_free(&runs);
    here_answer_free(&a);
    end(&f);
}

/* A server that is busy, or doesn't answer, has refused nothing: a condition and an Event would send people after a mistake of theirs. */
TEST(only_what_does_not_help_to_ask_again_is_a_refusal)
{
    struct fixture f;
    begin(&f);
    CHECK_OR(make_runtime(&f));
    for (int code = 1; code < KR_CODE_COUNT; code++) {
        struct kr_err e = { .code = (enum kr_code)code };
        snprintf(e.msg, sizeof e.msg, "words");
        look_ended(&f.c, S("runtime"), KEY, NULL);
        look_ended(&f.c, S("runtime"), KEY, &e);
        if (!CHECK_STR(str_of(known_written(&f.c, KEY)->refused), kr_codes[code].retry ? S("") : S("words")))
            printf("  code %d\n", code);
    }
    end(&f);
}

TEST(a_refusal_goes_with_the_runtime)
{
    struct fixture f;
    struct here_answer a = { 0 };
    begin(&f);
    CHECK_OR(make_runtime(&f));
    int looks = f.looks;
    look_ended(&f.c, S("runtime"), KEY, &(struct kr_err){ .code = KR_FORBIDDEN, .msg = "words" });
    CHECK(known_written(&f.c, KEY)->refused[0] && here_until_is(&f.h, &f.looks, looks + 1));      /* it is told */
    kube_delete(f.h.kube, &kube_runtimes, S("default"), S("bash"), S(""), -1, here_into(&a));
    CHECK(here_until(&f.h, &a.over) && here_until_is(&f.h, &f.looks, looks + 2));
    CHECK(!known_get(&f.c, RUNTIMES, KEY) && !f.c.written.n);
    CHECK_OR(make_runtime(&f));
    CHECK_STR(str_of(known_written(&f.c, KEY)->refused), S(""));
    here_answer_free(&a);
    end(&f);
}
