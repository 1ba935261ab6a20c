/* SPDX-License-Identifier: Apache-2.0 */
/* claim: which Runs are ours (records), and which of their tasks has a slot. */
#ifndef APPLETS_RUNTIMED_CLAIM_H
#define APPLETS_RUNTIMED_CLAIM_H
#include "core/kr.h"

struct runtimed;
struct record;
struct task;
void claim_start(struct runtimed *);
void claim_stop(struct runtimed *);
void slots_serve(struct runtimed *);              /* soon: waiting tasks get the slots that are free */
void slot_release(struct task *);
void slot_refused(struct task *);                 /* the server has no room for it now: it gives its slot back and waits for one */
void record_left(struct runtimed *, struct record *);      /* its task is freed */
struct record *record_of_uid(const struct runtimed *, struct str uid);
#endif
