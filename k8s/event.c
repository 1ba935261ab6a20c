/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event: one create a call, with a generated name. The same thing said again within ten minutes about the same object is not
 * sent: a table of hashes remembers the last few, so that a plan that fails over and over makes one Event.
 */
#include "k8s/event.h"
#include "core/json.h"

enum { REMEMBERED = 256 };
#define AGAIN_US INT64_C(600000000)

static struct { uint64_t hash; int64_t at_us; } said[REMEMBERED];

static bool was_said(const struct event_about *about, const char *reason, struct str message, int64_t now_us)
{
    uint64_t hash = str_hash(about->uid) * 31 + str_hash(str_of(reason)) * 17 + str_hash(message);
    size_t i = hash % REMEMBERED;
    if (said[i].hash == hash && now_us - said[i].at_us < AGAIN_US)
        return true;
    said[i].hash = hash;
    said[i].at_us = now_us;
    return false;
}

static void nothing(void *ctx, const struct kube_result *r)
{
    (void)ctx;
    (void)r;
}

void event_emit(struct kube *k, const struct event_about *about, const char *type, const char *reason, struct str message, const char *component)
{
    char api[96], now[TIME_TEXT];
    AUTO_BUF struct buf b = { .max = 16384 }, prefix = { .max = 300 };
    if (was_said(about, reason, message, loop_now_us(kube_loop(k))))
        return;
    time_print(now, loop_wall_us(kube_loop(k)));
    buf_fmt(&prefix, "%.*s.", (int)(about->name.n < 240 ? about->name.n : 240), about->name.p);
    jw_begin(&b, '{');
    jw_kstr(&b, "apiVersion", S("v1"));
    jw_kstr(&b, "kind", S("Event"));
    jw_kbegin(&b, "metadata", '{');
    jw_kstr(&b, "generateName", buf_view(&prefix));
    jw_end(&b, '}');
    jw_kbegin(&b, "involvedObject", '{');
    jw_kstr(&b, "apiVersion", kube_api_version(about->resource, api));
    jw_kstr(&b, "kind", str_of(about->resource->kind));
    jw_kstr(&b, "namespace", about->ns);
    jw_kstr(&b, "name", about->name);
    jw_kstr(&b, "uid", about->uid);
    jw_end(&b, '}');
    jw_kstr(&b, "type", str_of(type));
    jw_kstr(&b, "reason", str_of(reason));
    jw_kstr(&b, "message", (struct str){ message.p, str_rune_cut(message, 1024) });
    jw_kbegin(&b, "source", '{');
    jw_kstr(&b, "component", str_of(component));
    jw_end(&b, '}');
    jw_kstr(&b, "firstTimestamp", str_of(now));
    jw_kstr(&b, "lastTimestamp", str_of(now));
    jw_kint(&b, "count", 1);
    jw_end(&b, '}');
    kube_create(k, &kube_events, about->ns, buf_view(&b), (struct kube_user){ .done = nothing });
}
