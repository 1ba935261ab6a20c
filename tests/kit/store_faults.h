/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_faults: LMDB's functions, and what tells of disk and processes, fail for the API server's store when the test says so. The
 * linker puts ours in front of them (--wrap, UNIT_WRAP in the Makefile). What LMDB itself asks the system for is in faults.h.
 */
#ifndef TESTS_KIT_STORE_FAULTS_H
#define TESTS_KIT_STORE_FAULTS_H

/* Names of the calls that are asked about, NULL at the end. */
extern const char *const store_fault_names[];
/*
 * Asked before each call, by its name there; NULL: all go through. 0: go on. Otherwise the call does nothing and gives that error: one of
 * LMDB's or an errno. A commit then takes its transaction back, as LMDB's own does. fstatvfs with ENOSPC says that no room is left.
 */
extern int (*store_fault_ask)(const char *call);
#endif
