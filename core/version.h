/* SPDX-License-Identifier: Apache-2.0 */
/* version: what this binary calls itself; set once, by VERSION in the Makefile. */
#ifndef CORE_VERSION_H
#define CORE_VERSION_H
extern const char kr_version[];     /* "0.1.0" */
#endif
