/* SPDX-License-Identifier: Apache-2.0 */
/* spdy: what a client sends, cut at each byte; what is refused; what we send. */
#include "grpc/spdy.h"
#include "tests/kit/spdy_peer.h"
#include "tests/kit/test.h"

/* The events as text, the bytes given `step` at a time. Pieces of one frame's data are put together. */
static void run(struct str in, size_t step, struct buf *trace, struct buf *out)
{
    static struct spdy s;
    struct spdy_event ev;
    struct kr_err e = { 0 };
    int rc = 0;
    spdy_init(&s);
    for (size_t at = 0; at < in.n && rc == 0; at += step) {
        struct str part = { in.p + at, in.n - at < step ? in.n - at : step };
        while ((rc = spdy_take(&s, &part, &ev, out, &e)) == 0 && ev.kind) {
            if (ev.kind == SPDY_DATA) {
                buf_str(trace, ev.data);
            } else {
                buf_fmt(trace, "|%s %u", ev.kind == SPDY_OPENED ? "open" : "reset", ev.stream);
                for (size_t i = 0; i < ev.fields.n; i++)
                    buf_fmt(trace, " %.*s=%.*s", SFMT(ev.fields.v[i].name), SFMT(ev.fields.v[i].value));
                buf_byte(trace, '|');
            }
            if (ev.fin)
                buf_fmt(trace, "<end %u>", ev.stream);
        }
    }
    if (rc < 0)
        buf_fmt(trace, "!%s", e.msg);
    spdy_free(&s);
}

TEST(spdy_dictionary_is_the_one_of_the_specification)
{
    AUTO_BUF struct buf b = { 0 };
    struct str d = spdy_dictionary(&b);
    CHECK_INT(d.n, 1423);
    CHECK_INT(adler32(adler32(0, NULL, 0), (const Bytef *)d.p, (uInt)d.n), 0xe3c6a7c2);
}

TEST(spdy_frames_cut_at_each_byte)
{
    struct spdy_peer p;
    spdy_peer_init(&p);
    spdy_peer_open(&p, 1, "streamtype=error port=80 requestid=0", true);
    spdy_peer_control(&p, 4, 0, S("\0\0\0\1\0\0\0\4\0\1\0\0"), S(""));          /* SETTINGS */
    spdy_peer_open(&p, 3, "streamtype=data port=80 requestid=0", false);
    spdy_peer_data(&p, 3, "hello ", false);
    spdy_peer_control(&p, 6, 0, S("\0\0\0\7"), S(""));                         /* PING */
    spdy_peer_control(&p, 6, 0, S("\0\0\0\2"), S(""));                         /* an answer to nobody */
    spdy_peer_data(&p, 3, "", false);
    spdy_peer_control(&p, 9, 0, S("\0\0\0\3\0\1\0\0"), S(""));                 /* WINDOW_UPDATE */
    spdy_peer_control(&p, 8, 0, S("\0\0\0\3"), S("\0\0\0\1\0\0\0\1a\0\0\0\1b"));  /* HEADERS */
    spdy_peer_data(&p, 3, "you", false);
    spdy_peer_data(&p, 3, "", true);
    spdy_peer_control(&p, 3, 0, S("\0\0\0\3\0\0\0\5"), S(""));                 /* RST_STREAM */
    spdy_peer_control(&p, 4711, 0, S("what is this"), S(""));
    spdy_peer_open(&p, 7, "", false);
    spdy_peer_control(&p, 7, 0, S("\0\0\0\0\0\0\0\0"), S(""));                 /* GOAWAY */
    for (size_t step = 1; step <= p.out.n; step++) {
        AUTO_BUF struct buf trace = { .max = 4096 }, out = { .max = 4096 };
        run(buf_view(&p.out), step, &trace, &out);
        if (!CHECK_STR(buf_view(&trace), S("|open 1 streamtype=error port=80 requestid=0|<end 1>|open 3 streamtype=data port=80 requestid=0|hello you<end 3>"
                                           "|reset 3||open 7|")) ||
            !CHECK_STR(buf_view(&out), S("\x80\3\0\6\0\0\0\4\0\0\0\7")))
            break;
    }
    spdy_peer_free(&p);
}

static void refused(struct spdy_peer *p, const char *want)
{
    AUTO_BUF struct buf trace = { .max = 65536 }, out = { .max = 4096 };
    run(buf_view(&p->out), p->out.n, &trace, &out);
    CHECK_STR(buf_view(&trace), str_of(want));
    spdy_peer_free(p);
    spdy_peer_init(p);
}

TEST(spdy_what_is_refused)
{
    struct spdy_peer p;
    spdy_peer_init(&p);
    spdy_peer_open(&p, 2, "a=b", false);
    refused(&p, "!SPDY: a stream's number is even or was used before");
    spdy_peer_open(&p, 3, "a=b", false);
    spdy_peer_open(&p, 3, "a=b", false);
    refused(&p, "|open 3 a=b|!SPDY: a stream's number is even or was used before");
    spdy_peer_open(&p, 1, "Port=80", false);
    refused(&p, "!SPDY: a malformed header field");
    spdy_peer_control(&p, 1, 0, S("\0\0\0\1\0\0\0\0\0\0"), S("\0\0\0\1\377\377\377\377a"));
    refused(&p, "!SPDY: a malformed header field");
    spdy_peer_control(&p, 1, 0, S("\0\0\0\1\0\0\0\0\0\0"), S("\0\0\0\0more"));
    refused(&p, "!SPDY: bytes behind the header fields");
    spdy_peer_control(&p, 1, 0, S("\0\0\0\1\0\0\0\0\0\0"), S("\377\377\377\377"));
    refused(&p, "!SPDY: too many header fields");
    spdy_peer_control(&p, 1, 0, S("\0\0\0\1\0\0\0\0\0\0not deflated"), S(""));
    refused(&p, "!SPDY: header fields that can't be expanded");
    static const struct { struct str block; const char *want; } blocks[] = {
        { S("\0\0"), "!SPDY: header fields without their number" },
        { S("\0\0\0\1\0\0"), "!SPDY: a malformed header field" },                       /* no name */
        { S("\0\0\0\1\0\0\0\1a"), "!SPDY: a malformed header field" },                 /* no value */
        { S("\0\0\0\1\0\0\0\0\0\0\0\0"), "!SPDY: a malformed header field" },          /* an empty name */
        { S("\0\0\0\1\0\0\0\1 \0\0\0\0"), "!SPDY: a malformed header field" },
        { S("\0\0\0\1\0\0\0\1~\0\0\0\0"), "|open 1 ~=|" },
    };
    spdy_peer_control(&p, 1, 0, S("\0\0\0\1\0\0\0\0\0\0"), S(""));
    refused(&p, "!SPDY: header fields without their number");
    for (size_t i = 0; i < LEN(blocks); i++) {
        spdy_peer_control(&p, 1, 0, S("\0\0\0\1\0\0\0\0\0\0"), blocks[i].block);
        refused(&p, blocks[i].want);
    }
    spdy_peer_control(&p, 2, 0, S("\0\0\0\1"), S("\0\0\0\1\0\0\0\1A\0\0\0\0"));       /* of an answer that nobody waits for, too */
    refused(&p, "!SPDY: a malformed header field");
    spdy_peer_control(&p, 8, 0, S("\0\0"), S(""));
    refused(&p, "!SPDY: HEADERS is too short");
    spdy_peer_control(&p, 1, 0, S("\0\0\0\1\0\0\0\0\0\0" "\x78\xbb\0\0\0\1"), S(""));
    refused(&p, "!SPDY: header fields compressed with another dictionary");
    spdy_peer_control(&p, 1, 0, S("\0\0\0\1"), S(""));
    refused(&p, "!SPDY: SYN_STREAM is too short");
    spdy_peer_control(&p, 3, 0, S("\0\0\0\1"), S(""));
    refused(&p, "!SPDY: RST_STREAM has not eight bytes");
    spdy_peer_control(&p, 6, 0, S("\0\0\0\1\0"), S(""));
    refused(&p, "!SPDY: PING has not four bytes");
    spdy_peer_data(&p, 4, "x", false);
    refused(&p, "!SPDY: data for a stream that nobody opened");
    static const char *const versions[] = { "\x80\2", "\x81\3" };
    for (size_t i = 0; i < LEN(versions); i++) {
        buf_add(&p.out, versions[i], 2);
        buf_add(&p.out, "\0\1\0\0\0\0", 6);
        refused(&p, "!SPDY: another version than 3");
    }
    buf_lit(&p.out, "\x80\3");
    buf_add(&p.out, "\0\1\0\0\x40\1", 6);
    refused(&p, "!SPDY: a control frame is too large");
    spdy_peer_free(&p);
}

TEST(spdy_a_connection_that_failed_stays_so)
{
    static struct spdy s;
    AUTO_BUF struct buf out = { .max = 4096 };
    struct spdy_event ev;
    struct kr_err e = { 0 };
    struct str bytes = S("\0\0\0\2\0\0\0\0"), more = bytes;
    spdy_init(&s);
    CHECK(spdy_take(&s, &bytes, &ev, &out, &e) < 0 && spdy_take(&s, &more, &ev, &out, &e) < 0);
    CHECK_Z(e.msg, "SPDY: the connection has failed before");
    spdy_free(&s);
}

/* Sixteen kilobytes that expand to a thousand times as much. */
TEST(spdy_header_bomb)
{
    struct spdy_peer p;
    AUTO_FREE char *zeros = xcalloc(1, 4000000);
    spdy_peer_init(&p);
    spdy_peer_control(&p, 1, 0, S("\0\0\0\1\0\0\0\0\0\0"), (struct str){ zeros, 4000000 });
    refused(&p, "!SPDY: the header fields are too long");
    spdy_peer_free(&p);
}

TEST(spdy_replies_and_data)
{
    static struct spdy s;
    AUTO_BUF struct buf out = { .max = 1 << 20 };
    AUTO_FREE char *bytes = xcalloc(1, 100000);
    z_stream z = { 0 };
    char plain[64];
    AUTO_BUF struct buf dictionary = { 0 };
    struct str d = spdy_dictionary(&dictionary);
    spdy_init(&s);
    inflateInit(&z);
    for (uint32_t stream = 1; stream < 200; stream += 2) {             /* one compressor for all of them */
        buf_clear(&out);
        spdy_put_reply(&s, &out, stream);
        CHECK(out.n > 12 && !memcmp(out.p, "\x80\3\0\2\0\0\0", 7) && (size_t)(unsigned char)out.p[7] == out.n - 8 && (unsigned char)out.p[11] == stream);
        z.next_in = (Bytef *)out.p + 12;
        z.avail_in = (uInt)(out.n - 12);
        z.next_out = (Bytef *)plain;
        z.avail_out = sizeof plain;
        int rc = inflate(&z, Z_SYNC_FLUSH);
        if (rc == Z_NEED_DICT && inflateSetDictionary(&z, (const Bytef *)d.p, (uInt)d.n) == Z_OK)
            rc = inflate(&z, Z_SYNC_FLUSH);
        CHECK(rc == Z_OK && !z.avail_in && sizeof plain - z.avail_out == 4 && !memcmp(plain, "\0\0\0\0", 4));
    }
    inflateEnd(&z);
    buf_clear(&out);
    spdy_put_data(&out, 5, S(""), true);
    CHECK_STR(buf_view(&out), S("\0\0\0\5\1\0\0\0"));
    buf_clear(&out);
    spdy_put_data(&out, 5, (struct str){ bytes, 100000 }, true);
    CHECK_INT(out.n, 100016);
    CHECK(!memcmp(out.p, "\0\0\0\5\0\1\0\0", 8) && !memcmp(out.p + 65544, "\0\0\0\5\1\0\x86\xa0", 8));
    buf_clear(&out);
    spdy_put_reset(&out, 9, SPDY_REFUSED_STREAM);
    spdy_put_goaway(&s, &out);
    CHECK_STR(buf_view(&out), S("\x80\3\0\3\0\0\0\x08\0\0\0\x09\0\0\0\3" "\x80\3\0\7\0\0\0\x08\0\0\0\0\0\0\0\1"));
    spdy_free(&s);
}
