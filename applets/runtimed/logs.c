/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs: record files, a writer per attempt and any number of readers. The first LIMIT_LOG_HEAD bytes are kept for good;
 * behind them pieces of half of LIMIT_LOG_TAIL take turns, so that the end of a long output is always there.
 */
#include "applets/runtimed/logs.h"
#include "core/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAGIC = 0x4b524c47, RECORD_MAX = 1 << 20, WINDOW = 65536, PATH_MAX_LOG = 4096 };
enum { MARK, STDOUT, STDERR };                    /* streams; a mark has the totals of the two */
struct head { uint32_t magic, n; int64_t unix_us; uint32_t stream, reserved; };

struct log {
    char *base;                                   /* path of the first piece */
    int fd;
    unsigned piece;                               /* 0: the head file */
    uint64_t size, total[3];
    bool refused;
    struct log_follower *followers;
};
struct log_reader {
    char *base;
    int fd;
    unsigned piece;
    off_t at;
    struct buf data; off_t from;                  /* what was read last, and where it lies in the file */
};

/* NULL: too long. */
static char *base_path(const char *state, struct str uid, int64_t attempt)
{
    char base[PATH_MAX_LOG];
    int n = snprintf(base, PATH_MAX_LOG, "%s/logs/%.*s/%lld.log", state, SFMT(uid), (long long)attempt);
    return n > 0 && n < PATH_MAX_LOG - 16 ? xstrndup(base, (size_t)n) : NULL;
}

static void log_free(struct log *l)
{
    if (l->fd >= 0)
        close(l->fd);
    free(l->base);
    free(l);
}

static void piece_path(char out[PATH_MAX_LOG + 16], const char *base, unsigned piece)
{
    if (piece)
        snprintf(out, PATH_MAX_LOG + 16, "%s.%u", base, piece);
    else
        snprintf(out, PATH_MAX_LOG + 16, "%s", base);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* n bytes at r->at: of what was read before, or, when that isn't enough or they are wanted anew, from the file. NULL: it has not so many.
 * A program may write its output byte by byte, and each piece is a record then: reading them one by one takes seconds. */
static const char *look(struct log_reader *r, size_t n, bool anew)
{
    size_t size = n < WINDOW ? WINDOW : n;
    if (!anew && r->at >= r->from && r->at + (off_t)n <= r->from + (off_t)r->data.n)
        return r->data.p + (r->at - r->from);
    buf_clear(&r->data);
    r->data.max = RECORD_MAX + sizeof(struct head) + 1;
    ptrdiff_t got = pread(r->fd, buf_room(&r->data, size), size, r->at);
    r->data.n = got > 0 ? (size_t)got : 0;
    r->from = r->at;
    return r->data.n >= n ? r->data.p : NULL;
}

/* The record at r->at, which moves behind it. False: no whole one. bytes NULL: its end may be missing. */
static bool take_record(struct log_reader *r, struct head *h, struct str *bytes)
{
    size_t want = sizeof *h;
    for (int tries = 0; tries < 3; tries++) {     /* what was read before may have been a half one, which another one has replaced */
        const char *p = look(r, want, tries > 0);
        if (!p)
            return false;
        memcpy(h, p, sizeof *h);
        if (h->magic != MAGIC || h->n > RECORD_MAX || h->stream > 2) {
            want = sizeof *h;
            continue;
        }
        want = sizeof *h + h->n;
        if (bytes && p + want > r->data.p + r->data.n)
            continue;
        if (bytes)
            *bytes = (struct str){ p + sizeof *h, h->n };
        r->at += (off_t)want;
        return true;
    }
    return false;
}

/* Counts what is there and cuts what a crash left behind it. */
static void take_stock(struct log *l)
{
    struct log_reader r = { .fd = l->fd };
    struct head h;
    struct stat st;
    off_t whole = 0;
    if (fstat(l->fd, &st) < 0)
        return;
    while (take_record(&r, &h, NULL) && r.at <= st.st_size) {
        whole = r.at;
        l->total[h.stream] += h.n;
        uint64_t mark[2];
        if (h.stream == MARK && h.n == sizeof mark && pread(l->fd, mark, sizeof mark, whole - (off_t)sizeof mark) == sizeof mark)
            memcpy(&l->total[STDOUT], mark, sizeof mark);
    }
    buf_free(&r.data);
    if (whole < st.st_size && ftruncate(l->fd, whole) < 0)
        l->refused = true;
    l->size = (uint64_t)whole;
    lseek(l->fd, whole, SEEK_SET);
}

static int open_piece(const char *base, unsigned piece, int flags)
{
    char path[PATH_MAX_LOG + 16];
    piece_path(path, base, piece);
    return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* The lowest piece behind `piece`: of the later ones some may be gone. 0: there is none. */
static unsigned next_number(const char *base, unsigned piece)
{
    char dir[PATH_MAX_LOG];
    const char *name = strrchr(base, '/') + 1;
    size_t n = strlen(name);
    unsigned best = 0;
    uint64_t number;
    snprintf(dir, sizeof dir, "%.*s", (int)(name - base), base);
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (!strncmp(entry->d_name, name, n) && entry->d_name[n] == '.' && str_u64(str_of(entry->d_name + n + 1), &number) && number > piece &&
            (!best || number < best))
            best = (unsigned)number;
    if (d)
        closedir(d);
    return best;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct log *log_open(const char *state, struct str uid, int64_t attempt, struct kr_err *e)
{
    struct log *l = xcalloc(1, sizeof *l);
    l->fd = -1;
    if (!(l->base = base_path(state, uid, attempt))) {
        log_free(l);
        kr_fail(e, KR_TOO_LARGE, "the path of the state folder is too long");
        return NULL;
    }
    l->fd = open_piece(l->base, 0, O_RDWR);
    if (l->fd < 0 && errno == ENOENT)
        return l;                                 /* made with the first byte: many Runs write none */
    if (l->fd < 0) {
        kr_fail_sys(e, KR_SYSTEM, errno, "open \"%s\"", l->base);
        log_free(l);
        return NULL;
    }
    take_stock(l);
    for (unsigned piece; (piece = next_number(l->base, l->piece));) {
        int fd = open_piece(l->base, piece, O_RDWR);
        if (fd < 0)
            break;
        close(l->fd);
        l->fd = fd;
        l->piece = piece;
        take_stock(l);
    }
    return l;
}

static void tell(struct log *l, bool closed)
{
    for (struct log_follower *f = l->followers, *next; f; f = next) {
        next = f->next;
        f->grown(f, closed);
    }
}

void log_close(struct log *l)
{
    if (!l)
        return;
    tell(l, true);
    log_free(l);
}

uint64_t log_total(const struct log *l, int stream) { return l->total[stream]; }

static bool put_record(struct log *l, int stream, struct str bytes, int64_t unix_us)
{
    struct head h = { MAGIC, (uint32_t)bytes.n, unix_us, (uint32_t)stream, 0 };
    AUTO_BUF struct buf b = { .max = RECORD_MAX + sizeof h };
    buf_add(&b, &h, sizeof h);
    buf_str(&b, bytes);
    ptrdiff_t n = pwrite(l->fd, b.p, b.n, (off_t)l->size);
    if (n != (ptrdiff_t)b.n) {
        (void)!ftruncate(l->fd, (off_t)l->size);  /* a half one under the next half one could be taken for a whole one */
        return false;
    }
    l->size += b.n;
    return true;
}

static bool put_mark(struct log *l, int64_t unix_us) { return put_record(l, MARK, (struct str){ (const char *)&l->total[STDOUT], 2 * sizeof *l->total }, unix_us); }

static void next_piece(struct log *l, int64_t unix_us)
{
    char old[PATH_MAX_LOG + 16];
    int fd = open_piece(l->base, l->piece + 1, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0)
        return;
    close(l->fd);
    l->fd = fd;
    l->piece++;
    l->size = 0;
    l->refused |= !put_mark(l, unix_us);
    if (l->piece > 2) {                           /* the two before stay: this one and the last full one */
        piece_path(old, l->base, l->piece - 2);
        unlink(old);
    }
}

/* The Run's folder and the first file. */
static bool create(struct log *l)
{
    char dir[PATH_MAX_LOG];
    struct kr_err ignored = { 0 };
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(l->base, '/') - l->base), l->base);
    if (fs_make_dir(dir, 0700, &ignored) == 0)
        l->fd = open_piece(l->base, 0, O_RDWR | O_CREAT);
    return l->fd >= 0;
}

void log_append(struct log *l, int stream, struct str bytes, int64_t unix_us)
{
    if (l->fd < 0 && !create(l)) {
        l->total[stream] += bytes.n;
        l->refused = true;
        return;
    }
    while (bytes.n) {
        struct str part = { bytes.p, bytes.n < RECORD_MAX / 2 ? bytes.n : RECORD_MAX / 2 };
        bytes = str_from(bytes, part.n);
        if (l->size + part.n > (l->piece ? LIMIT_LOG_TAIL / 2 : LIMIT_LOG_HEAD))
            next_piece(l, unix_us);
        if (l->refused && put_record(l, STDERR, S("\n[output was lost here: the disk was full]\n"), unix_us) && put_mark(l, unix_us))
            l->refused = false;
        l->total[stream] += part.n;
        if (!put_record(l, stream, part, unix_us))
            l->refused = true;
    }
    tell(l, false);
}

void log_skip(struct log *l, int stream, uint64_t n, struct str note, int64_t unix_us)
{
    log_append(l, stream, note, unix_us);
    l->total[stream] += n - note.n;
    l->refused |= !put_mark(l, unix_us);
}

void log_follow(struct log *l, struct log_follower *f)
{
    f->next = l->followers;
    l->followers = f;
}

void log_unfollow(struct log *l, struct log_follower *f)
{
    for (struct log_follower **at = &l->followers; *at; at = &(*at)->next)
        if (*at == f) {
            *at = f->next;
            return;
        }
}

void logs_remove(const char *state, struct str uid)
{
    char dir[PATH_MAX_LOG];
    struct kr_err ignored = { 0 };
    if (snprintf(dir, sizeof dir, "%s/logs/%.*s", state, SFMT(uid)) < (int)sizeof dir)
        fs_remove_tree(dir, &ignored);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct log_reader *log_read(const char *state, struct str uid, int64_t attempt)
{
    struct log_reader *r = xcalloc(1, sizeof *r);
    r->fd = -1;
    if ((r->base = base_path(state, uid, attempt)))
        r->fd = open_piece(r->base, 0, O_RDONLY);
    if (r->fd >= 0)
        return r;
    free(r->base);
    free(r);
    return NULL;
}

struct log_reader *log_read_fd(int fd)
{
    struct log_reader *r = xcalloc(1, sizeof *r);
    r->fd = fd;
    return r;
}

static bool enter_next(struct log_reader *r)
{
    struct stat st;
    if (!r->base || fstat(r->fd, &st) < 0 || (uint64_t)st.st_size < (r->piece ? LIMIT_LOG_TAIL / 2 : LIMIT_LOG_HEAD) / 2)
        return false;                             /* it isn't full: nothing can be behind it */
    unsigned piece = next_number(r->base, r->piece);
    int fd = piece ? open_piece(r->base, piece, O_RDONLY) : -1;
    if (fd < 0)
        return false;
    close(r->fd);
    r->fd = fd;
    r->piece = piece;
    r->at = 0;
    buf_clear(&r->data);
    return true;
}

bool log_next(struct log_reader *r, struct log_record *rec)
{
    struct head h;
    struct str bytes;
    for (bool found; (found = take_record(r, &h, &bytes)) || enter_next(r);)
        if (found && h.stream != MARK) {
            *rec = (struct log_record){ h.unix_us, (int)h.stream, bytes };
            return true;
        }
    buf_free(&r->data);                           /* who waits for more holds no memory for it */
    return false;
}

/* ---- the last lines ---------------------------------------------------------------------------------------------- */

/* A record may hold many lines; places are kept per record, with how many lines ended before it. */
struct place { unsigned piece; off_t at; int64_t before; };
struct log_seek {
    struct log_reader *r, ahead;                  /* ahead reads to the end; r waits where it is */
    int64_t lines, newlines;
    struct place *last; size_t cap, n;            /* a ring; n: of all records */
};

struct log_seek *log_seek_tail(struct log_reader *r, int64_t lines)
{
    struct log_seek *s = xcalloc(1, sizeof *s);
    *s = (struct log_seek){ .r = r, .ahead = *r, .lines = lines, .cap = lines > 0 ? (size_t)(lines < 100000 ? lines : 100000) + 1 : 1 };
    s->last = xcalloc(s->cap, sizeof *s->last);
    s->ahead.data = (struct buf){ 0 };
    s->ahead.fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 3);
    return s;
}

void log_seek_free(struct log_seek *s)
{
    if (!s)
        return;
    if (s->ahead.fd >= 0)
        close(s->ahead.fd);
    buf_free(&s->ahead.data);
    free(s->last);
    free(s);
}

static void place_reader(struct log_seek *s)
{
    size_t from = s->n > s->cap ? s->n - s->cap : 0;
    while (from + 1 < s->n && s->newlines - s->last[(from + 1) % s->cap].before >= s->lines)
        from++;
    const struct place *p = &s->last[from % s->cap];
    if (!s->n)
        return;
    if (p->piece != s->r->piece) {
        close(s->r->fd);
        s->r->fd = open_piece(s->r->base, p->piece, O_RDONLY);
        s->r->piece = p->piece;
    }
    s->r->at = p->at;
    buf_clear(&s->r->data);
}

bool log_seek_go(struct log_seek *s, size_t bytes)
{
    struct log_record rec;
    for (size_t read = 0; read < bytes; read += rec.data.n + sizeof(struct head)) {
        if (!log_next(&s->ahead, &rec)) {
            place_reader(s);
            log_seek_free(s);
            return true;
        }
        s->last[s->n++ % s->cap] = (struct place){ s->ahead.piece, s->ahead.at - (off_t)(rec.data.n + sizeof(struct head)), s->newlines };
        for (const char *p = rec.data.p, *end = p + rec.data.n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
            s->newlines++;
    }
    return false;
}

void log_reader_free(struct log_reader *r)
{
    if (!r)
        return;
    close(r->fd);
    buf_free(&r->data);
    free(r->base);
    free(r);
}
