/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seed for Mbed TLS from getrandom(2). Its own Linux code does that with glibc
 * only and otherwise opens /dev/urandom, which need not exist next to a static
 * program.
 */
#include <errno.h>
#include <stddef.h>
#include <sys/random.h>

#include "mbedtls/entropy.h"

int mbedtls_hardware_poll(void *data, unsigned char *out, size_t len, size_t *olen) {
    (void)data;
    *olen = 0;
    while (*olen < len) {
        ssize_t n = getrandom(out + *olen, len - *olen, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
        *olen += (size_t)n;
    }
    return 0;
}
