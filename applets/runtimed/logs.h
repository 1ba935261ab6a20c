/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs: what the attempts of a Run wrote to stdout and stderr, in the order it came, with the time it came.
 *
 *   STATE/logs/UID/ATTEMPT.log      the first half of what is kept
 *   STATE/logs/UID/ATTEMPT.log.N    later pieces; of these the last two stay
 *
 * A file is a row of records: a head (time, length, stream) and the bytes. A piece that a crash cut is ended at its last
 * whole record. Where bytes are not there (those of pieces that went, those a full disk refused, skipped ones) a record of
 * stream 0 says how many have come so far: who goes on after a new start asks for what comes behind them, and for nothing twice.
 */
#ifndef APPLETS_RUNTIMED_LOGS_H
#define APPLETS_RUNTIMED_LOGS_H
#include "core/kr.h"

struct log;
struct log_reader;
struct log_record { int64_t unix_us; int stream; struct str data; };

/* Opens an attempt's log for writing, behind what is there. NULL and *e when the disk refuses. */
struct log *log_open(const char *state, struct str uid, int64_t attempt, struct kr_err *);
void log_close(struct log *);                     /* NULL is fine; its readers go on with what is there */
/* Appends. What the disk refuses is lost, and a record says so once there is room again. */
void log_append(struct log *, int stream, struct str bytes, int64_t unix_us);
/* So many bytes of the stream will never come: the note stands in their place, and isn't counted. */
void log_skip(struct log *, int stream, uint64_t n, struct str note, int64_t unix_us);
uint64_t log_total(const struct log *, int stream);       /* bytes of the stream so far, dropped ones included */

/* Reads from the beginning. `more` is called when a log that is open for writing has grown. */
struct log_reader *log_read(const char *state, struct str uid, int64_t attempt);      /* NULL: there is none */
struct log_reader *log_read_fd(int fd);           /* a whole log in one file, which is taken over */
/* True: the next record; its data is valid until the next call. False: none now. */
bool log_next(struct log_reader *, struct log_record *);
void log_reader_free(struct log_reader *);
/* To the first record of the last n lines, so many bytes of the log at a time: true when the reader is there, and what was begun is gone. */
struct log_seek *log_seek_tail(struct log_reader *, int64_t lines);
bool log_seek_go(struct log_seek *, size_t bytes);
void log_seek_free(struct log_seek *);            /* of one that isn't through; NULL is fine */
void logs_remove(const char *state, struct str uid);

struct log_follower { struct log_follower *next; void (*grown)(struct log_follower *, bool closed); };
void log_follow(struct log *, struct log_follower *);
void log_unfollow(struct log *, struct log_follower *);
#endif
