/* SPDX-License-Identifier: Apache-2.0 */
#include "core/websocket.h"
#include "tests/kit/test.h"

TEST(websocket_handshake_values_of_rfc_6455)
{
    char accept[WS_ACCEPT_TEXT], key[WS_KEY_TEXT];
    struct rnd r;
    ws_accept(S("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    CHECK_Z(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    rnd_seed(&r, test_seed());
    ws_key(&r, key);
    CHECK(ws_key_ok(str_of(key)));
    CHECK(!ws_key_ok(S("")) && !ws_key_ok(S("dGhlIHNhbXBsZSBub25jZQ=")) && !ws_key_ok(S("dGhlIHNhbXBsZSBub25jZQ!=")) && !ws_key_ok(S("dGhlIHNhbXBsZSBub25jZWFh")));
}

/* What comes out of the bytes when they are given `step` at a time: "text:…|close 1000:…|", or "!1002" at the end. */
static void run(enum ws_role role, struct str bytes, size_t step, struct buf *out)
{
    struct ws w;
    struct ws_event ev;
    struct kr_err e = { 0 };
    ws_init(&w, role, NULL);
    bool ok = true;
    for (size_t at = 0; at < bytes.n && ok; at += step) {
        struct str part = { bytes.p + at, bytes.n - at < step ? bytes.n - at : step };
        while (part.n && ok) {
            ok = ws_take(&w, &part, &ev, &e) == 0;
            if (!ok) buf_fmt(out, "!%d", w.fail_code);
            else if (ev.kind == WS_CLOSE) buf_fmt(out, "close %d:%.*s|", ev.code, SFMT(ev.data));
            else if (ev.kind) buf_fmt(out, "%d:%.*s|", ev.kind, SFMT(ev.data));
        }
    }
    ws_free(&w);
}

TEST(websocket_frames_cut_at_each_byte)
{
    static const struct { enum ws_role role; struct str in; const char *want; } rows[] = {
        /* 5.7 */
        { WS_CLIENT, S("\x81\x05Hello"), "1:Hello|" },
        { WS_SERVER, S("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "1:Hello|" },
        { WS_CLIENT, S("\x01\x03Hel\x80\x02lo"), "1:Hello|" },
        { WS_CLIENT, S("\x89\x05Hello"), "9:Hello|" },
        { WS_SERVER, S("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "10:Hello|" },
        /* control within a message; empty ones; two in a row */
        { WS_CLIENT, S("\x02\x02""ab\x89\x01p\x00\x00\x80\x01""c\x82\x00"), "9:p|2:abc|2:|" },
        { WS_CLIENT, S("\x81\x01""a\x81\x01""b"), "1:a|1:b|" },
        { WS_CLIENT, S("\x01\x01\xC3\x80\x01\xA9"), "1:\xC3\xA9|" },
        { WS_CLIENT, S("\x88\x00\x81\x01x"), "close 1005:|" },
        { WS_CLIENT, S("\x88\x05\x03\xE8""bye"), "close 1000:bye|" },
        { WS_CLIENT, S("\x81\x05Hel"), "" },
        /* what is refused */
        { WS_SERVER, S("\x81\x05Hello"), "!1002" }, { WS_CLIENT, S("\x81\x81\x00\x00\x00\x00x"), "!1002" }, { WS_CLIENT, S("\xC1\x01x"), "!1002" },
        { WS_CLIENT, S("\x83\x01x"), "!1002" }, { WS_CLIENT, S("\x8B\x01x"), "!1002" }, { WS_CLIENT, S("\x80\x01x"), "!1002" },
        { WS_CLIENT, S("\x01\x01x\x81\x01y"), "!1002" }, { WS_CLIENT, S("\x09\x01x"), "!1002" }, { WS_CLIENT, S("\x89\x7E\x00\x7E"), "!1002" },
        { WS_CLIENT, S("\x81\x7E\x00\x05Hello"), "!1002" }, { WS_CLIENT, S("\x81\x7F\x00\x00\x00\x00\x00\x00\xFF\xFFx"), "!1002" },
        { WS_CLIENT, S("\x81\x7F\x80\x00\x00\x00\x00\x00\x00\x00"), "!1002" }, { WS_CLIENT, S("\x82\x7F\x00\x00\x00\x00\x00\x10\x00\x01"), "!1009" },
        { WS_CLIENT, S("\x81\x01\xFF"), "!1007" }, { WS_CLIENT, S("\x88\x01\x03"), "!1002" }, { WS_CLIENT, S("\x88\x02\x03\xED"), "!1002" },
        { WS_CLIENT, S("\x88\x03\x03\xE8\xFF"), "!1007" }, { WS_CLIENT, S("\x88\x02\x00\x01"), "!1002" },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        for (size_t step = 1; step <= rows[i].in.n; step++) {
            AUTO_BUF struct buf out = { .max = 4096 };
            run(rows[i].role, rows[i].in, step, &out);
            if (!CHECK_STR(buf_view(&out), str_of(rows[i].want))) CHECK_INT((int)i, -1);
        }
}

TEST(websocket_peers_understand_each_other)
{
    static const size_t sizes[] = { 0, 1, 125, 126, 127, 65535, 65536, LIMIT_WS_MESSAGE };
    struct rnd r;
    rnd_seed(&r, test_seed());
    for (int from = 0; from < 2; from++) {
        struct ws a, b;
        ws_init(&a, from ? WS_CLIENT : WS_SERVER, &r);
        ws_init(&b, from ? WS_SERVER : WS_CLIENT, &r);
        for (size_t i = 0; i < LEN(sizes); i++) {
            AUTO_FREE char *data = xmalloc(sizes[i] + 1);
            AUTO_BUF struct buf wire = { .max = 2 * LIMIT_WS_MESSAGE };
            struct ws_event ev;
            struct kr_err e = { 0 };
            for (size_t k = 0; k < sizes[i]; k++) data[k] = (char)rnd_u64(&r);
            ws_put(&a, &wire, WS_BINARY, (struct str){ data, sizes[i] });
            struct str in = buf_view(&wire);
            CHECK_OR(ws_take(&b, &in, &ev, &e) == 0);
            CHECK_INT(ev.kind, WS_BINARY);
            CHECK(str_eq(ev.data, (struct str){ data, sizes[i] }) && !in.n);
        }
        ws_free(&a);
        ws_free(&b);
    }
}

TEST(websocket_close_is_the_last_word)
{
    struct ws a, b;
    struct ws_event ev;
    struct kr_err e = { 0 };
    AUTO_BUF struct buf wire = { .max = 4096 }, long_reason = { .max = 4096 };
    ws_init(&a, WS_SERVER, NULL);
    ws_init(&b, WS_CLIENT, NULL);
    for (int i = 0; i < 100; i++) buf_lit(&long_reason, "\xC3\xA9");
    ws_put_close(&a, &wire, 1011, buf_view(&long_reason));
    size_t n = wire.n;
    ws_put(&a, &wire, WS_TEXT, S("late"));
    ws_put_close(&a, &wire, 1000, S(""));
    CHECK_INT(wire.n, n);
    struct str in = buf_view(&wire);
    CHECK_INT(ws_take(&b, &in, &ev, &e), 0);
    CHECK_INT(ev.code, 1011);
    CHECK_INT(ev.data.n, 122);
    CHECK(b.close_got && !b.close_sent);
    buf_clear(&wire);
    struct ws c;
    ws_init(&c, WS_SERVER, NULL);
    ws_put(&c, &wire, WS_PING, buf_view(&long_reason));
    CHECK(wire.failed);
    ws_free(&a);
    ws_free(&b);
    ws_free(&c);
}
