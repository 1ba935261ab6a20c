/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal: one file, STATE/journal, of records of RECORD bytes, one per active Run: "UID ATTEMPT WHAT WALL_US" and padding.
 * It tells a restarted runtimed whether an execution may be there. It needs to survive the process, not the machine: no
 * fsync; a record is one small write, so a reader after a kill finds all of it or none.
 */
#include "applets/runtimed/runtimed.h"
#include "core/failpoint.h"
#include "core/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { RECORD = 128, RECORDS_MAX = 4096 };
struct place { char uid[UID_MAX]; struct journal_note note; };
struct journal { int fd; struct place *places; size_t n; };       /* by number of the record; an empty uid is free */

static struct place *find(const struct runtimed *d, struct str uid)
{
    for (size_t i = 0; i < d->journal->n; i++)
        if (str_is(uid, d->journal->places[i].uid))
            return &d->journal->places[i];
    return NULL;
}

static void put(struct journal *j, const struct place *p)
{
    char text[RECORD + 1];
    memset(text, ' ', sizeof text);
    int n = !*p->uid ? 0 : snprintf(text, sizeof text, "%s %lld %s %lld", p->uid, (long long)p->note.attempt, p->note.backoff ? "backoff" : "exec", (long long)p->note.wall_us);
    text[n < RECORD ? n : RECORD - 1] = ' ';
    text[RECORD - 1] = '\n';
    if (KR_FAILPOINTS_AROUND("runtimed.journal.write", pwrite(j->fd, text, RECORD, (off_t)(p - j->places) * RECORD)) != RECORD)
        return;                                   /* without a record a restart executes again, as at-least-once allows */
}

static struct place *add(struct journal *j)
{
    for (size_t i = 0; i < j->n; i++)
        if (!*j->places[i].uid)
            return &j->places[i];
    if (j->n == RECORDS_MAX)
        return NULL;
    j->places = xrealloc(j->places, (j->n + 1) * sizeof *j->places);
    j->places[j->n] = (struct place){ 0 };
    return &j->places[j->n++];
}

static void take(struct journal *j, struct str line)
{
    struct place *p = add(j);
    struct str rest = str_trim(line), uid = str_cut(&rest, ' '), attempt = str_cut(&rest, ' '), what = str_cut(&rest, ' ');
    *p = (struct place){ .note.backoff = str_is(what, "backoff") };
    if (uid.n && uid.n < sizeof p->uid && str_i64(attempt, &p->note.attempt) && str_i64(rest, &p->note.wall_us))
        memcpy(p->uid, uid.p, uid.n);
    else
        snprintf(p->uid, sizeof p->uid, "?");     /* keeps its place in the file until all are read */
}

int journal_open(struct runtimed *d, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    AUTO_BUF struct buf text = { .max = RECORD * RECORDS_MAX };
    struct journal *j = xcalloc(1, sizeof *j);
    const char *path = fs_join(&a, d->state, "journal");
    j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (j->fd < 0 || fs_read_fd(j->fd, path, &text, e) < 0) {
        int why = errno;
        if (j->fd >= 0)
            close(j->fd);
        free(j);
        return e->code ? -1 : kr_fail_sys(e, KR_SYSTEM, why, "open \"%s\"", path);
    }
    for (struct str rest = buf_view(&text); rest.n >= RECORD; rest = str_from(rest, RECORD))
        take(j, (struct str){ rest.p, RECORD });
    for (size_t i = 0; i < j->n; i++)
        if (!strcmp(j->places[i].uid, "?"))
            j->places[i].uid[0] = '\0';
    d->journal = j;
    return 0;
}

void journal_close(struct runtimed *d)
{
    if (!d->journal)
        return;
    close(d->journal->fd);
    free(d->journal->places);
    free(d->journal);
    d->journal = NULL;
}

void journal_write(struct task *t, const char *what)
{
    struct place *p = find(t->d, t->uid);
    if (!p)
        p = add(t->d->journal);
    if (!p)
        return;
    *p = (struct place){ .note = { t->attempt, loop_wall_us(t->d->loop), !strcmp(what, "backoff") } };
    snprintf(p->uid, sizeof p->uid, "%.*s", SFMT(t->uid));
    put(t->d->journal, p);
}

void journal_remove(struct runtimed *d, struct str uid)
{
    struct place *p = find(d, uid);
    if (!p)
        return;
    *p = (struct place){ 0 };
    put(d->journal, p);
}

const struct journal_note *journal_read(const struct runtimed *d, struct str uid)
{
    const struct place *p = find(d, uid);
    return p ? &p->note : NULL;
}

bool journal_has_notes(const struct runtimed *d)
{
    for (size_t i = 0; i < d->journal->n; i++)
        if (*d->journal->places[i].uid)
            return true;
    return false;
}

/* False when it has ended, here or before a restart; the record stays for its logs as long as the object does. */
static bool is_active(const struct runtimed *d, struct str uid)
{
    const struct record *r = record_of_uid(d, uid);
    return r && r->task;
}

static bool is_known(const struct runtimed *d, struct str uid) { return record_of_uid(d, uid) != NULL; }

static void sweep(struct runtimed *d, const char *dir, bool (*keep)(const struct runtimed *, struct str uid), void (*drop)(struct runtimed *, struct str uid))
{
    DIR *list = opendir(dir);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        struct str uid = str_of(entry->d_name);
        if (entry->d_name[0] != '.' && !keep(d, uid))
            drop(d, uid);
    }
    if (list)
        closedir(list);
}

static void drop_workspace(struct runtimed *d, struct str uid) { remove_workspace(d, uid); }
static void drop_logs(struct runtimed *d, struct str uid) { logs_remove(d->state, uid); }
void sweep_leftovers(struct runtimed *d)
{
    char path[4096];
    sweep(d, d->workspace, is_active, drop_workspace);
    snprintf(path, sizeof path, "%s/logs", d->state);
    sweep(d, path, is_known, drop_logs);
    shared_sweep(d);
    remove_spares(d);
    gone_sweep(d);
    for (size_t i = 0; i < d->journal->n; i++)
        if (*d->journal->places[i].uid && !is_active(d, str_of(d->journal->places[i].uid)))
            journal_remove(d, str_of(d->journal->places[i].uid));
}
