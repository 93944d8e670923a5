/* SPDX-License-Identifier: Apache-2.0 */
/* For WebAssembly without a C library: clang makes instructions of these. */
#ifndef KWS_STRING_H
#define KWS_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

#endif
