/* SPDX-License-Identifier: Apache-2.0 */
/* drain: an orderly end of the pod. */
#ifndef APPLETS_RUNTIMED_DRAIN_H
#define APPLETS_RUNTIMED_DRAIN_H
#include <stdbool.h>

struct runtimed;
struct task;
void drain_begin(struct runtimed *);
void drain_check(struct runtimed *);
bool drain_is_over(struct runtimed *);
bool drain_bars(const struct task *);             /* it may not begin any more: its pod drains, and it shares no workspace or it is too late */
#endif
