/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failpoint: places at which a process kills itself (SIGKILL) when a test says so, to see what a restart makes of what was left.
 *
 * They exist only in a build of their own, `make FAILPOINTS=1`; elsewhere the macros are nothing. A name says which process and
 * where: "runtimed.execute.before"; one that begins with "*" is that of whichever process comes there. `kruntimes failpoints`
 * prints all of them.
 *
 * A point is armed by a file of its name, '/' as '+', in the folder BINARY.armed beside the binary, with a number in it: at
 * this many hits from now on, whoever makes them, the file goes and so does the process; a line "NAME PID" is added to
 * BINARY.armed/killed before. A process that may not look into that folder (Landlock) isn't killed. Tests: tests/fault/failpoints.py.
 */
#ifndef CORE_FAILPOINT_H
#define CORE_FAILPOINT_H
#ifdef KR_FAILPOINTS
/* Keeps errno. */
void failpoint_hit(const char *name);
/* The names in the code, '*' as it is written there; NULL after the last. */
const char *failpoint_name(unsigned i);
#define KR_FAILPOINT(name) \
    ({ static const char *failpoint_ __attribute__((section("kr_failpoints"), used)) = name; failpoint_hit(failpoint_); })
/* The value of the expression, with the points NAME.before and NAME.after around it. */
#define KR_FAILPOINTS_AROUND(name, expression) \
    ({ KR_FAILPOINT(name ".before"); __auto_type failpoint_value_ = (expression); KR_FAILPOINT(name ".after"); failpoint_value_; })
#else
#define KR_FAILPOINT(name) ((void)0)
#define KR_FAILPOINTS_AROUND(name, expression) (expression)
#endif
#endif
