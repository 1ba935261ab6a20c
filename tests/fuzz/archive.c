/* SPDX-License-Identifier: Apache-2.0 */
/* archive: what a store gives as a tar.gz. Whatever it is, only plain relative paths are told, and no more than the limits. */
#include "applets/artifact/store.h"
#include "tests/fuzz/fuzz.h"
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

enum { BYTES_MAX = 1 << 20 };
struct told { uint64_t bytes; size_t entries; bool file; };

static int entry(void *ctx, struct str path, bool is_dir, bool executable, struct kr_err *e)
{
    struct told *t = ctx;
    (void)executable, (void)e;
    DEMAND(path.n && path.p[0] != '/' && path.p[path.n - 1] != '/' && !memchr(path.p, 0, path.n));
    for (struct str rest = path; rest.n;) {
        struct str name = str_cut(&rest, '/');
        DEMAND(name.n && name.n < 256 && !str_is(name, ".") && !str_is(name, ".."));
    }
    t->file = !is_dir;
    DEMAND(++t->entries <= LIMIT_ARTIFACT_FILES);
    return 0;
}

static int content(void *ctx, struct str bytes, struct kr_err *e)
{
    struct told *t = ctx;
    (void)e;
    DEMAND(t->file && bytes.n && (t->bytes += bytes.n) <= BYTES_MAX);
    return 0;
}

static void squeeze(int fd, struct str in)
{
    static unsigned char out[1 << 20];
    z_stream z = { .next_in = (unsigned char *)(uintptr_t)in.p, .avail_in = (uInt)in.n, .next_out = out, .avail_out = sizeof out };
    DEMAND(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    deflate(&z, Z_FINISH);
    DEMAND(write(fd, out, sizeof out - z.avail_out) >= 0);
    deflateEnd(&z);
}

/* Sums of headers are set right first, or hardly any input would come further than that. */
static void set_sums(char *p, size_t n)
{
    for (; n >= 512; p += 512, n -= 512) {
        unsigned sum = 0;
        if (memcmp(p + 257, "ustar", 5) != 0)
            continue;
        memset(p + 148, ' ', 8);
        for (int i = 0; i < 512; i++)
            sum += (unsigned char)p[i];
        for (int i = 5; i >= 0; i--, sum >>= 3)
            p[148 + i] = (char)('0' + (sum & 7));
        p[154] = 0;
    }
}

FUZZ_WORDS(archive, "ustar\00000", "0000644", "00000000000", "00000001000", "x", "5", "17 path=../x\n", "12 size=-1\n", "../", "a/b", "./")
{
    unsigned raw = fuzz_pick(&in, 4);
    struct told t = { 0 };
    struct kr_err e = { 0 };
    AUTO_CLOSE int fd = memfd_create("archive", MFD_CLOEXEC);
    DEMAND(fd >= 0);
    if (raw) {
        AUTO_FREE char *copy = xstrndup(in.p, in.n);
        set_sums(copy, in.n);
        squeeze(fd, (struct str){ copy, in.n });
    } else {
        DEMAND(write(fd, in.p, in.n) == (ptrdiff_t)in.n);
    }
    lseek(fd, 0, SEEK_SET);
    int rc = untar(fd, BYTES_MAX, &(struct untar_user){ entry, content, &t }, &e);
    DEMAND(rc == 0 ? !e.code : e.code != 0);
}
