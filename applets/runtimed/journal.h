/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal: what a restarted runtimed has to know of the Runs that were active, in one file of records (STATE/journal); and
 * the clearing away of what no Run has any more.
 */
#ifndef APPLETS_RUNTIMED_JOURNAL_H
#define APPLETS_RUNTIMED_JOURNAL_H
#include "core/kr.h"

struct runtimed;
struct task;
int journal_open(struct runtimed *, struct kr_err *);
void journal_close(struct runtimed *);
/* Of its attempt, with the time: "exec" before Execute is sent, each time; "backoff" while it waits to be begun. */
void journal_write(struct task *, const char *what);
void journal_remove(struct runtimed *, struct str uid);
struct journal_note { int64_t attempt, wall_us; bool backoff; };
/* What was written last of this Run; NULL when nothing was. */
const struct journal_note *journal_read(const struct runtimed *, struct str uid);
bool journal_has_notes(const struct runtimed *);   /* of Runs that are active here, or were before a restart */
/* After a restart: removes workspaces and journal entries of Runs that no task has (their end was written, and the process died
 * before it had cleaned up), and logs of those that no record has. */
void sweep_leftovers(struct runtimed *);
#endif
