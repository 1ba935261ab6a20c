/* SPDX-License-Identifier: Apache-2.0 */
/* libgit2 1.9 feature selection for Linux, static, one thread, no TLS and no transports of its own. */
#ifndef INCLUDE_features_h__
#define INCLUDE_features_h__
#define GIT_ARCH_64 1
#define GIT_USE_NSEC 1
#define GIT_USE_STAT_MTIM 1
#define GIT_USE_FUTIMENS 1
#define GIT_REGEX_REGCOMP 1
#define GIT_QSORT_GNU 1
#define GIT_SHA1_COLLISIONDETECT 1
#define GIT_SHA256_MBEDTLS 1
#define GIT_COMPRESSION_ZLIB 1
#define GIT_RAND_GETENTROPY 1
#define GIT_IO_POLL 1
#endif
