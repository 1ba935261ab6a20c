/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded API server without sockets: calls as a function, a fake clock, the store in a folder of the test's. */
#ifndef TESTS_KIT_API_H
#define TESTS_KIT_API_H
#include "applets/apiserver/api.h"
#include "applets/apiserver/collector.h"

struct kit_api {
    struct api api;
    struct clock_fake clock;
    struct rnd rnd;
    struct collector *collector;
    struct api_reply reply;              /* of the last call */
    const char *agent;                   /* User-Agent of the calls; NULL: none */
};
struct kit_api *kit_api_new(void);
void kit_api_free(struct kit_api *);
/* One call and its commit; the status. content_type NULL: application/json. */
int kit_call(struct kit_api *, const char *method, const char *path, const char *content_type, const char *body);
int kit_post(struct kit_api *, const char *path, const char *body);
/* A value of the last answer, as jsonpath text ("{.metadata.name}"); static memory. */
struct str kit_get(struct kit_api *, const char *jsonpath);
/* Lets garbage collection run until it has nothing to do. */
void kit_collect(struct kit_api *);
#endif
