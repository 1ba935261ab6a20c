/* SPDX-License-Identifier: Apache-2.0 */
/* The client's half of SPDY/3.1, as far as tests need it: frames to send, written by other code than the one under test. */
#ifndef TESTS_KIT_SPDY_PEER_H
#define TESTS_KIT_SPDY_PEER_H
#include "grpc/spdy.h"

struct spdy_peer { z_stream z; struct buf out; };        /* out: what is to be sent */
void spdy_peer_init(struct spdy_peer *);
void spdy_peer_free(struct spdy_peer *);
/* fields: "name=value" pairs, separated by one space. */
void spdy_peer_open(struct spdy_peer *, uint32_t stream, const char *fields, bool fin);
/* Any control frame; the second half of its payload is compressed when packed. */
void spdy_peer_control(struct spdy_peer *, unsigned type, unsigned flags, struct str plain, struct str packed);
void spdy_peer_data(struct spdy_peer *, uint32_t stream, const char *text, bool fin);
#endif
