/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: what the files of `kruntimes doctor` share: its lines, and its requests, which give no advice of their own. */
#ifndef APPLETS_CLI_DOCTOR_H
#define APPLETS_CLI_DOCTOR_H
#include "applets/cli/cli.h"

struct doctor {
    struct cli c;
    bool embedded;                                /* the server is our own: kinds are built in, parts hold no Lease */
    int64_t skew_us;                              /* the server's clock is ahead by so much */
    size_t checks, failed;
    int exit;                                     /* of the first failure */
};
PRINTF(2, 3) void doctor_ok(struct doctor *, const char *fmt, ...);
PRINTF(1, 2) void doctor_note(const char *fmt, ...);
PRINTF(3, 4) void doctor_fail(struct doctor *, enum kr_code, const char *fmt, ...);
PRINTF(1, 2) void doctor_do(const char *fmt, ...);           /* behind a failure: the next step */
int doctor_ask(struct doctor *, const char *method, struct str path, struct str body, struct buf *answer, int64_t *date_us, struct kr_err *);
int64_t doctor_now(const struct doctor *);                   /* by the server's clock */

/* doctor_parts.c. False: the kinds aren't there, so nothing else can be. */
bool doctor_kinds(struct doctor *);
void doctor_leases(struct doctor *, struct str system_ns);
void doctor_work(struct doctor *);                           /* Runtimes and waiting Runs of the namespace */
#endif
