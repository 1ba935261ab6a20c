/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gone: workspaces that nobody needs any more. What is small is removed at once. A Run may leave more than the loop has time for;
 * that gets another name (".gone-…"), which makes room for the next attempt, and a process removes it beside us: one for all that
 * has been put there, another one for what came meanwhile. What it can't remove is told, and tried again with the next, or after a restart.
 */
#ifndef APPLETS_RUNTIMED_GONE_H
#define APPLETS_RUNTIMED_GONE_H
#include "core/kr.h"

struct runtimed;
struct gone { struct helper *helper; bool more; unsigned n; };
void gone_put(struct runtimed *, int dir, const char *name);      /* in the directory workspace, or that of shared ones; absent is fine */
void gone_sweep(struct runtimed *);               /* what a process before us has left, if anything */
bool gone_is_removed(const struct runtimed *);    /* else drain_check follows */
void gone_stop(struct runtimed *);
#endif
