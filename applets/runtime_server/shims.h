/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shims: the shims of a server (shim.h), those at work and a few that wait for the next execution.
 *
 * One that waits costs no wake-up and little memory (its pages are the server's). After a while without work all but one go.
 */
#ifndef APPLETS_RUNTIME_SERVER_SHIMS_H
#define APPLETS_RUNTIME_SERVER_SHIMS_H
#include "applets/runtime_server/shim.h"
#include "core/loop.h"

struct shims;
struct shim;
struct shims *shims_new(struct loop *);
/* Ends what runs, without waiting for it and without a further call of `ended`. */
void shims_free(struct shims *);

/* Starts an execution. `ended` is called once, when nothing of it is left: with its report, or with NULL when the shim
 * itself was killed. The shim isn't the caller's any more then. NULL and e when no process can be started. The
 * descriptors of the spec stay the caller's. */
struct shim *shims_start(struct shims *, const struct shim_spec *, void (*ended)(void *ctx, const struct shim_report *), void *ctx,
                         struct kr_err *e);
/* Ends the execution (TERM, then KILL after the grace); `ended` follows. */
void shim_end(struct shim *);
#endif
