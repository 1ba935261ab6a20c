/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket: RFC 6455 frames and handshake values without I/O: bytes in, events out, bytes to send.
 *
 *   struct ws w;
 *   ws_init(&w, WS_SERVER, NULL);
 *   while (bytes.n) {
 *       if (ws_take(&w, &bytes, &ev, &e) < 0) { ws_put_close(&w, &out, w.fail_code, S("")); break; }   and close the connection
 *       if (ev.kind == WS_PING) ws_put(&w, &out, WS_PONG, ev.data);
 *       …
 *   }
 *
 * No extensions: a reserved bit is an error. Messages of the peer end at LIMIT_WS_MESSAGE (close code 1009).
 */
#ifndef CORE_WEBSOCKET_H
#define CORE_WEBSOCKET_H
#include "core/clock.h"

enum ws_role { WS_SERVER, WS_CLIENT };
/* The numbers are the opcodes. */
enum ws_kind { WS_NOTHING = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* A whole message or a control frame. data is valid until the next ws_take. WS_CLOSE: code is 1005 when none was sent, data the reason
 * (UTF-8); answer with ws_put_close unless it was sent before. WS_NOTHING: the bytes are used up, give more. */
struct ws_event { enum ws_kind kind; int code; struct str data; };

struct ws {
    enum ws_role role;
    int fail_code;              /* after ws_take failed: 1002 protocol, 1007 not UTF-8, 1009 too large */
    bool close_sent, close_got; /* both: the connection may be closed */
    /* private */
    struct rnd *rnd;
    unsigned char head[14], mask[4];
    size_t head_n, masked;
    uint64_t left;              /* of the frame's payload; meaningful while in_payload */
    bool in_payload, fin;
    enum ws_kind opcode, message_kind;
    struct buf message, control;
    bool deliver;               /* the message buffer was given out and is emptied at the next call */
};

/* rnd gives a client's masks and lives as long as w; a server needs none. Against an untrusted intermediary it is
 * seeded by rnd_system. */
void ws_init(struct ws *w, enum ws_role role, struct rnd *rnd);
void ws_free(struct ws *w);
/* Consumes from *bytes until one event is there or nothing is left. KR_PROTOCOL or KR_TOO_LARGE; then w takes nothing more. After
 * the peer's close all bytes are passed over. */
int ws_take(struct ws *w, struct str *bytes, struct ws_event *ev, struct kr_err *e);

/* Appends one frame: a whole message (WS_TEXT, WS_BINARY), or a ping or pong of at most 125 bytes (longer ones fail the buffer).
 * After our close nothing is written. */
void ws_put(struct ws *w, struct buf *out, enum ws_kind kind, struct str data);
/* Once; code 1005 sends a close without a code. The reason is cut to 123 bytes at a character's end. */
void ws_put_close(struct ws *w, struct buf *out, int code, struct str reason);

/* ---- handshake (4.1, 4.2) ---------------------------------------------------------------------------------------- */
enum { WS_KEY_TEXT = 25, WS_ACCEPT_TEXT = 29 };              /* with the NUL */
void ws_key(struct rnd *rnd, char out[WS_KEY_TEXT]);         /* a client's Sec-WebSocket-Key */
bool ws_key_ok(struct str key);                              /* 16 bytes in base64 */
void ws_accept(struct str key, char out[WS_ACCEPT_TEXT]);    /* the Sec-WebSocket-Accept that answers a key that is ok */
#endif
