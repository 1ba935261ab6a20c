/* SPDX-License-Identifier: Apache-2.0 */
/* source: Git sources, each fetched by a process of its own. */
#ifndef APPLETS_RUNTIMED_SOURCE_H
#define APPLETS_RUNTIMED_SOURCE_H
#include "core/kr.h"

struct task;
struct source;
struct source_config {
    const char *secret;                           /* folder with the keys of git.credentialsSecretName; NULL: none */
    bool allow_private;                           /* git.allowPrivateAddresses */
    int64_t timeout_s;
};
int source_begin(struct task *, int work, struct kr_err *);       /* into the folder work; task_prepared, task_refused or task_stopped follows */
void source_stop(struct task *);                  /* task_stopped follows */
void source_forget(struct task *);                /* nothing follows; no-op when nothing is fetched */
#endif
