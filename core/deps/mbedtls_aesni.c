/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor's AES for Mbed TLS, compiled with the shuffle of SSSE3 too: the library turns 3 x 16 bytes around for each
 * block of AES-GCM, one by one, and that took as long as the block. It asks the processor for AES before it calls this, and
 * none that has AES lacks SSSE3; so only this file may use it.
 */
#ifdef __x86_64__
#pragma GCC optimize("O3")
#pragma GCC target("ssse3")
#endif
#include "aesni.c"
