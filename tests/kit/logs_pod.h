/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs_pod: the embedded API server with a pod in it whose port for logs answers as the access key of the Run says; for tests
 * of what follows Runs and Workflows.
 */
#ifndef TESTS_KIT_LOGS_POD_H
#define TESTS_KIT_LOGS_POD_H
#include "grpc/grpc.h"
#include "tests/kit/here.h"

/* What a Tail call gets: the last digit of the access key. */
enum logs_pod_answer {
    LOGS_TEXT,                                    /* "NAME ATTEMPT\n" on stdout, "err\n" on stderr */
    LOGS_REFUSED,                                 /* PERMISSION_DENIED */
    LOGS_AWAY,                                    /* UNAVAILABLE */
    LOGS_CUT,                                     /* LOGS_TEXT, then UNAVAILABLE */
    LOGS_BROKEN,                                  /* what is no message, then LOGS_TEXT */
    LOGS_STAY,                                    /* LOGS_TEXT and no end, until logs_pod_let_go */
    LOGS_BARE,                                    /* 20,000 bytes without a newline, in two messages */
    LOGS_PIECES,                                  /* a to g, a line each, written at three moments; the n-th call breaks off after n of them */
};
struct logs_pod {
    struct here h;
    struct grpc_server *server;
    struct grpc_service service;
    char ip[32];
    int calls, open, most;                        /* Tail calls, those open now, and how many were open at a time */
    bool followed;                                /* the last call asked for what is still to come */
    int64_t tail_lines;                           /* of the last call */
    struct grpc_request *held[64];
    size_t nheld;
};
void logs_pod_begin(struct logs_pod *);
void logs_pod_end(struct logs_pod *);
void logs_pod_let_go(struct logs_pod *);          /* calls of LOGS_STAY end */
/* A pod of Runtime "bash" whose logs the service has. */
void logs_pod_make(struct logs_pod *, const char *name, bool ready);
/* Runs and Workflows in namespace "default"; a failed check when the API server refuses. */
void logs_pod_create(struct logs_pod *, const struct kube_resource *, const char *object);
void logs_pod_status(struct logs_pod *, const struct kube_resource *, const char *name, const char *status);
void logs_pod_delete(struct logs_pod *, const struct kube_resource *, const char *name);
/* Members of a Run's status: on that pod, in that attempt, with the key for that answer. */
#define LOGS_ON(pod, attempt, answer) "\"assignedPod\":\"" pod "\",\"assignedPodUID\":\"u-" pod "\",\"attempt\":" #attempt ",\"accessKey\":\"0000000000000000000000000000000" answer "\""
#endif
